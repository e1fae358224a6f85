"""An array that counts what is read of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Counting:
    """An array behind a counter: ``read`` are the numbers that were read since it was last set."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.read = array, 0
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Any) -> NDArray[Any]:
        part = self.array[index]
        self.read += np.size(part)
        return part
