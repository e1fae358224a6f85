"""Instances for every sample of a view: from the network, or from what was kept of it.

Reading, the network and the database work at the same time. Samples are saved batch after batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import fiftyone as fo

from fastsam_plugins import FastSAM
from fastsam_plugins.batch import read_ahead, segment_images
from fastsam_plugins.geometry import Window
from fastsam_plugins.io import open_raster, read_image
from fastsam_plugins.network import weights
from fastsam_plugins.network.interrupting import Interrupted
from fastsam_plugins.options import (
    LimitOptions,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TileOptions,
    WeightsOptions,
)
from fastsam_plugins.parameters import Options, parameters
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import labels, prompts
from fiftyone_plugin.kept_files import Kept
from fiftyone_plugin.parameters import Existing, NetworkOptions, PromptFields
from fiftyone_plugin.save_job import GONE, Job, Report, Result
from fiftyone_plugin.storage import StoreOptions
from fiftyone_plugin.views import ShownLabels, having, images

T = TypeVar("T")


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
    check_model(model)
    job.store.how = how_of(model, segmenting or SegmentOptions(), reading, tiling)

    def items() -> Iterator[tuple[str, str]]:  # asked for when the work is, and not by a form
        yield from job.items

    network = _network(
        items(), model, segmenting or SegmentOptions(), reading, batch, tiling, limits, job.report
    )
    return job.save(read_ahead(network, 2 * batch))


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
    job.by_text = words is not None
    check_model(model)
    kept = Kept(job.dataset, proposals) if proposals else None
    if kept:
        wanted = how_of(model, segmenting or SegmentOptions(), reading, tiling)
        if asked is None:
            asked = given_names(segmenting, reading, tiling)
        kept.ask(job.view, {name: wanted[name] for name in wanted if name in asked})
    shown = ShownLabels(view)
    predicting = masks is not None or (prompting is not None and prompting.predict)
    if predicting and tiling:
        raise ValueError("predict looks at an image at once: it does not go with windows")

    def by_labels(result: Result, seg: Segmentation) -> None:
        sample = shown.sample(result.sample)
        if masks:
            given = prompts.read_drawn(sample[masks], seg.shape, only)
        else:
            given = prompts.read(
                sample[boxes] if boxes else None, sample[points] if points else None, seg.shape,
                only,
            )  # fmt: skip
        if predicting and seg.image is None:  # what is kept on disk is without its image
            seg = seg.with_image(_reader(tiling)(result.file, reading, limits))
        result.seg = given.select(seg, prompting or PromptOptions())
        result.names, result.sources = given.labels, given.sources
        result.prompts, result.left_out = len(given.labels), given.left_out
        result.unanswered = given.unanswered(seg, result.seg)

    def by_words(result: Result, seg: Segmentation, words: prompts.Words) -> None:
        if seg.image is None:  # what is kept on disk is without its image
            seg = seg.with_image(_reader(tiling)(result.file, reading, limits))
        result.seg, result.similarity = words.select(seg)
        result.names, result.prompts = words.texts, len(words.texts)
        result.unanswered = words.unanswered(seg, result.seg)

    def prompted() -> Iterator[Result]:
        for result in looked_at(
            job.items, kept, model, segmenting or SegmentOptions(), reading, batch, tiling, limits,
            job.report, predicting,
        ):  # fmt: skip
            if result.seg is not None:
                try:
                    if words:
                        by_words(result, result.seg, words)
                    else:
                        by_labels(result, result.seg)
                except KeyError:  # FiftyOne's word for a sample that it does not find
                    result.seg, result.error = None, GONE
                except (ValueError, OSError) as error:
                    result.seg, result.error = None, str(error)
            yield result

    return job.save(prompted())


def looked_at(
    items: Iterable[tuple[str, str]],
    kept: Kept | None,
    model: FastSAM | str,
    segmenting: SegmentOptions,
    reading: ReadOptions | None,
    batch: int,
    tiling: TileOptions | None,
    limits: LimitOptions | None,
    report: Report,
    with_encoding: bool,
) -> Iterator[Result]:
    """The instances of samples: what was kept of them first, then from the network.

    ``with_encoding`` says that what is kept without its encoding, as by an earlier version, is not
    enough.
    """
    rest = []
    for sample, file in items:
        seg = kept.segmentation(sample) if kept else None
        if seg is None or (with_encoding and seg.encoding is None):
            rest.append((sample, file))
        else:
            yield Result(sample, file, seg)
    yield from _network(
        iter(rest), model, segmenting, reading, batch, tiling, limits, report
    )  # fmt: skip


def given_names(*given: Options | None) -> set[str]:
    """Names of the settings of options that were given."""
    return {p.name for options in given if options for p in parameters(type(options))}


def how_of(
    model: FastSAM | str,
    segmenting: SegmentOptions,
    reading: ReadOptions | None,
    tiling: TileOptions | None,
) -> dict[str, Any]:
    """Everything that decides what is found in an image, by name."""
    if isinstance(model, str):
        known = weights.known(model)
        name = known.stem if isinstance(known, Path) else known.name
    else:
        name = model.network.name
    settings = (segmenting, reading or ReadOptions(), *([tiling] if tiling else []))
    values = {k: v for options in settings for k, v in asdict(options).items()}
    return {"model": name, "tiled": tiling is not None, **values}


def check_model(model: FastSAM | str) -> None:
    """Refuse weights that there are not, before anything is done."""
    if not isinstance(model, FastSAM):
        NetworkOptions(model)
        weights.known(model)


def _reader(tiling: TileOptions | None) -> Callable[..., Any]:
    """What reads a file: window by window where it is looked at so."""
    return open_raster if tiling else read_image


def _network(
    items: Iterator[tuple[str, str]],
    model: FastSAM | str,
    segmenting: SegmentOptions,
    reading: ReadOptions | None,
    batch: int,
    tiling: TileOptions | None,
    limits: LimitOptions | None,
    report: Report,
) -> Iterator[Result]:
    """What the network finds for samples and their files, ahead of being saved."""
    if limits is None and not isinstance(model, str):
        limits = model.limits

    def read(item: tuple[str, str]) -> Any:
        return _reader(tiling)(item[1], reading, limits)

    def windows(_: Any, places: Sequence[Window]) -> Iterator[Window]:
        for number, place in enumerate(places):
            report.window = (number, len(places))
            if report.stop:
                raise Interrupted("stopped on request")
            yield place

    network = functools.partial(loaded, model, limits=limits) if isinstance(model, str) else model
    outcomes = segment_images(
        network, items, read, segmenting, tiling, batch, ahead=batch, progress=windows
    )
    try:
        for outcome in outcomes:
            sample, file = outcome.item
            yield Result(sample, file, outcome.segmentation, outcome.error)
    except Interrupted:  # an image of which a part of the windows is seen: it is left
        report.stopped = True


@functools.lru_cache(maxsize=1)
def loaded(
    name: str,
    device: str = "auto",
    limits: LimitOptions | None = None,
    trusted: WeightsOptions | None = None,
    backend: str = "auto",
    precision: str = "auto",
) -> FastSAM:
    """The network used last: prompts come one after another."""
    return FastSAM(
        name, device, backend, trusted, limits, precision=precision,
    )  # fmt: skip
