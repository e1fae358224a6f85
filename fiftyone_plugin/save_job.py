"""The samples of a run, and how what was found of them is saved, batch after batch.

What one sample costs, it costs itself: one that cannot be read, or is deleted meanwhile, is named
and the rest is done. What a kill interrupts, ``existing="skip"`` goes on with.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import fiftyone as fo
from numpy.typing import NDArray
from pymongo.errors import DocumentTooLarge, OperationFailure, PyMongoError

from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import documents
from fiftyone_plugin.documents import Change
from fiftyone_plugin.fiftyone_private import dataset_of, reload
from fiftyone_plugin.labels import CROWD, LISTS
from fiftyone_plugin.mask_files import ATTRIBUTE
from fiftyone_plugin.parameters import Existing, WriteOptions
from fiftyone_plugin.storage import Store, StoreOptions
from fiftyone_plugin.undo import Undo
from fiftyone_plugin.views import images

GONE = "the sample was deleted during the run"
TOO_LARGE = 10334  # MongoDB's number for a document of more than 16 MB


class Stopped(RuntimeError):
    """Somebody asked for an end of work that is done wholly or not at all."""


@dataclass
class Report:
    """How far a run has come.

    Attributes
    ----------
    total, done : int
        Samples to do, and done, with those that failed.
    skipped : int
        Samples that had labels already, those included that got them from others during the run.
    instances : int
        Labels written.
    failed : dict
        Reason by file; the samples have it too, in ``FIELD_error``.
    written : str
        The file that an export wrote.
    prompts, answered : int
        Prompts that samples had, and those that an instance was found for.
    unanswered : Counter
        How many prompts were not answered, by reason.
    left_out : Counter
        Labels that were not taken for objects, by reason.
    figures : str
        What an evaluation came to, in words.
    seen : int
        Samples looked at, of which the last few are not saved yet.
    window : (int, int)
        How many windows of an image have been looked at, and how many there are.
    stop : bool
        Set by whoever wants the run to end: what was found until then is saved.
    stopped : bool
        Whether it ended so.
    """

    total: int = 0
    done: int = 0
    skipped: int = 0
    instances: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    written: str = ""
    prompts: int = 0
    answered: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    figures: str = ""
    seen: int = 0
    window: tuple[int, int] = (0, 0)
    stop: bool = False
    stopped: bool = False

    def check_stop(self) -> None:
        """Give up work of which a part is worth nothing, if that was asked for.

        Raises
        ------
        Stopped
            If so.
        """
        if self.stop:
            self.stopped = True
            raise Stopped("stopped on request: nothing was written")

    def fail(self, file: str, sample: str, reason: str) -> None:
        """Count a sample that failed. Another of the same file is told by its id."""
        self.failed[f"{file} (sample {sample})" if file in self.failed else file] = reason


@dataclass
class Result:
    """What came out for one sample: instances and their names, or why there are none."""

    sample: str
    file: str
    seg: Segmentation | None = None
    error: str = ""
    names: list[str] | None = None
    sources: list[str] | None = None
    similarity: NDArray | None = None
    crowds: list[bool] | None = None
    prompts: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


class Job:
    """The samples to do, and how they are saved.

    Parameters
    ----------
    view : dataset or view
    field : str
    options : StoreOptions
    existing : str
    batch : int
        See :func:`fiftyone_plugin.segment_job.everything`, which raises what this raises.
    """

    def __init__(
        self, view: Any, field: str, options: StoreOptions, existing: Existing, batch: int
    ) -> None:
        WriteOptions(field, existing, batch)
        self.view = images(view)
        self.field, self.dataset, self.batch = field, dataset_of(view), batch
        self.store = Store(self.dataset, field, options)
        self.report = Report()
        known = self.dataset.get_field_schema().get(field)
        kind = getattr(known, "document_type", None)
        if known is not None and not (kind and issubclass(kind, self.store.kind)):
            raise ValueError(
                f"{field} exists and is no field of {self.store.kind.__name__}: name another"
            )
        if known is not None:
            # Not by the view, which may show labels that are there as none, and none as empty ones.
            done = documents.holding(self.view, field) if existing in ("refuse", "skip") else []
            if existing == "refuse" and done:
                raise ValueError(
                    f"{len(done)} samples have labels in {field} already: skip, overwrite or "
                    "append to them, or name another field"
                )
            if existing == "skip":
                self.report.skipped = len(done)
                self.view = self.view.exclude(done) if done else self.view
        self._existing = existing
        self._error = ErrorField(self.dataset, field)
        self.report.total = documents.count(self.view)
        self._when: datetime | None = None  # of all changes, if they are to be told by it
        self.by_text = False  # whether instances have a similarity
        self.with_crowds = False  # whether instances may be crowd regions

    @functools.cached_property
    def items(self) -> list[tuple[str, str]]:
        """Id and file of every sample to do, as they were when this was first asked."""
        return list(zip(*self.view.values(["id", "filepath"]), strict=True))

    def save(self, results: Iterator[Result]) -> Iterator[Report]:
        """Write results batch after batch."""
        yield self._begin()
        try:
            yield from self._save(results)
        except PyMongoError:  # nothing can be asked of the database: `fastsam fiftyone tidy` later
            raise
        except BaseException:
            self.store.finish()
            raise
        self.store.finish()

    def save_whole(self, results: Iterator[Result]) -> Iterator[Report]:
        """Write all results, or none: an error, or whoever stops, leaves the field as it was."""
        undo = Undo(self.dataset, self.field)
        undo.begin()
        yield self._begin()
        try:
            yield from self._save(results, undo)
        except BaseException as error:
            self._undo(undo, error)
            raise
        undo.forget()
        self.store.finish()

    def _begin(self) -> Report:
        self._declare()
        self.report.total = len(self.items)
        return self.report

    def _undo(self, undo: Undo, error: BaseException) -> None:
        try:
            undo.back()
        except PyMongoError:
            raise RuntimeError(
                f"the import stopped, and the database does not answer ({error}): when labels are "
                f"imported into {self.field} again, what it held before is put back first"
            ) from error
        self.store.files.undone()

    def _save(self, results: Iterator[Result], undo: Undo | None = None) -> Iterator[Report]:
        results = self._until_stop(results, whole=undo is not None)
        while chunk := list(islice(results, self.batch)):
            self._check_field()
            if undo:
                undo.note([result.sample for result in chunk])
                self._when = undo.when
            for result in chunk:
                self._put(result)
                if result.error:
                    self.report.fail(result.file, result.sample, result.error)
            reload(self.dataset, [result.sample for result in chunk])
            self.report.done += len(chunk)
            yield self.report

    def _until_stop(self, results: Iterator[Result], whole: bool) -> Iterator[Result]:
        """Results, counted as they come, until somebody wants an end."""
        while True:
            if self.report.stop and whole:
                self.report.check_stop()
            if self.report.stop:
                self.report.stopped = True
                return
            result = next(results, None)
            if result is None:
                return
            self.report.seen += 1
            self.report.window = (0, 0)
            yield result

    def _put(self, result: Result) -> None:
        """Save one sample. One that failed keeps what it had."""
        if result.seg is not None:
            label = self._label(result)
            if self._try(result, label):
                (objects,) = (v for v in label.values() if isinstance(v, list))
                self.report.instances += len(objects)
                self.report.prompts += result.prompts
                self.report.answered += result.prompts - result.unanswered.total()
                self.report.unanswered += result.unanswered
                self.report.left_out += result.left_out
        if result.error:
            name = self._error.needed()
            documents.write(self.dataset, {result.sample: Change({name: result.error})})

    def _label(self, result: Result) -> documents.Document:
        """The label of a sample, whose files are written."""
        assert result.seg is not None
        try:
            return self.store.put(
                result.sample,
                result.seg,
                result.names,
                result.sources,
                result.similarity,
                result.crowds,
            )
        except BaseException:
            self.store.files.not_saved()
            raise

    def _try(self, result: Result, label: documents.Document) -> bool:
        change = Change({self._error.name: None} if self._error.name else {}, when=self._when)
        if self._existing == "append":
            if label[ATTRIBUTE]["kept"] is None:  # what was kept for those there are stays
                del label[ATTRIBUTE]
            change.more[self.field] = label
        else:
            change.fields[self.field] = label
        # Whoever wrote labels meanwhile, a person or another run: they are not replaced unasked.
        empty = self._existing in ("refuse", "skip")
        try:
            # If the connection breaks here, nobody knows whether it was saved: its files stay.
            before = documents.put(self.dataset, result.sample, change, self.field, empty)
        except (DocumentTooLarge, OperationFailure) as error:
            if isinstance(error, OperationFailure) and error.code != TOO_LARGE:
                raise
            result.error = "its labels outgrow the 16 MB that MongoDB allows: store masks as files"
            before = None
        if before is not None:
            self.store.saved(result.sample, before.get(self.field))
            return True
        self.store.files.not_saved()
        if not result.error:
            if documents.light(self.dataset, self.field, [result.sample]):
                self.report.skipped += 1
            else:
                result.error = GONE
        return False

    def _check_field(self) -> None:
        """Labels of a field that is no longer declared would be seen by nobody.

        Raises
        ------
        RuntimeError
            If the field or the dataset is gone.
        """
        if not documents.is_declared(self.dataset, self.field):
            raise RuntimeError(
                f"{self.field} was deleted or renamed during the run, after {self.report.done} of "
                f"{self.report.total} samples"
            )

    def _declare(self) -> None:
        kind = self.store.kind
        root = f"{self.field}.{LISTS[kind]}"
        own = {
            self.field: fo.EmbeddedDocumentField(kind),
            f"{root}.stability": fo.FloatField(),
            f"{root}.area": fo.IntField(),
            f"{root}.source": fo.StringField(),
        }
        if self.by_text:
            own[f"{root}.similarity"] = fo.FloatField()
        if self.store.options.iou_pred:
            own[f"{root}.iou_pred"] = fo.FloatField()
        if self.with_crowds:
            own[f"{root}.{CROWD}"] = fo.IntField()
        # A field that is there, of whatever type, holds these values just as well.
        new = {path: f for path, f in own.items() if not self.dataset.has_field(path)}
        documents.declare(self.dataset, new)


class ErrorField:
    """The field that says why samples failed, made when one does.

    ``FIELD_error``, unless the dataset has a field of that name that this program did not make.

    Attributes
    ----------
    name : str or None
        None as long as there is none.
    """

    MARK = "Why FastSAM has no result for a sample"

    def __init__(self, dataset: fo.Dataset, field: str) -> None:
        self.dataset = dataset
        self._names = (f"{field}_error", f"{field}_fastsam_error")
        known = dataset.get_field_schema()
        own = (n for n in self._names if n in known and known[n].description == self.MARK)
        self.name: str | None = next(own, None)

    def needed(self) -> str:
        """The name of the field, which is made if there is none."""
        if self.name is None:
            known = self.dataset.get_field_schema()
            free = (n for n in self._names if n not in known)
            self.name = next(free, None) or self._numbered(known)
            new = fo.StringField(description=self.MARK)
            documents.declare(self.dataset, {self.name: new})
        return self.name

    def _numbered(self, known: Any) -> str:
        number = 2
        while f"{self._names[1]}_{number}" in known:
            number += 1
        return f"{self._names[1]}_{number}"
