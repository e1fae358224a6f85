"""Looking at limits before memory is taken; the limits are those of ``options.LimitOptions``."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fastsam_plugins.options import LimitOptions

DEFAULT = LimitOptions()
MB = 1_000_000
SIDES = 100  # bytes for every row and column of an image: where masks are sampled


def too_many_pixels(size: Sequence[int], limits: LimitOptions) -> str:
    """What is wrong with an image of (height, width) that is read at once; empty if nothing."""
    pixels = int(size[0]) * int(size[1])
    if pixels <= limits.max_pixels:
        return ""
    return (
        f"has {size[1]} x {size[0]} pixels, and max_pixels is {limits.max_pixels}: raise it, or "
        "save the image as TIFF, of which --tiled reads windows"
    )


def too_much_memory(needed: float, limits: LimitOptions) -> str:
    """What is wrong with taking so many bytes; empty if nothing."""
    if needed <= limits.max_memory * MB:
        return ""
    return f"takes {-(-needed // MB):.0f} MB of memory, and max_memory is {limits.max_memory} MB"


def input_memory(channels: int, shape: tuple[int, int]) -> int:
    """About how many bytes an input (H, W) takes in a network at most: docs/limits.md.

    What is alive at once are layers near the input, whose channels grow with those of the first,
    ``channels``, and the head's, which do not.
    """
    return int(shape[0] * shape[1] * (75 + 3.5 * channels))


class Clock:
    """The time that is left for reading a file."""

    def __init__(self, limits: LimitOptions) -> None:
        self._limit = limits.max_seconds
        self._end = time.monotonic() + self._limit

    def check(self) -> None:
        """Raise ``TimeoutError`` once it is over."""
        if time.monotonic() > self._end:
            raise TimeoutError(f"reading takes longer than max_seconds, {self._limit:g}: raise it")
