"""What stored values stand for: colours, alpha, no data, bits."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.images.contrast import ImageError, to_rgb
from fastsam_plugins.io import open_raster, read_image
from fastsam_plugins.options import ReadOptions
from tests.engine.io.encoded import RNG, SIZE, expected, values

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")


def planet(path, roles, **more):
    """Bands of an RGB image in the order of their roles; what is no colour is red again."""
    color = values("uint16", 3)
    places = [{"red": 0, "green": 1, "blue": 2}.get(r, 0) for r in roles]
    with rasterio.open(
        path, "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=len(roles),
        dtype="uint16", photometric="MINISBLACK", **more,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(color[..., places], 2, 0))
        file.colorinterp = [rasterio.enums.ColorInterp[r] for r in roles]
    return expected(color)


@pytest.mark.parametrize("crs", ["EPSG:32616", None])
@pytest.mark.parametrize(
    "roles", [("blue", "green", "red", "undefined"), ("undefined", "green", "red", "blue"),
              ("green", "blue", "red")],
)  # fmt: skip
def test_bands_that_are_marked_with_colours_are_shown_so(roles, crs, tmp_path):
    shown = planet(tmp_path / "a.tif", roles, crs=crs)
    assert np.array_equal(read_image(tmp_path / "a.tif"), shown)
    assert np.array_equal(open_raster(tmp_path / "a.tif")[:, :], shown)
    first = read_image(tmp_path / "a.tif", ReadOptions(bands="0,1,2"))
    assert not np.array_equal(first, shown)  # who names bands gets those


@pytest.mark.parametrize("crs", ["EPSG:32616", None])
@pytest.mark.parametrize("bands", [1, 3])
def test_what_is_transparent_counts_for_no_contrast(bands, crs, tmp_path):
    array = values("12 bit", bands)
    array[:20] = 65_535
    alpha = np.where(np.arange(SIZE[0]) < 20, 0, 65_535)[:, None].repeat(SIZE[1], 1)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=bands + 1,
        dtype="uint16", crs=crs, photometric="RGB" if bands == 3 else "MINISBLACK", alpha="YES",
    ) as file:  # fmt: skip
        file.write(np.concatenate([np.moveaxis(array, 2, 0), alpha[None].astype(np.uint16)]))
    out = read_image(tmp_path / "a.tif")
    assert not out[:20].any()
    assert np.array_equal(out[20:], expected(array[20:]))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("crs", ["EPSG:32616", None])
def test_few_bits_reach_white(bits, crs, tmp_path):
    array = RNG.integers(0, 1 << bits, SIZE).astype(np.uint8)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=1,
        dtype="uint8", nbits=bits, crs=crs, compress="lzw",
    ) as file:  # fmt: skip
        file.write(array[None])
    shown = read_image(tmp_path / "a.tif")
    assert np.array_equal(shown[..., 0], array * (255 // ((1 << bits) - 1)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("crs", ["EPSG:32616", None])
def test_values_that_are_no_numbers_are_told_and_can_be_given(value, crs, tmp_path):
    array = values("float32", 3)
    array[:9, :, 1] = value
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=3,
        dtype="float32", photometric="RGB", crs=crs,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(array, 2, 0))
    with pytest.warns(UserWarning, match=r"a\.tif: values that are NaN.*--nan VALUE"):
        out = read_image(tmp_path / "a.tif")
    assert not out[:9].any()
    assert np.array_equal(out[9:], to_rgb(array[9:]))
    given = ReadOptions(nan=77)
    filled = np.where(np.isfinite(array), array, np.float32(77))
    assert np.array_equal(read_image(tmp_path / "a.tif", given), to_rgb(filled))
    assert np.array_equal(to_rgb(array, given), to_rgb(filled))
    with pytest.raises(ImageError, match="--nan 0"):
        to_rgb(array)
