"""COCO's compressed RLE: run arrays to strings and back, all masks at once.

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
_TOGETHER = 1 << 16  # counts written in one go: more gains no time and costs memory


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
    pixels = shape[0] * shape[1]
    size = [int(shape[0]), int(shape[1])]
    encoded: list[dict[str, Any]] = []
    counts: list[NDArray[np.int64]] = []
    waiting = 0
    for k, mask in enumerate(masks):
        counts.append(R.to_counts(mask, pixels))
        waiting += len(counts[-1])
        if waiting > _TOGETHER or k == len(masks) - 1:
            encoded += [{"size": size.copy(), "counts": text} for text in _to_strings(counts)]
            counts, waiting = [], 0
    return encoded


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
        height, width = (int(v) for v in rle["size"])
        counts = rle["counts"]
    except (KeyError, TypeError, ValueError):
        raise ValueError('an RLE needs "size": [height, width] and "counts"') from None
    if isinstance(counts, str | bytes):
        counts = _from_string(counts.encode("latin-1") if isinstance(counts, str) else counts)
    counts = np.asarray(counts, np.int64)
    if (counts < 0).any() or counts.sum() != height * width:
        raise ValueError(f"the counts of an RLE do not add up to its size {height} x {width}")
    return R.from_counts(counts), (height, width)


def _to_strings(counts: Sequence[NDArray[np.int64]]) -> list[str]:
    lengths = np.array([len(c) for c in counts], np.int64)
    values = np.concatenate(counts)
    ends = np.cumsum(lengths)
    deltas = values.copy()
    deltas[2:] -= values[:-2]
    for k in range(3):  # the first three counts of a mask are written as they are
        first = (ends - lengths + k)[lengths > k]
        deltas[first] = values[first]

    # A value needs g groups when it fits into 5*g bits with sign.
    magnitude = deltas ^ (deltas >> 63)
    groups = np.ones(len(deltas), np.int64)
    left = np.flatnonzero(magnitude > 15)
    bits = 9
    while len(left):
        groups[left] += 1
        left = left[magnitude[left] >> bits > 0]
        bits += 5

    after = np.cumsum(groups)
    text = np.empty(after[-1], np.uint8)
    place = after - groups
    while len(deltas):
        more = groups > 1
        text[place] = (deltas & 0x1F) + 48 + more * 0x20
        left = np.flatnonzero(more)
        place, groups, deltas = place[left] + 1, groups[left] - 1, deltas[left] >> 5
    stops = after[ends - 1].tolist()
    joined = text.tobytes().decode("ascii")
    return [joined[a:b] for a, b in zip([0, *stops[:-1]], stops, strict=True)]


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
    # Undo the differences: each parity is a running sum, which starts at the counts 1 and 2.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
