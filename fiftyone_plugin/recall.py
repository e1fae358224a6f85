"""Class-agnostic average recall as a method of FiftyOne's ``evaluate_detections``.

    dataset.evaluate_detections(
        "proposals", gt_field="ground_truth", eval_key="recall", method=ProposalRecallConfig
    )

It gives what :mod:`fastsam_plugins.evaluation.proposals` gives. On every ground truth
``{eval_key}`` says whether a proposal matched it at IoU .50 ("tp") or not ("fn"),
``{eval_key}_rank`` by which (1 is the best of its image), ``{eval_key}_iou`` how well, and
``{eval_key}_size`` whether it is small, medium or large; on every sample ``{eval_key}_recall`` is
the average recall of its ground truths. The run is listed in the Model Evaluation panel like any
other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import fiftyone as fo
import numpy as np
from fiftyone.utils.eval.detection import (
    DetectionEvaluation,
    DetectionEvaluationConfig,
    DetectionResults,
)
from numpy.typing import NDArray

from fastsam_plugins.evaluation import proposals
from fastsam_plugins.evaluation.everything import EverythingRecall
from fastsam_plugins.evaluation.proposals import MISSED, SIZES, Regions
from fastsam_plugins.masks import runs as R
from fiftyone_plugin import documents, labels
from fiftyone_plugin.documents import Change
from fiftyone_plugin.segmenting import Report, images

Match = tuple[str | None, str | None, float | None, float | None, str | None, str | None]


def run(
    view: fo.Dataset | fo.DatasetView,
    proposals: str,
    truth: str,
    eval_key: str,
    max_proposals: int = 1000,
    overwrite: bool = False,
) -> Iterator[Report]:
    """Evaluate a view, telling how far it is.

    Parameters
    ----------
    view : dataset or view
    proposals, truth : str
        Fields, both of Detections or both of Polylines.
    eval_key : str
        Name of the run: ``dataset.load_evaluation_results(eval_key)`` has the results.
    max_proposals : int
        Of an image, by confidence.
    overwrite : bool
        Whether a run of this name is replaced.

    Returns
    -------
    iterator of Report
        The work is done as it is iterated.

    Raises
    ------
    ValueError
        At once, if a field is missing or of another kind, or there is a run of this name.
    """
    view = images(view)
    labels.check_fields(view._dataset, proposals, truth)
    kinds = {view._get_label_field_type(f).__name__ for f in (proposals, truth)}
    if len(kinds) > 1:
        raise ValueError(f"{proposals} and {truth} are of different kinds: {' and '.join(kinds)}")
    if not eval_key.isidentifier():
        raise ValueError(f"{eval_key!r} cannot be a key: use letters, digits and underscores")
    if view._dataset.has_evaluation(eval_key) and not overwrite:
        raise ValueError(f"there is a run {eval_key} already: overwrite it, or name another")
    if eval_key in view._dataset.get_field_schema():
        raise ValueError(f"{eval_key} is a field: name the run otherwise")
    return _run(view, proposals, truth, eval_key, max_proposals)


def _run(
    view: fo.DatasetView, proposals: str, truth: str, eval_key: str, limit: int
) -> Iterator[Report]:
    """What ``evaluate_detections`` does, past mongoengine: see :mod:`fiftyone_plugin.documents`."""
    report = Report(total=len(view))
    yield report
    method = ProposalRecallConfig(proposals, truth, max_proposals=limit).build()
    method.register_run(view, eval_key)
    method.register_samples(view, eval_key)
    truths, found = (view._get_label_field_path(field)[1] for field in (truth, proposals))
    matches: list[Match] = []
    changes: dict[str, Change] = {}
    fields = ["filepath", "metadata", truth, proposals]
    for sample, file, metadata, *both in documents.read(view, fields):
        shape = metadata and (metadata["height"], metadata["width"])
        one = method.compare(file, shape, *map(documents.objects, both))
        matches += one.matches
        lone = [sum(m[k] is None for m in one.matches) for k in (0, 1)]
        counts = {"tp": len(one.matches) - sum(lone), "fp": lone[0], "fn": lone[1]}
        changes[sample] = Change(
            _named(eval_key, {"_recall": one.recall, **{f"_{k}": n for k, n in counts.items()}}),
            {
                path: {i: _named(eval_key, values) for i, values in own.items()}
                for path, own in ((truths, one.truths), (found, one.found))
            },
        )
        report.done += 1
        if len(changes) == documents.SAMPLES or report.done == report.total:
            documents.write(view._dataset, changes)
            changes = {}
            yield report
    results = method.generate_results(view, matches, eval_key)
    method.save_run_results(view, eval_key, results)
    method.add_fields_to_sidebar_group(view, eval_key, omit_fields=(proposals, truth))
    report.instances = results.summary["ground_truths"]
    yield report


def _named(key: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{key}{name}": value for name, value in values.items()}


@dataclass
class Compared:
    """What is known of one image.

    Attributes
    ----------
    matches : list
        As FiftyOne keeps them.
    recall : float or None
        Average recall of its ground truths; None if it has none.
    truths, found : dict of dict
        By the id of a ground truth or proposal: what is said of it, names led by the run's.
    """

    matches: list[Match]
    recall: float | None
    truths: dict[str, dict[str, Any]] = field(default_factory=dict)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)


class ProposalRecallConfig(DetectionEvaluationConfig):
    """Configuration of :class:`ProposalRecall`.

    Parameters
    ----------
    pred_field, gt_field : str
        Fields of Detections or Polylines. Ground truths with ``iscrowd`` do not count.
    max_proposals : int
        Of an image, by confidence.
    """

    METHOD = "class-agnostic recall"

    def __init__(
        self, pred_field: str, gt_field: str, max_proposals: int = 1000, **kwargs: Any
    ) -> None:
        settings = {"iou": 0.5, "classwise": False} | {
            k: v for k, v in kwargs.items() if v is not None
        }
        # What evaluate_detections hands to every method, and has no meaning here.
        for name in ("use_masks", "use_boxes"):
            settings.pop(name, None)
        super().__init__(pred_field, gt_field, **settings)
        self.max_proposals = max_proposals

    @property
    def method(self) -> str:
        """How the Model Evaluation panel calls it."""
        return self.METHOD


class ProposalRecall(DetectionEvaluation):
    """Matches proposals with ground truths, image after image."""

    def __init__(self, config: ProposalRecallConfig) -> None:
        super().__init__(config)
        limit = config.max_proposals
        self.recall = EverythingRecall(
            proposals.ProposalRecall(limit), proposals.ProposalRecall(limit)
        )

    def register_samples(self, samples: Any, eval_key: str | None, dynamic: bool = True) -> None:
        """Declare the fields that are written, and find the sizes of images."""
        samples.compute_metadata(overwrite=False)
        super().register_samples(samples, eval_key, dynamic)
        if eval_key is not None:
            samples._dataset.add_sample_field(f"{eval_key}_recall", fo.FloatField)
            if dynamic:
                rank, size = self._extra(samples, eval_key)
                samples._dataset.add_sample_field(rank, fo.IntField)
                samples._dataset.add_sample_field(size, fo.StringField)

    def _extra(self, samples: Any, eval_key: str) -> list[str]:
        """Fields of ground truths that other evaluations do not have."""
        kind = samples._get_label_field_type(self.config.gt_field)
        start = f"{self.config.gt_field}.{kind._LABEL_LIST_FIELD}.{eval_key}"
        return [f"{start}_rank", f"{start}_size"]

    def get_fields(
        self, samples: Any, eval_key: str, include_custom_metrics: bool = True
    ) -> list[str]:
        """The fields that were written."""
        found = super().get_fields(samples, eval_key, include_custom_metrics)
        return [*found, f"{eval_key}_recall", *self._extra(samples, eval_key)]

    def cleanup(self, samples: Any, eval_key: str) -> None:
        """Remove them."""
        own = [f"{eval_key}_recall"]
        if self.config.gt_field in samples._dataset.get_field_schema():
            own += self._extra(samples._dataset, eval_key)
        samples._dataset.delete_sample_fields(own, error_level=1)
        super().cleanup(samples, eval_key)

    def evaluate(self, doc: fo.Sample, eval_key: str | None = None) -> list[Match]:
        """Evaluate one sample.

        Raises
        ------
        ValueError
            If the sample's image could not be measured.
        """
        truths, found = (labels.objects(doc[f]) for f in (self.gt_field, self.pred_field))
        one = self.compare(doc.filepath, labels.shape_of(doc), truths, found)
        if eval_key is not None:
            for label in (*truths, *found):
                values = one.truths.get(label.id) or one.found.get(label.id) or {}
                for name, value in _named(eval_key, values).items():
                    label[name] = value
            doc[f"{eval_key}_recall"] = one.recall
        return one.matches

    def compare(
        self,
        file: str,
        shape: R.Shape | None,
        truths: list[labels.Object],
        found: list[labels.Object],
    ) -> Compared:
        """Count one image, and say what became of each of its objects.

        Raises
        ------
        ValueError
            If the image, of ``shape`` (H, W), could not be measured.
        """
        if shape is None:
            raise ValueError(f"{file} cannot be read: nothing is known of its size")
        truths = [t for t in truths if not labels.is_crowd(t)]
        scores = np.array([labels.confidence(f) for f in found])
        true, guessed = ([labels.mask(o, shape) for o in objects] for objects in (truths, found))
        areas = np.array([R.area(m) for m in true], np.float64)
        ranks = self._add(shape, (truths, true), (found, guessed), areas, scores)
        order = np.argsort(-scores, kind="mergesort")
        hits = ranks < self.config.max_proposals
        one = Compared([], float(hits.mean()) if hits.size else None)
        for truth, mask, area, rank in zip(truths, true, areas, ranks[:, 0].tolist(), strict=True):
            own, name = labels.id_of(truth), labels.value(truth, "label")
            size: dict[str, Any] = {"_size": _size(area)}
            if rank == MISSED:
                one.matches.append((name, None, None, None, own, None))
                one.truths[own] = {"": "fn", **size}
                continue
            other = int(order[rank])
            proposal = labels.id_of(found[other])
            iou = float(R.ious(mask, [guessed[other]])[0])
            # Categories play no part: the proposal takes over that of what it found.
            confidence = labels.value(found[other], "confidence")
            one.matches.append((name, name, iou, confidence, own, proposal))
            one.truths[own] = {"": "tp", "_id": proposal, "_iou": iou, "_rank": rank + 1, **size}
            one.found[proposal] = {"": "tp", "_id": own, "_iou": iou}
        for lone in found:
            own = labels.id_of(lone)
            if own not in one.found:
                one.found[own] = {"": "fp"}
                name, confidence = (labels.value(lone, n) for n in ("label", "confidence"))
                one.matches.append((None, name, None, confidence, None, own))
        return one

    def _add(
        self, shape: R.Shape, truth: Any, found: Any, areas: NDArray, scores: NDArray
    ) -> proposals.Ranks:
        boxes = [
            np.array([labels.box(o, m, shape) for o, m in zip(*side, strict=True)]).reshape(-1, 4)
            for side in (truth, found)
        ]
        self.recall.boxes.add(Regions(boxes[0]), areas, Regions(boxes[1]), scores)
        masks = (Regions.of_masks(side[1], shape[0]) for side in (truth, found))
        return self.recall.masks.add(next(masks), areas, next(masks), scores)

    def generate_results(
        self, samples: Any, matches: list[Match], eval_key: str | None = None, **kwargs: Any
    ) -> ProposalRecallResults:
        """What all samples give together."""
        kwargs.pop("progress", None)
        curves = {
            f"{kind} {size}": np.nan_to_num(recall.curve(size), nan=-1).tolist()
            for kind, recall in (("box", self.recall.boxes), ("mask", self.recall.masks))
            for size in SIZES
        }
        summary = {k: None if v != v else v for k, v in self.recall.summary().items()}
        return ProposalRecallResults(
            samples, self.config, eval_key, matches, summary, curves, backend=self, **kwargs
        )


class ProposalRecallResults(DetectionResults):
    """Average recall, beside what FiftyOne makes of the matches at IoU .50.

    Attributes
    ----------
    summary : dict
        AR@10/100/1000, AUC and AR@1000 by size, of boxes and of masks; None without ground truth.
    curves : dict of list
        AR@k for every k from 1, by kind and size; -1 without ground truth.
    """

    def __init__(
        self, samples: Any, config: Any, eval_key: str | None, matches: Any,
        summary: dict[str, Any], curves: dict[str, list[float]], **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(samples, config, eval_key, matches, **kwargs)
        self.summary, self.curves = summary, curves
        self.custom_metrics = {  # the panel lists them beside its own
            name: {"key": name, "value": value, "label": name, "lower_is_better": False}
            for name, value in summary.items()
            if isinstance(value, float)
        }

    def metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """FiftyOne's figures at IoU .50, and average recall."""
        return {**super().metrics(*args, **kwargs), **self.summary}

    def mAR(self) -> float | None:
        """Average recall of masks, of as many proposals as are counted."""
        return self.summary["mask AR@1000"]

    def attributes(self) -> list[str]:
        """What is kept in the database."""
        return [*super().attributes(), "summary", "curves"]

    @classmethod
    def _from_dict(
        cls, d: dict[str, Any], samples: Any, config: Any, eval_key: str, **kwargs: Any
    ) -> ProposalRecallResults:
        kept = {"summary": d["summary"], "curves": d["curves"]}
        return super()._from_dict(d, samples, config, eval_key, **kept, **kwargs)


def _size(area: float) -> str:
    sizes = (name for name, (low, high) in SIZES.items() if name != "all" and low <= area < high)
    return next(sizes)
