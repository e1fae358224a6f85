"""Large arrays as RGB windows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_plugins import ImageError, ReadOptions
from fastsam_plugins.images import windowed_image
from fastsam_plugins.images.contrast import to_rgb
from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.io import Raster, open_raster, read_image

RNG = np.random.default_rng(0)
DEEP = (RNG.gamma(2, 900, (60, 90, 4))).astype(np.uint16)


@pytest.mark.parametrize(
    "array",
    [
        DEEP,
        DEEP[:, :, 0],
        DEEP.astype(np.float32) / 7,
        (DEEP >> 6).astype(np.uint8),
        DEEP[:, :, 0] > 1500,
        np.full((60, 90), 1234, np.uint16),
    ],
    ids=["uint16", "gray", "float", "uint8", "bool", "constant"],
)
@pytest.mark.parametrize("contrast", ["auto", "percentile", "minmax", "none"])
@given(st.tuples(st.integers(0, 89), st.integers(0, 59), st.integers(1, 90), st.integers(1, 60)))
def test_windows_are_those_of_the_whole_image(array, contrast, place):
    x, y, w, h = place
    options = ReadOptions(contrast=contrast)
    expected = to_rgb(array, options)
    view = WindowedImage(array, options)
    assert view.shape == expected.shape
    assert np.array_equal(view[y : y + h, x : x + w], expected[y : y + h, x : x + w])


def test_bands_and_limits_are_the_readers():
    options = ReadOptions(bands="3,0,1", contrast="fixed", low=100, high=3000)
    assert np.array_equal(WindowedImage(DEEP, options)[:, :], to_rgb(DEEP, options))


def test_a_large_raster_is_sampled_for_one_contrast(monkeypatch):
    monkeypatch.setattr(windowed_image, "LARGE_SIDE", 40)
    monkeypatch.setattr(windowed_image, "SAMPLES", (10, 3))
    read = []

    def reading(window):
        read.append(window)
        x0, y0, x1, y1 = window
        return DEEP[y0:y1, x0:x1]

    view = WindowedImage(DEEP, read=reading)
    looked_at = [(x, y, x + 10, y + 10) for y in (0, 25, 50) for x in (0, 40, 80)]
    assert read[:9] == looked_at
    values = np.concatenate([DEEP[b:d, a:c, :3].reshape(-1, 3) for a, b, c, d in looked_at])
    low, high = np.percentile(values, [1, 99], axis=0)
    options = ReadOptions(contrast="fixed", low=low.min(), high=high.max())
    assert np.array_equal(view[:, :], to_rgb(DEEP, options))


@pytest.mark.parametrize("large_side", [4096, 16])
def test_a_reduced_copy_is_the_average_of_the_whole_read_in_bands(large_side, monkeypatch):
    monkeypatch.setattr(windowed_image, "LARGE_SIDE", large_side)
    pixels = RNG.integers(0, 256, (80, 120, 3), np.uint8)
    read = []

    def reading(window):
        read.append(window)
        x0, y0, x1, y1 = window
        return pixels[y0:y1, x0:x1]

    small = WindowedImage(pixels, read=reading).reduced(30)
    expected = cv2.resize(pixels, (30, 20), interpolation=cv2.INTER_AREA)
    assert np.array_equal(small, expected)
    assert max((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in read[1:]) <= max(large_side**2, 480)


def test_a_reduced_copy_is_never_larger_than_the_image():
    pixels = RNG.integers(0, 256, (8, 12, 3), np.uint8)
    assert np.array_equal(WindowedImage(pixels).reduced(30), pixels)


@pytest.mark.parametrize("kind", ["dask", "zarr"])
def test_other_arrays_are_read_as_numpys_are(kind):
    if kind == "dask":
        lazy = pytest.importorskip("dask.array").from_array(DEEP, chunks=25)
    else:
        lazy = pytest.importorskip("zarr").array(DEEP, chunks=(25, 25, 4))
    assert np.array_equal(WindowedImage(lazy)[5:50, 20:70], WindowedImage(DEEP)[5:50, 20:70])


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((4, 5, 6, 7)), {}, "an image has shape"),
        (np.zeros((0, 5)), {}, "is empty"),
        (np.zeros((3, 20, 30)), {}, "channels came first"),
        (np.array([["a"]]), {}, "needs numbers"),
        (np.zeros((9, 9, 2), np.uint8), {}, "2 channels"),
        (np.zeros((9, 9, 3), np.uint8), {"bands": "0,1,7"}, "counted from 0 to 2"),
        (np.full((9, 9), np.nan), {}, "NaN"),
    ],
)
def test_what_is_no_image_is_told_at_once(array, options, message):
    with pytest.raises(ImageError, match=message):
        WindowedImage(array, ReadOptions(**options))


# --- files --------------------------------------------------------------------------------------


def test_a_geotiff_is_read_window_by_window_as_it_is_read_at_once(geotiff, monkeypatch):
    bands = DEEP[:, :, :3].transpose(2, 0, 1).copy()
    bands[:, :20, :30] = 0
    path = geotiff("a.tif", bands, nodata=0)
    whole = read_image(path)
    windows = []
    read = Raster.read
    monkeypatch.setattr(Raster, "read", lambda self, w=None: windows.append(w) or read(self, w))
    view = open_raster(path)
    assert np.array_equal(view[10:40, 5:70], whole[10:40, 5:70])
    assert windows[-1] == (5, 10, 70, 40)
    assert None not in windows


def test_any_other_file_is_read_at_once(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", DEEP[:, :, :3])
    view = open_raster(tmp_path / "a.tif", ReadOptions(contrast="minmax"))
    expected = read_image(tmp_path / "a.tif", ReadOptions(contrast="minmax"))
    assert np.array_equal(view[:, :], expected)


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(ImageError, match="no file"):
        open_raster("nowhere.tif")


@pytest.mark.parametrize("array", [DEEP, (DEEP >> 6).astype(np.uint8)], ids=["uint16", "uint8"])
def test_large_windows_are_read_in_strips(array, monkeypatch):
    read = []

    def window(w):
        read.append(w[3] - w[1])
        return array[w[1] : w[3], w[0] : w[2]]

    whole = WindowedImage(array)[:, :]
    view = WindowedImage(array, None, window)
    reduced = view.reduced(33)
    monkeypatch.setattr(windowed_image, "STRIP", 900)
    del read[:]
    assert np.array_equal(view[:, :], whole)
    assert np.array_equal(view[7:58, 3:80], whole[7:58, 3:80])
    assert np.array_equal(view.reduced(33), reduced)
    assert max(read) <= 11
