"""Images side by side on a processor's cores, one each.

The layers of a small network are too short to be shared between threads: images are not.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Workers:
    """Threads that run a network side by side; made when there is work.

    A forked child has none of its parent's threads, and waits for them for ever if it does not know
    that: it makes its own.

    Parameters
    ----------
    count : callable
        How many threads.
    alone : callable
        What each of them calls first.
    """

    def __init__(self, count: Callable[[], int], alone: Callable[[], None]) -> None:
        self._how = count, alone
        self._process = 0
        self._lock = threading.Lock()

    def _begin(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._process != os.getpid():
                count, alone = self._how
                self._pool = ThreadPoolExecutor(count(), "fastsam", initializer=alone)
                self._process = os.getpid()
            return self._pool

    def ahead(self, work: Callable[[A], B], items: Iterable[A], most: int) -> Iterator[B]:
        """Do something with every item; results come in the order of the items.

        At most so many items are taken before their results are: there is always work to do, and
        never much in memory.
        """
        pool = self._begin()
        waiting: deque[Future[B]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(copy_context().run, work, item))
                if len(waiting) == most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _forked() -> None:
    """Let PyTorch use one thread in a forked child: OpenMP would wait for the parent's others."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing is forked
    os.register_at_fork(after_in_child=_forked)
