"""Records of COCO files, by image, with errors that name them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from fastsam_plugins.evaluation.files import Records, check_categories, check_listed, is_lvis
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from tests.conftest import disks

SHAPE = (20, 30)
FILE = Path("results.json")


def record(image, category=1, **more):
    return {"image_id": image, "category_id": category, **more}


def test_records_of_an_image_come_category_after_category():
    """As pycocotools lists them, which ties between equal scores follow."""
    records = Records([record(7, 3), record(8), record(7, 1), record(7, 3), record(7)], FILE)
    assert list(records.of(7)) == [2, 4, 0, 3]
    assert list(records.of(8)) == [1]
    assert list(records.of(9)) == []
    assert len(records) == 5


def test_crowds_and_what_is_ignored_need_not_be_found():
    records = Records([record(1), record(1, iscrowd=1), record(1, ignore=1)], FILE)
    assert [records.counts(i) for i in range(3)] == [True, False, False]


def test_what_is_missing_is_named_with_its_record():
    records = Records([record(1, score=0.5), record(1)], FILE, "annotations[{}]")
    assert records.numbers([0], "score").tolist() == [0.5]
    with pytest.raises(ValueError, match=r"^results\.json: annotations\[1\] has no score$"):
        records.numbers([0, 1], "score")


def test_images_that_are_not_listed_are_refused():
    check_listed([1, 2], Path("truth.json"), Records([record(2)], FILE))
    with pytest.raises(ValueError, match=r"image 'x', which truth\.json does not list"):
        check_listed([1, 2], Path("truth.json"), Records([record("x")], FILE))


@pytest.mark.parametrize(
    ("id_there", "id_here", "message"),
    [
        (
            "1000",
            1000,
            "records of image 1000, which truth.json does not list: it has '1000', a text",
        ),
        (
            1000,
            "1000",
            "records of image '1000', which truth.json does not list: it has 1000, a number",
        ),
    ],
)
def test_a_text_beside_a_number_is_said(id_there, id_here, message):
    with pytest.raises(ValueError, match=rf"^results\.json has {re.escape(message)}$"):
        check_listed([id_there], Path("truth.json"), Records([record(id_here)], FILE))
    with pytest.raises(ValueError, match=re.escape(message.partition("which")[2])):
        check_categories([id_there], Path("truth.json"), Records([record(1, id_here)], FILE))


def test_categories_that_are_not_listed_are_refused_where_there_are_categories():
    results = Records([record(1, 3), record(1, "dog")], FILE)
    check_categories([], Path("truth.json"), results)
    message = r"^results\.json: record 1 has category 'dog', which truth\.json does not list$"
    with pytest.raises(ValueError, match=message):
        check_categories([2, 3], Path("truth.json"), results)


@pytest.mark.parametrize("kind", ["strings", "one list", "one polygon"])
def test_masks_are_the_same_read_at_once_or_one_by_one(kind):
    bitmaps = disks(SHAPE, [(10, 10, 6), (20, 8, 5), (5, 15, 3)])
    segmentations = rle.encode([R.from_bitmap(m) for m in bitmaps], SHAPE)
    expected = bitmaps.sum((1, 2)).tolist()
    if kind == "one list":
        counts = R.to_counts(R.from_bitmap(bitmaps[1]), bitmaps[1].size)
        segmentations[1] = {"size": list(SHAPE), "counts": counts.tolist()}
    elif kind == "one polygon":
        segmentations[1] = [[2, 3, 9, 3, 9, 11, 2, 11]]
        expected[1] = 7 * 8
    records = Records([record(1, segmentation=s) for s in segmentations], FILE)
    assert (records._compressed([0, 1, 2], SHAPE) is not None) == (kind == "strings")
    regions = records.regions([2, 0, 1], SHAPE, "segm")
    assert regions.masks.areas.tolist() == [expected[k] for k in (2, 0, 1)]
    with pytest.raises(ValueError, match=r"^results\.json: record 0: a mask of 20 x 30"):
        records.regions([0], (30, 20), "segm")


def test_a_negative_side_or_area_is_named():
    given = [record(1, bbox=[5, 5, 0, 9], area=0), record(1, bbox=[9, 9, -4, 2], area=-8)]
    records = Records(given, FILE, "annotations[{}]")
    assert records.boxes([0]).tolist() == [[5, 5, 0, 9]]
    assert records.areas([0]).tolist() == [0]
    message = (r"^results\.json: annotations\[1\] has the bbox \[9\.0, 9\.0, -4\.0, 2\.0\], upside "
               r"down: it should be x, y, width, height$")  # fmt: skip
    for read in (lambda: records.boxes([0, 1]), lambda: records.regions([0, 1], SHAPE, "bbox")):
        with pytest.raises(ValueError, match=message):
            read()
    with pytest.raises(ValueError, match=r"^results\.json: annotations\[1\] has the area -8\.0$"):
        records.areas([0, 1])


def test_no_boxes_are_an_empty_list():
    assert Records([], FILE).regions([], SHAPE, "bbox").boxes.shape == (0, 4)
    boxes = Records([record(1, bbox=[1, 2, 3, 4])], FILE).regions([0], SHAPE, "bbox").boxes
    assert np.array_equal(boxes, [[1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("letters", "lvis"), [("fcr", True), ("f", True), ("xx", False), ("", False), (None, False)]
)
def test_lvis_is_known_by_the_frequencies_of_all_its_categories(letters, lvis):
    assert is_lvis(with_frequencies(letters), FILE) is lvis


@pytest.mark.parametrize("strange", ["x", None, 7])
def test_frequencies_of_some_categories_only_are_neither_coco_nor_lvis(strange):
    said = "no frequency" if strange is None else f"the frequency {strange!r}"
    message = rf"results\.json: categories\[1\] has {said}, and others have LVIS's: 'f', 'c' or 'r'"
    with pytest.raises(ValueError, match=message):
        is_lvis(with_frequencies(["f", strange, "r"]), FILE)


def with_frequencies(letters):
    if letters is None:
        return {"categories": None}
    return {"categories": [{"id": k, "frequency": letter} for k, letter in enumerate(letters)]}
