"""Results read into columns are those read into dictionaries."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastsam_plugins.evaluation import columns, files
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R

SHAPE = (40, 50)


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    masks = []
    for _ in range(300):
        x0, y0 = rng.integers(0, 49), rng.integers(0, 39)
        bitmap = np.zeros(SHAPE, np.bool_)
        bitmap[y0 : rng.integers(y0, 40) + 1, x0 : rng.integers(x0, 50) + 1] = True
        masks.append(R.from_bitmap(bitmap & (rng.random(SHAPE) < 0.9)))
    return [
        {"image_id": int(rng.integers(1, 9)), "category_id": int(rng.integers(3)), "extra": [1],
         "score": float(rng.random()) if k % 7 else 1, "segmentation": m}
        for k, m in enumerate(rle.encode(masks, SHAPE))
    ]  # fmt: skip


def written(path, results):
    path.write_text(json.dumps(results))
    return path


def test_both_ways_give_the_same(results, tmp_path):
    assert any("\\" in r["segmentation"]["counts"] for r in results)  # which JSON writes twice
    path = written(tmp_path / "results.json", results)
    fast, slow = columns.read(path), files.Records(results, path)
    assert len(fast) == len(slow)
    assert fast.images == slow.images
    for places in slow.images.values():
        assert np.array_equal(fast.numbers(places, "score"), slow.numbers(places, "score"))
        assert fast._compressed(places, SHAPE) is not None
        a, b = (r.regions(places, SHAPE, "segm", compiled=True) for r in (fast, slow))
        assert np.array_equal(a.boxes, b.boxes)
        assert np.array_equal(a.areas, b.areas)
        for i in range(len(places)):
            one, other = (
                m.runs[m.starts[i] : m.stops[i]] for m in (a.masks, b.masks)
            )  # fmt: skip
            assert np.array_equal(one, other)


@pytest.mark.parametrize(
    "change",
    [
        {"segmentation": [[1, 1, 9, 1, 9, 9]]},
        {"image_id": "one"},
        {"score": float("nan")},
        {"score": None},
        {"segmentation": {"size": [1.5, 2], "counts": "0"}},
    ],
)
def test_any_other_form_is_left_to_the_long_way(results, change, tmp_path):
    results[123] |= change
    assert columns.read(written(tmp_path / "results.json", results)) is None


@pytest.mark.parametrize("counts", [[2000], "0", 16, "\n"])
def test_counts_that_are_not_compressed_are_no_text(results, counts, tmp_path):
    results[5]["segmentation"]["counts"] = counts
    fast = columns.read(written(tmp_path / "results.json", results))
    assert fast._compressed([4, 5, 6], SHAPE) is None
    assert fast.field(5, "segmentation") == {"size": [40, 50], "counts": counts}


def test_no_results_are_read(tmp_path):
    fast = columns.read(written(tmp_path / "results.json", []))
    assert len(fast) == 0
    assert fast.images == {}
