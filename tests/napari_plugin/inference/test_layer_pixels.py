"""Pixels of windows: only what is needed is read, as napari shows it."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image

from fastsam_plugins.options import ReadOptions
from napari_plugin.inference.layer_pixels import Pixels
from napari_plugin.model.plane import Plane
from support.counting import Counting

PLAIN = Plane(0, 1, 2)


def pixels(layer, plane=PLAIN, layer_contrast=True, **options):
    return Pixels.of(layer, plane, ReadOptions(**options), layer_contrast)


def numbers(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 255, shape).astype(dtype)


def test_rgb_is_read_as_it_is():
    image = numbers(40, 50, 3)
    layer = Image(image, rgb=True)
    assert np.array_equal(pixels(layer).read((), (10, 5, 30, 25), 1024), image[5:25, 10:30])
    alpha = Image(np.dstack([image, image[..., 0]]), rgb=True)
    assert np.array_equal(pixels(alpha).read((), (0, 0, 50, 40), 1024), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int32])
def test_gray_is_stretched_between_the_layers_limits(dtype):
    image = numbers(40, 50, dtype=dtype)
    layer = Image(image, contrast_limits=(50, 150))
    found = pixels(layer).read((), (0, 0, 50, 40), 1024)
    expected = np.rint(np.clip((image.astype(float) - 50) / 100, 0, 1) * 255)
    assert (found == found[..., :1]).all()
    assert np.abs(found[..., 0] - expected).max() <= 1, "halves may go either way"


def test_contrast_may_be_the_images_own():
    layer = Image(numbers(40, 50, dtype=np.uint16) * 100, contrast_limits=(0, 1))
    found = pixels(layer, layer_contrast=False, contrast="minmax").read((), (0, 0, 50, 40), 1024)
    assert (found.min(), found.max()) == (0, 255)
    fixed = pixels(layer, layer_contrast=False, contrast="fixed", low=0, high=25500)
    assert np.array_equal(fixed.read((), (0, 0, 50, 40), 1024)[..., 0], numbers(40, 50))


def test_what_is_no_number_is_the_darkest():
    image = numbers(40, 50).astype(np.float32) + 10
    image[3, 4], image[5, 6], image[7, 8] = np.nan, np.inf, -np.inf
    found = pixels(Image(image, contrast_limits=(10, 265))).read((), (0, 0, 50, 40), 1024)
    assert (found[[3, 5, 7], [4, 6, 8]] == np.nanmin(found)).all()


def test_slices_of_a_stack_in_any_order_of_axes():
    stack = numbers(4, 40, 5, 50)
    plane = Plane(1, 3, 4)
    found = pixels(Image(stack, contrast_limits=(0, 255)), plane).read((3, 2), (0, 0, 50, 40), 1024)
    assert np.array_equal(found[..., 0], stack[3, :, 2])


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_bands_along_any_axis(axis):
    bands = np.moveaxis(numbers(6, 40, 50, 2), 3, 0)  # (2, 6, 40, 50): slices, bands, rows, columns
    order = [a for a in range(4) if a != 1]
    moved = np.moveaxis(bands, 1, axis)
    where = [a for a in range(4) if a != axis]
    assert len(order) == 3
    plane = Plane(where[1], where[2], 4, channels=axis)
    layer = Image(moved, contrast_limits=(0, 255))
    found = pixels(layer, plane, bands="5,0,2").read((1,), (0, 0, 50, 40), 1024)
    assert np.array_equal(found, np.moveaxis(bands[1][[5, 0, 2]], 0, -1))


def test_dask_reads_no_more_than_the_window():
    touched = []

    def block(block_info):
        touched.append(block_info[None]["chunk-location"])
        return np.zeros((1, 100, 100), np.uint8)

    stack = da.map_blocks(block, chunks=((1,) * 5, (100,) * 10, (100,) * 10), dtype="u1")
    layer = Image(stack, contrast_limits=(0, 255))
    touched.clear()
    found = pixels(layer, Plane(1, 2, 3)).read((3,), (250, 120, 390, 180), 1024)
    assert found.shape == (60, 140, 3)
    assert set(touched) == {(3, 1, 2), (3, 1, 3)}


def test_zarr_is_read_by_windows(tmp_path):
    zarr = pytest.importorskip("zarr")
    image = numbers(300, 400)
    array = zarr.open(
        str(tmp_path / "a.zarr"), mode="w", shape=image.shape, chunks=(64, 64), dtype="u1"
    )
    array[:] = image
    layer = Image(array, contrast_limits=(0, 255))
    found = pixels(layer).read((), (30, 20, 330, 120), 1024)
    assert np.array_equal(found[..., 0], image[20:120, 30:330])


@pytest.mark.parametrize(
    ("window", "enough", "level"),
    [
        ((0, 0, 800, 600), 1024, 0),
        ((0, 0, 800, 600), 400, 1),
        ((0, 0, 800, 600), 201, 1),
        ((0, 0, 800, 600), 200, 2),
        ((100, 40, 500, 240), 200, 1),
        ((100, 40, 500, 240), 100, 2),
        ((100, 40, 300, 140), 200, 0),
    ],
)
def test_the_coarsest_level_that_is_fine_enough_is_read_and_no_more_of_it(window, enough, level):
    full = numbers(600, 800)
    levels = [Counting(full[::s, ::s]) for s in (1, 2, 4)]
    found = Pixels(levels, PLAIN, False, ReadOptions(contrast="none")).read((), window, enough)
    x0, y0, x1, y1 = (v // 2**level for v in window)
    assert np.array_equal(found[..., 0], levels[level].array[y0:y1, x0:x1])
    assert [a.read for a in levels] == [found[..., 0].size if k == level else 0 for k in range(3)]


def test_levels_may_be_coarser_along_the_stack_too():
    full = numbers(8, 60, 80)
    levels = [full, full[::2, ::2, ::2]]
    layer = Image(levels, multiscale=True, contrast_limits=(0, 255))
    found = pixels(layer, Plane(1, 2, 3)).read((5,), (0, 0, 80, 60), 40)
    assert np.array_equal(found[..., 0], full[4, ::2, ::2])
