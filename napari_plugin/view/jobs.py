"""Work on the window's own thread, a little at a time: the window answers in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QTimer

from napari_plugin.model.painting import Work, finished

SLICE = 0.02  # seconds


class Job:
    """One piece of work at a time.

    Parameters
    ----------
    failed : callable
        Told of an exception in a part that nobody waits for.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._work: Work[Any] | None = None
        self._then: Callable[[Any], None] = lambda made: None

    @property
    def busy(self) -> bool:
        """Whether there is work left."""
        return self._work is not None

    def start(self, work: Work[Any], then: Callable[[Any], None] = lambda made: None) -> None:
        """Begin; what is soon done is done at once, and its exceptions are raised here.

        Parameters
        ----------
        work : Work
        then : callable
            Told what it gave.
        """
        self.finish()
        self._work, self._then = work, then
        self._go_on()

    def finish(self) -> None:
        """Do what is left, now."""
        work, self._work = self._work, None
        if work is not None:
            self._then(finished(work))

    def _go_on(self) -> None:
        work = self._work
        if work is None:  # it was finished meanwhile
            return
        end = time.perf_counter() + SLICE
        going = True
        while going:
            try:
                next(work)
            except StopIteration as stop:
                self._work = None
                self._then(stop.value)
                return
            except Exception:
                self._work = None
                raise
            going = time.perf_counter() < end
        QTimer.singleShot(0, lambda: self._later(work))

    def _later(self, work: Work[Any]) -> None:
        if work is not self._work:
            return
        try:
            self._go_on()
        except Exception as error:  # nobody calls who could be told by it
            self._failed(error)
