"""Instances for every sample of a view: from the network, or from what was kept of it.

Reading, the network and the database work at the same time. Samples are saved batch after batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import fiftyone as fo

from fastsam_plugins import FastSAM
from fastsam_plugins.batch import read_ahead
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import (
    LimitOptions,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TileOptions,
)
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import labels, prompts
from fiftyone_plugin.kept_files import Kept
from fiftyone_plugin.parameters import Existing, PromptFields
from fiftyone_plugin.sample_segmenter import SampleSegmenter
from fiftyone_plugin.save_job import GONE, Job, Report, Result
from fiftyone_plugin.storage import StoreOptions
from fiftyone_plugin.views import ShownLabels, having, images


def everything(
    view: fo.Dataset | fo.DatasetView,
    field: str,
    model: FastSAM | str = "FastSAM-n",
    segmenting: SegmentOptions | None = None,
    reading: ReadOptions | None = None,
    storing: StoreOptions | None = None,
    existing: Existing = "refuse",
    batch: int = 8,
    tiling: TileOptions | None = None,
    limits: LimitOptions | None = None,
) -> Iterator[Report]:
    """Segment all instances of every sample.

    Parameters
    ----------
    view : dataset or view
        Of images, or of groups, of which the images are taken.
    field : str
        Field to write. If something went wrong with a sample, ``FIELD_error`` says what (or
        ``FIELD_fastsam_error``, if the dataset has another field of that name).
    model : FastSAM or str
        A loaded network, or a name or file, loaded when the first result is asked for.
    segmenting, reading, storing : options
    existing : str
        What to do if samples have labels in the field: refuse, skip them, overwrite or append to
        them. To refuse or skip, labels that others write during the run are not replaced either.
    batch : int
        Samples that go through the network, and are saved, together.
    tiling : TileOptions, optional
        Look at images in windows: for those too large for one look.
    limits : LimitOptions, optional
        What images, weights and inputs may ask of the machine; a loaded network has its own.

    Returns
    -------
    iterator of Report
        The same one, before the first and after every batch. The work is done as it is iterated.

    Raises
    ------
    ValueError
        At once, before anything is written, if the view, the field or its labels do not allow it,
        or there are no such weights.
    """
    job = Job(view, field, storing or StoreOptions(), existing, batch)
    segmenter = SampleSegmenter(model, segmenting, reading, tiling, limits, batch)
    job.store.how = segmenter.settings

    def items() -> Iterator[tuple[str, str]]:  # asked for when the work is, and not by a form
        yield from job.items

    return job.save(read_ahead(segmenter.segment(items(), job.report), 2 * batch))


def from_prompts(
    view: fo.Dataset | fo.DatasetView,
    field: str,
    model: FastSAM | str = "FastSAM-n",
    boxes: str | None = None,
    points: str | None = None,
    only: Collection[str] | None = None,
    proposals: str | None = None,
    prompting: PromptOptions | None = None,
    segmenting: SegmentOptions | None = None,
    reading: ReadOptions | None = None,
    storing: StoreOptions | None = None,
    existing: Existing = "refuse",
    batch: int = 8,
    words: prompts.Words | None = None,
    tiling: TileOptions | None = None,
    limits: LimitOptions | None = None,
    asked: Collection[str] | None = None,
    masks: str | None = None,
) -> Iterator[Report]:
    """Prompt every sample with its labels; the results carry the prompts' labels and ids.

    Or with words, which are then the labels, and how similar they are is ``similarity``.

    Parameters
    ----------
    boxes, points : str, optional
        Fields of Detections and of Keypoints to prompt with.
    only : collection of str, optional
        Ids of labels: all others are no prompts, and samples without them are left alone.
    proposals : str, optional
        Field whose segmentations were kept: where they are, the network is not asked. Settings that
        would find more than what was kept, or something else, are refused.
    asked : collection of str, optional
        Names of the settings that what was kept has to fit; by default all that are given.
    words : Words, optional
        What to look for, instead of boxes and points.
    masks : str, optional
        Field of Detections, Polylines or a Segmentation, instead of boxes and points: each mask, or
        line that is not closed, is a prompt that a mask is predicted for.

    The other parameters, and what is returned and raised, are as in :func:`everything`.
    """
    storing = (storing or StoreOptions()).replace(keep=False)
    PromptFields(boxes, points, proposals, masks)
    view = images(view)
    if only is not None:
        view = having(view, only, [f for f in (boxes, points, masks) if f])
    job = Job(view, field, storing, existing, batch)
    labels.check_fields(job.dataset, proposals)
    for name, kind in ((boxes, fo.Detections), (points, fo.Keypoints)):
        if name and name not in labels.fields(job.dataset, (kind,)):
            raise ValueError(f"{name} is no field of {kind.__name__}")
    if masks and masks not in labels.fields(job.dataset):
        there = ", ".join(labels.fields(job.dataset)) or "none"
        raise ValueError(
            f"{masks} holds no masks or lines: name a field of detections, polylines or a "
            f"segmentation (there are: {there})"
        )
    if words and (boxes or points or masks):
        raise ValueError("a text goes alone: leave out boxes, points and masks")
    if masks and (boxes or points):
        raise ValueError("masks and lines go alone: leave out boxes and points")
    if not (boxes or points or words or masks):
        raise ValueError(
            "nothing to prompt with: name a field of boxes, of points or of masks, or a text"
        )
    by_predict = prompting is not None and prompting.predict and not words
    predicting = masks is not None or by_predict
    if masks and tiling:
        raise ValueError("masks and lines are about an image seen at once: leave out windows")
    if predicting and tiling and proposals:
        raise ValueError("in windows predict looks at images anew: leave out the kept proposals")
    job.by_text = words is not None
    segmenter = SampleSegmenter(model, segmenting, reading, tiling, limits, batch)
    kept = Kept(job.dataset, proposals) if proposals else None
    if kept:
        wanted = segmenter.settings
        if asked is None:
            asked = segmenter.given
        kept.ask(job.view, {name: wanted[name] for name in wanted if name in asked})
    shown = ShownLabels(view)

    def asks(result: Result, shape: R.Shape) -> prompts.Prompts:
        sample = shown.sample(result.sample)
        if masks:
            return prompts.read_drawn(sample[masks], shape, only)
        return prompts.read(
            sample[boxes] if boxes else None, sample[points] if points else None, shape, only
        )

    def answer(
        result: Result, given: prompts.Prompts, seg: Segmentation, found: Segmentation
    ) -> None:
        result.seg = found
        result.names, result.sources = given.labels, given.sources
        result.prompts, result.left_out = len(given.labels), given.left_out
        result.unanswered = given.unanswered(seg, found)

    def by_labels(result: Result, seg: Segmentation) -> None:
        given = asks(result, seg.shape)
        if predicting and seg.image is None:  # what is kept on disk is without its image
            seg = seg.with_image(segmenter.read(result.file))
        answer(result, given, seg, given.select(seg, prompting or PromptOptions()))

    def in_windows(result: Result) -> None:
        raster = segmenter.read(result.file)
        given = asks(result, raster.shape[:2])
        found = given.predict_tiled(raster, segmenter.predict_tiled)
        answer(result, given, found, found)

    def by_words(result: Result, seg: Segmentation, words: prompts.Words) -> None:
        if seg.image is None:  # what is kept on disk is without its image
            seg = seg.with_image(segmenter.read(result.file))
        result.seg, result.similarity = words.select(seg)
        result.names, result.prompts = words.texts, len(words.texts)
        result.unanswered = words.unanswered(seg, result.seg)

    def prompted() -> Iterator[Result]:
        results: Iterator[Result]
        if predicting and tiling:  # each prompt has a window of its own: the rest is not looked at
            results = (Result(sample, file) for sample, file in job.items)
        else:
            results = segmenter.segment_rest(job.items, kept, job.report, predicting)
        for result in results:
            try:
                if predicting and tiling:
                    in_windows(result)
                elif result.seg is not None and words:
                    by_words(result, result.seg, words)
                elif result.seg is not None:
                    by_labels(result, result.seg)
            except KeyError:  # FiftyOne's word for a sample that it does not find
                result.seg, result.error = None, GONE
            except (ValueError, OSError) as error:
                result.seg, result.error = None, str(error)
            yield result

    return job.save(prompted())
