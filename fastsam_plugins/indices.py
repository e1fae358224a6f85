"""What may stand in brackets to pick instances, checked in words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def one(i: Any, count: int) -> int:
    """The place of one of ``count`` instances; negative numbers count from the end.

    Raises
    ------
    IndexError
        If there is no such instance.
    ValueError
        If it is no whole number.
    """
    if isinstance(i, bool | np.bool_) or not isinstance(i, int | np.integer):
        raise ValueError(f"an instance is picked by a whole number, not by {i!r:.60}")
    if not -count <= i < count:
        raise IndexError(f"there is no instance {i}: there are {count}")
    return int(i) % count


def several(index: Any, count: int) -> slice | NDArray:
    """A slice, whole numbers (M,) or a bool mask (N,), checked; raises as :func:`one`."""
    if isinstance(index, slice):
        return index
    if isinstance(index, int | np.integer):
        return np.array([one(index, count)])
    places = np.asarray(index)
    if places.ndim == 1 and not places.size:
        return places.astype(np.int64)
    if places.ndim != 1 or places.dtype.kind not in "biu":
        raise ValueError(
            "instances are picked by a whole number, a slice, whole numbers or a bool for each, "
            f"not by {index!r:.60}"
        )
    if places.dtype.kind == "b":
        if len(places) != count:
            raise IndexError(f"there are {count} instances, and {len(places)} bools to pick them")
    elif ((places < -count) | (places >= count)).any():
        missing = next(i for i in places.tolist() if not -count <= i < count)
        raise IndexError(f"there is no instance {missing}: there are {count}")
    return places
