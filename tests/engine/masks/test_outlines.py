"""outlines.py, judged by shapely, by GDAL's rasterizer and by GDAL's own polygons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.outlines import outlines, signed_area
from tests.conftest import disks

features = pytest.importorskip("rasterio.features", reason="rasterio is not installed")
shapely = pytest.importorskip("shapely", reason="shapely is not installed")

# Without `fill` most arrays would be of one value, and few pixels would touch at corners only.
shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
bitmaps = shapes.flatmap(lambda s: arrays(np.bool_, s, fill=st.nothing()))


def traced(bitmap, shape=None, offset=(0, 0)):
    shape = shape or bitmap.shape
    return outlines(R.from_bitmap(bitmap, shape, offset), shape)


def geometries(polygons):
    return [shapely.Polygon(rings[0], rings[1:]) for rings in polygons]


def filled(polygons, shape):
    if not polygons:
        return np.zeros(shape, np.bool_)
    return features.rasterize(geometries(polygons), shape).astype(np.bool_)


@given(bitmaps)
def test_filled_again_polygons_give_the_very_mask(bitmap):
    assert np.array_equal(filled(traced(bitmap), bitmap.shape), bitmap)


@given(bitmaps)
def test_polygons_are_valid_and_of_the_mask_s_area(bitmap):
    polygons = traced(bitmap)
    found = geometries(polygons)
    assert all(g.is_valid for g in found)
    assert shapely.MultiPolygon(found).is_valid
    assert sum(g.area for g in found) == bitmap.sum()
    for rings in polygons:
        assert [signed_area(r) > 0 for r in rings] == [True] + [False] * (len(rings) - 1)


@given(bitmaps)
def test_polygons_are_those_of_gdal(bitmap):
    """Part by part; GDAL traces 4-connected parts, too."""
    found = features.shapes(bitmap.astype(np.uint8), mask=bitmap, connectivity=4)
    expected = [shapely.geometry.shape(g) for g, _ in found]
    ours = geometries(traced(bitmap))
    assert len(ours) == len(expected)
    assert all(any(a.equals(b) for b in expected) for a in ours)


@given(bitmaps)
def test_rings_are_closed_and_have_no_needless_corner(bitmap):
    for ring in (r for rings in traced(bitmap) for r in rings):
        assert ring.dtype == np.int64
        assert np.array_equal(ring[0], ring[-1])
        steps = np.diff(ring, axis=0)
        assert ((steps == 0).sum(1) == 1).all()
        turned = np.concatenate([steps, steps[:1]])
        assert ((turned[1:, 0] == 0) != (turned[:-1, 0] == 0)).all()


def test_a_pixel_covers_the_square_from_its_number_to_the_next():
    bitmap = np.zeros((7, 9), np.bool_)
    bitmap[2, 5] = True
    ((ring,),) = traced(bitmap)
    assert {tuple(corner) for corner in ring.tolist()} == {(5, 2), (6, 2), (6, 3), (5, 3)}


def test_a_window_of_a_larger_image_is_where_it_belongs():
    bitmap = disks((30, 40), [(20, 15, 12)])[0] & ~disks((30, 40), [(20, 15, 5)])[0]
    polygons = traced(bitmap, (500, 700), (411, 222))
    whole = filled(polygons, (500, 700))
    assert np.array_equal(whole[222:252, 411:451], bitmap)
    assert whole.sum() == bitmap.sum()
    assert [len(rings) for rings in polygons] == [2]


def test_an_empty_mask_has_no_polygon():
    assert outlines(R.EMPTY, (5, 5)) == []
