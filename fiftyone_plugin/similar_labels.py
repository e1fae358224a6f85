"""All instances like some labels: in their own samples, or in all."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import FastSAM
from fastsam_plugins.options import ExemplarOptions, LimitOptions, ReadOptions, SegmentOptions
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import labels
from fiftyone_plugin.fiftyone_private import dataset_of
from fiftyone_plugin.kept_files import Kept
from fiftyone_plugin.parameters import Existing
from fiftyone_plugin.sample_segmenter import SampleSegmenter
from fiftyone_plugin.save_job import GONE, Job, Report, Result
from fiftyone_plugin.storage import StoreOptions
from fiftyone_plugin.views import ShownLabels, having, images

KINDS = (fo.Detections, fo.Detection, fo.Polylines, fo.Polyline)
EMPTY, DAMAGED = "labels without pixels", "labels that cannot be read"


class Vectors:
    """Vectors of a sample's labels, in the order in which they stand there.

    Attributes
    ----------
    vectors : float32 array (N, C)
    labels, ids : list of str
    left_out : Counter
        How many labels have none, by reason.
    """

    def __init__(self, label: Any, seg: Segmentation, only: Collection[str] | None = None) -> None:
        every = [o for o in labels.objects(label) if only is None or o.id in only]
        whole, self.left_out = labels.whole(every)
        there = []
        for one in whole:
            try:
                mask = labels.mask(one, seg.shape)
            except (ValueError, OSError):  # numbers that are none, or a file that is gone
                self.left_out[DAMAGED] += 1
                continue
            if len(mask):
                there.append((one, mask))
            else:
                self.left_out[EMPTY] += 1
        drawn = Segmentation.from_runs([mask for _, mask in there], seg.shape).with_encoding(seg)
        self.vectors: NDArray[np.float32] = drawn.embeddings
        self.labels = [one.label or labels.OBJECT for one, _ in there]
        self.ids = [str(one.id) for one, _ in there]


def check_field(dataset: fo.Dataset, name: str) -> None:
    """Refuse a field whose labels cannot be compared.

    Raises
    ------
    ValueError
        Naming those that can.
    """
    usable = labels.fields(dataset, KINDS)
    if name not in usable:
        there = ", ".join(usable) or "none"
        raise ValueError(f"{name} is no field of detections or polylines (there are: {there})")


def ask_kept(view: Any, proposals: str | None, wanted: dict[str, Any]) -> Kept | None:
    """What was kept of a field, if one is named, found with the settings that are wanted."""
    if not proposals:
        return None
    labels.check_fields(dataset_of(view), proposals)
    kept = Kept(dataset_of(view), proposals)
    kept.ask(view, wanted)
    return kept


def find(
    view: fo.Dataset | fo.DatasetView,
    field: str,
    examples: str,
    only: Collection[str] | None = None,
    across: bool = False,
    options: ExemplarOptions | None = None,
    model: FastSAM | str = "FastSAM-n",
    proposals: str | None = None,
    segmenting: SegmentOptions | None = None,
    reading: ReadOptions | None = None,
    storing: StoreOptions | None = None,
    existing: Existing = "refuse",
    batch: int = 8,
    limits: LimitOptions | None = None,
    asked: Collection[str] | None = None,
) -> Iterator[Report]:
    """Write all instances that are like examples.

    They take over label and id (``source``) of the example that they are most like, and
    ``similarity`` says how like it they are. An example that was found is among them.

    Parameters
    ----------
    view : dataset or view
    field : str
        Field to write.
    examples : str
        Field of Detections or Polylines in which the examples are.
    only : collection of str, optional
        Ids of labels: all others are no examples.
    across : bool
        Look in all samples of the view, not only in those that have an example.
    options : ExemplarOptions
        How like, and how many in each sample.
    proposals : str, optional
        Field whose segmentations were kept: where they are, the network is not asked.

    The other parameters, and what is returned and raised, are as in
    :func:`fiftyone_plugin.segment_job.from_prompts`.
    """
    options = options or ExemplarOptions()
    storing = (storing or StoreOptions()).replace(keep=False)
    view = images(view)
    check_field(dataset_of(view), examples)
    having_some = view.exists(examples) if only is None else having(view, only, [examples])
    job = Job(view if across else having_some, field, storing, existing, batch)
    job.by_text = True
    segmenter = SampleSegmenter(model, segmenting, reading, None, limits, batch)
    asked, settings = segmenter.given if asked is None else asked, segmenter.settings
    kept = ask_kept(view, proposals, {n: settings[n] for n in settings if n in asked})
    shown = ShownLabels(view)

    def looked(items: list[tuple[str, str]]) -> Iterator[Result]:
        return segmenter.segment_rest(items, kept, job.report, True)

    def of_all() -> list[Vectors]:
        """Of samples that cannot be looked at the second look says why."""
        found = []
        items = list(zip(*having_some.values(["id", "filepath"]), strict=True))
        for result in looked(items):
            if job.report.stop:
                break
            if result.seg is not None:
                with contextlib.suppress(KeyError):  # the sample was deleted meanwhile
                    label = shown.sample(result.sample)[examples]
                    found.append(Vectors(label, result.seg, only))
        for one in found:
            job.report.left_out += one.left_out
        return found

    def compared() -> Iterator[Result]:
        known = of_all() if across else []
        for result in looked(job.items):
            if result.seg is not None:
                try:
                    of_sample = known
                    if not across:
                        label = shown.sample(result.sample)[examples]
                        of_sample = [Vectors(label, result.seg, only)]
                        result.left_out = of_sample[0].left_out
                    _compare(result, result.seg, of_sample, options)
                except KeyError:  # FiftyOne's word for a sample that it does not find
                    result.seg, result.error = None, GONE
            yield result

    return job.save(compared())


def _compare(
    result: Result, seg: Segmentation, examples: list[Vectors], options: ExemplarOptions
) -> None:
    """The instances of a sample that are like examples, as they are to be written."""
    result.names = [name for e in examples for name in e.labels]
    result.sources = [source for e in examples for source in e.ids]
    if not result.sources:
        result.seg, result.similarity = seg[:0], np.zeros(0, np.float32)
        return
    vectors = np.concatenate([e.vectors for e in examples])
    result.seg = seg.similar(vectors, options)
    result.similarity = result.seg.likeness(vectors)
