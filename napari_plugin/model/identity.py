"""Which image it is: a short name for its pixels, whatever its layer or file is called.

Arrays in memory of up to 32 MB are looked at whole. Of larger ones, and of what is read when it is
looked at (dask, zarr, pyramids), 64 or 16 spots of 128 x 128 pixels, spread over all axes, of the
finest and the coarsest level: images that differ nowhere there have one name.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

log = logging.getLogger(__name__)

WHOLE = 1 << 25  # bytes
SIDE = 128  # pixels of a spot
CHANNELS = 4  # axes of so many are looked at whole
_GOLDEN = (5**0.5 - 1) / 2


class Identity:
    """The name of an image's pixels, found once; other threads wait for it.

    Parameters
    ----------
    levels : sequence of arrays
        The finest first.
    """

    def __init__(self, levels: Sequence[Any]) -> None:
        self.levels = list(levels)
        self._lock = threading.Lock()
        self._name: list[str | None] = []

    @property
    def quick(self) -> bool:
        """Whether it is known, or found without reading a file."""
        return bool(self._name) or all(isinstance(level, np.ndarray) for level in self.levels)

    def get(self) -> str | None:
        """The name; None where the pixels cannot be read."""
        with self._lock:
            if not self._name:
                try:
                    self._name.append(name(self.levels))
                except Exception as error:  # whatever an array raises that reads a file or computes
                    log.warning("cannot read the image to know it again: %s", error)
                    self._name.append(None)
            return self._name[0]


def name(levels: Sequence[Any]) -> str:
    """A name for pixels: equal for equal arrays; see this module for what is looked at."""
    shapes = [(tuple(int(n) for n in level.shape), str(level.dtype)) for level in levels]
    made = hashlib.blake2b(repr(shapes).encode(), digest_size=8)
    first = levels[0]
    if len(levels) == 1 and isinstance(first, np.ndarray) and first.nbytes <= WHOLE:
        made.update(np.ascontiguousarray(first).tobytes())
        return made.hexdigest()
    for level in (first, levels[-1])[: len(levels)]:
        for spot in _spots(level.shape, 64 if isinstance(level, np.ndarray) else 16):
            made.update(np.ascontiguousarray(np.asarray(level[spot])).tobytes())
    return made.hexdigest()


def _spots(shape: Sequence[int], count: int) -> Iterator[tuple[slice, ...]]:
    plane = sorted(range(len(shape)), key=lambda a: -shape[a])[:2]
    for k in range(count):
        spot = []
        for axis, n in enumerate(int(n) for n in shape):
            size = min(n, SIDE if axis in plane else n if n <= CHANNELS else 1)
            start = round((0.5 + k * _GOLDEN * (axis + 1)) % 1 * (n - size))
            spot.append(slice(start, start + size))
        yield tuple(spot)
