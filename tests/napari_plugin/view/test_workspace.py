"""One image, from its session to its files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastsam_plugins import read_image
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from fastsam_plugins.paths import SAMPLES
from napari_plugin.view.panel import chosen_path
from tests.napari_plugin.conftest import SHAPE, labels

pytestmark = pytest.mark.timeout(600)


def test_autosave_and_reopening(plain):
    plain.click(plain.image, (20, 80))
    plain.key("N")
    plain.click(plain.image, (30, 60))
    path = plain.widget.workspace.saver.path
    plain.wait(lambda: path.is_file() and json.loads(path.read_text())["prompts"])
    assert json.loads(path.read_text())["labels"].keys() == {""}
    before = labels(plain).copy()
    plain.viewer.layers.clear()
    plain.image = plain.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    plain.widget.panel.file.value = path
    plain.widget.panel.reopen_button.native.click()
    plain.wait()
    plain.workspace = plain.widget.workspace
    assert np.array_equal(labels(plain), before)
    assert plain.workspace.view.prompts.points.data.tolist() == [pytest.approx((30, 60), abs=0.5)]
    plain.viewer.layers.clear()
    plain.viewer.add_image(np.zeros((9, 9)), name="other")
    plain.widget.panel.file.value = path
    plain.widget.panel.reopen_button.native.click()
    assert "is of plain" in str(plain.told[-1].message)


def test_the_session_that_is_reopened_is_the_one_that_was_chosen(plain, tmp_path):
    plain.click(plain.image, (20, 80))
    plain.key("N")
    usual = plain.widget.workspace.saver.path
    plain.wait(lambda: usual.is_file() and json.loads(usual.read_text())["objects"])
    chosen = tmp_path / "chosen.json"
    plain.widget.panel.file.value = chosen
    plain.widget.save()
    plain.wait(chosen.is_file)
    plain.key("U")
    plain.wait(lambda: not json.loads(usual.read_text())["objects"])
    plain.viewer.layers.clear()
    plain.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    plain.widget.reopen()
    assert plain.widget.workspace.view.objects.labels.data.any()
    plain.viewer.layers.clear()
    plain.widget.panel.file.value = None
    plain.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    plain.widget.reopen()
    assert chosen_path(plain.widget.panel.file) == usual
    assert not plain.widget.workspace.view.objects.labels.data.any()
    plain.widget.panel.file.value = tmp_path / "none.json"
    plain.widget.reopen()
    assert "Cannot read" in str(plain.told[-1].message)


def test_reopening_brings_what_was_segmented_back_without_the_network(window):
    image = read_image(SAMPLES / "coins.png")
    window.viewer.add_image(image, name="coins")
    widget = window.open()
    widget.requester.segment()
    window.wait(lambda: widget.workspace.instances is not None)
    found = widget.workspace.instances.seg.labels()
    widget.commit_all()
    window.wait(lambda: not widget.workspace.saver._busy)
    path = widget.workspace.saver.path
    window.viewer.layers.clear()
    window.viewer.add_image(image, name="coins")
    widget.network.asked = False
    widget.panel.file.value = path
    widget.reopen()
    window.wait(lambda: widget.workspace.instances is not None)
    assert np.array_equal(widget.workspace.instances.seg.labels(), found)
    assert not widget.network.asked


def work(window, image, conf):
    """Segment, commit all, then pick three instances by clicks and make them objects anew."""
    widget = window.open()
    widget.panel.image.value = image
    widget.panel.basic.conf.value = conf
    widget.panel.segment_button.native.click()
    window.wait(
        lambda: widget.workspace is not None and widget.workspace.instances is not None, 200
    )
    workspace = widget.workspace
    window.wait(lambda: not widget.panel.cancel_button.enabled)
    widget.panel.buttons["Commit all"].native.click()
    window.wait()
    committed = workspace.view.objects.labels.data.copy()
    widget.panel.policy.value = "overwrite"  # what is picked lies on top
    seg = workspace.instances.seg
    picked = 0
    for i in np.argsort(-seg.areas, kind="stable").tolist():
        y, x = np.nonzero(seg.mask(i))
        k = len(x) // 2
        if not workspace.session.instances(()).at(
            (x[k] + 0.5, y[k] + 0.5), workspace.session.options
        ):
            continue
        window.click(image, (float(y[k]), float(x[k])))
        if len(workspace.session.prompts(()).points) and len(workspace.session.answer(()).seg):
            window.key("Shift-W")  # an equal object would stay as it is
            window.key("N")
            picked += 1
        if picked == 3:
            break
    assert picked == 3
    window.wait()
    labels = workspace.view.objects.labels.data
    assert len(np.unique(labels)) > 3
    assert (labels != committed).any(), "what was picked is there, with an id of its own"
    return workspace.view.objects.labels


def test_nuclei_become_coco(window, data, tmp_path):
    folder = data / "dev" / "nuclei" / "images"
    path = min(folder.iterdir(), key=lambda p: p.stat().st_size)
    (image,) = window.viewer.open(str(path), plugin="napari")
    objects = work(window, image, 0.1)
    output = tmp_path / "nuclei.json"
    assert objects.save(str(output), plugin="fastsam-plugins") == [str(output)]
    content = json.loads(output.read_text())
    found = {a["instance"]: rle.decode(a["segmentation"]) for a in content["annotations"]}
    labels = objects.data
    assert set(found) == set(np.unique(labels).tolist()) - {0}
    for number, (runs, shape) in found.items():
        assert shape == labels.shape
        assert np.array_equal(R.to_bitmap(runs, shape), labels == number)


def test_an_aerial_image_becomes_a_geopackage_that_overlays_it(window, map_image, tmp_path):
    pyogrio, rasterio = pytest.importorskip("pyogrio"), pytest.importorskip("rasterio")
    from rasterio.features import rasterize
    from shapely import from_wkb

    (image,) = window.viewer.open(str(map_image), plugin="fastsam-plugins")
    objects = work(window, image, 0.05)
    output = tmp_path / "roofs.gpkg"
    assert objects.save(str(output), plugin="fastsam-plugins") == [str(output)]
    meta, _, shapes, values = pyogrio.raw.read(output)
    with rasterio.open(map_image) as raster:
        assert rasterio.crs.CRS.from_user_input(meta["crs"]) == raster.crs
        numbers = values[list(meta["fields"]).index("instance")]
        pairs = [(from_wkb(s), int(n)) for s, n in zip(shapes, numbers, strict=True)]
        drawn = rasterize(pairs, raster.shape, transform=raster.transform, dtype="int32")
    assert np.array_equal(drawn, objects.data)
