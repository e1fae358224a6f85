"""Images in, rows out: the one thing that every engine does, and each does it the same way."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastsam_plugins import io
from fastsam_plugins.batch import Outcome, segment_images
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.messages import one_line
from fastsam_plugins.model import FastSAM
from fastsam_plugins.prompts import BoxPrompt, PointPrompt, Prompt, TextPrompt
from fastsam_plugins.scale import places
from fastsam_plugins.scale.inputs import NOTHING, Item, asked, spelled
from fastsam_plugins.scale.rows import Row, of_error, of_instances
from fastsam_plugins.scale.settings import Settings
from fastsam_plugins.segmentation import Segmentation

if TYPE_CHECKING:
    from fastsam_plugins.text.clip import Clip


def network(settings: Settings, say: Callable[[str], None]) -> FastSAM:
    """The network that settings name."""
    r = settings.running
    return FastSAM(
        r.model,
        r.device,
        r.backend,
        settings.trusting,
        settings.limits,
        r.decoder,
        r.precision,
        say,
    )


class _Opened(NamedTuple):
    """An image that was read, what is asked of it, and what ends when it is done with."""

    pixels: Any
    prompt: Prompt | None
    files: contextlib.ExitStack


class _Asked(NamedTuple):
    item: Item
    opened: Future[_Opened]


class Segmenter:
    """A network, and what it needs to make rows of images.

    What comes out for an image does not depend on what other images there are, nor on how many
    threads a machine has: each goes through the network on one core.

    Parameters
    ----------
    network : FastSAM
    settings : Settings
    readers : int
        Images that are read at the same time.
    """

    def __init__(self, network: FastSAM, settings: Settings, readers: int = 4) -> None:
        self.network, self.settings, self.readers = network, settings, readers
        self._clip: Clip | None = None

    def rows(self, items: Iterable[Item]) -> Generator[Row]:
        """A row for every image, in their order; some are read ahead.

        Raises
        ------
        StoreError
            If a store cannot be reached.
        """
        self.network.backend.alone()  # this thread, which has the last word on single images
        s, batch = self.settings, self.settings.running.batch
        with ThreadPoolExecutor(self.readers, "fastsam-read") as pool:
            source = self._ahead(items, pool)
            outcomes = segment_images(
                self.network, source, lambda asked: asked.opened.result().pixels, s.segmenting,
                s.tiling, batch, asked=self._about, each=s.prompting.points_mode == "each",
            )  # fmt: skip
            try:
                for outcome in outcomes:
                    item, opened = outcome.item
                    if opened.exception() is not None:
                        yield of_error(item.image, item.prompt, _named(outcome.error, item.image))
                        continue
                    with opened.result().files:
                        yield self._row(item, outcome, opened.result().prompt)
            finally:
                outcomes.close()  # type: ignore[attr-defined]
                source.close()

    def _about(self, asked: _Asked) -> Prompt | None:
        """What is predicted in windows about it."""
        prompt = asked.opened.result().prompt
        return None if isinstance(prompt, TextPrompt) or not self._predicts else prompt

    @property
    def _predicts(self) -> bool:
        return self.settings.prompting.predict and self.settings.tiling is not None

    def _ahead(self, items: Iterable[Item], pool: ThreadPoolExecutor) -> Generator[_Asked]:
        """Items whose images are being read, in order: none is read long before its turn."""
        waiting: deque[_Asked] = deque()
        source = iter(items)
        try:
            for item in islice(source, self.readers):
                waiting.append(_Asked(item, pool.submit(self._open, item)))
            while waiting:
                yield waiting.popleft()
                for item in islice(source, 1):
                    waiting.append(_Asked(item, pool.submit(self._open, item)))
        finally:
            for _, opened in waiting:
                opened.cancel()

    def _open(self, item: Item) -> _Opened:
        s = self.settings
        try:
            asking = item.prompt or spelled(texts=list(s.texts))
            prompt = asked(asking, s.negatives)
        except (ValueError, TypeError) as error:
            raise ImageError(f"its prompt cannot be used: {one_line(error)}") from None
        with contextlib.ExitStack() as files:
            try:
                path = files.enter_context(places.fetched(item.image))
            except FileNotFoundError:
                raise ImageError(f"there is no file {item.image}") from None
            except ValueError as error:  # a name that a store has and pyarrow does not take
                raise ImageError(f"{item.image} cannot be read: {one_line(error)}") from None
            try:
                pixels = self._read(path, isinstance(prompt, TextPrompt))
            except (ImageError, OSError) as error:
                raise ImageError(str(error).replace(str(path), item.image)) from None
            # Of windows, the file has to stay until the last one is read.
            return _Opened(pixels, prompt, files.pop_all() if s.tiling else contextlib.ExitStack())

    def _read(self, path: Path, whole: bool) -> Any:
        s = self.settings
        if s.tiling:
            return io.open_raster(path, s.reading, s.limits)
        imgsz = s.segmenting.imgsz or self.network.imgsz
        return io.read_for_network(path, lambda: imgsz, s.reading, s.limits, whole)

    def _row(self, item: Item, outcome: Outcome[Any], prompt: Prompt | None) -> Row:
        s = self.settings
        if outcome.segmentation is None:  # further down in a file that is read in windows
            return of_error(item.image, item.prompt, _named(outcome.error, item.image))
        answered = self._predicts and isinstance(prompt, PointPrompt | BoxPrompt)
        # An answer is one whatever it is like; filters are about what prompts choose from.
        kept = outcome.segmentation if answered else outcome.segmentation.filter(s.filtering)
        stability = dict(zip(kept.rows.tolist(), kept.stability.tolist(), strict=True))
        cleaned = kept if answered else kept.clean(s.cleaning)
        try:
            found, texts, similarity = self._answer(cleaned, prompt, item)
        except ValueError as error:
            reason = f"its prompt cannot be answered: {one_line(error)}"
            return of_error(item.image, item.prompt, _named(reason, item.image))
        own = found.source is kept.source  # else masks were merged, cleaned or predicted
        known = [stability[r] for r in found.rows.tolist()] if own else found.stability.tolist()
        return of_instances(item.image, item.prompt, found, known, texts, similarity)

    def _answer(
        self, seg: Segmentation, prompt: Prompt | None, item: Item
    ) -> tuple[Segmentation, list[str] | None, list[float] | None]:
        s = self.settings
        if item.prompt == NOTHING:
            return seg[:0], None, None
        if prompt is None or (self._predicts and not isinstance(prompt, TextPrompt)):
            return seg, None, None
        if not isinstance(prompt, TextPrompt):
            return prompt.answer(seg, s.prompting), None, None
        from fastsam_plugins.text import loading, selection

        if self._clip is None:
            self._clip = loading.load(s.wording.clip, s.running.device)
        found = prompt.select(seg, s.wording, self._clip)
        similar = selection.answered(found, prompt.texts, s.wording, self._clip)
        texts = [prompt.texts[p] for p in found.prompts.tolist()]
        return found, texts, [float(v) for v in similar]


def _named(error: str, image: str) -> str:
    """An error in one line that names its image."""
    line = " ".join(error.split())
    return line if image in line else f"{image}: {line}"
