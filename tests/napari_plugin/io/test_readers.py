"""readers.py through npe2 and a viewer's model, on GeoTIFF that GDAL wrote."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tifffile

npe2 = pytest.importorskip("npe2", reason="napari is not installed")
rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
components = pytest.importorskip("napari.components")

from napari.errors import MultipleReaderError  # noqa: E402
from napari.settings import get_settings  # noqa: E402

from fastsam_plugins.io import Raster, raster  # noqa: E402
from fastsam_plugins.messages import install  # noqa: E402
from napari_plugin.io import readers  # noqa: E402
from tests.conftest import UTM  # noqa: E402

rng = np.random.default_rng(0)
BANDS = rng.integers(1, 60_000, (4, 300, 400), dtype=np.uint16)
COLOR = rng.integers(0, 256, (3, 30, 40), dtype=np.uint8)


def opened(path):
    viewer = components.ViewerModel()
    (layer,) = viewer.open(path, plugin="fastsam-plugins")
    return layer


def test_what_is_no_geotiff_is_left_to_napari(geotiff, tmp_path):
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, BANDS[0])
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(geotiff("whole.tif", BANDS).read_bytes()[:100])
    nowhere = geotiff("nowhere.tif", BANDS, transform=rasterio.Affine.identity())
    for path in (plain, damaged, nowhere, tmp_path / "missing.tif", tmp_path / "a.png"):
        assert readers.get_reader(str(path)) is None
    assert readers.get_reader([str(geotiff("geo.tif", BANDS))]) is None
    (data, *_), reader = npe2.io_utils.read_get_reader([str(plain)], stack=False)
    assert reader.plugin_name == "napari"
    assert np.array_equal(data[0], BANDS[0])


def test_napari_asks_its_user_and_remembers(geotiff, monkeypatch):
    """It knows readers by file name alone. ``plugin=None`` is what its window does."""
    path = geotiff("a.tif", BANDS[:1])
    viewer = components.ViewerModel()
    with pytest.raises(MultipleReaderError):
        viewer.open(path, plugin=None)
    monkeypatch.setitem(get_settings().plugins.extension2reader, "*.tif", "fastsam-plugins")
    (ours,) = viewer.open(path, plugin=None)
    assert ours.metadata["crs"] == "EPSG:32616"


def test_scripts_that_name_no_reader_still_get_napari_s(geotiff):
    (layer,) = components.ViewerModel().open(geotiff("a.tif", BANDS[:1]))
    assert layer.source.reader_plugin == "napari"
    assert np.array_equal(layer.data, BANDS[0])


def test_a_geotiff_is_read_whoever_is_asked_first(geotiff):
    path = str(geotiff("a.tif", BANDS[:1]))
    assert readers.get_reader(path) is readers.read
    ((data, about, kind),) = npe2.read([path], stack=False, plugin_name="fastsam-plugins")
    assert kind == "image"
    assert np.array_equal(data, BANDS[0])
    assert about["metadata"]["crs"] == "EPSG:32616"


def test_the_layer_is_in_pixels_and_knows_where_they_lie(geotiff):
    path = geotiff("field 7.tif", BANDS[:1], nodata=5)
    layer = opened(path)
    assert layer.name == "field 7"
    assert np.array_equal(layer.data, BANDS[0])
    assert (layer.scale.tolist(), layer.translate.tolist()) == ([1, 1], [0, 0])
    assert layer.metadata == {
        "path": str(path),
        "crs": "EPSG:32616",
        "transform": tuple(UTM)[:6],
        "nodata": 5,
        "bands": ["band 1"],
        "channel_axis": None,
    }


def test_three_bands_of_8_bit_are_rgb(geotiff):
    layer = opened(geotiff("a.tif", COLOR, photometric="rgb"))
    assert layer.rgb
    assert np.array_equal(layer.data, np.moveaxis(COLOR, 0, -1))


@pytest.mark.parametrize("bands", [BANDS, BANDS[:3], np.concatenate([COLOR, COLOR[:1]])])
def test_other_bands_are_an_axis_of_one_layer(bands, geotiff):
    names = ["red", "green", "blue", "infrared"][: len(bands)]
    layer = opened(geotiff("a.tif", bands, names=names, photometric="minisblack"))
    assert not layer.rgb
    assert layer.metadata["channel_axis"] == 0
    assert layer.metadata["bands"] == names
    assert np.array_equal(layer.data, bands)


def test_alpha_is_no_band(geotiff):
    bands = np.concatenate([COLOR, np.full((1, 30, 40), 255, np.uint8)])
    layer = opened(geotiff("a.tif", bands, photometric="rgb", alpha=True))
    assert layer.rgb
    assert np.array_equal(layer.data, np.moveaxis(COLOR, 0, -1))


def test_contrast_is_that_of_data_not_of_no_data(geotiff):
    bands = np.linspace(10, 20, 12_000, dtype=np.float32).reshape(1, 100, 120)
    bands[0, :60] = -9999
    low, high = opened(geotiff("a.tif", bands, nodata=-9999)).contrast_limits
    assert 14 < low < 17
    assert 19 < high <= 20
    nothing = np.full((1, 9, 9), 3, np.uint16)
    low, high = opened(geotiff("none.tif", nothing, nodata=3)).contrast_limits
    assert low < high


@pytest.mark.parametrize("overviews", [(), (2, 4)])
@pytest.mark.parametrize("kind", ["gray", "bands", "rgb"])
def test_large_rasters_are_read_when_looked_at(kind, overviews, geotiff, monkeypatch):
    if kind == "rgb":
        bands, how = (BANDS[:3] % 251).astype(np.uint8), {"photometric": "rgb"}
    else:
        bands, how = BANDS[: 1 if kind == "gray" else 4], {}
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    path = geotiff("a.tif", bands, overviews=overviews, **tiles, **how)
    monkeypatch.setattr(readers, "LAZY", 1000)
    monkeypatch.setattr(readers, "CHUNK", 100)
    asked = []
    real = Raster.__getitem__
    monkeypatch.setattr(Raster, "__getitem__", lambda s, i: asked.append(i) or real(s, i))
    ((data, about, _),) = readers.read(str(path))
    assert asked == []
    assert about["multiscale"] == bool(overviews)
    levels = data if overviews else [data]
    assert len(levels) == 1 + len(overviews)
    whole = {"gray": bands[0], "bands": bands, "rgb": np.moveaxis(bands, 0, -1)}[kind]
    part = np.s_[10:20, 30:50] if kind != "bands" else np.s_[2, 10:20, 30:50]
    assert np.array_equal(levels[0][part].compute(), whole[part])
    assert len(asked) == 1
    rows, columns, _ = asked[0]
    assert max(rows.stop - rows.start, columns.stop - columns.start) <= 128
    assert np.array_equal(np.asarray(levels[0]), whole)
    for level, factor in zip(levels[1:], overviews, strict=True):
        step = np.s_[::factor, ::factor]
        expected = whole[step] if kind != "bands" else whole[:, *step]
        assert level.shape == expected.shape
    if overviews:
        layer = opened(path)
        assert layer.multiscale
        assert [tuple(s) for s in layer.level_shapes] == [lv.shape[: layer.ndim] for lv in levels]


def test_without_rasterio_napari_reads_it_and_the_user_hears_why(geotiff, monkeypatch):
    path = str(geotiff("a.tif", BANDS))
    monkeypatch.setattr(raster, "available", lambda: False)
    with pytest.warns(UserWarning, match=re.escape(install("geo"))):
        assert readers.get_reader(path) is None


def test_rasters_on_a_map_are_read(map_image):
    layer = opened(map_image)
    with rasterio.open(map_image) as file:
        assert layer.metadata["crs"] == file.crs.to_string()
        assert layer.metadata["transform"] == tuple(file.transform)[:6]
        pixels = np.moveaxis(file.read(), 0, -1)
    assert layer.rgb == (pixels.shape[2] == 3)
    assert np.array_equal(layer.data, pixels if layer.rgb else pixels[..., 0])
