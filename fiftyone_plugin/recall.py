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

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import fiftyone.core.odm as foo
import numpy as np
from fiftyone.utils.eval.detection import (
    DetectionEvaluation,
    DetectionEvaluationConfig,
    DetectionResults,
)
from pymongo.errors import PyMongoError

from fastsam_plugins.evaluation import proposals
from fastsam_plugins.evaluation.everything import EverythingRecall
from fastsam_plugins.evaluation.proposals import SIZES
from fastsam_plugins.masks import runs as R
from fiftyone_plugin import documents, labels, run_owner
from fiftyone_plugin.documents import Change
from fiftyone_plugin.fiftyone_private import dataset_of, is_generated, reload
from fiftyone_plugin.image_matches import Compared, Match, compare
from fiftyone_plugin.parameters import EvaluateOptions
from fiftyone_plugin.recall_fields import check_unused, has_results, known_by, written
from fiftyone_plugin.save_job import GONE, Report
from fiftyone_plugin.views import images


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
        Whether a run of this name is replaced, once there is another. One that was killed, and has
        no results, always is.

    Returns
    -------
    iterator of Report
        The work is done as it is iterated.

    Raises
    ------
    ValueError
        At once, if a field is missing or of another kind, there is a run of this name, or fields
        or attributes of labels have a name that the run would write.
    """
    EvaluateOptions(proposals, truth, eval_key, max_proposals, overwrite)
    view = images(view)
    dataset = dataset_of(view)
    labels.check_fields(dataset, proposals, truth)
    kinds = {labels.kind(dataset, f).__name__ for f in (proposals, truth)}
    if len(kinds) > 1:
        raise ValueError(f"{proposals} and {truth} are of different kinds: {' and '.join(kinds)}")
    if not overwrite:
        _check_free(dataset, eval_key)
    if eval_key in dataset.get_field_schema():
        raise ValueError(f"{eval_key} is a field: name the run otherwise")
    check_unused(dataset, truth, proposals, eval_key)
    return _run(view, proposals, truth, eval_key, max_proposals)


def _check_free(dataset: fo.Dataset, key: str) -> None:
    """Refuse to replace a run, unless it is half of one that was killed."""
    for run in foo.get_db_conn().runs.find(known_by(dataset, key)):  # others may have begun one
        config = run["config"]
        if run.get("results") or config.get("method") != ProposalRecallConfig.METHOD:
            raise ValueError(f"there is a run {key} already: overwrite it, or name another")
        if config.get("process") and run_owner.is_alive(config["process"]):
            raise ValueError(f"a run {key} is going on: let it end, overwrite it, or name another")


def _run(
    view: fo.DatasetView, proposals: str, truth: str, eval_key: str, limit: int
) -> Iterator[Report]:
    """What ``evaluate_detections`` does, past mongoengine: see :mod:`fiftyone_plugin.documents`."""
    todo = dict(zip(*view.values(["id", "filepath"]), strict=True))
    report = Report(total=len(todo))
    yield report
    config = ProposalRecallConfig(proposals, truth, max_proposals=limit, process=run_owner.here())
    method = config.build()
    dataset = dataset_of(view)
    # What is to be replaced stays until there is something in its place.
    replaces = dataset.has_evaluation(eval_key) and has_results(dataset, eval_key)
    name = _free(dataset, eval_key) if replaces else eval_key
    _delete(dataset, name)  # half a run of other fields, perhaps, which FiftyOne would refuse
    try:
        method.register_run(view, name)
        yield from _evaluate(view, method, name, todo, report)
    except PyMongoError:  # nothing can be cleaned up: the next run of this name will
        raise
    except BaseException:
        _delete(dataset, name)
        raise
    if replaces:
        _delete(dataset, eval_key)
        dataset.rename_evaluation(name, eval_key)


def _free(dataset: fo.Dataset, key: str) -> str:
    """A name for a run until it takes the place of another."""
    known = set(dataset.list_evaluations()) | set(dataset.get_field_schema())
    names = (f"{key}_new{number}" for number in itertools.count(1))
    return next(name for name in names if name not in known)


def _delete(dataset: fo.Dataset, key: str) -> None:
    if dataset.has_evaluation(key):
        dataset.delete_evaluation(key)


def _evaluate(
    view: fo.DatasetView,
    method: ProposalRecall,
    eval_key: str,
    todo: dict[str, str],
    report: Report,
) -> Iterator[Report]:
    method.register_samples(view, eval_key)
    proposals, truth = method.config.pred_field, method.config.gt_field
    dataset = dataset_of(view)
    paths = [labels.path(dataset, field) for field in (truth, proposals)]
    matches: list[Match] = []
    changes: dict[str, Change] = {}
    fields = ["metadata", truth, proposals]
    for sample, metadata, *both in documents.read(view, fields):
        report.check_stop()
        file = todo.pop(sample, None)
        if file is None:  # added during the run
            continue
        shape = metadata and (metadata["height"], metadata["width"])
        report.done += 1
        try:
            one = method.compare(file, shape, *map(documents.objects, both))
        except (ValueError, OSError) as error:  # no image, or a mask that is gone or damaged
            report.fail(file, sample, str(error))
            continue
        matches += one.matches
        lone = [sum(m[k] is None for m in one.matches) for k in (0, 1)]
        counts = {"tp": len(one.matches) - sum(lone), "fp": lone[0], "fn": lone[1]}
        changes[sample] = Change(
            _named(eval_key, {"_recall": one.recall, **{f"_{k}": n for k, n in counts.items()}}),
            {
                path: {i: _named(eval_key, values) for i, values in own.items()}
                for path, own in zip(paths, (one.truths, one.proposals), strict=True)
            },
        )
        if len(changes) == documents.SAMPLES:
            documents.write(dataset, changes)
            changes = {}
            yield report
    documents.write(dataset, changes)
    report.done += len(todo)
    for sample, file in todo.items():
        report.fail(file, sample, GONE)
    yield report
    results = method.generate_results(view, matches, eval_key)
    method.save_run_results(view, eval_key, results)
    method.add_fields_to_sidebar_group(view, eval_key, omit_fields=(proposals, truth))
    report.instances = results.summary["ground_truths"]
    report.figures = ", ".join(
        f"{name} {value:.2f}"
        for name in ("mask AR@100", "mask AR@1000")
        if (value := results.summary[name]) is not None
    )
    yield report


def _named(key: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{key}{name}": value for name, value in values.items()}


class ProposalRecallConfig(DetectionEvaluationConfig):
    """Configuration of :class:`ProposalRecall`.

    Parameters
    ----------
    pred_field, gt_field : str
        Fields of Detections or Polylines. Ground truths with ``iscrowd`` do not count.
    max_proposals : int
        Of an image, by confidence.
    process : str, optional
        What does it (:func:`fiftyone_plugin.run_owner.here`), to tell whether it was killed.
    """

    METHOD = "class-agnostic recall"

    def __init__(
        self,
        pred_field: str,
        gt_field: str,
        max_proposals: int = 1000,
        process: str | None = None,
        **kwargs: Any,
    ) -> None:
        settings = {"iou": 0.5, "classwise": False} | {
            k: v for k, v in kwargs.items() if v is not None
        }
        # What evaluate_detections hands to every method, and has no meaning here.
        for name in ("use_masks", "use_boxes"):
            settings.pop(name, None)
        super().__init__(pred_field, gt_field, **settings)
        self.max_proposals = max_proposals
        self.process = process

    @property
    def method(self) -> str:
        """How the Model Evaluation panel calls it."""
        return self.METHOD


class ProposalRecall(DetectionEvaluation):
    """Matches proposals with ground truths, image after image."""

    def __init__(self, config: ProposalRecallConfig) -> None:
        super().__init__(config)
        limit = config.max_proposals
        self._changes: dict[str, Change] = {}
        self.recall = EverythingRecall(
            proposals.ProposalRecall(limit), proposals.ProposalRecall(limit)
        )

    def register_run(self, samples: Any, key: str | None, *args: Any, **kwargs: Any) -> None:
        """Note the run, unless it would write over something of the person's, or be lost."""
        dataset, config = dataset_of(samples), self.config
        labels.check_fields(dataset, config.gt_field, config.pred_field)
        if key is not None:
            if is_generated(samples):  # what is written of objects would stay there
                raise ValueError(
                    "this is a view of patches, frames or clips: leave out eval_key, or evaluate "
                    "the samples that it was made of"
                )
            check_unused(dataset, config.gt_field, config.pred_field, key)
        super().register_run(samples, key, *args, **kwargs)

    def register_samples(self, samples: Any, eval_key: str | None, dynamic: bool = True) -> None:
        """Declare the fields that are written, and find the sizes of images."""
        samples.compute_metadata(overwrite=False, progress=False)
        if eval_key is not None:
            dataset, config = dataset_of(samples), self.config
            own = written(dataset, config.gt_field, config.pred_field, eval_key)
            declared = {path: kind() for path, kind in own.items() if dynamic or "." not in path}
            documents.declare(dataset, declared)
        super().register_samples(samples, eval_key, dynamic)

    def _extra(self, samples: Any, eval_key: str) -> list[str]:
        """Fields of ground truths that other evaluations do not have."""
        start = f"{labels.path(dataset_of(samples), self.config.gt_field)}.{eval_key}"
        return [f"{start}_rank", f"{start}_size"]

    def get_fields(
        self, samples: Any, eval_key: str, include_custom_metrics: bool = True
    ) -> list[str]:
        """The fields that were written."""
        fields = super().get_fields(samples, eval_key, include_custom_metrics)
        return [*fields, f"{eval_key}_recall", *self._extra(samples, eval_key)]

    def cleanup(self, samples: Any, eval_key: str) -> None:
        """Remove them."""
        own = [f"{eval_key}_recall"]
        dataset = dataset_of(samples)
        if self.config.gt_field in dataset.get_field_schema():
            own += self._extra(dataset, eval_key)
        dataset.delete_sample_fields(own, error_level=1)
        super().cleanup(samples, eval_key)

    def evaluate(self, doc: fo.Sample, eval_key: str | None = None) -> list[Match]:
        """Evaluate one sample. One whose image or masks cannot be read is told of, and left out."""
        both = [labels.objects(doc[f]) for f in (self.gt_field, self.pred_field)]
        try:
            one = self.compare(doc.filepath, labels.shape_of(doc), *both)
        except (ValueError, OSError) as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
            return []
        if eval_key is not None:
            # Past mongoengine, which looks through all objects of a sample for what was changed.
            paths = [labels.path(doc.dataset, f) for f in (self.gt_field, self.pred_field)]
            own = zip(paths, (one.truths, one.proposals), strict=True)
            self._changes[str(doc.id)] = Change(
                {f"{eval_key}_recall": one.recall},
                {path: {i: _named(eval_key, v) for i, v in of.items()} for path, of in own},
            )
            if len(self._changes) == documents.SAMPLES:
                self._flush(doc.dataset)
        return one.matches

    def _flush(self, dataset: fo.Dataset) -> None:
        """Write what was found out of the objects of some samples."""
        changes, self._changes = self._changes, {}
        documents.write(dataset, changes)
        reload(dataset, list(changes))

    def compare(
        self,
        file: str,
        shape: R.Shape | None,
        truths: list[labels.Object],
        proposals: list[labels.Object],
    ) -> Compared:
        """Count one image: see :func:`fiftyone_plugin.image_matches.compare`."""
        return compare(self.recall, self.config.max_proposals, file, shape, truths, proposals)

    def generate_results(
        self, samples: Any, matches: list[Match], eval_key: str | None = None, **kwargs: Any
    ) -> ProposalRecallResults:
        """What all samples give together."""
        kwargs.pop("progress", None)
        self._flush(dataset_of(samples))
        curves = {
            f"{kind} {size}": np.nan_to_num(recall.curve(size), nan=-1).tolist()
            for kind, recall in (("box", self.recall.boxes), ("mask", self.recall.masks))
            for size in SIZES
        }
        summary = {k: None if v != v else v for k, v in self.recall.summary().items()}
        intervals = {k: list(v) for k, v in self.recall.intervals().items() if v[0] == v[0]}
        return ProposalRecallResults(
            samples, self.config, eval_key, matches, summary, curves, intervals, backend=self,
            **kwargs,
        )  # fmt: skip


class ProposalRecallResults(DetectionResults):
    """Average recall, beside what FiftyOne makes of the matches at IoU .50.

    Attributes
    ----------
    summary : dict
        AR@10/100/1000, AUC and AR@1000 by size, of boxes and of masks; None without ground truth.
    curves : dict of list
        AR@k for every k from 1, by kind and size; -1 without ground truth.
    intervals : dict of list
        Lowest and highest value of the summary's figures, 95 % bootstrap intervals over images.
        Figures without ground truth have none, nor have runs of earlier versions.
    """

    def __init__(
        self, samples: Any, config: Any, eval_key: str | None, matches: Any,
        summary: dict[str, Any], curves: dict[str, list[float]],
        intervals: dict[str, list[float]], **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(samples, config, eval_key, matches, **kwargs)
        self.summary, self.curves, self.intervals = summary, curves, intervals
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
        return [*super().attributes(), "summary", "curves", "intervals"]

    @classmethod
    def _from_dict(
        cls, d: dict[str, Any], samples: Any, config: Any, eval_key: str, **kwargs: Any
    ) -> ProposalRecallResults:
        kept = {"summary": d["summary"], "curves": d["curves"]}
        kept["intervals"] = d.get("intervals", {})  # runs of earlier versions
        return super()._from_dict(d, samples, config, eval_key, **kept, **kwargs)
