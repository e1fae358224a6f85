"""Label TIFFs, with what lies beside them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins import io
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import Georeference
from tests.conftest import UTM

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")


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


def test_a_transform_without_crs_is_kept_in_label_images(tmp_path):
    from fastsam_plugins import io
    from fastsam_plugins.segmentation import Segmentation

    place = rasterio.Affine(2, 0, 5, 0, -2, 8)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=9, width=8, count=1, dtype="uint8",
        transform=place,
    ) as file:  # fmt: skip
        file.write(np.zeros((1, 9, 8), np.uint8))
    Image.new("L", (8, 9)).save(tmp_path / "b.jpg")
    (tmp_path / "b.jgw").write_text("2\n0\n0\n-2\n6\n7\n")
    for name in ("a.tif", "b.jpg"):
        path, out = tmp_path / name, tmp_path / "{stem}" / "m.tif"
        found = io.georeference(out, path)
        io.write_results([io.ImageResult(path, None, Segmentation.empty((9, 8)), found)], out)
        with rasterio.open(tmp_path / path.stem / "m.tif") as file:
            assert file.transform == place
            assert file.crs is None
        assert io.georeference(tmp_path / "a.geojson", path) is None
        with pytest.raises(ImageError, match="has no CRS"):
            io.georeference(tmp_path / "a.gpkg", path)
