"""Instances for every sample of a view: from the network, or from what was kept of it.

Reading, the network and the database work at the same time. Samples are saved batch after batch:
what a kill interrupts, ``existing="skip"`` goes on with.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Literal, TypeVar

import fiftyone as fo
from numpy.typing import NDArray

from fastsam_plugins import FastSAM, ImageError, weights
from fastsam_plugins.files import read_image
from fastsam_plugins.options import PromptOptions, ReadOptions, SegmentOptions, TileOptions
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import documents, labels, prompts
from fiftyone_plugin.documents import Change
from fiftyone_plugin.storage import Store, StoreOptions

T = TypeVar("T")
Existing = Literal["refuse", "skip", "overwrite", "append"]


@dataclass
class Report:
    """How far a run has come.

    Attributes
    ----------
    total, done : int
        Samples to do, and done, with those that failed.
    skipped : int
        Samples that had labels already.
    instances : int
        Labels written.
    failed : dict
        Reason by file; the samples have it too, in ``FIELD_error``.
    """

    total: int = 0
    done: int = 0
    skipped: int = 0
    instances: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass
class Found:
    """What came out for one sample: instances and their names, or why there are none."""

    sample: str
    file: str
    seg: Segmentation | None = None
    error: str = ""
    names: list[str] | None = None
    sources: list[str] | None = None
    similarity: NDArray | None = None


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
) -> Iterator[Report]:
    """Segment all instances of every sample.

    Parameters
    ----------
    view : dataset or view
        Of images, or of groups, of which the images are taken.
    field : str
        Field to write; ``FIELD_error`` says what went wrong with a sample, if anything did.
    model : FastSAM or str
        A loaded network, or a name or file, loaded when the first result is asked for.
    segmenting, reading, storing : options
    existing : str
        What to do if samples have labels in the field: refuse, skip them, overwrite or append to
        them.
    batch : int
        Samples that go through the network, and are saved, together.
    tiling : TileOptions, optional
        Look at images in windows: for those too large for one look.

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
    job = Job(view, field, storing or StoreOptions(), existing)
    _check_model(model)
    network = _network(job.items(), model, segmenting or SegmentOptions(), reading, batch, tiling)
    return job.save(_ahead(network, 2 * batch), batch)


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
        Field whose segmentations were kept: where they are, the network is not asked.
    words : Words, optional
        What to look for, instead of boxes and points.

    The other parameters, and what is returned and raised, are as in :func:`everything`.
    """
    storing = (storing or StoreOptions()).replace(keep=False)
    if only is not None:
        view = view.match_labels(ids=list(only))
    job = Job(view, field, storing, existing)
    for name, kind in ((boxes, fo.Detections), (points, fo.Keypoints)):
        if name and name not in labels.fields(job.dataset, (kind,)):
            raise ValueError(f"{name} is no field of {kind.__name__}")
    if words and (boxes or points):
        raise ValueError("a text goes alone: leave out boxes and points")
    if not boxes and not points and not words:
        raise ValueError("nothing to prompt with: name a field of boxes or of points, or a text")
    job.by_text = words is not None
    _check_model(model)
    kept = Store(job.dataset, proposals, storing) if proposals else None

    def segmented() -> Iterator[Found]:
        rest = []
        for sample, file in job.items():
            seg = kept.segmentation(sample) if kept else None
            if seg is None:
                rest.append((sample, file))
            else:
                yield Found(sample, file, seg)
        yield from _network(
            iter(rest), model, segmenting or SegmentOptions(), reading, batch, tiling
        )

    def by_labels(found: Found, seg: Segmentation) -> None:
        sample = job.dataset[found.sample]
        given = prompts.read(
            sample[boxes] if boxes else None, sample[points] if points else None, seg.shape, only
        )
        found.seg = given.select(seg, prompting or PromptOptions())
        found.names, found.sources = given.labels, given.sources

    def by_words(found: Found, seg: Segmentation, words: prompts.Words) -> None:
        if seg.image_features is None:  # what is kept on disk is without its image
            seg = seg.with_image(read_image(found.file, reading))
        found.seg, found.similarity = words.select(seg)
        found.names = words.texts

    def prompted() -> Iterator[Found]:
        for found in segmented():
            if found.seg is not None:
                try:
                    if words:
                        by_words(found, found.seg, words)
                    else:
                        by_labels(found, found.seg)
                except (ValueError, OSError) as error:
                    found.seg, found.error = None, str(error)
            yield found

    return job.save(prompted(), batch)


class Job:
    """The samples to do, and how they are saved.

    Parameters are those of :func:`everything`, which raises what this raises.
    """

    def __init__(self, view: Any, field: str, options: StoreOptions, existing: Existing) -> None:
        self.view = images(view)
        self.field, self.dataset = field, view._dataset
        self.store = Store(self.dataset, field, options)
        self._error = f"{field}_error"
        self.report = Report()
        if not field.isidentifier():
            raise ValueError(f"{field!r} cannot be a field: use letters, digits and underscores")
        known = self.dataset.get_field_schema().get(field)
        kind = getattr(known, "document_type", None)
        if known is not None and not (kind and issubclass(kind, self.store.kind)):
            raise ValueError(
                f"{field} exists and is no field of {self.store.kind.__name__}: name another"
            )
        if known is not None:
            done = self.view.exists(field)
            if existing == "refuse" and len(done):
                raise ValueError(
                    f"{len(done)} samples have labels in {field} already: skip, overwrite or "
                    "append to them, or name another field"
                )
            if existing == "skip":
                self.report.skipped = len(done)
                self.view = self.view.exists(field, False)
        self._append = existing == "append" and known is not None
        self.report.total = len(self.view)
        self.by_text = False  # whether instances have a similarity

    def items(self) -> Iterator[tuple[str, str]]:
        """Id and file of every sample to do."""
        yield from zip(*self.view.values(["id", "filepath"]), strict=True)

    def save(self, results: Iterator[Found], batch: int) -> Iterator[Report]:
        """Write results batch after batch."""
        self._declare()
        yield self.report
        while chunk := list(islice(results, batch)):
            changes = {f.sample: self._change(f) for f in chunk}
            documents.write(self.dataset, changes)
            for found in chunk:
                if found.seg is not None:
                    saved = documents.objects(changes[found.sample].fields[self.field])
                    self.store.tidy(found.sample, saved)
            self.report.failed |= {f.file: f.error for f in chunk if f.error}
            self.report.done += len(chunk)
            yield self.report

    def _declare(self) -> None:
        kind = self.store.kind
        root = f"{self.field}.{kind._LABEL_LIST_FIELD}"
        own = {
            self.field: fo.EmbeddedDocumentField(kind),
            self._error: fo.StringField(),
            f"{root}.stability": fo.FloatField(),
            f"{root}.area": fo.IntField(),
            f"{root}.source": fo.StringField(),
        }
        if self.by_text:
            own[f"{root}.similarity"] = fo.FloatField()
        # A field that is there, of whatever type, holds these values just as well.
        new = {path: f for path, f in own.items() if not self.dataset.has_field(path)}
        documents.declare(self.dataset, new)

    def _change(self, found: Found) -> Change:
        """A sample that failed keeps what it had."""
        change = Change({self._error: found.error or None})
        if found.seg is not None:
            objects = self.store.put(
                found.sample, found.seg, found.names, found.sources, found.similarity
            )
            self.report.instances += len(objects)
            if self._append:
                before = self.dataset.select(found.sample).values(self.field, _raw=True)
                objects = documents.objects(before[0]) + objects
            change.fields[self.field] = documents.label(self.store.kind, objects)
        return change


def images(view: fo.Dataset | fo.DatasetView) -> fo.Dataset | fo.DatasetView:
    """The image samples of a dataset or view.

    Raises
    ------
    ValueError
        If it has none.
    """
    if view._dataset._is_generated or getattr(view, "_is_generated", False):
        raise ValueError("this is a view of patches, frames or clips: take one of samples")
    if view.media_type == "group":
        view = view.select_group_slices(media_type="image")
    elif view.media_type not in ("image", None):
        raise ValueError(f"this segments images, and these samples are of type {view.media_type}")
    if not len(view):
        raise ValueError("there are no samples to work on")
    return view


def _check_model(model: FastSAM | str) -> None:
    if isinstance(model, str):
        weights.known(model)


def _network(
    items: Iterator[tuple[str, str]],
    model: FastSAM | str,
    segmenting: SegmentOptions,
    reading: ReadOptions | None,
    batch: int,
    tiling: TileOptions | None,
) -> Iterator[Found]:
    def read() -> Iterator[tuple[Found, NDArray | None]]:
        for sample, file in items:
            try:
                yield Found(sample, file), read_image(file, reading)
            except (ImageError, OSError) as error:
                yield Found(sample, file, error=str(error) or type(error).__name__), None

    waiting: deque[Found] = deque()

    def images(first: tuple[Found, NDArray | None]) -> Iterator[NDArray]:
        for found, image in chain([first], source):
            waiting.append(found)
            if image is not None:
                yield image

    source = _ahead(read(), batch)
    first = next(source, None)
    if first is None:  # no network is loaded
        return
    network = loaded(model) if isinstance(model, str) else model
    found_in: Iterator[Segmentation] = (
        (network.segment_tiled(image, segmenting, tiling, batch) for image in images(first))
        if tiling
        else network.segment_many(images(first), segmenting, batch=batch)
    )
    for seg in found_in:
        while waiting[0].error:
            yield waiting.popleft()
        found = waiting.popleft()
        found.seg = seg
        yield found
    yield from waiting


@functools.lru_cache(maxsize=1)
def loaded(name: str, device: str = "auto", allow_unknown_weights: bool = False) -> FastSAM:
    """The network used last: prompts come one after another."""
    return FastSAM(name, device, allow_unknown_weights=allow_unknown_weights)


def _ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """The same items, made in a thread of their own, up to ``count`` before they are asked for."""
    made: queue.Queue[tuple[str, Any]] = queue.Queue(count)
    closed = threading.Event()

    def put(what: str, item: Any) -> bool:
        while not closed.is_set():
            try:
                made.put((what, item), timeout=0.1)
                return True
            except queue.Full:
                pass
        return False

    def work() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:  # handed to whoever asks
            put("error", error)

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            what, item = made.get()
            if what == "error":
                raise item
            if what == "end":
                return
            yield item
    finally:
        closed.set()
