"""What is given to a prompt, and what it is made from."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.masks.sampling import Floats


@dataclass(frozen=True, eq=False)
class Answer:
    """One mask.

    Attributes
    ----------
    map : float32 array (GRID, GRID)
        Logits.
    window : (x0, y0, x1, y1)
        What the map covers, in pixels; it may reach beyond the image.
    iou : float
        What IoU with the object it is expected to have.
    """

    map: Floats
    window: Window
    iou: float

    @cached_property
    def key(self) -> tuple[Window, int]:
        """Equal for equal answers."""
        return self.window, zlib.crc32(np.ascontiguousarray(self.map).tobytes())


@dataclass(frozen=True, eq=False)
class View:
    """What the decoder sees of one window; see :meth:`Decoder.refine`.

    Attributes
    ----------
    corners : float64 array (4,)
        The window as shares of the network's input, xyxy.
    prototypes : int
        How many of the last maps of ``coarse`` they are.
    """

    window: Window
    corners: NDArray[np.float64]
    coarse: Floats
    fine: Floats
    extent: Floats
    prototypes: int
