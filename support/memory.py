"""Memory that a call takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psutil


def peak_extra_megabytes(work: Callable[[], Any]) -> float:
    """How far the process's resident memory rises above its level before the call.

    Memory that the process has freed and not given back is taken without a rise: a figure is of a
    process that did nothing large before.
    """
    process = psutil.Process()
    before = peak = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = work()
        peak = max(peak, process.memory_info().rss)
    finally:
        done.set()
        watcher.join()
    del result
    return (peak - before) / 1e6
