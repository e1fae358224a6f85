"""What the recall panel shows and opens; tests/end_to_end/test_app.py looks at it in a browser."""

from __future__ import annotations

import pytest
from fiftyone import ViewField as F
from fiftyone.operators.executor import ExecutionContext, Executor
from fiftyone.operators.panel import PanelRef

from fiftyone_plugin import panel, recall
from tests.fiftyone_plugin.test_recall import samples  # noqa: F401


@pytest.fixture
def evaluated(samples):  # noqa: F811
    for key in ("first", "second"):
        *_, report = recall.run(samples, "proposals", "truth", key)
        assert (report.done, report.instances) == (3, 18)
    return samples


def test_runs_of_recall_are_listed_and_no_others(evaluated):
    assert panel.runs(evaluated) == ["first", "second"]
    evaluated.evaluate_detections("proposals", gt_field="truth", eval_key="coco", progress=False)
    assert panel.runs(evaluated) == ["first", "second"]
    evaluated.delete_evaluation("first")
    assert panel.runs(evaluated) == ["second"]


def test_missed_objects_are_opened(evaluated):
    def count(**which):
        return panel.missed(evaluated, "first", **which).count("truth.detections")

    lost = sum(evaluated.values("first_fn"))
    assert count() == lost > 0
    assert count(proposals=1000) == lost
    assert count(proposals=1) == 18 - 3  # each image's best proposal finds one
    by_size = [count(size=size) for size in ("small", "medium", "large")]
    assert sum(by_size) == lost
    assert by_size[2] == 0
    ranks = panel.missed(evaluated, "first", proposals=5).values(
        "truth.detections.first_rank", unwind=True
    )
    assert all(r is None or r > 5 for r in ranks)


def test_curves_and_bars_are_those_of_the_run(evaluated):
    results = evaluated.load_evaluation_results("first")
    lines = {line["name"]: line for line in panel.curves(results.curves)}
    assert "large masks" not in lines  # there are none
    assert lines["masks"]["y"][999] == results.summary["mask AR@1000"]
    assert lines["boxes"]["x"][:3] == [1, 2, 3]
    masks, boxes = panel.bars(results.summary)
    assert masks["y"][0] == results.summary["mask AR@1000"]
    assert boxes["y"][masks["x"].index("large")] is None
    text = panel.text(results.summary, results.intervals)
    assert text.startswith("| 18 objects in 3 images |")
    assert "({:.3f} to {:.3f})".format(*results.intervals["mask AR@10"]) in text
    assert "(" not in panel.text(results.summary, {}), "runs of earlier versions have none"


def test_the_panel_is_laid_out_with_and_without_runs(samples):  # noqa: F811
    def shown():
        ctx = ExecutionContext(
            {"dataset_name": samples.name, "params": {"panel_id": "p", "panel_state": {}}},
            executor=Executor(),
        )
        one = panel.RecallPanel()
        assert isinstance(ctx.panel, PanelRef)
        one.on_load(ctx)
        return one.render(ctx).type.properties

    assert set(shown()) == {"markdown"}
    list(recall.run(samples, "proposals", "truth", "first"))
    assert {"controls", "curves", "sizes"} <= set(shown())


def test_a_run_of_the_same_name_needs_leave(evaluated):
    with pytest.raises(ValueError, match="there is a run first already"):
        recall.run(evaluated, "proposals", "truth", "first")
    *_, report = recall.run(evaluated.limit(1), "proposals", "truth", "first", overwrite=True)
    assert report.instances == 6
    for wrong, message in (
        (("proposals", "truth", "a b"), "'a b' cannot be a key"),
        (("proposals", "truth", "tags"), "tags is a field"),
        (("nothing", "truth", "new"), "nothing is no field"),
    ):
        with pytest.raises(ValueError, match=message):
            recall.run(evaluated, *wrong)
    assert evaluated.match(F("first_recall") >= 0).count() == 1


def test_a_run_writes_what_evaluate_detections_writes(samples):  # noqa: F811
    first = samples.first()
    first["proposals"] = None
    first.save()
    list(recall.run(samples, "proposals", "truth", "fast"))
    samples.evaluate_detections(
        "proposals", gt_field="truth", eval_key="slow", progress=False,
        method=recall.ProposalRecallConfig,
    )  # fmt: skip
    fast, slow = (samples.load_evaluation_results(k) for k in ("fast", "slow"))
    assert fast.summary == slow.summary
    assert fast.report() == slow.report()
    names = [n for n in samples.get_field_schema(flat=True) if "slow" in n]
    assert len(names) == 4 + 5 + 3
    for name in names:
        ours, theirs = (samples.values(n) for n in (name.replace("slow", "fast"), name))
        assert ours == theirs, name
    groups = {g.name: g.paths for g in samples.app_config.sidebar_groups or []}
    assert [p.replace("fast", "slow") for p in groups.get("fast", [])] == groups.get("slow", [])
