"""Images side by side on a processor's cores, one thread of PyTorch each.

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
    """As many threads as PyTorch would use for one image; made when there is work.

    A forked child has none of its parent's threads, and waits for them for ever if it does not know
    that: it makes its own.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        import torch

        self._process = os.getpid()
        self.count = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(
            self.count, "fastsam", initializer=_alone, initargs=(self.count,)
        )

    def ahead(self, work: Callable[[A], B], items: Iterable[A], most: int) -> Iterator[B]:
        """Do something with every item; results come in the order of the items.

        At most so many items are taken before their results are: there is always work to do, and
        never much in memory.
        """
        if os.getpid() != self._process:
            self._begin()
        waiting: deque[Future[B]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(copy_context().run, work, item))
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


def _alone(usual: int) -> None:
    """Let PyTorch use this thread only, and others as they did."""
    import torch

    torch.get_num_threads()  # else the first operation sets what is usual
    torch.set_num_threads(1)  # for this thread, and for those that do not exist yet
    restore = threading.Thread(target=torch.set_num_threads, args=(usual,))
    restore.start()
    restore.join()
