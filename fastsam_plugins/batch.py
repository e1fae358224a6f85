"""Many images, one road: each is read, segmented and given back; a bad one costs only itself."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar

from fastsam_plugins import prompt_windows
from fastsam_plugins.geometry import Window
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.model import FastSAM
from fastsam_plugins.options import SegmentOptions, TileOptions
from fastsam_plugins.prompts import Prompt
from fastsam_plugins.segmentation import Segmentation

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")


@dataclass
class Outcome(Generic[I]):
    """What came of one image.

    Attributes
    ----------
    item : object
        What was asked for, as it was given: a path, a sample.
    segmentation : Segmentation, optional
        With its image; None if there is an error.
    error : str
        Why there is none, in one line.
    """

    item: I
    segmentation: Segmentation | None = None
    error: str = ""


def segment_images(
    model: FastSAM | Callable[[], FastSAM],
    items: Iterable[I],
    read: Callable[[I], Any],
    options: SegmentOptions | None = None,
    tiling: TileOptions | None = None,
    batch: int = 8,
    ahead: int = 0,
    progress: Callable[[I, Sequence[Window]], Iterable[Window]] = lambda _, places: places,
    asked: Callable[[I], Prompt | None] = lambda _: None,
    each: bool = False,
) -> Iterator[Outcome[I]]:
    """Segment images one after another; every item has an outcome, in the order of the items.

    Parameters
    ----------
    model : FastSAM or callable
        What makes the network is called when the first image could be read.
    items : iterable
        Whatever ``read`` understands; read no further ahead than ``batch`` and ``ahead`` say.
    read : callable
        The image of an item, when it is its turn. With ``tiling`` an array that is read window by
        window, as :func:`fastsam_plugins.open_raster` gives it.
    options : SegmentOptions
    tiling : TileOptions, optional
        Look at images in windows: for those too large for one look.
    batch : int
        Images (windows, with ``tiling``) that go through the network together.
    ahead : int
        Images that are read in a thread of their own before it is their turn.
    progress : callable
        With ``tiling``: wraps the iteration over the windows of an item.
    asked : callable
        With ``tiling``: points or boxes that are answered, each in a window about it, instead of
        looking at all of an item; None to look at all.
    each : bool
        Whether every foreground point of them means an object of its own.

    Yields
    ------
    Outcome
        With an error where an image cannot be read, or is more than limits allow: ``ImageError`` or
        ``OSError``, also further down in a file that is read in windows.
    """

    def opened() -> Iterator[tuple[Outcome[I], Any]]:
        for item in items:
            try:
                yield Outcome(item), read(item)
            except (ImageError, OSError) as error:
                yield Outcome(item, error=_reason(error)), None

    source = read_ahead(opened(), ahead) if ahead else opened()
    for first in source:
        if not first[0].error:
            break
        yield first[0]
    else:  # no network is loaded
        return
    network = model if isinstance(model, FastSAM) else model()
    images = chain([first], source)
    if tiling is None:
        yield from _whole(network, images, options, batch)
        return
    for outcome, raster in images:
        if not outcome.error:

            def bar(places: Sequence[Window], item: I = outcome.item) -> Iterable[Window]:
                return progress(item, places)

            prompt = asked(outcome.item)
            try:
                if prompt is None:
                    found = network.segment_tiled(raster, options, tiling, batch, bar)
                else:
                    about = partial(network.predict_tiled, options=options, tile=tiling.tile)
                    found = prompt_windows.answer(about, raster, prompt, each)
                outcome.segmentation = found
            except (ImageError, OSError) as error:  # further down in the file
                outcome.error = _reason(error)
            except ValueError as error:
                if prompt is None:
                    raise
                outcome.error = f"its prompt cannot be answered: {_reason(error)}"
        yield outcome


def _whole(
    network: FastSAM,
    images: Iterable[tuple[Outcome[I], Any]],
    options: SegmentOptions | None,
    batch: int,
) -> Iterator[Outcome[I]]:
    waiting: deque[Outcome[I]] = deque()  # for their instances, and behind them those that failed

    def readable() -> Iterator[Any]:
        for outcome, image in images:
            waiting.append(outcome)
            if outcome.error:
                continue
            try:
                checked = network.checked(image, options)
            except ImageError as error:  # before it is among others, whom it would take along
                outcome.error = _reason(error)
                continue
            yield checked

    for segmentation in network.segment_many(readable(), options, batch):
        while waiting[0].error:
            yield waiting.popleft()
        outcome = waiting.popleft()
        outcome.segmentation = segmentation
        yield outcome
    yield from waiting


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def read_ahead(items: Iterable[T], count: int) -> Iterator[T]:
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


@dataclass
class Skipped:
    """The images that could not be read, and why.

    Parameters
    ----------
    count : int
        How many images there are.
    log : callable
        Takes a line for the person as soon as there is one, unless it is all there is to say.
    """

    count: int = 0
    log: Callable[[str], None] = print
    reasons: dict[Path, str] = field(default_factory=dict)

    def add(self, path: Path, error: str) -> None:
        """Note that an image could not be read."""
        reason = error if str(path) in error else f"{path}: {error}"
        self.reasons[path] = reason
        if self.count > 1:
            self.log(f"Skipped: {reason}")

    def passing(
        self, outcomes: Iterable[Outcome[I]], path_of: Callable[[I], Path]
    ) -> Iterator[tuple[I, Segmentation]]:
        """Those outcomes that have instances; the others are noted."""
        for outcome in outcomes:
            if outcome.segmentation is None:
                self.add(path_of(outcome.item), outcome.error)
            else:
                yield outcome.item, outcome.segmentation

    def check(self) -> None:
        """Say so in the end, if there were any.

        Raises
        ------
        ImageError
            If there were.
        """
        if self.reasons and self.count == 1:
            raise ImageError(next(iter(self.reasons.values())))
        if self.reasons:
            failed = f"{len(self.reasons)} of {self.count} images could not be used"
            raise ImageError(
                f"{failed}; the others are done" if len(self.reasons) < self.count else failed
            )

    def measured(self, done: int, failed: dict[str, str]) -> None:
        """Hand on what was left out of a measurement of ``done`` images.

        Raises
        ------
        ValueError
            If nothing was left to measure.
        """
        failed.update({str(path): " ".join(why.split()) for path, why in self.reasons.items()})
        if failed and not done:
            first = next(iter(failed.values()))
            raise ValueError(f"none of {len(failed)} images can be measured: {first}")
