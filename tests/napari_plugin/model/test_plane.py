"""Places in an array and in a slice of it, there and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_plugin.model.plane import Plane, from_data, to_data

PLANES = [
    Plane(rows, columns, ndim, channels)
    for ndim in (2, 3, 4)
    for rows, columns in itertools.combinations(range(ndim), 2)
    for channels in (None, *range(ndim))
    if channels not in (rows, columns)
]


@pytest.mark.parametrize("plane", PLANES, ids=str)
def test_places_come_back_from_data(plane):
    key = tuple(range(3, 3 + len(plane.stepped)))
    (data,) = to_data(plane, key, (12.25, 7.5))
    assert len(data) == len(plane.kept)
    assert from_data(plane, data) == (key, (12.25, 7.5))


@pytest.mark.parametrize("plane", PLANES, ids=str)
def test_the_middle_of_a_pixel_is_its_index(plane):
    """Of an array of labels of the shape that the plane says."""
    shape = tuple(range(5, 5 + plane.ndim))
    labels = np.zeros(plane.label_shape(shape), int)
    key = tuple(1 for _ in plane.stepped)
    (place,) = to_data(plane, key, (3.5, 2.5))
    labels[tuple(place.astype(int))] = 1
    assert (place == place.astype(int)).all()
    rows, columns = (plane.kept.index(axis) for axis in (plane.rows, plane.columns))
    (found,) = np.argwhere(labels)
    assert (found[rows], found[columns]) == (2, 3)


def test_channels_are_neither_shown_nor_stepped_through():
    first, last, middle = (Plane(*axes) for axes in ((2, 3, 4, 0), (1, 2, 4, 3), (0, 3, 4, 1)))
    assert (first.stepped, first.kept, first.spanned) == ((1,), (1, 2, 3), None)
    assert first.label_shape((4, 9, 60, 80)) == (9, 60, 80)
    assert (last.stepped, last.kept, last.spanned) == ((0,), (0, 1, 2, 3), 3)
    assert last.label_shape((9, 60, 80, 4)) == (9, 60, 80, 1)
    assert (middle.stepped, middle.spanned) == ((2,), 1)
