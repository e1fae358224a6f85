"""Average recall against pycocotools, to the last bit."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path

import faster_coco_eval
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fastsam_plugins import SegmentOptions
from fastsam_plugins.evaluation.proposal_files import evaluate_proposals
from fastsam_plugins.evaluation.proposals import (
    SIZES,
    THRESHOLDS,
    ProposalRecall,
    match,
)
from fastsam_plugins.evaluation.regions import Regions
from fastsam_plugins.masks import rle
from support.proposals import load_truth, proposals
from tests.conftest import BUNDLED

LIMITS = [1, 10, 100, 1000]
SETTINGS = SegmentOptions(conf=0.001, iou=0.9, max_det=1000, imgsz=192)


def reference(truth: dict, results: list[dict], kind: str) -> np.ndarray:
    """Recall (thresholds, sizes, limits) by pycocotools, -1 without ground truth."""
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = truth
        gt.createIndex()
        evaluation = COCOeval(gt, gt.loadRes(results), kind)
        evaluation.params.useCats = 0
        evaluation.params.maxDets = LIMITS
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["recall"][:, 0]


def ours(truth: dict, results: list[dict], kind: str) -> ProposalRecall:
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "truth.json", Path(folder) / "results.json"
        for path, content in zip(files, (truth, results), strict=True):
            path.write_text(json.dumps(content))
        return evaluate_proposals(*files, kind)


def check_equal(truth, results, kind):
    found = ours(truth, results, kind)  # first: pycocotools writes into its input
    expected = reference(truth, results, kind)
    for a, size in enumerate(SIZES):
        for m, k in enumerate(LIMITS):
            recall = found.recall(k, size)
            recall = np.where(np.isnan(recall), -1, recall)
            assert np.abs(recall - expected[:, a, m]).max() == 0.0, (size, k)
    return found


@pytest.mark.parametrize(("kind", "file"), [("bbox", "fakebbox"), ("segm", "fakesegm")])
def test_recall_on_cocos_own_example_is_pycocotools_to_the_last_bit(real_data, kind, file):
    folder = real_data / "oracle" / "coco"
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    results = json.loads((folder / f"instances_val2014_{file}100_results.json").read_text())
    found = check_equal(truth, results, kind)
    assert found.images == len(truth["images"])
    assert 0 < found.average_recall(10) < found.average_recall(100) < 1


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("folder", ["coco", "nuclei"])
def test_recall_of_the_networks_proposals_is_pycocotools_to_the_last_bit(model, kind, folder):
    folder = BUNDLED / "dev" / folder
    truth = load_truth(folder)
    results = proposals(model, truth, folder, SETTINGS)
    found = check_equal(truth.dataset, results, kind)
    assert found.images == 4
    assert 0 < found.average_recall(10) < found.average_recall(100) < 1


def dataset(seed: int, images: int = 4, objects: int = 12, proposals: int = 60, size: int = 60):
    """Random rectangles with ties of scores and overlaps, crowds, empty images, specks."""
    rng = np.random.default_rng(seed)
    truth = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "object"}]}
    results = []
    for number in range(1, images + 1):
        truth["images"].append({"id": number, "width": size, "height": size + 7})
        shapes = []
        for _ in range(0 if number == 2 else rng.integers(1, objects + 1)):
            mask = rectangle(rng, size)
            shapes.append(mask)
            truth["annotations"].append(
                {"id": len(truth["annotations"]) + 1, "category_id": 1, "image_id": number,
                 "iscrowd": int(rng.random() < 0.1), **described(mask)}
            )  # fmt: skip
        for _ in range(0 if number == 3 else proposals):
            if shapes and rng.random() < 0.8:  # near a ground truth, often exactly on it
                mask = np.roll(
                    shapes[rng.integers(len(shapes))], rng.integers(-1, 2, 2), axis=(0, 1)
                )
            else:
                mask = rectangle(rng, size)
            score = float(rng.integers(0, 20) / 20)
            results.append(
                {"image_id": number, "category_id": 1, "score": score, **described(mask)}
            )
    return truth, results


def rectangle(rng, size):
    mask = np.zeros((size + 7, size), np.uint8)
    x, y = rng.integers(0, size - 1, 2)
    w, h = rng.integers(1, rng.choice([2, 12, 55]) + 1, 2)
    mask[y : y + h, x : x + w] = 1
    return mask


def described(mask):
    code = coco_mask.encode(np.asfortranarray(mask))
    x, y, w, h = coco_mask.toBbox(code).tolist()
    code["counts"] = code["counts"].decode()
    return {"segmentation": code, "bbox": [x, y, w, h], "area": float(mask.sum())}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_ties_crowds_empty_images_and_specks_are_those_of_pycocotools(seed, kind):
    check_equal(*dataset(seed), kind)


def test_more_than_a_thousand_proposals_and_many_objects():
    check_equal(*dataset(1, images=1, objects=300, proposals=1300), "segm")


def test_no_proposal_at_all_recalls_nothing_and_no_object_gives_nan():
    none = ProposalRecall()
    none.add(
        Regions(np.array([[0.0, 0, 5, 5]])),
        np.array([25.0]),
        Regions(np.empty((0, 4))),
        np.empty(0),
    )
    assert none.average_recall(1000) == 0
    assert np.isnan(none.average_recall(1000, "large"))
    assert np.isnan(ProposalRecall().average_recall(10))


def test_two_halves_add_up_exactly():
    truth, results = dataset(5, images=6)
    whole = ours(truth, results, "segm")
    halves = []
    for keep in (lambda n: n <= 3, lambda n: n > 3):
        images = [i for i in truth["images"] if keep(i["id"])]
        annotations = [a for a in truth["annotations"] if keep(a["image_id"])]
        part = {**truth, "images": images, "annotations": annotations}
        halves.append(ours(part, [r for r in results if keep(r["image_id"])], "segm"))
    halves[0].merge(halves[1])
    assert halves[0].summary() == pytest.approx(whole.summary(), abs=0, nan_ok=True)


def test_every_k_is_answered_by_one_pass():
    truth, results = dataset(7)
    recall = ours(truth, results, "bbox")
    curve = recall.curve()
    assert curve.shape == (1000,)
    for k in (1, 3, 17, 1000):
        assert curve[k - 1] == pytest.approx(recall.average_recall(k), abs=1e-12)


def test_auc_is_the_olns_definition():
    """A constant recall has itself as its area; nothing before k = 1 counts."""
    recall = ProposalRecall()
    box = Regions(np.array([[0.0, 0, 50, 50]]))
    recall.add(box, np.array([2500.0]), box, np.array([0.9]))
    assert recall.area_under_curve() == pytest.approx(1.0)
    late = ProposalRecall()
    others = np.array([[200.0 + k, 0, 5, 5] for k in range(99)] + [[0.0, 0, 50, 50]])
    late.add(box, np.array([2500.0]), Regions(others), -np.arange(100.0))
    assert late.area_under_curve() == pytest.approx(1 / 3, abs=0.01)  # found from k = 100 on


def test_among_equal_overlaps_the_later_ground_truth_is_taken():
    iou = np.array([[0.8, 0.8], [0.8, 0.0]])
    ranks = match(iou)
    assert ranks[1, 0] == 0
    assert ranks[0, 0] == 1
    assert (ranks[:, THRESHOLDS > 0.81] == np.iinfo(np.int32).max).all()


def test_the_engines_own_masks_need_no_rle(dummy):
    seg = dummy(count=30)
    masks = [seg.runs(i) for i in range(len(seg))]
    alive = np.flatnonzero(seg.areas > 0)
    found = Regions.of_masks(masks, seg.shape[0]).take(alive)
    recall = ProposalRecall()
    recall.add(found, seg.areas[alive].astype(float), found, seg.scores[alive].astype(float))
    assert recall.average_recall(1000) == 1
    assert rle.encode(masks, seg.shape)


def not_ascii(shape):
    """A mask whose counts would be right, were there a question mark."""
    (mask,) = rle.encode([np.array([[15, shape[0] * shape[1]]])], shape)
    assert mask["counts"].startswith("?")
    return {**mask, "counts": mask["counts"].replace("?", "€")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, r: t.pop("images"), "truth.json is not a COCO ground truth"),
        (lambda t, r: r[0].update(image_id=99), "results.json has records of image 99"),
        (lambda t, r: r[0].pop("image_id"), "results.json: record 0 has no image_id"),
        (lambda t, r: r[3].pop("score"), "results.json: record 3 has no score"),
        (
            lambda t, r: r[3].update(score=float("nan")),
            "results.json: record 3.score: expected a number or null, got NaN",
        ),
        (lambda t, r: r[1].update(segmentation={"size": [3, 3], "counts": [9]}), "a mask of 3 x 3"),
        (lambda t, r: r[1].update(segmentation={"size": [67, 60], "counts": "~"}), "record 1: the"),
        (lambda t, r: r[1].update(segmentation=not_ascii((67, 60))), "record 1: the counts"),
        (
            lambda t, r: t["annotations"][2].update(segmentation=[[1, 2]]),
            r"truth.json: annotations\[2\]: a polygon",
        ),
    ],
)
def test_bad_files_name_the_file_and_the_record(change, message):
    truth, results = dataset(0, images=1)
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = 0
    change(truth, results)
    with pytest.raises(ValueError, match=message) as caught:
        ours(truth, results, "segm")
    assert "\n" not in str(caught.value)


# --- LVIS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lvis(request):
    """LVIS's first 100 validation images, and proposals made from them with noise."""
    path = request.getfixturevalue("real_data") / "oracle" / "lvis" / "lvis_val_100.json"
    truth = json.loads(path.read_text())
    rng = np.random.default_rng(0)
    results = []
    for a in truth["annotations"]:
        for _ in range(3):
            box = np.array(a["bbox"]) * rng.uniform(0.85, 1.15, 4)
            results.append({"image_id": a["image_id"], "category_id": 1,
                            "bbox": box.tolist(), "score": float(rng.random())})  # fmt: skip
    return path, truth, results


def test_lvis_groups_are_rows_of_one_matching(lvis, tmp_path):
    """Independently: pycocotools' matches of all categories as one, grouped afterwards."""
    path, truth, results = lvis
    (tmp_path / "results.json").write_text(json.dumps(results))
    found = evaluate_proposals(path, tmp_path / "results.json", "bbox")
    frequency = {c["id"]: c["frequency"] for c in truth["categories"]}
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {**truth, "annotations": [{**a, "iscrowd": 0} for a in truth["annotations"]]}
        gt.createIndex()
        evaluation = COCOeval(gt, gt.loadRes(results), "bbox")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = [1000]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    matched: dict[str, list] = {"f": [], "c": [], "r": []}
    for image in filter(None, evaluation.evalImgs):
        for k, number in enumerate(image["gtIds"]):
            group = frequency[gt.anns[number]["category_id"]]
            matched[group].append(image["gtMatches"][:, k] > 0)
    summary = found.summary()
    assert sum(map(len, matched.values())) == summary["ground_truths"] == len(truth["annotations"])
    for letter, name in (("f", "frequent"), ("c", "common"), ("r", "rare")):
        if matched[letter]:
            assert summary[f"AR@1000/{name}"] == pytest.approx(np.mean(matched[letter]), abs=1e-12)
    expected = reference(gt.dataset, results, "bbox")
    for a, size in enumerate(SIZES):
        assert np.array_equal(found.recall(1000, size), expected[:, a, -1]), size


def test_halves_of_lvis_add_up(lvis, tmp_path):
    path, truth, results = lvis
    parts = []
    for side in (0, 1):
        keep = {i["id"] for k, i in enumerate(truth["images"]) if (k >= 50) == side}
        kept = {
            "images": [i for i in truth["images"] if i["id"] in keep],
            "annotations": [a for a in truth["annotations"] if a["image_id"] in keep],
        }
        (tmp_path / "t.json").write_text(json.dumps(truth | kept))
        (tmp_path / "r.json").write_text(json.dumps([r for r in results if r["image_id"] in keep]))
        parts.append(evaluate_proposals(tmp_path / "t.json", tmp_path / "r.json", "bbox"))
    (tmp_path / "r.json").write_text(json.dumps(results))
    whole = evaluate_proposals(path, tmp_path / "r.json", "bbox").summary()
    parts[0].merge(parts[1])
    assert parts[0].summary() == whole


def test_recall_along_boundaries_is_faster_coco_evals_to_the_last_bit(real_data):
    folder = real_data / "oracle" / "coco"
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    results = json.loads((folder / "instances_val2014_fakesegm100_results.json").read_text())
    truth["annotations"] = [a for a in truth["annotations"] if not a["iscrowd"]]
    found, masks = (ours(truth, results, kind) for kind in ("boundary", "segm"))
    with contextlib.redirect_stdout(io.StringIO()):
        gt = faster_coco_eval.COCO(truth)
        evaluation = faster_coco_eval.COCOeval_faster(gt, gt.loadRes(results), "boundary")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = LIMITS
        evaluation.evaluate()
        evaluation.accumulate()
    expected = evaluation.eval["recall"].reshape(10, -1, 4, len(LIMITS))[:, 0]
    for a, size in enumerate(SIZES):
        recall = np.stack([found.recall(k, size) for k in LIMITS], axis=1)
        assert np.array_equal(recall, expected[:, a]), size
    assert 0 < found.average_recall(100) < masks.average_recall(100)


def drawn_again(parts: list[ProposalRecall]) -> list[dict]:
    """Figures of images drawn with replacement, one by one, as a person would compute them."""
    rng = np.random.default_rng(0)
    figures = []
    for row in rng.integers(0, len(parts), (1000, len(parts))):
        whole = ProposalRecall()
        for image in row:
            whole.merge(parts[image])
        figures.append(whole.summary())
    return figures


def test_intervals_are_those_of_images_drawn_again():
    rng = np.random.default_rng(3)
    parts = []
    for image in range(6):
        part, boxes = ProposalRecall(), rng.uniform(5, 150, (4, 4))
        near = np.repeat(boxes, 5, axis=0) + rng.normal(0, 8, (20, 4))
        groups = ["rare" if image in (3, 4) else "common"] * 4
        part.add(Regions(boxes), boxes[:, 2] * boxes[:, 3], Regions(near), rng.random(20), groups)
        parts.append(part)
    whole = ProposalRecall()
    for part in parts:
        whole.merge(part)
    found, summary = whole.intervals(), whole.summary()
    again = drawn_again(parts)
    assert {"AR@10", "AR@1000", "AUC", "AR@1000/small", "AR@1000/rare"} <= found.keys()
    for name, interval in found.items():
        if np.count_nonzero([part.summary().get(name, np.nan) >= 0 for part in parts]) < 2:
            assert np.isnan(interval).all(), "one image says nothing of others"
            continue
        values = np.array([figures.get(name, np.nan) for figures in again])
        expected = np.quantile(values[~np.isnan(values)], [0.025, 0.975])
        assert interval == pytest.approx(expected, abs=1e-12), name
        assert interval[0] <= summary[name] <= interval[1]


def test_no_ground_truth_has_no_interval():
    recall = ProposalRecall()
    assert np.isnan(recall.intervals()["AR@10"]).all()
    none = Regions(np.zeros((0, 4)))
    recall.add(none, np.zeros(0), none, np.zeros(0))
    assert np.isnan(recall.intervals()["AUC"]).all()
