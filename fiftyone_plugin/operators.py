"""FiftyOne's operators: a form each from ``options.py``, and a call of the room that does the work.

Every operator works on its target (dataset, view or selection), at once with progress in the App
or delegated. What cannot work is said in the form before it is run. From Python an operator is
called: ``foo.get_operator("@fastsam-plugins/fastsam/segment_everything")(view, field="found")``.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from fastsam_plugins.checkpoints import WeightsError
from fastsam_plugins.options import (
    CleanOptions,
    LimitOptions,
    Options,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TextOptions,
    check_names,
)
from fiftyone_plugin import (
    colours,
    forms,
    given,
    labels,
    promoting,
    prompts,
    recall,
    segmenting,
    telling,
    transfer,
)
from fiftyone_plugin import form_parts as parts
from fiftyone_plugin import parameters as own
from fiftyone_plugin.running import StopSign
from fiftyone_plugin.saving import Report
from fiftyone_plugin.storage import StoreOptions

NOTICES = ("problem", "warning", "only", "more")
"""What forms hold beside parameters: the App may send it."""


class Operation(foo.Operator):
    """What all operators share: target, checked form, progress, report, the call from Python."""

    name_: str
    label_: str
    help_: str
    options_: tuple[type[Options], ...]  # all its parameters are fields of these
    by_labels_ = False  # whether selected labels are what it works on
    writes_ = ""  # the field of labels that is written unless another is named
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
            disable_schema_validation=True,  # the check of the options says what is wrong
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
        view = self._target(ctx)
        self.form(ctx, inputs)
        if _is_streamed(ctx):  # no form any more: what is wrong is told in the stream
            return types.Property(inputs, view=types.View(label=self.label_))
        try:
            self._checked(ctx, view)
        except (ValueError, OSError, WeightsError) as error:
            text = telling.sentence(error)
            problem = inputs.view("problem", types.Error(label=text))
            problem.invalid, problem.error_message = True, text
        return types.Property(inputs, view=types.View(label=self.label_))

    def execute(self, ctx: Any) -> Iterator[Any]:
        """Do the work, telling how far it is.

        An error ends a delegated run, which FiftyOne marks as failed. Where a browser or a program
        reads a stream, it is the last thing told.
        """
        try:
            yield from self._execute(ctx)
        except Exception as error:
            if ctx.delegated:
                ctx.set_progress(label=f"Failed: {telling.sentence(error)}")
            if not _is_streamed(ctx):
                raise
            yield from telling.failed(ctx, error)

    def _execute(self, ctx: Any) -> Iterator[Any]:
        clock, sign, last = telling.Clock(), StopSign(ctx.dataset), 0.0

        def work() -> Iterator[Report]:
            yield from self._checked(ctx, self._target(ctx))

        def tell(share: float, line: str) -> Iterator[Any]:
            if ctx.delegated:
                ctx.set_progress(progress=share, label=line)
            else:
                yield telling.progress(ctx, share, line)

        report = None
        yield from tell(*telling.how_far(report, clock))
        for report in telling.watched(work()):
            if report is not None and sign.is_up():
                report.stop = True
            if time.monotonic() - last >= telling.EVERY / 2:
                last = time.monotonic()
                yield from tell(*telling.how_far(report, clock))
        assert report is not None
        if ctx.delegated:
            ctx.set_progress(progress=1.0, label=telling.told(report))
            return
        self._colour(ctx.dataset, ctx.params)
        yield from telling.outcome(ctx, report)
        yield ctx.ops.reload_dataset()

    def _colour(self, dataset: fo.Dataset, params: dict[str, Any]) -> None:
        """Have the App show what was written so that objects can be told apart."""
        if name := params.get("field") or self.writes_:
            colours.by_instance(dataset, name)

    def _target(self, ctx: Any) -> Any:
        """The samples to work on."""
        view = ctx.target_view()
        if self.by_labels_ and ctx.request_params.get("view_target") == "SELECTED_LABELS":
            return ctx.view  # which labels are selected, the work itself knows
        return view

    def _checked(self, ctx: Any, view: Any) -> Iterator[Report]:
        """The work that a form, or a program that speaks to the server, asks for."""
        self._check(n for n in ctx.params if n not in NOTICES)
        if "path" in own.names(*self.options_):
            given.check_path(ctx.params.get("path"))
        return self.start(ctx.params, view, _selected(ctx))

    def _check(self, sent: Iterable[str]) -> None:
        check_names(sent, own.names(*self.options_))

    def __call__(self, view: Any, delegate: bool = False, **params: Any) -> Report | Any:
        """Run it from Python.

        Parameters
        ----------
        view : dataset or view
        delegate : bool
            Schedule it for ``fiftyone delegated launch`` instead.
        **params
            Names and values as in the form; ``only``, ids of labels, stands for those selected. A
            ``path`` may be relative to the working folder.

        Returns
        -------
        Report
            Or, if delegated, what FiftyOne says of the scheduled operation.

        Raises
        ------
        ValueError
            If something is wrong with the parameters.
        """
        only = params.pop("only", None)
        if only is not None and not isinstance(only, list | tuple | set | frozenset):
            raise ValueError(f"only must be a list of ids of labels, got {only!r}")
        if only and not self.by_labels_:
            raise ValueError(f"{self.name_} has no parameter only: give a view of the labels")
        only = list(only or [])
        self._check(params)
        if not isinstance(delegate, bool):
            raise ValueError(f"delegate must be true or false, got {delegate!r}")
        if isinstance(params.get("path"), str) and params["path"]:
            params["path"] = str(transfer.absolute(params["path"]))
        if delegate:
            context = {"dataset": view} if isinstance(view, fo.Dataset) else {"view": view}
            return foo.execute_operator(
                self.uri, {**context, "selected_labels": [{"label_id": i} for i in only]},
                params=params, request_delegation=True,
            )  # fmt: skip
        *_, report = self.start(params, view, only)
        self._colour(view._dataset, params)
        return report


class SegmentEverything(Operation):
    """All instances of every sample."""

    name_, label_ = "segment_everything", "FastSAM: segment everything"
    help_ = "Find all instances of every image"
    options_ = (*given.NETWORK, StoreOptions)
    writes_ = "proposals"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.target(ctx, inputs, "proposals")
        parts.model(ctx, inputs)
        parts.options(ctx, inputs, (SegmentOptions, StoreOptions, ReadOptions, LimitOptions),
                      ("conf", "imgsz", "max_det"))  # fmt: skip
        parts.seldom(ctx, inputs)

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        return segmenting.everything(
            view, **given.network(params, "proposals"), storing=forms.read(params, StoreOptions)
        )


class SegmentFromPrompts(Operation):
    """One instance for each box or keypoint, or those that fit a text."""

    name_, label_ = "segment_from_prompts", "FastSAM: segment from prompts"
    help_ = "Find the instances that boxes, points or words ask for, or the selected labels"
    options_ = (*given.NETWORK, own.PromptFields, prompts.TextPrompt, PromptOptions, TextOptions,
                StoreOptions)  # fmt: skip
    by_labels_ = True
    writes_ = "prompted"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.target(ctx, inputs, "prompted")
        parts.field(ctx, inputs, "boxes", "Boxes", (fo.Detections,), "Every box is a prompt")
        parts.field(
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
        parts.field(
            ctx, inputs, "proposals", "Kept proposals", labels.KINDS,
            "Where segmentations of this field were kept, the network is not asked again",
        )  # fmt: skip
        if _selected(ctx):
            inputs.view("only", types.Notice(label="Only the selected labels are prompts"))
        parts.model(ctx, inputs)
        how = TextOptions if ctx.params.get("text") else PromptOptions
        parts.options(
            ctx, inputs, (how, SegmentOptions, StoreOptions, ReadOptions, LimitOptions),
            ("points_mode", "boxes_mode", "conf", "imgsz", "top_k", "threshold", "features",
             "clip"),
            leave_out=("keep",),
        )  # fmt: skip
        parts.seldom(ctx, inputs)

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        asked = forms.read(params, own.PromptFields)
        return segmenting.from_prompts(
            view, **given.network(params, "prompted"), boxes=asked.boxes, points=asked.points,
            only=set(selected) or None, proposals=asked.proposals,
            asked={name for name, value in params.items() if value not in (None, "")},
            prompting=forms.read(params, PromptOptions), storing=forms.read(params, StoreOptions),
            words=prompts.Words.of(
                params.get("text"), params.get("negatives"), forms.read(params, TextOptions)
            ),
        )  # fmt: skip


class EvaluateProposals(Operation):
    """Average recall."""

    name_, label_ = "evaluate_proposals", "FastSAM: evaluate proposals"
    help_ = "Class-agnostic average recall of boxes and masks"
    options_ = (own.EvaluateOptions,)

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.field(ctx, inputs, "proposals", "Proposals", labels.KINDS, "What was found", True)
        parts.field(ctx, inputs, "truth", "Ground truth", labels.KINDS, "What is to be found", True)
        key = str(ctx.params.get("eval_key") or "recall")
        there = ctx.dataset.has_evaluation(key)
        leave_out = ["proposals", "truth", *([] if there else ["overwrite"])]
        forms.add(inputs, own.EvaluateOptions, leave_out)

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        asked = given.needed(forms.read(params, own.EvaluateOptions), "proposals", "truth")
        return recall.run(
            view, asked.proposals, asked.truth, asked.eval_key, asked.max_proposals,
            asked.overwrite,
        )  # fmt: skip

    def _colour(self, dataset: fo.Dataset, params: dict[str, Any]) -> None:
        asked = forms.read(params, own.EvaluateOptions)
        colours.by_instance(dataset, asked.proposals)
        colours.missed(dataset, asked.truth, asked.eval_key)


class ProposalsToLabels(Operation):
    """Proposals to labels."""

    name_, label_ = "proposals_to_labels", "FastSAM: proposals to labels"
    help_ = "Choose proposals by score, area and overlap, and write them to another field"
    options_ = (promoting.Fields, own.WriteOptions, promoting.PromoteOptions, CleanOptions,
                StoreOptions)  # fmt: skip
    by_labels_ = True
    writes_ = "labels"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.field(
            ctx, inputs, "proposals", "Proposals", labels.KINDS, "What to choose from", True
        )
        parts.target(ctx, inputs, "labels", ("skip", "overwrite", "append"))
        if _selected(ctx):
            inputs.view("only", types.Notice(label="Only the selected labels are chosen from"))
        parts.field(ctx, inputs, "truth", "Ground truth", labels.KINDS, "What is labelled already")
        parts.options(
            ctx, inputs, (promoting.PromoteOptions, CleanOptions, StoreOptions),
            ("label", "min_score", "max_truth_iou", "mask_iou"), leave_out=("keep",),
        )  # fmt: skip

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        asked = given.needed(forms.read(params, promoting.Fields), "proposals")
        return promoting.promote(
            view, asked.proposals, **given.written(params, "labels"),
            options=forms.read(params, promoting.PromoteOptions),
            cleaning=forms.read(params, CleanOptions), truth=asked.truth,
            storing=forms.read(params, StoreOptions), only=set(selected) or None,
        )  # fmt: skip


class ExportProposals(Operation):
    """To COCO."""

    name_, label_ = "export_proposals", "FastSAM: export proposals"
    help_ = "Write a field as COCO JSON with RLE masks"
    options_ = (own.ExportOptions,)
    risk_ = types.RiskLevel.LOW

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.field(ctx, inputs, "field", "Field", labels.KINDS, "What to write", True)
        parts.path(inputs, own.ExportOptions)
        if parts.is_file(ctx.params.get("path")):
            forms.add(inputs, own.ExportOptions, ("field", "path"))

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        asked = given.needed(forms.read(params, own.ExportOptions), "field", "path")
        return transfer.export(view, asked.field, asked.path, asked.overwrite)


class ImportProposals(Operation):
    """From COCO."""

    name_, label_ = "import_proposals", "FastSAM: import proposals"
    help_ = "Read a COCO JSON with instances into a field"
    options_ = (own.ImportOptions, own.WriteOptions, StoreOptions)
    writes_ = "imported"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.path(inputs, own.ImportOptions)
        parts.target(ctx, inputs, "imported", ("skip", "overwrite", "append"))
        forms.add(inputs, StoreOptions, leave_out=["keep"])

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        asked = given.needed(forms.read(params, own.ImportOptions), "path")
        return transfer.import_(
            view, path=asked.path, **given.written(params, "imported"),
            storing=forms.read(params, StoreOptions),
        )  # fmt: skip


class Stop(foo.Operator):
    """The end of what is going on."""

    name_, label_ = "stop", "FastSAM: stop"

    @property
    def config(self) -> foo.OperatorConfig:
        """How the App lists it."""
        return foo.OperatorConfig(
            name=self.name_, label=self.label_, risk_level=types.RiskLevel.LOW,
            description="End FastSAM's runs on this dataset, and keep what they have done",
        )  # fmt: skip

    def execute(self, ctx: Any) -> None:
        """Ask for it."""
        StopSign(ctx.dataset).put_up()
        ctx.ops.notify("Stopping: what is done is kept", variant="info")


OPERATORS = (
    SegmentEverything, SegmentFromPrompts, EvaluateProposals, ProposalsToLabels, ExportProposals,
    ImportProposals, Stop,
)  # fmt: skip


def _selected(ctx: Any) -> list[str]:
    return [label["label_id"] for label in ctx.selected_labels or []]


def _is_streamed(ctx: Any) -> bool:
    """Whether a browser or a program reads what is told line by line; FiftyOne's server says so."""
    request = ctx.request_params
    asked = "operator_uri" in request and "target" not in request
    return asked and not (ctx.delegated or ctx.requesting_delegated_execution or ctx.pipeline)
