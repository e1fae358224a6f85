"""From a file to a file, as a person goes: open, segment, three prompts, commit, save."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R

pytestmark = pytest.mark.timeout(600)


def work(window, image, conf):
    """Segment, commit all, then pick three instances by clicks and make them objects anew."""
    widget = window.open()
    widget.image.value = image
    widget.basic.conf.value = conf
    widget.segment_button.native.click()
    window.wait(lambda: widget.now is not None and widget.now.scene is not None, 200)
    now = widget.now
    window.wait(lambda: not widget.cancel_button.enabled)
    widget.buttons["Commit all"].native.click()
    window.wait()
    committed = now.objects.data.copy()
    widget.policy.value = "overwrite"  # what is picked lies on top
    seg = now.scene.seg
    picked = 0
    for i in np.argsort(-seg.areas, kind="stable").tolist():
        y, x = np.nonzero(seg.mask(i))
        k = len(x) // 2
        if not now.session.scene(()).at((x[k] + 0.5, y[k] + 0.5), now.session.options):
            continue
        window.click(image, (float(y[k]), float(x[k])))
        if len(now.session.prompts(()).points) and len(now.session.answer(())):
            window.key("Shift-W")  # an equal object would stay as it is
            window.key("N")
            picked += 1
        if picked == 3:
            break
    assert picked == 3
    window.wait()
    labels = now.objects.data
    assert len(np.unique(labels)) > 3
    assert (labels != committed).any(), "what was picked is there, with an id of its own"
    return now.objects


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
