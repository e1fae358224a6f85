"""Polygons against pycocotools."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from fastsam_plugins.masks import polygons, rle
from fastsam_plugins.masks import runs as R
from tests.conftest import BUNDLED

numbers = st.floats(-20, 60) | st.integers(-3, 45).map(lambda k: k / 2)


@given(
    st.lists(st.tuples(numbers, numbers), min_size=3, max_size=12),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_polygons_are_filled_as_the_coco_api_fills_them(points, height, width):
    flat = [float(v) for point in points for v in point]
    (expected,) = coco.frPyObjects([flat], height, width)
    (ours,) = rle.encode([polygons.fill(flat, (height, width))], (height, width))
    assert ours["counts"] == expected["counts"].decode()


@pytest.mark.parametrize(
    ("file", "least"),
    [("dev/coco/instances.json", 100), ("oracle/coco/instances_val2014_100.json", 800)],
)
def test_every_polygon_of_annotations_is_filled_alike(file, least, request):
    data = request.getfixturevalue("real_data") if file.startswith("oracle") else BUNDLED
    content = json.loads((data / file).read_text())
    sizes = {i["id"]: (i["height"], i["width"]) for i in content["images"]}
    count = 0
    for annotation in content["annotations"]:
        if isinstance(annotation["segmentation"], dict):
            continue
        shape = sizes[annotation["image_id"]]
        for flat in annotation["segmentation"]:
            (expected,) = coco.frPyObjects([flat], *shape)
            ours = polygons.fill(flat, shape)
            assert rle.encode([ours], shape)[0]["counts"] == expected["counts"].decode()
            count += R.area(ours) > 0
    assert count > least


@pytest.mark.parametrize("bad", [[], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, np.nan]])
def test_what_is_no_polygon_is_refused(bad):
    with pytest.raises(ValueError, match="three or more pairs"):
        polygons.fill(bad, (10, 10))


@given(
    st.lists(st.lists(st.tuples(numbers, numbers), max_size=2), min_size=1, max_size=3),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_parts_of_two_points_or_fewer_are_read_as_the_coco_api_reads_them(parts, height, width):
    """COCO and LVIS have them; the COCO API takes them where the first part is a polygon."""
    first = [2.0, 2.0, 30.0, 3.0, 20.0, 35.0]
    found = [first, *([float(v) for point in part for v in point] for part in parts)]
    expected = coco.merge(coco.frPyObjects(found, height, width))
    (ours,) = rle.encode([polygons.decode_segmentation(found, (height, width))], (height, width))
    assert ours["counts"] == expected["counts"].decode()


def test_what_has_no_part_of_three_points_is_refused():
    with pytest.raises(ValueError, match="three or more pairs"):
        polygons.decode_segmentation([[1, 2, 3, 4]], (10, 10))


def as_coco(flat, shape):
    (expected,) = coco.frPyObjects([flat], *shape)
    return expected["counts"].decode()


@pytest.mark.parametrize("scale", [1, 10, 300])
def test_polygons_that_reach_far_beyond_their_image_are_filled_alike(scale):
    rng = np.random.default_rng(scale)
    for k in range(120):
        height, width = rng.integers(1, 60, 2).tolist()
        points = rng.normal(0.5, scale, (int(rng.integers(3, 8)), 2)) * (width, height)
        points = np.round(points * 5) / 5 if k % 3 == 0 else points
        points[k % len(points)] = rng.uniform(0, 1, 2) * (width, height)
        if k % 4 == 0:
            points[0, 0] = points[1, 0] + rng.choice([0, 1e-3, 0.2])  # steep ones
        flat = points.ravel().tolist()
        (ours,) = rle.encode([polygons.fill(flat, (height, width))], (height, width))
        assert ours["counts"] == as_coco(flat, (height, width))


def test_a_short_polygon_that_is_miles_long_takes_nothing():
    """254 bytes of coordinates around 1e8 took 4 GB: one place for every fifth of a pixel."""
    far = 1e8
    flat = [-far, -far, far, -far + 3, far, far, 40.5, 30.25, -far, far]
    tracemalloc.start()
    try:
        runs = polygons.fill(flat, (60, 80))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1e6
    near = np.clip(np.reshape(flat, (-1, 2)), -far, far) / [1e4, 1e4]
    near[3] = 40.5, 30.25
    expected = polygons.fill(near.ravel(), (60, 80))  # it ends far outside as well
    assert rle.encode([expected], (60, 80))[0]["counts"] == as_coco(near.ravel().tolist(), (60, 80))
    assert np.array_equal(runs, expected)


def test_a_polygon_of_endless_edges_is_refused(monkeypatch):
    flat = (np.random.default_rng(0).uniform(-0.5, 1.5, (40, 2)) * (70, 50)).ravel().tolist()
    (ours,) = rle.encode([polygons.fill(flat, (50, 70))], (50, 70))
    assert ours["counts"] == as_coco(flat, (50, 70))
    monkeypatch.setattr(polygons, "_MOST_CROSSINGS", 500)
    with pytest.raises(ValueError, match="too many"):
        polygons.fill(flat, (50, 70))


@pytest.mark.parametrize(
    ("flat", "shape", "said"),
    [
        ([0, 0, 5e8, 0, 5, 5], (10, 10), "no farther than 429496729 pixels"),
        ([0, 0, 1e300, 0, 5, 5], (10, 10), "no farther than"),
        ([0, 0, 5, 0, 5, 5], (2**40, 2**40), "more pixels than can be counted"),
    ],
)
def test_what_cannot_be_counted_is_refused(flat, shape, said):
    with pytest.raises(ValueError, match=said):
        polygons.fill(flat, shape)


def test_long_outlines_are_joined_in_little_memory():
    """All pairs of points of an outline and a hole were held at once: here a gigabyte."""
    mask = np.zeros((6000, 60), bool)
    mask[:, :40] = True
    mask[::4, 40:50] = mask[1::4, 40:50] = True  # a comb, in it a hole like a comb
    mask[5:5990, 10] = False
    mask[6:5990:4, 10:20] = mask[7:5990:4, 10:20] = False
    tracemalloc.start()
    try:
        path = polygons.keyhole_polygon(R.from_bitmap(mask), mask.shape)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(path) > 10_000
    assert peak < 40e6
