"""raster.py: GeoTIFF as rasterio sees them, whole and window by window."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fastsam_plugins import io
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import Georeference, Raster, formats, georeference, raster, read_image
from fastsam_plugins.messages import install
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


# --- what formats need --------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["tif", "csv", "geojson", "gpkg"])
def test_formats_with_places_get_them(ending, geotiff):
    path = geotiff("a.tif", BANDS)
    assert georeference(Path(f"b.{ending}"), path) == Raster(path).georeference


def test_other_formats_need_none_and_open_nothing():
    assert georeference(Path("b.png"), Path("missing.tif")) is None
    assert georeference(Path("b.json"), Path("missing.tif")) is None


def test_later_pages_are_no_raster(geotiff):
    assert georeference(Path("b.geojson"), geotiff("a.tif", BANDS), page=1) is None


def test_geopackage_without_crs_is_refused(geotiff, tmp_path):
    for path in (geotiff("a.tif", BANDS, crs=None), tmp_path / "a.png"):
        with pytest.raises(ValueError, match=r"has no CRS.*write \.geojson, in pixels then"):
            georeference(Path("b.gpkg"), path)
        assert georeference(Path("b.geojson"), path) is None


def test_geojson_of_a_crs_without_code_is_refused(geotiff):
    path = geotiff("a.tif", BANDS, crs="+proj=aea +lat_1=29.5 +lat_2=45.5 +lon_0=-91 +a=6e6 +b=6e6")
    with pytest.raises(ValueError, match=r"no EPSG code.*write \.gpkg"):
        georeference(Path("b.geojson"), path)
    assert georeference(Path("b.gpkg"), path) is not None


def test_without_the_extra_one_line_says_what_to_install(geotiff, monkeypatch):
    path = geotiff("a.tif", BANDS)
    monkeypatch.setattr(raster, "available", lambda: False)
    for refuse in (
        lambda: io.check_output(Path("b.gpkg"), [path]),
        lambda: georeference(Path("b.geojson"), path),
    ):
        with pytest.raises(ValueError, match=re.escape(install("geo")) + "$") as caught:
            refuse()
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=re.escape(install("geo"))):
        Raster(path)
    for ending in ("csv", "tif"):
        with pytest.warns(UserWarning, match=re.escape(install("geo"))):
            assert georeference(Path(f"b.{ending}"), path) is None


# --- what is turned when it is read -------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "palette.tif"])
@pytest.mark.parametrize("slant", [0, 0.25])
def test_what_is_turned_upright_lies_where_it_was_stored(slant, name, orientation, tmp_path):
    """World files and the tags of a GeoTIFF are of the stored raster: as GDAL and QGIS have it."""
    path = tmp_path / name
    stored = np.full((12, 20), 20, np.uint8)
    stored[3, 16] = 230  # the one pixel that is looked for
    if path.suffix == ".tif":
        tag, colors = (274, "H", 1, orientation, True), {}
        if name.startswith("palette"):  # of these GDAL does not read the pixels
            colors = {"colormap": np.stack([np.arange(256, dtype=np.uint16) * 256] * 3)}
        tifffile.imwrite(path, stored, extratags=[tag], metadata=None, **colors)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(stored).save(path, exif=exif, **({"quality": 100} if "jpg" in name else {}))
    world = "".join(f"{v}\n" for v in (2, slant, slant, -2, 1001, 1999))
    path.with_suffix(f".{path.suffix[1]}{path.suffix[-1]}w").write_text(world)
    if name.startswith("palette"):
        with rasterio.open(path, "r+") as file:
            file.crs, file.transform = "EPSG:32616", file.transform
    with rasterio.open(path) as file:
        expected = file.transform * (16.5, 3.5)
    shown = read_image(path)[..., 0]
    y, x = np.unravel_index(shown.argmax(), shown.shape)
    place = georeference(tmp_path / "out.tif", path)
    assert place.crs == ("EPSG:32616" if name.startswith("palette") else "")
    assert np.allclose(place.to_map([(x + 0.5, y + 0.5)])[0], expected)


@pytest.mark.parametrize("place", [None, Georeference("EPSG:32616", UTM)])
def test_what_gdal_noted_of_a_label_image_goes_with_it(place, tmp_path):
    path = tmp_path / "out.tif"
    note = "<PAMDataset><SRS>EPSG:4326</SRS><GeoTransform>1,2,0,3,0,-2</GeoTransform></PAMDataset>"
    path.with_name("out.tif.aux.xml").write_text(note)
    path.with_name("out.tif.msk").write_bytes(b"of what was here")
    io.write_labels(np.arange(12).reshape(3, 4), path, place)
    assert [p.name for p in tmp_path.iterdir()] == ["out.tif"]
    with rasterio.open(path) as file:
        assert file.crs == (place and place.crs)
        assert np.array_equal(file.read(1), np.arange(12).reshape(3, 4))
        assert file.transform.is_identity == (place is None)


@pytest.mark.parametrize("ending", [".msk", ".ovr"])
def test_an_input_is_not_removed_as_a_note_of_the_label_image(ending, tmp_path):
    given = tmp_path / f"out.tif{ending}"
    tifffile.imwrite(given, np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match="would overwrite the input"):
        io.check_output(tmp_path / "out.tif", [given])
