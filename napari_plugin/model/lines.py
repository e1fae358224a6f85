"""Lines that a person draws, cut where they leave the image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from fastsam_plugins.masks import runs as R
from napari_plugin.model.prompts import Line

_LEAST = 1e-3  # pixels: an image's right and lower borders are outside


def inside(line: Sequence[tuple[float, float]], shape: R.Shape) -> list[Line]:
    """The parts of a line (x, y) that lie in an image (H, W), in order; none of a single point."""
    ends = shape[1] - _LEAST, shape[0] - _LEAST
    parts: list[list[tuple[float, float]]] = []
    for a, b in itertools.pairwise(line):
        cut = _cut(a, b, ends)
        if cut is None:
            continue
        if not parts or parts[-1][-1] != cut[0]:
            parts.append([cut[0]])
        if cut[1] != parts[-1][-1]:
            parts[-1].append(cut[1])
    return [tuple(part) for part in parts if len(part) > 1]


def _cut(
    a: tuple[float, float], b: tuple[float, float], ends: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """What of a step lies between (0, 0) and ``ends``; None if nothing does."""
    first, last = 0.0, 1.0
    for start, stop, end in zip(a, b, ends, strict=True):
        along = stop - start
        if not along:
            if not 0 <= start <= end:
                return None
            continue
        enters, leaves = sorted((-start / along, (end - start) / along))
        first, last = max(first, enters), min(last, leaves)
    if first > last:
        return None

    def at(share: float) -> tuple[float, float]:
        x, y = a if not share else (p + share * (q - p) for p, q in zip(a, b, strict=True))
        if share == 1:  # and not where rounding leads
            x, y = b
        return min(max(x, 0.0), ends[0]), min(max(y, 0.0), ends[1])

    return at(first), at(last)
