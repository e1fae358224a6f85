"""Percentiles of more values than there is memory for a sorted copy of, to the bit as numpy's.

The values are counted by their leading 16 bits, then those that share the leading bits of the
wanted one by the next 16, and so on: a radix selection, which keeps a histogram and no values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 18
"""Values that are worked on at once: whatever is made of them fits a processor's cache."""

_DIGIT = 16  # bits counted at a time

Parts = Callable[[], Iterable[NDArray]]


def percentiles(parts: Parts, shares: Sequence[float]) -> NDArray[np.float64]:
    """What ``np.percentile(values.astype(float64), shares, axis=0)`` says.

    Parameters
    ----------
    parts : callable
        Gives the values part by part: arrays (n, C) of one type, finite. It is called again for
        every 16 bits of a value.
    shares : sequence of float
        0 to 100.

    Returns
    -------
    float64 array (shares, C)
        Zeros (shares, 0) if there are no values.
    """
    counts, dtype = _leading(parts)
    total = int(counts[0].sum()) if len(counts) else 0
    if not total:
        return np.zeros((len(shares), 0))
    places = (total - 1) * (np.asarray(shares, np.float64) / 100)
    first = np.minimum(np.floor(places), total - 1).astype(np.int64)
    second = np.minimum(first + 1, total - 1)
    chosen = _at(np.concatenate([first, second]), counts, dtype, parts)
    low, high = chosen[: len(first)], chosen[len(first) :]
    # Numpy's interpolation, step by step, so that no rounding differs.
    share = (places - first)[:, None]
    with np.errstate(over="ignore"):
        apart = high - low
    if not np.isfinite(apart).all():  # doubles that are farther apart than the largest of them
        return low * (1 - share) + high * share
    return np.where(share >= 0.5, high - apart * (1 - share), low + apart * share)


def pieces(values: NDArray) -> Iterator[NDArray]:
    """Views of values (n, C), so many at a time."""
    step = max(PIECE // max(values.shape[1], 1), 1)
    for start in range(0, len(values), step):
        yield values[start : start + step]


def _leading(parts: Parts) -> tuple[NDArray[np.int64], np.dtype]:
    """How often each leading digit is there (C, digits), and the type of the values."""
    counts, dtype = np.zeros((0, 0), np.int64), np.dtype(np.uint8)
    for part in parts():
        dtype = _native(part.dtype)
        bits = 8 * dtype.itemsize
        digits = min(bits, _DIGIT)
        if not counts.size:
            counts = np.zeros((part.shape[1], 1 << digits), np.int64)
        for piece in pieces(part):
            keys = _keys(piece, dtype) >> np.uint64(bits - digits)
            for band, histogram in enumerate(counts):
                histogram += np.bincount(keys[:, band].astype(np.intp), minlength=len(histogram))
    return counts, dtype


def _at(
    ranks: NDArray[np.int64], counts: NDArray[np.int64], dtype: np.dtype, parts: Parts
) -> NDArray[np.float64]:
    """The values (ranks, C) that stand at these places of the sorted order."""
    bits = 8 * dtype.itemsize - min(8 * dtype.itemsize, _DIGIT)
    prefix = np.zeros((len(ranks), len(counts)), np.uint64)
    left = np.repeat(ranks[:, None], len(counts), axis=1)
    for band, histogram in enumerate(counts):
        prefix[:, band], left[:, band] = _digit(histogram, left[:, band])
    while bits:
        bits -= _DIGIT
        wanted = [np.unique(prefix[:, band]) for band in range(len(counts))]
        inner = [{p: np.zeros(1 << _DIGIT, np.int64) for p in w.tolist()} for w in wanted]
        for part in parts():
            for piece in pieces(part):
                keys = _keys(piece, dtype) >> np.uint64(bits)
                for band, by_prefix in enumerate(inner):
                    own = keys[:, band]
                    for p, histogram in by_prefix.items():
                        same = own[own >> np.uint64(_DIGIT) == p] & np.uint64((1 << _DIGIT) - 1)
                        histogram += np.bincount(same.astype(np.intp), minlength=len(histogram))
        for band, by_prefix in enumerate(inner):
            for k, p in enumerate(prefix[:, band].tolist()):
                (digit,), (rest,) = _digit(by_prefix[p], left[k : k + 1, band])
                prefix[k, band], left[k, band] = (p << _DIGIT) | int(digit), rest
    return _values(prefix, dtype)


def _digit(counts: NDArray[np.int64], ranks: NDArray[np.int64]) -> tuple[Any, Any]:
    """The digits at ranks among counted ones, and the ranks among those of the same digit."""
    reach = np.cumsum(counts)
    digits = np.searchsorted(reach, ranks, "right")
    return digits, ranks - np.where(digits > 0, reach[digits - 1], 0)


def _native(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float64) if dtype.itemsize > 8 else dtype.newbyteorder("=")


def _keys(values: NDArray, dtype: np.dtype) -> NDArray[np.uint64]:
    """Unsigned numbers in the order of the values."""
    own = np.ascontiguousarray(values, dtype).view(f"u{dtype.itemsize}")
    top = own.dtype.type(1 << (8 * dtype.itemsize - 1))
    if dtype.kind == "i":
        own = own ^ top
    elif dtype.kind == "f":  # negative numbers grow downwards
        own = np.where(own & top, ~own, own | top)
    return own.astype(np.uint64)


def _values(keys: NDArray[np.uint64], dtype: np.dtype) -> NDArray[np.float64]:
    """The inverse of :func:`_keys`, as float64."""
    own = keys.astype(f"u{dtype.itemsize}")
    top = own.dtype.type(1 << (8 * dtype.itemsize - 1))
    if dtype.kind == "i":
        own = own ^ top
    elif dtype.kind == "f":
        own = np.where(own & top, own ^ top, ~own)
    return own.view(dtype).astype(np.float64)
