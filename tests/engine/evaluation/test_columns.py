"""Results read into columns are those read into dictionaries."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_plugins.datasets import coco
from fastsam_plugins.evaluation import columns, files, proposal_files
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
    assert {k: v.tolist() for k, v in fast.images.items()} == slow.images
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


@pytest.mark.parametrize("counts", [[2000], 16])
def test_counts_that_are_no_text_are_left_to_the_long_way(results, counts, tmp_path):
    results[5]["segmentation"]["counts"] = counts
    assert columns.read(written(tmp_path / "results.json", results)) is None


@pytest.mark.parametrize("counts", ["0", "\n", 'a"b'])
def test_counts_that_are_malformed_are_shown_as_they_are(results, counts, tmp_path):
    results[5]["segmentation"]["counts"] = counts
    fast = columns.read(written(tmp_path / "results.json", results))
    assert fast._compressed([4, 5, 6], SHAPE) is None
    assert fast.segmentation(5) == coco.Rle((40, 50), counts)
    with pytest.raises(ValueError, match=r"results\.json: record 5: the counts of an RLE"):
        fast.mask(5, SHAPE)


def test_any_json_of_the_plain_form_is_understood(results, tmp_path):
    results[7] |= {"a": {"b": [None, -1e-3, {"c": 'x"]}\\'}], "segmentation": 1}, "d": [], "e": {}}
    results[8] = {k: results[8][k] for k in reversed(results[8])}
    results[9]["score"], results[9]["image_id"] = -1.5e-7, -3
    del results[10]["category_id"]
    path = tmp_path / "results.json"
    for indent in (None, 2):
        path.write_text(json.dumps(results, indent=indent, ensure_ascii=False) + "\n")
        fast = columns.read(path)
        assert fast.numbers(range(300), "score").tolist() == [r["score"] for r in results]
        assert fast.images[-3].tolist() == [9]
        for i, record in enumerate(results):
            assert fast.segmentation(i).counts == record["segmentation"]["counts"]


@given(drawn=st.data())
@settings(max_examples=300)
def test_a_damaged_file_is_never_misread(drawn, tmp_path_factory):
    """Whatever is cut out of a file, or put into it: both ways say the same, or one refuses."""
    whole = json.dumps(
        [{"image_id": 3, "segmentation": {"size": [4, 5], "counts": "05"}, "score": 0.25},
         {"image_id": 1, "category_id": 2, "segmentation": {"counts": "k\\", "size": [4, 5]},
          "score": 1, "bbox": [1, 2, 3, 4]}]
    ).encode()  # fmt: skip
    at = drawn.draw(st.integers(0, len(whole)))
    gone = drawn.draw(st.integers(0, 3))
    new = drawn.draw(st.text('[]{}",:0.-e\\ n1', max_size=3)).encode()
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(whole[:at] + new + whole[at + gone :] or b" ")
    try:
        content, fast = None, columns.read(path)
        content = json.loads(path.read_bytes())
    except ValueError:
        fast = None if content is None and not path.read_bytes().strip() else fast
        assert fast is None, "what is no JSON was read"
        return
    if fast is None:
        return
    for i, record in enumerate(content):
        assert i in fast.images[record["image_id"]]
        assert fast.numbers([i], "score").tolist() == [record["score"]]
        assert fast.segmentation(i).counts == record["segmentation"]["counts"]
        assert list(fast.segmentation(i).size) == record["segmentation"]["size"]


@pytest.mark.parametrize("content", ["[", "{}", "[{}]", "[1]", "nothing", '[{"image_id": 1}]'])
def test_what_is_no_list_of_results_is_left_to_the_long_way(content, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(content)
    assert columns.read(path) is None


def test_no_results_are_none(tmp_path):
    assert not columns.read(written(tmp_path / "results.json", []))


@pytest.mark.parametrize(
    "change",
    [
        {"score": True},
        {"score": "0.5"},
        {"image_id": 10**30},
        {"category_id": [1]},
        {"segmentation": {"size": [40, True], "counts": "0"}},
        {"segmentation": {"size": [40], "counts": "0"}},
    ],
)
def test_large_files_are_refused_as_small_ones(results, change, tmp_path, monkeypatch):
    truth = {"images": [{"id": k, "height": 40, "width": 50} for k in range(1, 9)]}
    path = written(tmp_path / "truth.json", {**truth, "annotations": []})
    results[123] |= change
    found = written(tmp_path / "results.json", results)
    said = []
    for limit in (0, 10**9):
        monkeypatch.setattr(proposal_files, "COMPILE_FROM", limit)
        monkeypatch.setattr(proposal_files, "COMPILE_FROM_BYTES", limit)
        with pytest.raises(ValueError, match=r"results\.json") as caught:
            proposal_files.evaluate_proposals(path, found, "segm")
        said.append(str(caught.value))
    assert said[0] == said[1]
