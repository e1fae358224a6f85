"""COCO's compressed RLE: run arrays to strings and back.

The format is the one of the COCO API (Lin et al. 2014, "Microsoft COCO"): the counts of a mask are
written as differences to the count before the previous one, in little-endian groups of five bits
plus a continuation bit, offset by 48 into printable characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R

_MAX_GROUPS = 12  # 60 bits: more than any image has pixels
_MAX_PIXELS = 2**50  # a running sum of such counts is seen to be too large before it wraps


def encode(masks: Sequence[R.Runs], shape: R.Shape) -> list[dict[str, Any]]:
    """Encode run arrays as COCO RLE.

    Parameters
    ----------
    masks : sequence of run arrays
    shape : (H, W)
        Size of the image in pixels.

    Returns
    -------
    list of dict
        ``{"size": [H, W], "counts": str}`` per mask.
    """
    from fastsam_plugins.masks import kernels

    height, width = int(shape[0]), int(shape[1])
    texts = (kernels.to_text(mask, height * width).tobytes() for mask in masks)
    return [{"size": [height, width], "counts": text.decode("ascii")} for text in texts]


def decode(rle: Mapping[str, Any]) -> tuple[R.Runs, R.Shape]:
    """Decode one COCO RLE, compressed (str or bytes) or not (list of counts).

    Returns
    -------
    runs, (H, W)

    Raises
    ------
    ValueError
        If the counts are malformed or do not add up to H x W.
    """
    try:
        height, width = (_side(v) for v in rle["size"])
        counts = rle["counts"]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError('an RLE needs "size": [height, width] and "counts"') from None
    pixels = height * width
    if pixels > _MAX_PIXELS:
        raise ValueError(f"an RLE of size {height} x {width} has too many pixels")
    if isinstance(counts, str | bytes):
        counts = _from_string(
            counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else counts
        )
    else:
        counts = _from_list(counts)
    # In range each, and their sum before it could wrap around.
    fits = not len(counts) or (counts.min() >= 0 and counts.max() <= pixels)
    if fits and len(counts) * pixels >= 2**62:
        fits = bool(counts.sum(dtype=np.float64) < 2.0**62)
    if not fits or counts.sum() != pixels:
        raise ValueError(f"the counts of an RLE do not add up to its size {height} x {width}")
    return R.from_counts(counts), (height, width)


def _side(value: Any) -> int:
    """A number of pixels, which some write as 480.0."""
    if isinstance(value, bool | str | bytes) or value != int(value) or value < 0:
        raise ValueError
    return int(value)


def _from_list(counts: Any) -> NDArray[np.int64]:
    try:
        if not isinstance(counts, np.ndarray) and any(isinstance(c, bool) for c in counts):
            raise TypeError
        array = np.asarray(counts)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(1, object)  # lists of several lengths
    if array.size == 0 and array.ndim == 1:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.max() >= 2**63:
        raise ValueError("the counts of an RLE are a COCO string or whole numbers")
    return array.astype(np.int64)


def _from_string(text: bytes) -> NDArray[np.int64]:
    code = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not len(code):
        return np.empty(0, np.int64)
    last = (code & 0x20) == 0
    if (code < 0).any() or (code > 63).any() or not last[-1]:
        raise ValueError("the counts of an RLE are not a COCO string")
    stops = np.flatnonzero(last) + 1
    starts = np.r_[0, stops[:-1]]
    groups = stops - starts
    if groups.max() > _MAX_GROUPS:
        raise ValueError("the counts of an RLE are not a COCO string")
    place = np.arange(len(code)) - np.repeat(starts, groups)
    values = np.add.reduceat((code & 0x1F) << (5 * place), starts)
    negative = (code[stops - 1] & 0x10) != 0
    values = np.where(negative, values - (1 << (5 * groups)), values)
    # Beyond that, sums could wrap around; ten groups hold no more.
    if groups.max() > 10 and np.abs(values).max() > _MAX_PIXELS:
        raise ValueError("the counts of an RLE are not a COCO string")
    # Undo the differences: each parity is a running sum, which starts at the counts 1 and 2.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
