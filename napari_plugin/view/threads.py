"""Work beside the window: done in another thread, its result told in the window's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from napari.qt.threading import create_worker


def run(then: Callable[[Any], None], work: Callable[..., Any], *args: Any) -> None:
    """Do something in another thread, and something with its result in this one."""
    worker = create_worker(work, *args, _start_thread=False)
    worker.returned.connect(then)
    worker.start()


class Latest:
    """Work that is asked for more often than it can be done: never two at once, the last one last.

    Attributes
    ----------
    busy : bool
        Whether there is a result to wait for.
    """

    def __init__(self) -> None:
        self.busy = False
        self._next: tuple[Any, ...] | None = None

    def start(self, then: Callable[[Any], None], work: Callable[..., Any], *args: Any) -> None:
        """Do something like :func:`run`, after what is under way."""
        if self.busy:
            self._next = (then, work, *args)
            return
        self.busy = True
        run(partial(self._done, then), work, *args)

    def _done(self, then: Callable[[Any], None], made: Any) -> None:
        self.busy, following, self._next = False, self._next, None
        then(made)
        if following is not None:
            self.start(*following)


class Requests:
    """One request at a time: later answers to an earlier one are dropped.

    Parameters
    ----------
    busy : callable
        Told whether there is a request to wait for, when that changes.
    """

    def __init__(self, busy: Callable[[bool], None]) -> None:
        self._busy = busy
        # Of the last request; that it is set makes it an earlier one.
        self._stop = threading.Event()
        self._stop.set()
        self.worker: Any = None

    def start(
        self,
        answered: Callable[[Any], None],
        work: Callable[..., Iterator[Any]],
        *args: Any,
        **progress: Any,
    ) -> None:
        """Give up what is under way, and ask for something else.

        Parameters
        ----------
        answered : callable
            Told each answer, in this thread.
        work : callable
            Called in another thread with ``args`` and an event that tells it to stop; yields
            answers, and None for what is no more than a step forward.
        *args
        **progress
            ``total`` and ``desc`` of a bar in napari's activity dock; without them, no bar.
        """
        self.cancel()
        self._stop = stop = threading.Event()

        def handle(answer: Any) -> None:
            if not stop.is_set() and answer is not None:
                answered(answer)

        def finished() -> None:
            if not stop.is_set():
                self.cancel()

        worker = create_worker(work, *args, stop, _start_thread=False, _progress=progress or None)
        worker.yielded.connect(handle)
        worker.finished.connect(finished)
        self.worker = worker
        self._busy(True)
        worker.start()

    def cancel(self) -> None:
        """Give the request up, if there is one."""
        if self._stop.is_set():
            return
        self._stop.set()
        self.worker.quit()
        self.worker = None
        self._busy(False)
