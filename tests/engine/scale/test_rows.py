"""rows.py: instances as a row, and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from fastsam_plugins.scale import rows


def through_a_table(row):
    (back,) = pa.Table.from_pylist([row], rows.schema()).to_pylist()
    return back


def test_a_row_holds_what_was_found(dummy):
    seg = dummy()
    row = through_a_table(rows.of_instances("a.png", "", seg, seg.stability.tolist()))
    back = rows.segmentation(row)
    assert np.array_equal(back.boxes, seg.boxes)
    assert np.array_equal(back.scores, seg.scores)
    assert back.rles() == seg.rles() == rows.masks(row)
    assert np.array_equal(back.prompts, seg.prompts)
    assert row["areas"] == seg.areas.tolist()
    assert np.allclose(back.stability, seg.stability)
    assert not np.isnan(seg.stability).any()
    assert (row["width"], row["height"], row["error"]) == (130, 90, None)


def test_nothing_found_is_a_row_and_so_is_an_error(dummy):
    seg = dummy()[:0]
    back = rows.segmentation(through_a_table(rows.of_instances("a.png", "", seg, [])))
    assert (len(back), back.shape) == (0, (90, 130))
    row = through_a_table(rows.of_error("a.png", "", "a.png is cut short"))
    with pytest.raises(ValueError, match=r"a\.png is cut short"):
        rows.segmentation(row)


def test_rows_are_what_pandas_makes_of_them_too(dummy):
    seg = dummy()
    made = [rows.of_instances("a.png", "", seg, [float("nan"), *seg.stability[1:].tolist()]),
            rows.of_error("b.png", "", "b.png is cut short"),
            rows.of_instances("c.png", "", seg[:0], [])]  # fmt: skip
    frame = pa.Table.from_pylist(made, rows.schema()).to_pandas()
    back = rows.segmentation(frame.iloc[0])
    assert np.array_equal(back.boxes, seg.boxes)
    assert back.rles() == seg.rles()
    assert np.allclose(back.stability[1:], seg.stability[1:])
    assert len(rows.segmentation(frame.iloc[2])) == 0
    with pytest.raises(ValueError, match=r"b\.png is cut short"):
        rows.segmentation(frame.iloc[1])


def test_stability_that_is_not_known_is_null(dummy):
    row = rows.of_instances("a.png", "", dummy(count=1), [float("nan")])
    assert through_a_table(row)["stability"] == [None]
    assert np.isnan(rows.segmentation(through_a_table(row)).stability).all()


@pytest.mark.parametrize(
    ("prompt", "answers", "count"),
    [
        ("", [-1, -1], 0),
        ('{"boxes":[[1,2,3,4],[5,6,7,8]]}', [1, 1], 1),
        ('{"boxes":[[1,2,3,4]],"points":[[1,2]]}', [0], 0),
        ('{"boxes":[]}', [], 0),
        ('{"points":[[1,2],[3,4,0]]}', [], 1),
        ('{"points":[[1,2],[3,4]]}', [-1], 0),
        ('{"texts":["a dog","a cat"]}', [], 2),
    ],
)
def test_prompts_that_nothing_answers_are_counted(prompt, answers, count):
    row = {"error": None, "prompt": prompt, "answers": answers, "scores": [0.5] * len(answers)}
    assert rows.unanswered(row) == count
    assert rows.unanswered({**row, "error": "it is damaged"}) == 0
