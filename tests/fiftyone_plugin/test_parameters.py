"""Every name and value that a program or the App can send is checked before anything is done."""

from __future__ import annotations

import functools
import re

import pytest

from fastsam_plugins.options import TileOptions
from fastsam_plugins.parameters import parameters
from fiftyone_plugin import (
    coco_transfer,
    proposals_to_labels,
    recall,
    sample_segmenter,
    segment_job,
)
from tests.fiftyone_plugin.test_operators import context, executed, form, operator, plugin, samples

__all__ = ["plugin", "samples"]

pytestmark = pytest.mark.usefixtures("one_thread", "plugin")

NEEDED = {
    "segment_everything": {},
    "segment_from_prompts": {"boxes": "boxes"},
    "find_similar": {"examples": "boxes"},
    "index_labels": {"labels": "boxes"},
    "evaluate_proposals": {"proposals": "boxes", "truth": "boxes"},
    "proposals_to_labels": {"proposals": "boxes", "field": "out"},
    "export_proposals": {"field": "boxes", "path": "/no-such-folder/out.json"},
    "import_proposals": {"path": "/no-such-folder/in.json"},
}


def state(samples):
    samples.reload()
    return samples.get_field_schema(flat=True).keys(), samples.list_evaluations()


@pytest.mark.parametrize("name", NEEDED)
def test_unknown_names_are_refused_with_the_nearest(samples, name):
    before = state(samples)
    known = sorted({p.name for c in operator(name).options_ for p in parameters(c)})
    wrong = known[0] + "x"
    expected = f"there is no parameter {wrong}: do you mean {known[0]}?"
    for start in (operator(name), lambda s, **p: executed(s, name, **p)):
        with pytest.raises(ValueError, match=re.escape(expected)):
            start(samples, **NEEDED[name], **{wrong: 1})
    with pytest.raises(ValueError, match=re.escape(expected)):
        operator(name)(samples, delegate=True, **NEEDED[name], **{wrong: 1})
    _, problem = form(samples, name, **NEEDED[name], **{wrong: 1})
    assert problem == expected[0].upper() + expected[1:]
    with pytest.raises(ValueError, match=r"there is no parameter zzzzzz \(there are: .*\)"):
        operator(name)(samples, **NEEDED[name], zzzzzz=1)
    assert state(samples) == before


@pytest.mark.parametrize("name", NEEDED)
def test_values_of_other_kinds_are_refused_by_name(samples, name):
    before = state(samples)
    app = functools.partial(executed, name=name)
    known = {p.name: p for c in operator(name).options_ for p in parameters(c)}.values()
    for p in known:
        asked = NEEDED[name] | ({"tiled": True} if p in parameters(TileOptions) else {})
        for number, value in enumerate(wrong_values(p)):
            # A form checks what executing it checks: that it is refused then is asked once.
            for start in (operator(name), *([app] if number == 0 else [])):
                with pytest.raises(ValueError, match=rf"^{p.name} must be .*got ") as caught:
                    start(samples, **asked | {p.name: value})
                assert "\n" not in str(caught.value)
                if p.choices and isinstance(value, str):
                    assert f"do you mean {p.choices[0]}?" in str(caught.value)
            _, problem = form(samples, name, **asked | {p.name: value})
            assert problem.startswith(f"{p.name[0].upper()}{p.name[1:]} must be ")
    assert state(samples) == before


def wrong_values(p):
    kinds = {
        bool: ["yes", 1, [True]],
        int: ["3", 2.5, True, [1], {"a": 1}],
        float: ["0.5", True, [1], {"a": 1}, 1e400],
        str: [3, True, {"a": 1}, *([] if p.name in ("text", "negatives") else [["a"]])],
    }
    bounds = [b + step for b, step in ((p.ge, -1), (p.le, 1)) if b is not None]
    return [*kinds[p.type], *bounds, *([p.choices[0][:-1] + "#"] if p.choices else [])]


@pytest.mark.parametrize(
    "field",
    ["", "a b", "_id", "_x", "__class__", "a.b", "$x", "id", "filepath", "tags", "metadata"],
)
def test_names_that_no_field_can_have_are_refused(samples, field):
    before = state(samples)
    for start in (
        lambda: segment_job.everything(samples, field),
        lambda: segment_job.from_prompts(samples, field, boxes="boxes"),
        lambda: proposals_to_labels.promote(samples, "boxes", field),
    ):
        with pytest.raises(ValueError, match=r"cannot be a field|is no field of"):
            list(start())
    assert state(samples) == before


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (lambda s: segment_job.everything(s, "p", existing="skp"), "do you mean skip"),
        (lambda s: segment_job.everything(s, "p", batch=0), "batch must be at least 1, got 0"),
        (lambda s: segment_job.everything(s, "p", model=5), "model must be text, got 5"),
        (lambda s: segment_job.everything(s, 5), "field must be text, got 5"),
        (lambda s: segment_job.everything("d", "p"), "works on a dataset or view, not on str"),
        (lambda s: segment_job.from_prompts(s, "p", boxes=["boxes"]), "boxes must be text"),
        (
            lambda s: segment_job.from_prompts(s, "p", boxes="boxes", proposals="none"),
            "none is no field of detections or polylines",
        ),
        (
            lambda s: segment_job.from_prompts(s, "p", boxes="boxes", only=["zzz"]),
            "only must hold ids of labels, got 'zzz'",
        ),
        (
            lambda s: segment_job.from_prompts(s, "p", boxes="boxes", only=["a" * 24]),
            "no label of boxes has an id that only names",
        ),
        (
            lambda s: proposals_to_labels.promote(s, "boxes", "p", existing="x"),
            "existing must be one of",
        ),
        (lambda s: proposals_to_labels.promote(s, 5, "p"), "proposals must be text, got 5"),
        (lambda s: recall.run(s, "boxes", "boxes", 5), "eval_key must be text, got 5"),
        (lambda s: recall.run(s, "boxes", "boxes", "a b"), "'a b' cannot be a key"),
        (lambda s: recall.run(s, "boxes", "boxes", "r", -5), "max_proposals must be at least 1"),
        (lambda s: recall.run(s, "boxes", "boxes", "r", overwrite="no"), "overwrite must be true"),
        (
            lambda s: coco_transfer.export(s, "boxes", "/no/x.json", overwrite=1),
            "overwrite must be",
        ),
        (lambda s: coco_transfer.import_(s, "p", "/no/x.json"), "there is no file /no/x.json"),
    ],
)
def test_functions_refuse_what_the_operators_refuse(samples, start, message):
    before = state(samples)
    with pytest.raises(ValueError, match=re.escape(message)):
        start(samples)
    assert state(samples) == before


@pytest.mark.parametrize("name", ["export_proposals", "import_proposals"])
@pytest.mark.parametrize("path", ["out.json", "../out.json", "/tmp/../out.json", "~/../out.json"])
def test_the_server_takes_paths_in_full(samples, name, path):
    asked = {"path": path, "field": "boxes" if name == "export_proposals" else "new"}
    with pytest.raises(ValueError, match=r"^path must be (in full|without \.\.)"):
        executed(samples, name, **asked)
    assert form(samples, name, **asked)[1].startswith("Path must be ")


def test_from_python_a_path_may_begin_in_the_working_folder(samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = operator("export_proposals")(samples, field="boxes", path="out.json")
    assert report.written == str(tmp_path / "out.json")
    assert operator("import_proposals")(samples, field="new", path="out.json").done == 2


def test_the_app_is_told_where_an_export_went_and_asked_before_a_file_is_replaced(
    samples, tmp_path
):
    asked = {"field": "boxes", "path": str(tmp_path / "out.json")}
    assert "overwrite" not in form(samples, "export_proposals", **asked)[0]
    told = executed(samples, "export_proposals", **asked)
    (message,) = (t.body.params["message"] for t in told if "message" in t.body.params)
    assert message == f"2 samples, 2 instances; written to {tmp_path / 'out.json'}"
    fields, problem = form(samples, "export_proposals", **asked)
    assert "overwrite" in fields
    assert problem.startswith(f"There is a file {tmp_path / 'out.json'} already")
    executed(samples, "export_proposals", overwrite=True, **asked)


def test_what_a_form_holds_beside_parameters_is_no_unknown_name(samples):
    shown = {"problem": None, "warning": None, "only": None, "more": True}
    ctx = context(samples, "export_proposals", field="boxes", path="/tmp/a", **shown)
    with pytest.raises(ValueError, match="has to end in"):
        list(operator("export_proposals").execute(ctx))


def test_only_is_for_prompts(samples):
    with pytest.raises(ValueError, match="segment_everything has no parameter only"):
        operator("segment_everything")(samples, field="p", only=["a" * 24])
    with pytest.raises(ValueError, match="only must be a list of ids of labels, got 5"):
        operator("segment_from_prompts")(samples, field="p", boxes="boxes", only=5)


def test_what_runs_the_network_can_be_chosen(samples):
    few, _ = form(samples, "segment_everything")
    more, _ = form(samples, "segment_everything", more=True)
    assert {"backend", "precision"} & few.keys() == set()
    assert {"backend", "precision"} <= more.keys()
    asked = {"imgsz": 64, "backend": "torch", "precision": "bf16"}
    executed(samples, "segment_everything", field="halves", **asked)
    assert sample_segmenter.loaded.cache_info().currsize == 1
    assert "halves" in samples.get_field_schema()
    with pytest.raises(ValueError, match="nothing here runs a network in f16 on cpu by torch"):
        executed(samples, "segment_everything", field="none", **asked | {"precision": "f16"})
    assert "none" not in samples.get_field_schema()
