"""Images side by side on a processor's cores, one thread of PyTorch each.

The layers of a small network are too short to be shared between threads: images are not.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Workers:
    """As many threads as PyTorch would use for one image; made when there is work."""

    def __init__(self) -> None:
        import torch

        self.count = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(
            self.count, "fastsam", initializer=_alone, initargs=(self.count,)
        )

    def ahead(self, work: Callable[[A], B], items: Iterable[A], most: int) -> Iterator[B]:
        """Do something with every item; results come in the order of the items.

        At most so many items are taken before their results are: there is always work to do, and
        never much in memory.
        """
        waiting: deque[Future[B]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(work, item))
                if len(waiting) == most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _alone(usual: int) -> None:
    """Let PyTorch use this thread only, and others as they did."""
    import torch

    torch.get_num_threads()  # else the first operation sets what is usual
    torch.set_num_threads(1)  # for this thread, and for those that do not exist yet
    restore = threading.Thread(target=torch.set_num_threads, args=(usual,))
    restore.start()
    restore.join()
