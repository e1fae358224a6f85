"""The operators as the App and as Python run them, on a real database."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import shutil
from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import fiftyone.plugins as fop
import pytest
from fiftyone.operators.executor import (
    ExecutionContext,
    ExecutionError,
    Executor,
    execute_or_delegate_operator,
)
from fiftyone.operators.operator import OperatorConfig
from fiftyone.operators.server import create_response_generator
from fiftyone.operators.types import RiskLevel

import fiftyone_plugin
from fastsam_plugins import FastSAM, read_image
from fastsam_plugins.options import (
    CleanOptions,
    PromptOptions,
    SegmentOptions,
    TextOptions,
    TileOptions,
)
from fastsam_plugins.parameters import parameters
from fastsam_plugins.paths import SAMPLES
from fiftyone_plugin.operators import OPERATORS, Stop
from fiftyone_plugin.storage import StoreOptions
from support.tiny_clip import FOLDER

URI = "@fastsam-plugins/fastsam/"
QUICK = {"conf": 0.25, "max_det": 30, "imgsz": 320, "keep": False}

pytestmark = pytest.mark.usefixtures("one_thread", "plugin")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The plugin where FiftyOne finds it, loaded by path as the App does."""
    folder = tmp_path_factory.mktemp("plugins")
    source = Path(fiftyone_plugin.__file__).parent
    (folder / "fastsam").mkdir()
    for name in ("fiftyone.yml", "__init__.py"):
        shutil.copyfile(source / name, folder / "fastsam" / name)
    before, fo.config.plugins_dir = fo.config.plugins_dir, str(folder)
    yield
    fo.config.plugins_dir = before
    operator.cache_clear()


@pytest.fixture
def samples(tmp_path):
    """Two sample images, the first with two boxes."""
    made = fo.Dataset()
    boxes = [[0.1, 0.05, 0.15, 0.2], [0.5, 0.4, 0.2, 0.2]]
    detections = [fo.Detection(label=f"{k}", bounding_box=b) for k, b in enumerate(boxes)]
    made.add_samples(
        [
            fo.Sample(
                filepath=str(SAMPLES / "coins.png"), boxes=fo.Detections(detections=detections)
            ),
            fo.Sample(filepath=str(SAMPLES / "ihc.jpg")),
        ]
    )
    yield made
    made.delete()


@functools.cache  # FiftyOne loads all plugins anew whenever it is asked
def operator(name):
    return foo.get_operator(URI + name)


def context(samples, name, selected_labels=(), **params):
    request = {"dataset_name": samples._dataset.name, "params": params,
               "selected_labels": list(selected_labels)}  # fmt: skip
    if isinstance(samples, fo.DatasetView):
        request["view"] = samples._serialize()
        request["view_target"] = "CURRENT_VIEW"
    return ExecutionContext(request, executor=Executor(), operator_uri=URI + name)


def form(samples, name, **params):
    """Fields of the form by name, and what is wrong, if anything is."""
    ctx = context(samples, name, **params)
    fields = operator(name).resolve_input(ctx).type.properties
    assert "problem" not in [*fields][1:], "it stands where it is seen, above a long form"
    problem = fields.pop("problem", None)
    assert problem is None or problem.invalid
    return fields, problem.view.label if problem else None


def executed(samples, name, **params):
    """What the App is told while the operator works."""
    ctx = context(samples, name, **params)
    return list(operator(name).execute(ctx))


def message(told):
    """The line that says what came of a run."""
    (one,) = [t.body.params["message"] for t in told if t.body.operator_uri.endswith("notify")]
    return one


def streamed(samples, name, **params):
    """The lines that FiftyOne's server sends to a browser or program, decoded."""
    request = {"operator_uri": URI + name, "dataset_name": samples.name, "params": params}
    found = asyncio.run(execute_or_delegate_operator(URI + name, request))
    return [json.loads(line) for line in create_response_generator(found.result)]


def refusal(lines):
    """The error at the end of a stream, which the person has been told of too."""
    *before, last = lines
    assert last["error"] == last["error_message"]
    told = [b["body"]["params"] for b in before if b["body"]["operator_uri"].endswith("notify")]
    assert told == [{"message": last["error"], "variant": "error"}]
    assert "\n" not in last["error"]
    return last["error"]


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("segment_everything", {"conf": "abc"}, "Conf must be a number, got 'abc'"),
        ("segment_everything", {"bands": "x"}, "Bands must be one or three numbers"),
        ("segment_everything", {"bands": "0,1"}, "Bands must be one or three numbers"),
        ("segment_everything", {"model": "/no/such.pt"}, "No weights at /no/such.pt"),
        ("segment_everything", {"confidence": 0.5}, "There is no parameter confidence"),
        ("segment_from_prompts", {}, "Nothing to prompt with"),
        ("evaluate_proposals", {"proposals": "boxes", "truth": "nope"}, "Nope is no field of"),
        ("proposals_to_labels", {"proposals": "boxes", "label": 3}, "Label must be text"),
        ("export_proposals", {"field": "boxes", "path": "x.json"}, "Path must be in full"),
        ("import_proposals", {"path": "/no/such.json"}, "There is no file /no/such.json"),
    ],
)
def test_a_refusal_is_the_last_line_of_a_stream(samples, name, params, said):
    assert refusal(streamed(samples, name, **params)).startswith(said)
    with pytest.raises(ExecutionError, match=re.escape(said[1:])):  # as FiftyOne's API says it
        foo.execute_operator(URI + name, dataset=samples, params=params)


def test_what_goes_wrong_while_it_runs_is_told_and_nothing_is_half(samples, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("the device is gone\nand more")

    monkeypatch.setattr(FastSAM, "segment_many", broken)
    assert refusal(streamed(samples, "segment_everything", **QUICK)) == "The device is gone"
    with pytest.raises(ExecutionError, match="the device is gone"):
        foo.execute_operator(URI + "segment_everything", dataset=samples, params=QUICK)


def test_a_stop_keeps_what_is_done_and_skip_goes_on(samples):
    lines = operator("segment_everything").execute(
        context(samples, "segment_everything", batch=1, field="found", **QUICK)
    )
    told = []
    for line in lines:
        told.append(line)
        if len(told) == 1:
            many = [fo.Sample(filepath=str(SAMPLES / "coins.png")) for _ in range(60)]
            samples.add_samples(many, progress=False)
        shown = line.body.params.get("results", {}).get("progress", 0)
        if 0 < shown < 0.2:
            operator("stop").execute(context(samples, "stop"))
    done = len(samples.exists("found"))
    assert 0 < done < 62
    assert message(told).startswith(f"Stopped: {done} samples, ")
    report = operator("segment_everything")(
        samples.limit(done + 1), field="found", existing="skip", **QUICK
    )
    assert (report.done, report.skipped) == (1, done)


def buttons(told):
    """Whether each bar that was shown has a button."""
    bars = [
        t.body.params["outputs"]["type"]["properties"] for t in told if "outputs" in t.body.params
    ]
    return {"stop" in bar for bar in bars if "progress" in bar}


def test_there_is_no_stop_where_an_earlier_version_is_installed(samples, tmp_path, monkeypatch):
    assert buttons(executed(samples, "segment_everything", **QUICK)) == {True}
    shutil.copytree(fo.config.plugins_dir, tmp_path / "plugins")
    listed = tmp_path / "plugins" / "fastsam" / "fiftyone.yml"
    listed.write_text(listed.read_text().replace("  - stop\n", ""))
    monkeypatch.setattr(fo.config, "plugins_dir", str(tmp_path / "plugins"))
    assert buttons(executed(samples, "segment_everything", field="q", **QUICK)) == {False}


def test_results_are_coloured_unless_the_person_has_chosen_colours(samples):
    operator("segment_everything")(samples, field="found", **QUICK)
    operator("evaluate_proposals")(samples, proposals="found", truth="boxes")
    scheme = samples.app_config.color_scheme
    assert scheme.color_by == "value"
    by_path = {f["path"]: f for f in scheme.fields}
    assert by_path["found"]["colorByAttribute"] == "index"
    assert by_path["boxes"]["colorByAttribute"] == "recall"
    assert {c["value"] for c in by_path["boxes"]["valueColors"]} == {"fn", "tp"}
    samples.app_config.color_scheme = fo.ColorScheme(color_by="field", color_pool=["#ff0000"])
    samples.save()
    operator("segment_everything")(samples, field="more", **QUICK)
    scheme = samples.app_config.color_scheme
    assert (scheme.color_by, list(scheme.color_pool)) == ("field", ["#ff0000"])
    assert not scheme.fields


def test_the_selected_labels_alone_are_promoted(samples):
    chosen = samples.first()["boxes"].detections[1].id
    selected = [{"label_id": chosen, "sample_id": samples.first().id, "field": "boxes"}]
    for number, target in enumerate((None, "SELECTED_LABELS", "CURRENT_VIEW")):
        ctx = context(
            samples, "proposals_to_labels", selected, proposals="boxes", field=f"out{number}"
        )
        ctx.request_params["view_target"] = target
        list(operator("proposals_to_labels").execute(ctx))
        assert samples.values(f"out{number}.detections.source", unwind=True) in (
            [chosen], [chosen, None]
        )  # fmt: skip


def test_fiftyone_lists_the_operators():
    listed = {o.name for o in foo.list_operators(builtin=False) if o.uri.startswith(URI)}
    assert listed == {o.name_ for o in OPERATORS} | {"recall_panel"}
    assert set(fop.get_plugin("@fastsam-plugins/fastsam").operators) == listed
    for cls in OPERATORS:
        config: OperatorConfig = cls().config
        if cls is not Stop:
            assert config.execute_as_generator
            assert config.allow_delegated_execution
        assert config.risk_level in (RiskLevel.LOW, RiskLevel.MEDIUM)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("segment_everything", [SegmentOptions, StoreOptions]),
        ("segment_from_prompts", [PromptOptions, SegmentOptions]),
        ("proposals_to_labels", [CleanOptions]),
    ],
)
def test_forms_are_made_of_the_options(samples, name, options):
    few, _ = form(samples, name)
    fields, _ = form(samples, name, more=True)
    assert 1 < len(few) < len(fields)
    for cls in options:
        for p in parameters(cls):
            if p.name != "keep":
                assert fields[p.name].type is not None
                assert p.help in fields[p.name].view.description


def test_a_text_asks_for_options_of_text(samples):
    clip = str(FOLDER)
    before, _ = form(samples, "segment_from_prompts", more=True)
    assert "text" in before
    assert "negatives" not in before
    fields, problem = form(samples, "segment_from_prompts", text="a star; a ring", clip=clip)
    assert problem is None
    assert {"negatives", "top_k", "threshold", "features", "clip"} <= set(fields)
    fields, _ = form(samples, "segment_from_prompts", text="a star", clip=clip, more=True)
    assert {p.name for p in parameters(TextOptions)} <= set(fields)
    assert not {p.name for p in parameters(PromptOptions)} & set(fields)
    told = executed(
        samples, "segment_from_prompts", text="a star; a ring", field="named", clip=clip,
        features="dense", **QUICK,
    )  # fmt: skip
    assert message(told) == "2 samples, 4 instances, 4 of 4 prompts answered"
    for sample in samples:
        assert [d.label for d in sample["named"].detections] == ["a star", "a ring"]


def test_windows_ask_how_large_and_find_what_the_engine_finds_in_them(samples, model):
    fields, _ = form(samples, "segment_everything", more=True)
    assert not {p.name for p in parameters(TileOptions)} & set(fields)
    how = {"tiled": True, "tile": 150, "overlap": 0.3}
    fields, problem = form(samples, "segment_everything", **how)
    assert problem is None
    assert {p.name for p in parameters(TileOptions)} <= set(fields)
    _, problem = form(samples, "segment_everything", **how | {"overlap": 0.9})
    assert problem == "Overlap must be between 0 and 0.5, got 0.9"
    executed(samples, "segment_everything", field="found", **QUICK, **how)
    options = SegmentOptions(**{k: v for k, v in QUICK.items() if k != "keep"})
    for sample in samples:
        image = read_image(sample.filepath)
        expected = model.segment_tiled(image, options, tile=150, overlap=0.3)
        found = [d.mask.sum() for d in sample["found"].detections]
        assert found == expected.areas.tolist()


def test_segmenting_tells_its_progress_and_reloads(samples):
    _, problem = form(samples, "segment_everything", **QUICK)
    assert problem is None
    told = executed(samples, "segment_everything", field="found", batch=1, **QUICK)
    names = [t.body.operator_uri.split("/")[-1] for t in told]
    assert names[-4:] == ["notify", "show_output", "reload_dataset", "set_color_scheme"]
    assert set(names[:-4]) == {"show_output"}
    shares = [t.body.params["results"]["progress"] for t in told[:-4]]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert message(told).startswith("2 samples, ")
    assert len(samples.exists("found")) == 2
    assert not [name for name in samples.get_field_schema() if name.endswith("_error")]

    fields, problem = form(samples, "segment_everything", field="found", **QUICK)
    assert fields["existing"].type.values == ["skip", "overwrite"]
    assert problem.startswith("2 samples have labels in found already")
    fields, problem = form(
        samples, "segment_everything", field="found", existing="overwrite", **QUICK
    )
    assert problem is None
    assert "will be replaced" in fields["warning"].view.label


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("segment_everything", {"model": "/no/such.pt"}, "No weights at /no/such.pt"),
        ("segment_everything", {"field": "boxes here"}, "'boxes here' cannot be a field"),
        ("segment_everything", {"field": ""}, "Name the field to write, such as proposals"),
        ("segment_from_prompts", {"field": "", "boxes": "boxes"}, "Name the field to write"),
        ("proposals_to_labels", {"field": "", "proposals": "boxes"}, "Name the field to write"),
        ("import_proposals", {"field": "", "path": "/a.json"}, "Name the field to write"),
        ("segment_everything", {"field": "filepath"}, "Filepath exists and is no field"),
        ("segment_everything", {"conf": 2}, "Conf must be between 0 and 1, got 2"),
        ("segment_from_prompts", {}, "Nothing to prompt with"),
        ("segment_from_prompts", {"boxes": "tags"}, "Tags is no field of Detections"),
        ("segment_from_prompts", {"text": " ;"}, "Text[0] is empty"),
        ("segment_from_prompts", {"text": "a dog", "clip": "nothing"}, "'nothing' is neither a"),
        ("evaluate_proposals", {}, "Choose proposals"),
        ("evaluate_proposals", {"proposals": "boxes", "truth": "other"}, "Other is no field of"),
        ("proposals_to_labels", {"proposals": "boxes", "max_truth_iou": 0.5}, "An overlap with"),
        ("export_proposals", {"field": "boxes", "path": "/tmp/x.txt"}, "/tmp/x.txt has to end"),
        ("import_proposals", {"path": "/no/such.json"}, "There is no file /no/such.json"),
    ],
)
def test_what_is_wrong_is_said_in_the_form(samples, name, params, message):
    assert form(samples, name, **params)[1].startswith(message)
    with pytest.raises((ValueError, RuntimeError)):
        operator(name)(samples, **params)


def test_only_the_view_or_the_selected_labels_are_worked_on(samples):
    executed(samples.limit(1), "segment_everything", field="found", **QUICK)
    assert len(samples.exists("found")) == 1
    chosen = samples.first()["boxes"].detections[1].id
    selected = [{"label_id": chosen, "sample_id": samples.first().id, "field": "boxes"}]
    fields, problem = form(samples, "segment_from_prompts", selected_labels=selected, boxes="boxes")
    assert problem is None
    assert "selected" in fields["only"].view.label
    executed(
        samples, "segment_from_prompts", selected_labels=selected, boxes="boxes",
        field="prompted", **QUICK,
    )  # fmt: skip
    assert samples.values("prompted.detections.source", unwind=True) in ([chosen, None], [chosen])


def test_from_python_a_whole_story(samples, tmp_path):
    """Segment, choose, evaluate, export, import."""
    report = operator("segment_everything")(samples, field="found", **QUICK)
    assert report.done == 2
    operator("proposals_to_labels")(
        samples, proposals="found", field="chosen", min_score=0.4, label="thing"
    )
    assert samples.distinct("chosen.detections.label") == ["thing"]
    operator("evaluate_proposals")(samples, proposals="found", truth="chosen", eval_key="found_all")
    summary = samples.load_evaluation_results("found_all").summary
    assert summary["mask AR@1000"] == 1  # they are among themselves
    with pytest.raises(ValueError, match="there is a run found_all already"):
        operator("evaluate_proposals")(
            samples, proposals="found", truth="chosen", eval_key="found_all"
        )
    path = str(tmp_path / "out.json")
    operator("export_proposals")(samples, field="found", path=path)
    report = operator("import_proposals")(samples, field="back", path=path)
    assert report.instances == samples.count("found.detections")


def test_a_delegated_run_is_carried_out_by_fiftyones_service(samples):
    samples.persistent = True
    result = operator("segment_everything")(samples, delegate=True, field="later", **QUICK)
    assert result.delegated
    assert "later" not in samples.get_field_schema()
    service = foo.delegated.DelegatedOperationService()
    queued = [d for d in service.list_operations() if d.operator == URI + "segment_everything"]
    (done,) = service.execute_queued_operations(operator=URI + "segment_everything")
    assert done.error is None
    samples.reload()
    assert len(samples.exists("later")) == 2
    status = service.get(queued[-1].id).status
    assert status.progress == 1
    assert status.label.startswith("2 samples, ")
    service.delete_operation(queued[-1].id)
