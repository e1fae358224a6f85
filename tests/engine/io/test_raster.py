"""raster.py: GeoTIFF as rasterio sees them, whole and window by window."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import Georeference, Raster, formats, raster, read_image
from fastsam_plugins.options import ReadOptions
from tests.conftest import UTM

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
TURNED = rasterio.Affine.translation(500_000, 4_000_000) * rasterio.Affine.rotation(30)
rng = np.random.default_rng(0)
BANDS = rng.integers(1, 60_000, (4, 37, 53), dtype=np.uint16)
COLOR = rng.integers(0, 256, (3, 20, 30), dtype=np.uint8)


# --- where pixels lie ---------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [rasterio.Affine(*UTM), TURNED])
def test_pixels_lie_where_rasterio_says(transform, geotiff):
    raster = Raster(geotiff("a.tif", BANDS, transform=transform))
    place = raster.georeference
    assert place.crs == "EPSG:32616"
    points = rng.uniform(0, 50, (9, 2))
    expected = [transform * tuple(point) for point in points]
    assert np.allclose(place.to_map(points), expected, rtol=0, atol=1e-9)


def test_a_pixel_s_area_is_known_on_projected_maps_only(geotiff):
    assert Raster(geotiff("m.tif", BANDS)).georeference.pixel_m2 == 0.25
    feet = Raster(geotiff("ft.tif", BANDS, crs="EPSG:2263")).georeference
    assert feet.pixel_m2 == pytest.approx(0.25 * 0.3048006096**2, rel=1e-9)
    assert Raster(geotiff("deg.tif", BANDS, crs="EPSG:4326")).georeference.pixel_m2 is None
    assert Georeference("EPSG:32616", tuple(TURNED)[:6]).pixel_m2 == pytest.approx(1)


def test_a_tiff_without_crs_or_transform_has_no_georeference(geotiff, tmp_path):
    assert Raster(geotiff("crs.tif", BANDS, crs=None)).georeference is None
    identity = geotiff("t.tif", BANDS, transform=rasterio.Affine.identity())
    assert Raster(identity).georeference is None
    tifffile.imwrite(tmp_path / "plain.tif", BANDS[0])
    assert not formats.is_geotiff(tmp_path / "plain.tif")
    assert formats.is_geotiff(geotiff("geo.tif", BANDS))
    assert not formats.is_geotiff(tmp_path / "missing.tif")


def test_a_crs_without_code_is_kept_as_wkt(geotiff):
    own = "+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-91 +ellps=bessel +units=m"
    place = Raster(geotiff("a.tif", BANDS, crs=own)).georeference
    assert rasterio.crs.CRS.from_user_input(place.crs) == rasterio.crs.CRS.from_user_input(own)
    assert place.name is None


# --- windows ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("raster") / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=4, height=37, width=53, dtype="uint16", crs="EPSG:32616",
        transform=rasterio.Affine(*UTM), tiled=True, blockxsize=16, blockysize=16,
    ) as file:  # fmt: skip
        file.write(BANDS)
    return path


def indices(length):
    return st.one_of(st.integers(-length, length - 1), st.slices(length))


@given(st.tuples(indices(37), indices(53), indices(4)), st.integers(1, 3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_raster_is_indexed_like_the_array(stored, index, given_axes):
    raster, array = Raster(stored), np.moveaxis(BANDS, 0, -1)
    assert raster.shape == array.shape
    assert raster.dtype == array.dtype
    found = raster[index[:given_axes]]
    assert found.shape == array[index[:given_axes]].shape
    assert np.array_equal(found, array[index[:given_axes]])


def test_only_the_window_is_read(stored, monkeypatch):
    asked = []

    class Spy:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def read(self, indexes, window):
            asked.append((indexes, window))
            return self.file.read(indexes, window=window)

    monkeypatch.setattr(Raster, "_open", lambda self: Spy(rasterio.open(self.path)))
    assert np.array_equal(Raster(stored)[5:9, 20:31, 2], BANDS[2, 5:9, 20:31])
    assert asked == [([3], ((5, 9), (20, 31)))]


def test_a_window_read_has_the_mask_of_no_data(geotiff):
    bands = BANDS.copy()
    bands[:, :, :10] = 7
    raster = Raster(geotiff("a.tif", bands, nodata=7))
    found = raster.read((5, 3, 25, 13))
    assert np.array_equal(found.data, np.moveaxis(bands, 0, -1)[3:13, 5:25])
    assert found.mask[:, :5].all()
    assert not found.mask[:, 5:].any()
    assert raster.nodata == 7


def test_rasters_travel_to_other_processes(stored):
    again = pickle.loads(pickle.dumps(Raster(stored)))
    assert np.array_equal(again[:], np.moveaxis(BANDS, 0, -1))


def test_overviews_are_smaller_rasters_of_the_same_place(geotiff):
    path = geotiff("a.tif", BANDS, overviews=(2, 4))
    raster = Raster(path)
    assert raster.overviews == 2
    for level, factor in enumerate((2, 4)):
        small = Raster(path, level)
        assert small.shape[:2] == (-(-37 // factor), -(-53 // factor))
        corner = small.georeference.to_map([small.shape[1::-1]])
        assert np.allclose(corner, raster.georeference.to_map([(53, 37)]))


def test_bands_have_their_names(geotiff):
    assert Raster(geotiff("a.tif", BANDS[:2], names=["red", ""])).bands == ("red", "band 2")


# --- as images ----------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [None, "lzw", "deflate", "zstd"])
def test_pixels_are_those_of_rasterio_whatever_the_compression(compress, geotiff):
    path = geotiff("a.tif", BANDS, compress=compress, predictor=2 if compress else 1)
    out = read_image(path, ReadOptions(bands="3,0,1", contrast="fixed", low=0, high=60_000))
    expected = np.rint(np.moveaxis(BANDS, 0, -1)[..., [3, 0, 1]] / 60_000 * 255)
    assert np.array_equal(out, expected.astype(np.uint8))


def test_colors_stored_as_ycbcr_are_those_of_gdal(geotiff):
    """As most aerial photographs come."""
    smooth = np.kron(COLOR, np.ones((1, 8, 8), np.uint8))
    path = geotiff("a.tif", smooth, compress="jpeg", photometric="ycbcr")
    with rasterio.open(path) as file:
        expected = np.moveaxis(file.read(), 0, -1)
    assert np.array_equal(read_image(path), expected)
    assert np.abs(expected.astype(int) - np.moveaxis(smooth, 0, -1)).mean() < 30


@pytest.mark.parametrize("nodata", [0, 65_535, 300])
def test_no_data_counts_for_no_contrast_and_is_black(nodata, geotiff):
    bands = np.full((1, 20, 30), nodata, np.uint16)
    bands[0, :, 15:] = np.linspace(1000, 2000, 20)[:, None]
    out = read_image(geotiff("a.tif", bands, nodata=nodata), ReadOptions(contrast="minmax"))
    expected = np.zeros((20, 30, 3))
    expected[:, 15:] = ((bands[0, :, 15:] - 1000.0) / 1000 * 255)[..., None]
    assert np.array_equal(out, np.rint(expected))


@pytest.mark.parametrize("crs", ["EPSG:32616", None])
@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("nodata", [np.nan, -9999.0])
def test_float_no_data_is_read_with_and_without_rasterio(
    nodata, installed, crs, geotiff, monkeypatch
):
    bands = np.linspace(0, 1, 600, dtype=np.float32).reshape(1, 20, 30)
    bands[0, :5] = nodata
    path = geotiff("a.tif", bands, nodata=nodata, crs=crs)
    monkeypatch.setattr(raster, "available", lambda: installed)
    out = read_image(path, ReadOptions(contrast="minmax"))
    assert not out[:5].any()
    assert (out[5, 0, 0], out[-1, -1, 0]) == (0, 255)


def test_8_bits_stay_as_they_are_whatever_is_no_data(geotiff):
    """White marked as no data is common, and bright roofs are white."""
    assert np.array_equal(read_image(geotiff("a.tif", COLOR, nodata=255)), np.moveaxis(COLOR, 0, 2))


def test_nothing_but_no_data_is_black(geotiff):
    path = geotiff("a.tif", np.full((1, 9, 9), 3, np.uint16), nodata=3)
    assert not read_image(path).any()


def test_an_alpha_band_says_where_data_is(geotiff):
    bands = BANDS[:2].copy()
    bands[1] = np.where(np.arange(53) < 20, 0, 65_535)
    path = geotiff("a.tif", bands, alpha=True)
    assert Raster(path).shape == (37, 53, 1)
    out = read_image(path, ReadOptions(contrast="minmax"))
    assert not out[:, :20].any()
    assert (out[:, 20:].min(), out[:, 20:].max()) == (0, 255)


def test_a_truncated_geotiff_is_one_line(geotiff):
    path = geotiff("a.tif", BANDS)
    path.write_bytes(path.read_bytes()[:8_000])
    with pytest.raises(ImageError, match=r"a\.tif is damaged or truncated") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
