"""What a person is told of a run: how far it is, what came of it, why it failed; and its end.

A run works in a thread of its own, so that there is a word every half second, whatever it is at.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.message import GeneratedMessage, MessageType

from fastsam_plugins.messages import one_line
from fiftyone_plugin.save_job import Report, Stopped

EVERY = 0.5  # seconds between words
STOP = "@fastsam-plugins/fastsam/stop"

log = logging.getLogger(__name__)


class Refused(GeneratedMessage):
    """The line of a stream that says why there is no result: the App marks the run as failed."""

    def __init__(self, text: str) -> None:
        super().__init__(MessageType.ERROR, type(self))
        self.text = text

    def to_json(self) -> dict[str, Any]:
        """What the App reads."""
        return {**super().to_json(), "error": self.text, "error_message": self.text}


def watched(work: Iterator[Report]) -> Iterator[Report | None]:
    """Do work in a thread, and give its report as often as there is news, and twice a second.

    Whoever closes this ends the work; what it has saved stays.
    """
    made: queue.Queue[tuple[str, Any]] = queue.Queue()
    closed = threading.Event()

    def do() -> None:
        try:
            for report in work:
                made.put(("report", report))
                if closed.is_set():
                    work.close()  # type: ignore[attr-defined]
                    return
            made.put(("end", None))
        except BaseException as error:  # handed to whoever asks
            made.put(("error", error))

    threading.Thread(target=do, daemon=True).start()
    latest: Report | None = None
    try:
        while True:
            try:
                what, item = made.get(timeout=EVERY)
            except queue.Empty:
                yield latest
                continue
            if what == "error":
                raise item
            if what == "end":
                return
            latest = item
            yield latest
    finally:
        closed.set()
        if latest is not None:
            latest.stop = True


class Clock:
    """How long a run has taken, and will take, from what it did since its first image came."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._first: tuple[float, float] | None = None

    def taken(self) -> str:
        """In words, of a run of which nothing else is known."""
        return f"{time.monotonic() - self._start:.0f} s"

    def left(self, report: Report, now: float | None = None) -> str:
        """In words; nothing as long as nothing can be said."""
        now = time.monotonic() if now is None else now
        done, total = _done(report), max(report.total, 1)
        if self._first is None and done > 0:
            self._first = (now, done)
        if self._first is None or done <= self._first[1] or done >= total:
            return ""
        began, before = self._first
        seconds = (total - done) * (now - began) / (done - before)
        if seconds >= 90:
            return f"about {seconds / 60:.0f} min left"
        return f"about {max(seconds, 1):.0f} s left"


def _done(report: Report) -> float:
    number, count = report.window
    return max(report.seen, report.done) + (number / count if count else 0)


def how_far(report: Report | None, clock: Clock) -> tuple[float, str]:
    """The share that is done, and a line."""
    if report is None or not report.total:
        return 0.0, f"Starting, {clock.taken()}"
    done = max(report.seen, report.done)
    words = [f"{done} of {report.total} samples"]
    number, count = report.window
    if count:
        words.append(f"window {number + 1} of {count}")
    if report.stop:
        words.append("stopping")
    elif left := clock.left(report):
        words.append(left)
    elif not done and not count:
        words.append(f"starting, {clock.taken()}")
    return min(_done(report) / report.total, 1.0), ", ".join(words)


def progress(ctx: Any, share: float, line: str, can_stop: bool) -> GeneratedMessage:
    """The bar in the App, with a button that ends the run.

    Not where FiftyOne does not know the operator behind it, because files of an earlier version are
    installed: a click would leave the person an empty page.
    """
    shown = types.Object()
    shown.float("progress", view=types.ProgressView(label=line))
    if can_stop:
        shown.btn("stop", "Stop, and keep what is done", on_click=STOP, variant="outlined")
    return _shown(ctx, shown, {"progress": share})


def outcome(ctx: Any, report: Report) -> Iterator[GeneratedMessage]:
    """What came of a run."""
    text = told(report)
    fine = not (report.failed or report.stopped or report.unanswered)
    view = types.Success if fine else types.Warning
    yield from _end(ctx, view(label=text), "success" if fine else "warning")


def failed(ctx: Any, error: Exception) -> Iterator[GeneratedMessage]:
    """Why there is no result, where the person looks, and for programs at the end of the stream."""
    text = sentence(error)
    if not isinstance(error, Stopped | ValueError | OSError):
        log.error("a run failed", exc_info=error)
    variant = "warning" if isinstance(error, Stopped) else "error"
    yield from _end(ctx, types.Error(label=text), variant)
    yield Refused(text)


def _end(ctx: Any, view: types.View, variant: str) -> Iterator[GeneratedMessage]:
    """The last word of a run: a notification that goes by itself, and what stays."""
    shown = types.Object()
    shown.view("outcome", view)
    yield ctx.ops.notify(view.label, variant=variant)
    yield _shown(ctx, shown, {})


def _shown(ctx: Any, shown: types.Object, results: dict[str, Any]) -> GeneratedMessage:
    message: GeneratedMessage = ctx.trigger(
        "show_output", {"outputs": types.Property(shown).to_json(), "results": results}
    )
    return message


def sentence(error: BaseException) -> str:
    """What an error says, for a person."""
    text = one_line(error)
    return text[:1].upper() + text[1:]


def told(report: Report) -> str:
    """One line for the person."""
    good = report.done - len(report.failed)
    text = f"{good} samples, {report.instances} instances"
    if report.figures:
        text += f": {report.figures}"
    if report.prompts:
        text += f", {report.answered} of {report.prompts} prompts answered"
        if report.unanswered:
            text += f" ({_counted(report.unanswered)})"
    if report.left_out:
        text += f", left out: {_counted(report.left_out)}"
    if report.skipped:
        text += f", {report.skipped} skipped"
    if report.failed:
        text += f", {len(report.failed)} failed: {next(iter(report.failed.values()))}"
    if report.written:
        text += f"; written to {report.written}"
    if report.stopped:
        left = report.total - report.done
        text = f"Stopped: {text}; {left} samples are left, which 'skip' goes on with"
    return text


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
