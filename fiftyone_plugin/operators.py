"""FiftyOne's operators: a form each from ``options.py``, and a call of the room that does the work.

Every operator works on its target (dataset, view or selection), at once with progress in the App
or delegated. What cannot work is said in the form before it is run. From Python an operator is
called: ``foo.get_operator("@fastsam-plugins/fastsam/segment_everything")(view, field="found")``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from fastsam_plugins.options import (
    CleanOptions,
    ExemplarOptions,
    LimitOptions,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TextOptions,
    WeightsOptions,
)
from fiftyone_plugin import (
    coco_transfer,
    colours,
    form_values,
    forms,
    handed_over,
    labels,
    prompts,
    proposals_to_labels,
    recall,
    segment_job,
    similar_labels,
    similarity_index,
)
from fiftyone_plugin import form_parts as parts
from fiftyone_plugin import parameters as own
from fiftyone_plugin.operation import Operation, selected_labels
from fiftyone_plugin.run_owner import StopSign
from fiftyone_plugin.save_job import Report
from fiftyone_plugin.storage import StoreOptions

KEY = own.IndexOptions.brain_key


def filled_in(params: dict[str, Any]) -> set[str]:
    """Names of what a form or a program gave."""
    return {name for name, value in params.items() if value not in (None, "")}


class SegmentEverything(Operation):
    """All instances of every sample."""

    name_, label_ = "segment_everything", "FastSAM: segment everything"
    help_ = "Find all instances of every image"
    options_ = (*form_values.NETWORK, StoreOptions, own.HandOverOptions)
    writes_ = "proposals"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.target(ctx, inputs, "proposals")
        parts.model(ctx, inputs)
        parts.options(ctx, inputs, (SegmentOptions, StoreOptions, ReadOptions, LimitOptions,
                                    own.HandOverOptions), ("conf", "imgsz", "max_det"))  # fmt: skip
        parts.seldom(ctx, inputs)

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        storing = forms.read(params, StoreOptions)
        handing = forms.read(params, own.HandOverOptions)
        if handing.cluster:
            return handed_over.everything(
                view, form_values.settings(params), handing, storing,
                **form_values.written(params, "proposals"),
            )  # fmt: skip
        return segment_job.everything(
            view, **form_values.network(params, "proposals"), storing=storing
        )


class SegmentFromPrompts(Operation):
    """One instance for each box, keypoint, mask or line, or those that fit a text."""

    name_, label_ = "segment_from_prompts", "FastSAM: segment from prompts"
    help_ = "Find what boxes, points, masks, lines or words ask for, or the selected labels"
    options_ = (*form_values.NETWORK, own.PromptFields, prompts.TextFields, PromptOptions,
                TextOptions, StoreOptions)  # fmt: skip
    by_labels_ = True
    writes_ = "prompted"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.target(ctx, inputs, "prompted")
        parts.field(ctx, inputs, "boxes", "Boxes", (fo.Detections,), "Every box is a prompt")
        parts.field(
            ctx, inputs, "points", "Points", (fo.Keypoints,),
            "Every keypoint is a prompt; its list sam_labels says which points are foreground",
        )  # fmt: skip
        parts.field(
            ctx, inputs, "masks", "Masks or lines", labels.KINDS,
            "Every rough mask or closed polyline, or open polyline drawn over an object, is "
            "predicted anew. Instead of boxes and points",
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
        if selected_labels(ctx):
            inputs.view("only", types.Notice(label="Only the selected labels are prompts"))
        parts.model(ctx, inputs)
        how = TextOptions if ctx.params.get("text") else PromptOptions
        parts.options(
            ctx, inputs, (how, SegmentOptions, StoreOptions, ReadOptions, LimitOptions),
            ("points_mode", "boxes_mode", "conf", "imgsz", "top_k", "threshold", "features", "head",
             "clip"),
            leave_out=("keep", "iou_pred"),
        )  # fmt: skip
        parts.seldom(ctx, inputs)

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        asked = forms.read(params, own.PromptFields)
        return segment_job.from_prompts(
            view, **form_values.network(params, "prompted"), boxes=asked.boxes, points=asked.points,
            masks=asked.masks, only=set(selected) or None, proposals=asked.proposals,
            asked=filled_in(params),
            prompting=forms.read(params, PromptOptions), storing=forms.read(params, StoreOptions),
            words=prompts.Words.of(
                params.get("text"), params.get("negatives"), forms.read(params, TextOptions)
            ),
        )  # fmt: skip


class FindSimilar(Operation):
    """All instances like some labels."""

    name_, label_ = "find_similar", "FastSAM: find all like this"
    help_ = "Find all instances like the selected labels, in their samples or in all"
    options_ = (own.WriteOptions, own.ExampleFields, ExemplarOptions, SegmentOptions, ReadOptions,
                LimitOptions, WeightsOptions, StoreOptions)  # fmt: skip
    by_labels_ = True
    writes_ = "alike"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.target(ctx, inputs, "alike")
        chosen = {label["field"] for label in ctx.selected_labels or [] if label.get("field")}
        parts.field(
            ctx, inputs, "examples", "Examples", similar_labels.KINDS,
            "Field of the labels that others are to be like", True,
            default=chosen.pop() if len(chosen) == 1 else None,
        )  # fmt: skip
        if selected_labels(ctx):
            inputs.view("only", types.Notice(label="Only the selected labels are examples"))
        forms.add(inputs, own.ExampleFields, ("examples", "model", "proposals"))
        parts.field(
            ctx, inputs, "proposals", "Kept proposals", labels.KINDS,
            "Where segmentations of this field were kept, the network is not asked again",
        )  # fmt: skip
        parts.model(ctx, inputs, windows=False)
        parts.options(
            ctx, inputs, (ExemplarOptions, SegmentOptions, StoreOptions, ReadOptions, LimitOptions),
            ("top_k", "threshold", "conf", "imgsz"), leave_out=("keep",),
        )  # fmt: skip
        parts.seldom(ctx, inputs)

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        asked = form_values.needed(forms.read(params, own.ExampleFields), "examples")
        how = form_values.network(params, "alike")
        del how["tiling"]
        return similar_labels.find(
            view, **how, examples=asked.examples, only=set(selected) or None, across=asked.across,
            options=forms.read(params, ExemplarOptions), proposals=asked.proposals,
            storing=forms.read(params, StoreOptions), asked=filled_in(params),
        )  # fmt: skip


class IndexLabels(Operation):
    """An index for FiftyOne's sort by similarity."""

    name_, label_ = "index_labels", "FastSAM: index labels for similarity"
    help_ = "Have FiftyOne sort labels by how alike they are"
    options_ = (own.IndexOptions, ReadOptions, LimitOptions, WeightsOptions)
    by_labels_ = True

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.field(
            ctx, inputs, "labels", "Labels", similar_labels.KINDS, "What is to be compared", True
        )
        if selected_labels(ctx):
            inputs.view("only", types.Notice(label="Only the selected labels will be in it"))
        there = ctx.dataset.has_brain_run(str(ctx.params.get("brain_key") or KEY))
        hidden = ["labels", "model", "proposals", "batch", *([] if there else ["overwrite"])]
        forms.add(inputs, own.IndexOptions, hidden)
        parts.field(
            ctx, inputs, "proposals", "Kept proposals", labels.KINDS,
            "Where segmentations of this field were kept, the network is not asked again",
        )  # fmt: skip
        parts.model(ctx, inputs, windows=False)
        parts.options(ctx, inputs, (ReadOptions, LimitOptions), ())
        if ctx.params.get("more"):
            forms.add(inputs, WeightsOptions, ("connect_timeout", "read_timeout"))

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        asked = form_values.needed(forms.read(params, own.IndexOptions), "labels", "brain_key")
        how = form_values.looking(params)
        return similarity_index.build(
            view, asked, how["model"], how["reading"], how["limits"], set(selected) or None,
            filled_in(params),
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
        asked = form_values.needed(forms.read(params, own.EvaluateOptions), "proposals", "truth")
        return recall.run(
            view, asked.proposals, asked.truth, asked.eval_key, asked.max_proposals,
            asked.overwrite,
        )  # fmt: skip

    def _colour(self, dataset: fo.Dataset, params: dict[str, Any]) -> bool:
        asked = forms.read(params, own.EvaluateOptions)
        is_new = colours.by_instance(dataset, asked.proposals)
        return colours.missed(dataset, asked.truth, asked.eval_key) or is_new


class ProposalsToLabels(Operation):
    """Proposals to labels."""

    name_, label_ = "proposals_to_labels", "FastSAM: proposals to labels"
    help_ = "Choose proposals by score, area and overlap, and write them to another field"
    options_ = (proposals_to_labels.Fields, own.WriteOptions,
                proposals_to_labels.PromoteOptions, CleanOptions, StoreOptions)  # fmt: skip
    by_labels_ = True
    writes_ = "labels"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.field(
            ctx, inputs, "proposals", "Proposals", labels.KINDS, "What to choose from", True
        )
        parts.target(ctx, inputs, "labels", ("skip", "overwrite", "append"))
        if selected_labels(ctx):
            inputs.view("only", types.Notice(label="Only the selected labels are chosen from"))
        parts.field(ctx, inputs, "truth", "Ground truth", labels.KINDS, "What is labelled already")
        parts.options(
            ctx, inputs, (proposals_to_labels.PromoteOptions, CleanOptions, StoreOptions),
            ("label", "min_score", "max_truth_iou", "mask_iou"), leave_out=("keep", "iou_pred"),
        )  # fmt: skip

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        asked = form_values.needed(forms.read(params, proposals_to_labels.Fields), "proposals")
        return proposals_to_labels.promote(
            view, asked.proposals, **form_values.written(params, "labels"),
            options=forms.read(params, proposals_to_labels.PromoteOptions),
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
        asked = form_values.needed(forms.read(params, own.ExportOptions), "field", "path")
        return coco_transfer.export(view, asked.field, asked.path, asked.overwrite)


class ImportProposals(Operation):
    """From COCO."""

    name_, label_ = "import_proposals", "FastSAM: import proposals"
    help_ = "Read a COCO JSON with instances into a field"
    options_ = (own.ImportOptions, own.WriteOptions, StoreOptions)
    writes_ = "imported"

    def form(self, ctx: Any, inputs: types.Object) -> None:  # noqa: D102
        parts.path(inputs, own.ImportOptions)
        parts.target(ctx, inputs, "imported", ("skip", "overwrite", "append"))
        forms.add(inputs, StoreOptions, leave_out=["keep", "iou_pred"])

    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:  # noqa: D102
        asked = form_values.needed(forms.read(params, own.ImportOptions), "path")
        return coco_transfer.import_(
            view, path=asked.path, **form_values.written(params, "imported"),
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
    SegmentEverything, SegmentFromPrompts, FindSimilar, IndexLabels, EvaluateProposals,
    ProposalsToLabels, ExportProposals, ImportProposals, Stop,
)  # fmt: skip
