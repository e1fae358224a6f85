"""Polygons against pycocotools."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from fastsam_plugins.masks import polygons, rle
from fastsam_plugins.masks import runs as R

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


def test_every_polygon_of_real_annotations_is_filled_alike(data):
    content = json.loads((data / "oracle" / "coco" / "instances_val2014_100.json").read_text())
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
    assert count > 800


@pytest.mark.parametrize("bad", [[], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, np.nan]])
def test_what_is_no_polygon_is_refused(bad):
    with pytest.raises(ValueError, match="three or more pairs"):
        polygons.fill(bad, (10, 10))
