"""Files to recall: categories are one, crowds count for nothing, LVIS's groups are rows."""

from __future__ import annotations

import json

import pytest

from fastsam_plugins.evaluation.proposal_files import evaluate_proposals


def annotation(number, x, category=1, **more):
    return {"id": number, "image_id": 1, "category_id": category, "area": 100,
            "bbox": [x, 0, 10, 10], "iscrowd": 0, **more}  # fmt: skip


@pytest.fixture
def evaluated(tmp_path):
    """Recall of boxes: ``evaluated(annotations, results, frequencies="")``."""

    def evaluate(annotations, results, frequencies=""):
        categories = [{"id": k, "name": str(k)} for k in (1, 2, 3)]
        for category, frequency in zip(categories, frequencies, strict=False):
            category["frequency"] = frequency
        truth = {"images": [{"id": 1, "height": 50, "width": 200}], "annotations": annotations,
                 "categories": categories}  # fmt: skip
        (tmp_path / "truth.json").write_text(json.dumps(truth))
        (tmp_path / "results.json").write_text(json.dumps(results))
        return evaluate_proposals(tmp_path / "truth.json", tmp_path / "results.json", "bbox")

    return evaluate


def found(x, score=0.5, category=9):
    return {"image_id": 1, "category_id": category, "bbox": [x, 0, 10, 10], "score": score}


def test_categories_play_no_part(evaluated):
    summary = evaluated(
        [annotation(1, 0, 1), annotation(2, 50, 2)], [found(0), found(50)]
    ).summary()
    assert summary["AR@10"] == 1
    assert (summary["ground_truths"], summary["proposals"]) == (2, 2)


def test_crowds_and_what_is_ignored_count_for_nothing(evaluated):
    others = [annotation(2, 50, iscrowd=1), annotation(3, 90, ignore=1)]
    summary = evaluated([annotation(1, 0), *others], [found(0)]).summary()
    assert (summary["AR@10"], summary["ground_truths"]) == (1, 1)


def test_a_box_or_an_area_that_none_can_be_is_named(evaluated):
    for bad in ({"bbox": [50, 0, -10, 10]}, {"area": -1}):
        with pytest.raises(ValueError, match=r"truth\.json: annotations\[1\] has the (bbox|area)"):
            evaluated([annotation(1, 0), annotation(2, 50, **bad)], [found(0)])


@pytest.mark.parametrize("annotations", [[], [annotation(1, 0, iscrowd=1)]])
def test_a_truth_without_an_object_to_find_is_an_error(evaluated, annotations):
    with pytest.raises(ValueError, match=r"truth\.json has no object to find"):
        evaluated(annotations, [found(0)])


def test_groups_of_lvis_are_rows_of_their_own(evaluated):
    annotations = [annotation(k, 20 * k, 1 + k % 3) for k in range(6)]
    summary = evaluated(annotations, [found(0), found(20), found(60)], "fcr").summary()
    rows = {k: v for k, v in summary.items() if k.startswith("AR@1000/") and v == v}
    assert rows == {
        "AR@1000/small": 0.5, "AR@1000/frequent": 1.0, "AR@1000/common": 0.5, "AR@1000/rare": 0.0,
    }  # fmt: skip
    without = evaluated(annotations, [found(0)]).summary()
    assert "AR@1000/rare" not in without


def test_a_category_that_lvis_does_not_list_is_named(evaluated):
    message = r"annotations\[1\] has category 7, which .*truth\.json does not list$"
    with pytest.raises(ValueError, match=message):
        evaluated([annotation(1, 0), annotation(2, 50, 7)], [found(0)], "fcr")
    assert evaluated([annotation(1, 0), annotation(2, 50, 7)], [found(0)]).summary()["AR@10"] == 0.5


def test_results_of_another_image_are_named(evaluated):
    with pytest.raises(ValueError, match=r"records of image 2, which .*truth\.json does not list"):
        evaluated([annotation(1, 0)], [{**found(0), "image_id": 2}])
