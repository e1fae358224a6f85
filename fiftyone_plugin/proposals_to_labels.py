"""Proposals become labels: chosen by their numbers and by what is labelled already."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
import numpy as np

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import CleanOptions
from fastsam_plugins.parameters import Options, option
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import labels
from fiftyone_plugin.fiftyone_private import dataset_of
from fiftyone_plugin.parameters import Existing
from fiftyone_plugin.save_job import GONE, Job, Report, Result
from fiftyone_plugin.storage import StoreOptions
from fiftyone_plugin.views import ShownLabels, having, images


@dataclass(frozen=True)
class Fields(Options):
    """Which fields are read."""

    proposals: str = option("", "Field of proposals to choose from")
    truth: str | None = option(None, "Field of what is labelled already")


@dataclass(frozen=True)
class PromoteOptions(Options):
    """Which proposals become labels."""

    label: str = option("", "Label to give; left empty, proposals keep their own")
    min_score: float = option(0.0, "Leave out what the detector trusts less", ge=0, le=1)
    max_area: int | None = option(None, "Leave out larger masks", unit="px", ge=1)
    min_truth_iou: float = option(
        0.0, "Leave out what overlaps every ground truth less (mask IoU)", ge=0, le=1
    )
    max_truth_iou: float = option(
        1.0, "Leave out what overlaps a ground truth more: it is labelled already", ge=0, le=1
    )


def promote(
    view: fo.Dataset | fo.DatasetView,
    proposals: str,
    field: str,
    options: PromoteOptions | None = None,
    cleaning: CleanOptions | None = None,
    truth: str | None = None,
    storing: StoreOptions | None = None,
    existing: Existing = "refuse",
    batch: int = 16,
    only: Collection[str] | None = None,
) -> Iterator[Report]:
    """Write chosen proposals to another field.

    Crowd regions stay such; lines that enclose nothing are left out, and counted.

    Parameters
    ----------
    view : dataset or view
        Labels that it does not show are neither proposals nor ground truth.
    proposals : str
        Field of Detections or Polylines.
    field : str
        Field to write, or to append to.
    options : PromoteOptions
    cleaning : CleanOptions
        Holes, islands, small and duplicate masks.
    truth : str, optional
        Field of labels, for the overlap with ground truth.
    only : collection of str, optional
        Ids of proposals: no others are chosen, and samples without them are left alone.
    storing, existing, batch
        As in :func:`fiftyone_plugin.segment_job.everything`, which also says what is returned.

    Raises
    ------
    ValueError
        If a field is missing or of another kind, or overlaps are asked for without ground truth.
    """
    Fields(proposals, truth)
    options, cleaning = options or PromoteOptions(), cleaning or CleanOptions()
    storing = (storing or StoreOptions()).replace(keep=False)
    view = images(view)
    labels.check_fields(dataset_of(view), proposals, truth)
    if only is not None:
        view = having(view, only, [proposals])
    job = Job(view, field, storing, existing, batch)
    job.with_crowds = True
    shown = ShownLabels(view)
    if not truth and (options.min_truth_iou > 0 or options.max_truth_iou < 1):
        raise ValueError("an overlap with ground truth needs a field of ground truth")

    def chosen() -> Iterator[Result]:
        job.view.compute_metadata(overwrite=False, progress=False)
        for sample_id, file in job.items:
            result = Result(sample_id, file)
            try:
                sample = shown.sample(sample_id)
                shape = labels.shape_of(sample)
                if shape is None:
                    raise ValueError(f"{file} cannot be read")
                every = labels.objects(sample[proposals])
                objects = [o for o in every if only is None or o.id in only]
                if lines := sum(map(labels.is_line, objects)):
                    result.left_out[labels.LINES] = lines
                objects = [o for o in objects if not labels.is_line(o)]
                known = sample[truth] if truth else None
                result.seg = _choose(objects, known, shape, options, cleaning)
                result.names = [options.label or o.label or labels.OBJECT for o in objects]
                result.sources = [o.id for o in objects]
                result.crowds = [labels.is_crowd(o) for o in objects]
            except KeyError:  # FiftyOne's word for a sample that it does not find
                result.error = GONE
            except (ValueError, OSError) as error:  # no image, or a mask that is gone or damaged
                result.error = str(error)
            yield result

    return job.save(chosen())


def _choose(
    objects: list[Any], truth: Any, shape: R.Shape, options: PromoteOptions, cleaning: CleanOptions
) -> Segmentation:
    """Chosen objects; ``prompts`` says which."""
    masks = [labels.mask(o, shape) for o in objects]
    seg = labels.numbered(masks, shape, [labels.confidence(o) for o in objects])
    seg = seg.filter(min_score=options.min_score, max_area=options.max_area)
    if truth is not None or options.min_truth_iou > 0:
        known = list(labels.masks(truth, shape))
        best = np.array([R.ious(seg.runs(i), known).max(initial=0) for i in range(len(seg))])
        seg = seg[(best >= options.min_truth_iou) & (best <= options.max_truth_iou)]
    return seg.clean(cleaning)
