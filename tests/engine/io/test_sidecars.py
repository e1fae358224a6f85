"""Masks, palettes and no data beside the pixels count, on the map and off; GDAL is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from fastsam_plugins.images.contrast import ImageError, to_rgb
from fastsam_plugins.io import open_raster, read_image, read_stored
from fastsam_plugins.options import ReadOptions

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")

SIZE = 45, 60
VALUES = np.linspace(0, 1000, 45 * 60).reshape(SIZE).astype(np.uint16)
NUMBERS = (np.arange(45 * 60).reshape(SIZE) // 15 % 4).astype(np.uint8)
COLORS = {0: (1, 2, 3, 255), 1: (50, 60, 70, 255), 2: (200, 10, 10, 255), 3: (0, 255, 0, 255)}
MAPS = pytest.mark.parametrize("crs", ["EPSG:32616", None])


def write(path, array, crs=None, **more):
    array = array[None] if array.ndim == 2 else array
    return rasterio.open(
        path, "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=len(array),
        dtype=array.dtype, crs=crs, **more,
    )  # fmt: skip


def both(path, expected, **options):
    """Read at once and by windows."""
    reading = ReadOptions(**options)
    assert np.array_equal(read_image(path, reading), expected)
    view = open_raster(path, reading)
    assert np.array_equal(view[:, :], expected)
    assert np.array_equal(view[9:33, 11:52], expected[9:33, 11:52])


@MAPS
@pytest.mark.parametrize("internal", [True, False])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("tiled", [False, True])
def test_a_mask_hides(tiled, bands, internal, crs, tmp_path):
    array = np.stack([VALUES] * bands)
    array[:, :20] = 60_000
    mask = np.full(SIZE, 255, np.uint8)
    mask[:20] = 0
    how = {"tiled": True, "blockxsize": 16, "blockysize": 16} if tiled else {}
    color = "RGB" if bands == 3 else "MINISBLACK"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal),
        write(tmp_path / "a.tif", array, crs, photometric=color, nodata=7, **how) as file,
    ):
        file.write(array)
        file.write_mask(mask)
    assert (tmp_path / "a.tif.msk").exists() != internal
    with rasterio.open(tmp_path / "a.tif") as file:
        assert np.array_equal(file.dataset_mask() == 0, mask == 0)
    expected = np.zeros((*SIZE, 3), np.uint8)
    expected[20:] = to_rgb(VALUES[20:])
    both(tmp_path / "a.tif", expected)
    assert np.array_equal(read_stored(tmp_path / "a.tif").hidden, mask == 0)


def test_the_mask_of_another_page_hides_nothing(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(VALUES, metadata=None)
        tiff.write(VALUES[::2, ::2], subfiletype=1, metadata=None)
        tiff.write(VALUES * 2, metadata=None)
        tiff.write(np.zeros(SIZE, bool), subfiletype=4, photometric="mask", metadata=None)
    both(tmp_path / "a.tif", to_rgb(VALUES))
    both(tmp_path / "a.tif", np.zeros((*SIZE, 3)), page=2)


def test_a_damaged_mask_is_told_by_its_name(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VALUES)
    tifffile.imwrite(tmp_path / "a.tif.msk", np.ones(SIZE, np.uint8))
    content = (tmp_path / "a.tif.msk").read_bytes()
    with open(tmp_path / "a.tif.msk", "wb") as file:
        file.write(content[:-500])
    for read in (read_image, open_raster, read_stored):
        with pytest.raises(ImageError, match=r"a\.tif\.msk is (truncated|damaged)"):
            read(tmp_path / "a.tif")


@MAPS
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("when", ["before", "after", "later"])
def test_a_palette_counts_whenever_it_was_written(when, kind, crs, tmp_path):
    path, array = tmp_path / "a.tif", NUMBERS.astype(kind)
    with write(path, array, crs) as file:
        if when == "before":
            file.write_colormap(1, COLORS)
        file.write(array, 1)
        if when == "after":
            file.write_colormap(1, COLORS)
    if when == "later":
        with rasterio.open(path, "r+") as file:
            file.write_colormap(1, COLORS)
    with rasterio.open(path) as file:
        assert file.colorinterp[0].name == "palette"
        table = np.array([file.colormap(1)[i][:3] for i in range(4)])
    both(path, table[NUMBERS])
    stored = read_stored(path)
    assert np.array_equal(stored.values, NUMBERS)
    assert np.array_equal(stored.palette[:4], table)


@MAPS
def test_what_gdal_notes_beside_a_file_counts(crs, tmp_path):
    path = tmp_path / "a.tif"
    entries = "".join(
        f'<Entry c1="{r}" c2="{g}" c3="{b}" c4="255" />' for r, g, b, _ in COLORS.values()
    )
    aux = '<PAMDataset><PAMRasterBand band="1">{}</PAMRasterBand></PAMDataset>'
    with write(path, NUMBERS, crs) as file:
        file.write(NUMBERS, 1)
    table = f"<ColorInterp>Palette</ColorInterp><ColorTable>{entries}</ColorTable>"
    (tmp_path / "a.tif.aux.xml").write_text(aux.format(table))
    with rasterio.open(path) as file:
        assert file.colorinterp[0].name == "palette"
    both(path, np.array(list(COLORS.values()), np.uint8)[:, :3][NUMBERS])
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset")  # as GDAL, without
    both(path, to_rgb(NUMBERS))

    array = VALUES.copy()
    array[:20] = 60_000
    with write(path, array, crs) as file:
        file.write(array, 1)
    (tmp_path / "a.tif.aux.xml").write_text(aux.format("<NoDataValue>60000</NoDataValue>"))
    with rasterio.open(path) as file:
        assert file.nodata == 60_000
    expected = np.zeros((*SIZE, 3), np.uint8)
    expected[20:] = to_rgb(VALUES[20:])
    both(path, expected)
    assert read_stored(path).nodata == 60_000
