"""Text prompts in napari: CLIP in the network's process, fields in the window."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest

from fastsam_plugins import Segmentation
from fastsam_plugins.options import FilterOptions, TextOptions
from napari_plugin.inference.network import NetworkError, Stopped
from napari_plugin.inference.text_prompt import Words
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.slice_instances import SliceInstances
from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import scene as draw
from tests.napari_plugin.conftest import put

pytest.importorskip("open_clip", reason="open_clip is not installed")
pytestmark = pytest.mark.timeout(600)

TINY = TextOptions(clip=str(FOLDER))


@pytest.fixture(scope="module")
def drawn():
    return draw(11, 0)


def scene_of(drawn, digest):
    height, width = drawn.masks.shape[1:]
    seg = Segmentation.from_masks(drawn.masks)
    return SliceInstances(seg, (0, 0, width, height), (height, width), digest)


def test_the_process_picks_what_the_engine_picks(network, drawn):
    scene = scene_of(drawn, "a")
    never = threading.Event()
    for place in range(len(drawn.captions)):
        words = Words([drawn.captions[place]], [], TINY)
        assert network.pick(drawn.image, scene, "cpu", words, never) == [place]
    everything = Words(list(drawn.captions), [], TINY)
    assert network.pick(drawn.image, scene, "cpu", everything, never) == list(
        range(len(drawn.captions))
    )
    small = dataclasses.replace(scene, visible=scene.seg[1:3])
    assert set(network.pick(drawn.image, small, "cpu", everything, never)) == {1, 2}
    against = Words([drawn.captions[0]], [drawn.captions[0]], TINY)
    assert network.pick(drawn.image, scene, "cpu", against, never) == []


def test_another_picture_is_looked_at_anew(network, drawn):
    other = draw(11, 1)
    words = Words([other.captions[1]], [], TINY)
    scene = scene_of(other, "b")
    assert network.pick(other.image, scene, "cpu", words, threading.Event()) == [1]


def test_what_is_wrong_is_one_line(network, drawn):
    words = Words(["a dog"], [], TextOptions(clip="nowhere/nothing"))
    with pytest.raises(NetworkError, match="nowhere") as error:
        network.pick(drawn.image, scene_of(drawn, "c"), "cpu", words, threading.Event())
    assert "\n" not in str(error.value)
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Stopped):
        network.pick(drawn.image, scene_of(drawn, "c"), "cpu", Words(["a"], [], TINY), stopped)


def test_fields_are_divided_by_semicolons():
    options = TextOptions()
    assert Words.read(" a dog;a cat ; ", "", options) == Words(["a dog", "a cat"], [], options)
    with pytest.raises(ValueError, match="say what to look for"):
        Words.read(" ; ", "a dog", options)


def test_picked_instances_are_prompts_of_their_own(drawn):
    scene = scene_of(drawn, "d")
    asked = Prompts(chosen=(2, 0))
    assert Prompts.from_json(asked.to_json()) == asked
    assert scene.answer(asked, None).seg.rows.tolist() == [0, 2]
    hidden = dataclasses.replace(scene, visible=scene.seg[[0]], filters=FilterOptions(min_area=3))
    assert hidden.answer(asked, None).seg.rows.tolist() == [0]
    assert asked.with_point((3, 4)).chosen == ()
    old = {k: v for k, v in asked.to_json().items() if k != "chosen"}
    assert Prompts.from_json(old) == Prompts()  # a session of before there were texts


def test_a_text_picks_in_the_window_and_a_commit_makes_objects(window, drawn):
    window.image = window.viewer.add_image(drawn.image, name="shapes", rgb=True)
    widget = window.open()
    widget.requester.find()  # nothing was segmented: said, not raised
    window.workspace = put(window, Segmentation.from_masks(drawn.masks))
    widget.panel.wording["clip"].value = str(FOLDER)
    widget.panel.text.value = ""
    widget.requester.find()
    assert [n.message for n in window.told[-2:]] == [
        "Segment this slice first", "say what to look for, as in: a dog; a red car"
    ]  # fmt: skip
    widget.panel.text.value = "; ".join(drawn.captions[:2])
    widget.panel.find_button.native.click()
    session = window.workspace.session
    window.wait(lambda: session.prompts(()), 120)
    assert session.prompts(()).chosen == (0, 1)
    assert widget.panel.status.value == "2 found"
    window.key("N")
    window.wait()
    objects = window.workspace.view.objects.labels.data
    for place, mask in enumerate(drawn.masks[:2]):
        assert set(np.unique(objects[mask])) == {place + 1}
    window.key("U")
    window.wait()
    assert not window.workspace.view.objects.labels.data.any()
    assert session.prompts(()).chosen == (0, 1)
