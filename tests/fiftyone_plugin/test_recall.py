"""Average recall through FiftyOne's evaluate_detections, on a real database."""

from __future__ import annotations

import textwrap
from pathlib import Path

import fiftyone as fo
import fiftyone.core.odm as foo
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.evaluation import everything
from fastsam_plugins.evaluation.proposals import ProposalRecall
from fastsam_plugins.evaluation.regions import Regions
from fastsam_plugins.masks import runs as R
from fiftyone_plugin import labels
from fiftyone_plugin.panel import runs
from fiftyone_plugin.recall import ProposalRecall as Method
from fiftyone_plugin.recall import ProposalRecallConfig, run
from tests.fiftyone_plugin.conftest import paused

SHAPE = (60, 80)


def detection(box, **attributes):
    """A detection of an ellipse in a box (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = box
    y, x = np.mgrid[0 : y1 - y0, 0 : x1 - x0] + 0.5
    mask = ((x / (x1 - x0) - 0.5) ** 2 + (y / (y1 - y0) - 0.5) ** 2) < 0.25
    place = [x0 / SHAPE[1], y0 / SHAPE[0], (x1 - x0) / SHAPE[1], (y1 - y0) / SHAPE[0]]
    return fo.Detection(bounding_box=place, mask=mask, **attributes)


def jittered(rng, box, most):
    shifted = np.array(box) + rng.integers(-most, most + 1, 4)
    x0, y0, x1, y1 = np.clip(shifted, 0, (SHAPE[1], SHAPE[0]) * 2)
    return int(x0), int(y0), int(max(x1, x0 + 3)), int(max(y1, y0 + 3))


@pytest.fixture
def samples(tmp_path):
    """Three images with objects, a crowd region, and proposals near them."""
    rng = np.random.default_rng(0)
    made = fo.Dataset()
    for number in range(3):
        file = tmp_path / f"{number}.png"
        Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(file)
        boxes = [jittered(rng, (x, y, x + 18, y + 14), 5) for x in (8, 34, 58) for y in (6, 36)]
        truths = [detection(b, label="cat" if k % 2 else "dog") for k, b in enumerate(boxes)]
        truths.append(detection((0, 0, 70, 50), label="cat", iscrowd=True))
        found = [
            detection(jittered(rng, b, k), label="object", confidence=float(rng.random()))
            for b in boxes[:5]
            for k in (0, 1, 2, 4, 9)
        ]
        made.add_sample(
            fo.Sample(
                filepath=str(file),
                truth=fo.Detections(detections=truths),
                proposals=fo.Detections(detections=found),
            )
        )
    yield made
    made.delete()


def evaluate(samples, **kwargs):
    return samples.evaluate_detections(
        "proposals", gt_field="truth", method=ProposalRecallConfig, progress=False,
        **{"eval_key": "recall", **kwargs},
    )  # fmt: skip


def test_recall_is_that_of_the_evaluator(samples):
    expected = ProposalRecall()
    for sample in samples:
        truth = [labels.mask(d, SHAPE) for d in sample.truth.detections[:-1]]
        found = [labels.mask(d, SHAPE) for d in sample.proposals.detections]
        expected.add(
            Regions.of_masks(truth, SHAPE[0]),
            np.array([R.area(m) for m in truth], float),
            Regions.of_masks(found, SHAPE[0]),
            np.array([d.confidence for d in sample.proposals.detections]),
        )
    results = evaluate(samples)
    for name, value in expected.summary().items():
        key = f"mask {name}" if isinstance(value, float) else name
        assert results.summary[key] == (None if value != value else value)
    assert 0.3 < results.summary["mask AR@1000"] < 1
    assert results.summary["ground_truths"] == 18
    assert results.intervals["mask AR@10"] == list(expected.intervals()["AR@10"])
    assert "mask AR@1000/large" not in results.intervals
    assert results.mAR() == results.metrics()["mask AR@1000"]
    assert results.curves["mask all"] == expected.curve().tolist()


def test_every_object_says_by_which_proposal_it_was_found(samples):
    evaluate(samples)
    for sample in samples:
        *truths, crowd = sample.truth.detections
        assert "recall" not in crowd or crowd["recall"] is None
        by_id = {d.id: d for d in sample.proposals.detections}
        by_score = sorted(by_id.values(), key=lambda d: -d.confidence)
        for truth in truths:
            if truth["recall"] == "fn":
                assert "recall_rank" not in truth
                continue
            found = by_id[truth["recall_id"]]
            assert found["recall"] == "tp"
            assert found["recall_id"] == truth.id
            assert by_score[truth["recall_rank"] - 1].id == found.id
            a, b = (R.to_bitmap(labels.mask(d, SHAPE), SHAPE) for d in (truth, found))
            assert truth["recall_iou"] == pytest.approx((a & b).sum() / (a | b).sum())
            assert truth["recall_iou"] >= 0.5
        outcomes = [t["recall"] for t in truths]
        assert outcomes.count("fn") == sample["recall_fn"]
        assert outcomes[5] == "fn"  # nothing was proposed for it
        assert 0 < sample["recall_recall"] < 1


def test_the_record_survives_and_can_be_loaded_compared_and_deleted(samples):
    results = evaluate(samples)
    samples.clear_cache()
    again = fo.load_dataset(samples.name).load_evaluation_results("recall", cache=False)
    assert again.summary == results.summary
    assert again.curves == results.curves
    assert again.intervals == results.intervals
    info = samples.get_evaluation_info("recall")
    assert (info.config.type, info.config.method) == ("detection", "class-agnostic recall")
    assert again.report()["cat"]["recall"] == results.report()["cat"]["recall"]
    missed = samples.to_evaluation_patches("recall").match(fo.ViewField("type") == "fn")
    assert len(missed) == samples.sum("recall_fn")
    samples.delete_evaluation("recall")
    schema = samples.get_field_schema(flat=True)
    assert not [name for name in schema if "recall" in name]


def test_fewer_proposals_find_fewer(samples):
    assert (
        evaluate(samples, max_proposals=3).summary["mask AR@1000"]
        < evaluate(samples).summary["mask AR@1000"]
    )


def test_a_view_and_samples_without_labels(samples):
    first = samples.first()
    first["proposals"] = None
    first.save()
    summary = evaluate(samples.limit(1)).summary
    assert (summary["images"], summary["mask AR@1000"]) == (1, 0)
    first["truth"] = None
    first.save()
    summary = evaluate(samples.limit(1)).summary
    assert (summary["ground_truths"], summary["mask AR@1000"]) == (0, None)
    assert samples.first()["recall_recall"] is None


def test_an_image_that_cannot_be_measured_is_named_and_costs_itself(samples):
    others = evaluate(samples.skip(1)).summary
    Path(samples.first().filepath).write_text("no image")
    with pytest.warns(UserWarning, match=r"0\.png cannot be read"):
        assert evaluate(samples).summary == others
    *_, report = run(samples, "proposals", "truth", "own")
    assert report.done == 3
    assert list(report.failed) == [samples.first().filepath]
    assert samples.load_evaluation_results("own").summary == others
    assert samples.values("own_recall")[0] is None


@pytest.mark.parametrize("name", ["_tp", "_recall"])
@pytest.mark.parametrize("way", ["run", "evaluate_detections"])
def test_a_field_of_the_persons_own_is_never_written_over(samples, name, way):
    key = "recall"
    samples.set_values(key + name, ["x", "y", "z"])
    with pytest.raises(ValueError, match=f"{key}{name} is a field: name the run otherwise"):
        _WAYS[way](samples, key)
    assert samples.values(key + name) == ["x", "y", "z"]
    assert not samples.has_evaluation(key)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("field", "attribute", "key"),
    [
        ("truth", "recall", "recall"),
        ("proposals", "recall_iou", "recall"),
        ("truth", "recall_size", "recall"),
        ("proposals", "custom", "custom"),
    ],
)
@pytest.mark.parametrize("way", ["run", "evaluate_detections"])
def test_an_attribute_of_the_persons_own_is_never_written_over(
    samples, field, attribute, key, declared, way
):
    path = f"{field}.detections.{attribute}"
    values = [["mine"] * n for n in samples.values(fo.ViewField(f"{field}.detections").length())]
    samples.set_values(path, values, dynamic=declared)
    with pytest.raises(ValueError, match=f"{path} is an attribute of your labels"):
        _WAYS[way](samples, key)
    assert samples.values(path) == values
    assert not samples.has_evaluation(key)


@pytest.mark.parametrize("key", ["label", "confidence", "mask", "bounding_box", "tags"])
def test_a_run_is_not_named_like_what_labels_have(samples, key):
    before = samples.values("truth.detections.label")
    for way in _WAYS.values():
        with pytest.raises(ValueError, match=f"{key} is (a field|an attribute of your labels)"):
            way(samples, key)
    assert samples.values("truth.detections.label") == before


_WAYS = {
    "run": lambda samples, key: list(run(samples, "proposals", "truth", key)),
    "evaluate_detections": lambda samples, key: evaluate(samples, eval_key=key),
}


def nothing_is_left(samples, key="half"):
    assert key not in samples.list_evaluations()
    assert not [n for n in samples.get_field_schema(flat=True) if key in n]
    assert not foo.get_db_conn().runs.count_documents({"key": key})
    assert runs(samples) == []


@pytest.mark.parametrize("moment", [1, 2])
def test_a_run_that_is_stopped_leaves_nothing_and_can_be_tried_again(samples, moment, monkeypatch):
    monkeypatch.setattr("fiftyone_plugin.documents.SAMPLES", 1)
    stopped = run(samples, "proposals", "truth", "half")
    for _ in range(moment + 1):
        next(stopped)
    assert "half" in samples.list_evaluations()
    assert runs(samples) == []  # the panel shows none that has no results
    stopped.close()
    nothing_is_left(samples)
    *_, report = run(samples, "proposals", "truth", "half")
    assert report.instances == 18


def test_a_run_that_fails_leaves_nothing(samples, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no more")

    monkeypatch.setattr(Method, "generate_results", broken)
    with pytest.raises(RuntimeError, match="no more"):
        list(run(samples, "proposals", "truth", "half"))
    nothing_is_left(samples)


def test_half_a_run_of_a_process_that_was_killed_is_replaced_without_fuss(samples):
    samples.persistent = True
    program = textwrap.dedent(
        f"""
        import os, signal
        import fiftyone as fo
        from fiftyone_plugin import documents, recall
        documents.SAMPLES = 1
        run = recall.run(fo.load_dataset({samples.name!r}), "proposals", "truth", "half")
        for report in run:
            if report.done == 2:
                print("two", flush=True)
                input()
        """
    )
    running = paused(program)
    with pytest.raises(ValueError, match="a run half is going on"):
        run(samples, "proposals", "truth", "half")
    running.kill()
    running.communicate()
    samples.reload()
    assert samples.load_evaluation_results("half") is None
    assert runs(samples) == []
    *_, report = run(samples, "truth", "proposals", "half")  # even of other fields
    assert (report.done, report.failed) == (3, {})
    assert samples.load_evaluation_results("half").summary["images"] == 3
    with pytest.raises(ValueError, match="there is a run half already"):
        run(samples, "proposals", "truth", "half")


def test_polylines_are_regions_too(samples):
    for sample in samples:
        for field in ("truth", "proposals"):
            drawn = [d.to_polyline(tolerance=0) for d in sample[field].detections]
            sample[f"{field}_lines"] = fo.Polylines(polylines=drawn)
        sample.save()
    lines = samples.evaluate_detections(
        "proposals_lines", gt_field="truth_lines", eval_key="lines", method=ProposalRecallConfig,
        progress=False,
    )  # fmt: skip
    assert lines.summary["mask AR@10"] == pytest.approx(
        evaluate(samples).summary["mask AR@10"], abs=0.15
    )


def test_the_summary_names_are_those_of_evaluate_everything(samples):
    assert evaluate(samples).summary.keys() == everything.EverythingRecall().summary().keys()
