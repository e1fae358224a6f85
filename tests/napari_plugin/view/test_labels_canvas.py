"""Objects of an image too large for an array."""

from __future__ import annotations

import json

import dask.array as da
import numpy as np
import pytest

from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sources import RunMasks
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model import saving
from napari_plugin.model.blocks import Level
from tests.napari_plugin.conftest import put

SIDE = 6000


def disks_of(side, count=400):
    """Disks all over a large image, some of which overlap."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[-30:31, -30:31]
    masks = []
    for left, top, r in zip(
        *rng.integers(0, side - 61, (2, count)), rng.integers(8, 31, count), strict=True
    ):
        masks.append(R.shift(R.from_bitmap(y**2 + x**2 <= r**2), 61, side, int(left), int(top)))
    boxes = np.array([R.bounds(m, side) for m in masks], np.float32)
    source = RunMasks(masks, (side, side))
    return Segmentation.from_source(source, boxes, rng.random(count).astype(np.float32))


@pytest.fixture
def huge(window):
    """A large lazy image with 400 disks, looked at as levels."""
    image = da.zeros((SIDE, SIDE), chunks=1000, dtype=np.uint8)
    window.seg = disks_of(SIDE)
    window.image = window.viewer.add_image([image, image[::4, ::4], image[::16, ::16]], name="huge")
    window.open()
    window.workspace = put(window, window.seg)
    return window


def painted(seg):
    """What Commit all makes of instances."""
    return seg.labels()


def middle(window, i):
    """Where to click on an instance: in data of the image."""
    x0, y0, x1, y1 = window.seg.boxes[i].tolist()
    return (y0 + y1) / 2 - 0.5, (x0 + x1) / 2 - 0.5


def look_at(window, place):
    window.viewer.camera.center = (0, *place)
    window.viewer.camera.zoom = 2
    window.wait(least=0.2)


def test_objects_of_a_large_image_are_an_arrays(huge, tmp_path):
    workspace, seg = huge.workspace, huge.seg
    huge.widget.commit_all()
    level = workspace.view.objects.labels.data[0]
    assert isinstance(level, Level)
    expected = painted(seg)
    numbers = np.asarray(level)
    assert np.array_equal(numbers > 0, expected > 0)
    pairs = np.unique(np.stack([numbers[expected > 0], expected[expected > 0]]), axis=1)
    assert len(pairs.T) == len(np.unique(expected)) - 1, "one id for each instance"
    assert not workspace.view.objects.labels.editable, "napari's brushes need an array"

    place = middle(huge, 7)
    look_at(huge, place)
    shown = workspace.view.objects.labels._slice.image.raw  # what napari read of it
    assert shown.size < 4 * 1300 * 900
    assert shown.any()
    label = int(numbers[round(place[0]), round(place[1])])
    huge.move(huge.image, place)
    assert workspace.actions.at_cursor() == label
    workspace.actions.delete()
    assert not (np.asarray(level) == label).any()
    workspace.actions.undo()
    assert np.array_equal(np.asarray(level), numbers)

    # Saved, and gone on with.
    workspace.session.prompt(
        (), workspace.session.prompts(()).with_point((place[1] + 0.5, place[0] + 0.5))
    )
    path = tmp_path / "session.json"
    huge.widget.panel.file.value = path
    huge.widget.save()
    huge.wait(lambda: path.exists() and "Saved in" in " ".join(m.message for m in huge.told))
    saved = saving.read(path)
    assert saved.labels[()].keys() == set(np.unique(numbers)) - {0}
    huge.widget.reopen()
    again = huge.workspace.view.objects.labels.data[0]
    assert isinstance(again, Level)
    assert again is not level
    assert np.array_equal(np.asarray(again), numbers)
    assert huge.workspace.session.prompts(()).points

    # In files.
    out = tmp_path / "objects.geojson"
    huge.workspace.view.objects.labels.save(str(out))
    features = json.loads(out.read_text())["features"]
    assert len(features) == len(saved.labels[()])
    import tifffile

    huge.workspace.view.objects.labels.save(str(tmp_path / "objects.tif"))
    assert np.array_equal(tifffile.imread(tmp_path / "objects.tif"), numbers)


def test_the_layer_may_be_chosen_again(huge):
    huge.widget.commit_all()
    first = huge.workspace.view.objects.labels
    numbers = np.asarray(first.data[0])
    huge.workspace.actions.attach(None)
    assert huge.workspace.view.objects.labels is None
    huge.workspace.actions.attach(first)
    assert huge.workspace.view.objects.labels is first
    assert huge.workspace.session.objects.next_id == numbers.max() + 1
    huge.workspace.session.delete([1])
    assert not (np.asarray(first.data[0]) == 1).any()
