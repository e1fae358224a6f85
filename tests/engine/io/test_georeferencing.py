"""Where images lie on the map, as far as a format needs it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins import io
from fastsam_plugins.io import Raster, georeference, raster, read_image
from fastsam_plugins.messages import install

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")


rng = np.random.default_rng(0)


BANDS = rng.integers(1, 60_000, (4, 37, 53), dtype=np.uint16)


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
