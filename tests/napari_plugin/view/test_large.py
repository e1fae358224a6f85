"""Large images in the window: labels in squares, steps that are made little by little."""

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
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.painting import finished
from tests.napari_plugin.conftest import CIRCLES, SHAPE, put

SIDE = 6000


@pytest.fixture
def lazily(monkeypatch):
    """As little as can be at a time."""
    monkeypatch.setattr("napari_plugin.view.jobs.SLICE", 0)


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


def test_a_step_is_made_while_the_window_answers(huge, lazily):
    workspace = huge.workspace
    huge.widget.commit_all()
    assert workspace.actions.working
    assert huge.widget.panel.status.value == "Working on it ..."
    place = middle(huge, 3)
    look_at(huge, place)
    huge.click(huge.image, place)  # prompts do not wait
    assert len(workspace.session.prompts(()).points) == 1
    before = len(huge.told)
    huge.widget.commit()
    assert "till at work" in huge.told[-1].message
    assert len(huge.told) == before + 1
    huge.wait(lambda: not workspace.actions.working)
    whole = np.asarray(workspace.view.objects.labels.data[0])
    assert np.array_equal(whole > 0, painted(huge.seg) > 0)
    workspace.actions.undo()  # the commit, which came last
    assert workspace.actions.working
    huge.wait(lambda: not workspace.actions.working)
    assert not np.asarray(workspace.view.objects.labels.data[0]).any()
    assert len(workspace.session.prompts(()).points) == 1
    workspace.actions.redo()
    huge.wait(lambda: not workspace.actions.working)
    assert np.array_equal(np.asarray(workspace.view.objects.labels.data[0]), whole)
    assert workspace.session.history.done[-1].name == "commit all"


def test_a_session_is_never_saved_half_done(huge):
    workspace, saver = huge.workspace, huge.widget.workspace.saver
    workspace.view.objects.make()
    huge.wait(lambda: not saver._busy)
    work = workspace.session.committing_all([()], "small on top", None)
    while not workspace.session.history.writing:
        next(work)
    for _ in range(5):
        next(work)
    saver.changed({()})
    assert not saver._busy
    finished(work)
    huge.wait(lambda: not saver._busy and not saver._dirty)
    found = saving.read(saver.path).labels[()]
    assert sum(map(R.area, found.values())) == np.count_nonzero(painted(huge.seg))


@pytest.mark.parametrize("way", ["layer", "image", "dock", "reopen"])
def test_what_is_under_way_is_finished_before_its_layer_goes(huge, lazily, way):
    workspace = huge.workspace
    huge.widget.commit_all()
    layer = workspace.view.objects.labels
    assert workspace.actions.working
    if way == "layer":
        huge.viewer.layers.remove(layer)
    elif way == "image":
        huge.viewer.layers.remove(huge.image)
    elif way == "dock":
        huge.widget.shut()
    else:
        huge.wait(lambda: huge.widget.workspace.saver.path is not None)
        workspace.actions.attach(None)
    assert not workspace.actions.working
    assert np.array_equal(np.asarray(layer.data[0]) > 0, painted(huge.seg) > 0)
    huge.wait(least=0.2)


def test_a_part_that_fails_takes_back_the_step(huge, lazily, monkeypatch):
    workspace = huge.workspace
    huge.widget.commit_all()
    canvas = workspace.session.objects.canvas
    write, count = canvas.write, []

    def full(*args):
        count.append(1)
        if len(count) == 9:
            raise OSError("No space left on device")
        write(*args)

    monkeypatch.setattr(canvas, "write", full)
    huge.wait(lambda: not workspace.actions.working)
    assert any("No space left on device" in str(m.message) for m in huge.told)
    assert not np.asarray(workspace.view.objects.labels.data[0]).any()
    assert not workspace.session.history.done
    monkeypatch.setattr(canvas, "write", write)
    huge.widget.commit_all()
    huge.wait(lambda: not workspace.actions.working)
    assert np.array_equal(
        np.asarray(workspace.view.objects.labels.data[0]) > 0, painted(huge.seg) > 0
    )


def test_a_slice_is_saved_as_it_was(seg):
    plane = np.zeros(SHAPE, np.int32)
    canvas = ArrayCanvas(plane)
    for n, i in enumerate((0, 3), 1):
        plane[seg.mask(i)] = n
    before = plane.copy()
    frozen = canvas.frozen(())
    block = np.full((20, 30), 5, np.int32)
    canvas.write((), (10, 10, 40, 30), block, block > 0)
    workspace = canvas.frozen(())
    assert {n: R.area(m) for n, m in frozen().items()} == {
        n: np.count_nonzero(before == n) for n in (1, 2)
    }
    assert R.area(workspace()[5]) == 600


def test_layers_are_the_same_for_a_window_of_another_size(window, seg):
    window.image = window.viewer.add_image(np.full((90, 200), 90, np.uint8), name="plain")
    window.open()
    workspace = put(window, seg, part=(0, 0, SHAPE[1], SHAPE[0]))
    layers = workspace.view.instances.picture, workspace.view.instances.preview.layer
    x, y, _ = CIRCLES[3]
    part = seg[[3]]
    smaller = Segmentation.from_masks(np.stack([part.mask(0)[:50, 30:]]), scores=[0.8])
    put(window, smaller, part=(100, 30, 100 + SHAPE[1] - 30, 80))
    assert (workspace.view.instances.picture, workspace.view.instances.preview.layer) == layers
    assert np.count_nonzero(workspace.view.instances.picture.data) == smaller.areas[0]
    spot = (30 + y, 100 + x - 30)
    window.move(window.image, spot)
    assert np.count_nonzero(workspace.view.instances.preview.layer.data) == smaller.areas[0]
    assert workspace.view.instances.preview.layer.world_to_data(
        window.image.data_to_world(spot)
    ) == pytest.approx((y, x - 30))
