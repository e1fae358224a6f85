"""FiftyOne's operators: a form each from ``options.py``, and a call of the room that does the work.

Every operator works on its target (dataset, view or selection), at once with progress in the App
or delegated. What cannot work is said in the form before it is run. From Python an operator is
called: ``foo.get_operator("@fastsam-plugins/fastsam/segment_everything")(view, field="found")``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from fastsam_plugins.checkpoints import WeightsError
from fastsam_plugins.options import (
    CleanOptions,
    Options,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TextOptions,
    TileOptions,
    WeightsOptions,
    parameters,
)
from fiftyone_plugin import forms, labels, promoting, prompts, recall, segmenting, transfer
from fiftyone_plugin.segmenting import Report
from fiftyone_plugin.storage import StoreOptions

MODELS = ("FastSAM-n", "FastSAM-s", "FastSAM-x")


class Operation(foo.Operator):
    """What all operators share: target, checked form, progress, report, the call from Python."""

    name_: str
    label_: str
    help_: str
    risk_ = types.RiskLevel.MEDIUM  # writes fields of its own

    @property
    def config(self) -> foo.OperatorConfig:
        """How the App lists it."""
        return foo.OperatorConfig(
            name=self.name_,
            label=self.label_,
            description=self.help_,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=self.risk_,
        )

    @abstractmethod
    def form(self, ctx: Any, inputs: types.Object) -> None:
        """Add the fields of the form."""

    @abstractmethod
    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:
        """Check everything, and give the work, which is done as it is iterated.

        Parameters
        ----------
        params : dict
            What the form or the program gave.
        view : dataset or view
        selected : list of str
            Ids of selected labels.

        Raises
        ------
        ValueError
            One line that says what is wrong.
        """

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form, with what is wrong with it."""
        inputs = types.Object()
        view = ctx.target_view()
        self.form(ctx, inputs)
        try:
            self.start(ctx.params, view, _selected(ctx))
        except (ValueError, WeightsError) as error:
            problem = inputs.view("problem", types.Error(label=_sentence(error)))
            problem.invalid = True
        return types.Property(inputs, view=types.View(label=self.label_))

    def execute(self, ctx: Any) -> Iterator[Any]:
        """Do the work, telling how far it is."""
        report = Report()
        for report in self.start(ctx.params, ctx.target_view(), _selected(ctx)):
            share = report.done / max(report.total, 1)
            label = f"{report.done} of {report.total} samples" if report.done else "Starting"
            if ctx.delegated:
                ctx.set_progress(progress=share, label=label)
            else:
                yield ctx.ops.set_progress(label=label, progress=share)
        if not ctx.delegated:
            yield ctx.ops.notify(_told(report), variant="warning" if report.failed else "success")
            yield ctx.ops.reload_dataset()

    def __call__(self, view: Any, delegate: bool = False, **params: Any) -> Report | Any:
        """Run it from Python.

        Parameters
        ----------
        view : dataset or view
        delegate : bool
            Schedule it for ``fiftyone delegated launch`` instead.
        **params
            Names and values as in the form; ``only``, ids of labels, stands for those selected.

        Returns
        -------
        Report
            Or, if delegated, what FiftyOne says of the scheduled operation.

        Raises
        ------
        ValueError
            If something is wrong with the parameters.
        """
        only = params.pop("only", [])
        if delegate:
            context = {"dataset": view} if isinstance(view, fo.Dataset) else {"view": view}
            return foo.execute_operator(
                self.uri, {**context, "selected_labels": [{"label_id": i} for i in only]},
                params=params, request_delegation=True,
            )  # fmt: skip
        *_, report = self.start(params, view, list(only))
        return report


class SegmentEverything(Operation):
    """All instances of every sample."""

    name_, label_ = "segment_everything", "FastSAM: segment everything"
    help_ = "Find all instances of every image"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        _target(ctx, inputs, "proposals")
        _model(ctx, inputs)
        _options(ctx, inputs, (SegmentOptions, StoreOptions, ReadOptions), ("imgsz", "conf"))

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        return segmenting.everything(
            view, params.get("field") or "proposals", **_network(params),
            storing=forms.read(params, StoreOptions),
        )  # fmt: skip


class SegmentFromPrompts(Operation):
    """One instance for each box or keypoint, or those that fit a text."""

    name_, label_ = "segment_from_prompts", "FastSAM: segment from prompts"
    help_ = "Find the instances that boxes, points or words ask for, or the selected labels"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        _target(ctx, inputs, "prompted")
        _field(ctx, inputs, "boxes", "Boxes", (fo.Detections,), "Every box is a prompt")
        _field(
            ctx, inputs, "points", "Points", (fo.Keypoints,),
            "Every keypoint is a prompt; its list sam_labels says which points are foreground",
        )  # fmt: skip
        inputs.str(
            "text", required=False, label="Text",
            description="What to look for, such as: a dog; a cat. Instead of boxes and points",
        )  # fmt: skip
        if ctx.params.get("text"):
            inputs.str(
                "negatives", required=False, label="Negatives",
                description="What resembles one of these more than the text is not selected",
            )  # fmt: skip
        _field(
            ctx, inputs, "proposals", "Kept proposals", labels.KINDS,
            "Where segmentations of this field were kept, the network is not asked again",
        )  # fmt: skip
        if _selected(ctx):
            inputs.view("only", types.Notice(label="Only the selected labels are prompts"))
        _model(ctx, inputs)
        how = TextOptions if ctx.params.get("text") else PromptOptions
        _options(
            ctx, inputs, (how, SegmentOptions, StoreOptions, ReadOptions),
            ("points_mode", "boxes_mode", "imgsz", "top_k", "threshold", "features", "clip"),
            leave_out=("keep",),
        )  # fmt: skip

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        return segmenting.from_prompts(
            view, params.get("field") or "prompted",
            boxes=params.get("boxes"), points=params.get("points"), only=set(selected) or None,
            proposals=params.get("proposals"), prompting=forms.read(params, PromptOptions),
            storing=forms.read(params, StoreOptions), **_network(params),
            words=prompts.Words.of(
                params.get("text"), params.get("negatives"), forms.read(params, TextOptions)
            ),
        )  # fmt: skip


class EvaluateProposals(Operation):
    """Average recall."""

    name_, label_ = "evaluate_proposals", "FastSAM: evaluate proposals"
    help_ = "Class-agnostic average recall of boxes and masks"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        _field(ctx, inputs, "proposals", "Proposals", labels.KINDS, "What was found", True)
        _field(ctx, inputs, "truth", "Ground truth", labels.KINDS, "What is to be found", True)
        inputs.str(
            "eval_key", default="recall", required=False, label="Name of the run",
            description="Fields of results begin with it; the Model Evaluation panel lists it",
        )  # fmt: skip
        inputs.int("max_proposals", default=1000, min=1, label="Proposals of an image")
        if ctx.dataset.has_evaluation(ctx.params.get("eval_key") or "recall"):
            inputs.bool("overwrite", default=False, label="Replace the run of this name")

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        return recall.run(
            view, _needed(params, "proposals"), _needed(params, "truth"),
            params.get("eval_key") or "recall", params.get("max_proposals") or 1000,
            params.get("overwrite", False),
        )  # fmt: skip


class ProposalsToLabels(Operation):
    """Proposals to labels."""

    name_, label_ = "proposals_to_labels", "FastSAM: proposals to labels"
    help_ = "Choose proposals by score, area and overlap, and write them to another field"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        _field(ctx, inputs, "proposals", "Proposals", labels.KINDS, "What to choose from", True)
        _target(ctx, inputs, "labels", ("skip", "overwrite", "append"))
        _field(ctx, inputs, "truth", "Ground truth", labels.KINDS, "What is labelled already")
        _options(
            ctx, inputs, (promoting.PromoteOptions, CleanOptions, StoreOptions),
            ("label", "min_score", "max_truth_iou", "mask_iou"), leave_out=("keep",),
        )  # fmt: skip

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        return promoting.promote(
            view, _needed(params, "proposals"), params.get("field") or "labels",
            forms.read(params, promoting.PromoteOptions), forms.read(params, CleanOptions),
            params.get("truth"), forms.read(params, StoreOptions),
            params.get("existing") or "refuse",
        )  # fmt: skip


class ExportProposals(Operation):
    """To COCO."""

    name_, label_ = "export_proposals", "FastSAM: export proposals"
    help_ = "Write a field as COCO JSON with RLE masks"
    risk_ = types.RiskLevel.LOW

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        _field(ctx, inputs, "field", "Field", labels.KINDS, "What to write", True)
        _path(inputs, "File to write, ending in .json")

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        return transfer.export(view, _needed(params, "field"), _needed(params, "path"))


class ImportProposals(Operation):
    """From COCO."""

    name_, label_ = "import_proposals", "FastSAM: import proposals"
    help_ = "Read a COCO JSON with instances into a field"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        _path(inputs, "COCO file; images are found by sample_id or by file name")
        _target(ctx, inputs, "imported", ("skip", "overwrite", "append"))
        forms.add(inputs, StoreOptions, leave_out=["keep"])

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        return transfer.import_(
            view, params.get("field") or "imported", _needed(params, "path"),
            forms.read(params, StoreOptions), params.get("existing") or "refuse",
        )  # fmt: skip


OPERATORS = (
    SegmentEverything, SegmentFromPrompts, EvaluateProposals, ProposalsToLabels, ExportProposals,
    ImportProposals,
)  # fmt: skip


# --- parts of forms -----------------------------------------------------------------------------


def _target(
    ctx: Any, inputs: types.Object, default: str, ways: tuple[str, ...] = ("skip", "overwrite")
) -> None:
    """The field to write and, if samples have labels in it, what to do with them."""
    inputs.str("field", default=default, required=False, label="Field to write")
    field = ctx.params.get("field") or default
    if field not in ctx.dataset.get_field_schema():
        return
    count = len(ctx.dataset.exists(field))
    if count:
        inputs.enum(
            "existing", list(ways), required=True, label="Labels that are there",
            description=f"{count} samples have labels in {field} already",
        )  # fmt: skip
        if ctx.params.get("existing") == "overwrite":
            inputs.view("warning", types.Warning(label=f"Labels in {field} will be replaced"))


def _field(
    ctx: Any, inputs: types.Object, name: str, label: str, kinds: tuple[type, ...], help: str,
    required: bool = False,
) -> None:  # fmt: skip
    """A choice of those fields of the dataset that are of some kind."""
    usable = labels.fields(ctx.dataset, kinds)
    inputs.enum(name, usable, required=required, label=label, description=help)


def _model(ctx: Any, inputs: types.Object) -> None:
    view = types.AutocompleteView()
    for name in MODELS:
        view.add_choice(name, label=name)
    inputs.str(
        "model", default=MODELS[0], required=False, label="Model", view=view,
        description="FastSAM-n (bundled), FastSAM-s, FastSAM-x, or a .pt or .safetensors file",
    )  # fmt: skip
    forms.add(inputs, WeightsOptions, leave_out=("connect_timeout", "read_timeout"))
    inputs.int("batch", default=8, min=1, label="Batch", description="Images saved together")
    help = "Look at images in windows: for those too large for one look"
    inputs.bool("tiled", default=False, label="In windows", description=help)
    if ctx.params.get("tiled"):
        forms.add(inputs, TileOptions)


def _options(
    ctx: Any, inputs: types.Object, classes: Sequence[type[Options]], first: Sequence[str],
    leave_out: Sequence[str] = (),
) -> None:  # fmt: skip
    """Fields of options: those that most people set, and all if they are asked for."""
    every = [p.name for c in classes for p in parameters(c)]
    for c in classes:
        forms.add(inputs, c, leave_out=[n for n in every if n not in first])
    inputs.bool("more", default=False, label="More options")
    if ctx.params.get("more"):
        for c in classes:
            forms.add(inputs, c, leave_out=(*first, *leave_out))


def _path(inputs: types.Object, help: str) -> None:
    inputs.str("path", required=True, label="File", description=help)


# --- what forms gave ----------------------------------------------------------------------------


def _network(params: dict[str, Any]) -> dict[str, Any]:
    """What the operators that may ask the network have in common."""
    return {
        "model": _allowed(params),
        "segmenting": forms.read(params, SegmentOptions),
        "reading": forms.read(params, ReadOptions),
        "existing": params.get("existing") or "refuse",
        "batch": params.get("batch") or 8,
        "tiling": forms.read(params, TileOptions) if params.get("tiled") else None,
    }


def _allowed(params: dict[str, Any]) -> Any:
    """The name of the network; the network itself where its file is to be used as it is."""
    name = params.get("model") or MODELS[0]
    unknown = forms.read(params, WeightsOptions).allow_unknown_weights
    return segmenting.loaded(name, allow_unknown_weights=True) if unknown else name


def _needed(params: dict[str, Any], name: str) -> str:
    value = params.get(name)
    if not value:
        raise ValueError(f"choose {name}")
    return str(value)


def _selected(ctx: Any) -> list[str]:
    return [label["label_id"] for label in ctx.selected_labels or []]


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def _told(report: Report) -> str:
    """One line for the person."""
    text = f"{report.done - len(report.failed)} samples, {report.instances} instances"
    if report.skipped:
        text += f", {report.skipped} skipped"
    if report.failed:
        text += f", {len(report.failed)} failed: {next(iter(report.failed.values()))}"
    return text
