"""Instances to an edge map: where the probability of any mask changes.

Section 4.2 of the paper, after Kirillov et al. 2023, "Segment Anything", section 7.2: Sobel of
every mask's probability map, the maximum over all masks scaled to [0, 1], thinned to its ridges.

The paper's maps end at their boxes, so the borders of the boxes come out as edges and have to be
removed, true edges there with them. Ours go on beyond the box: there is nothing to remove. With
``cropped`` the paper's way is taken, to compare: probabilities are 0 outside of the box, whose
border is removed, of a mask only what lies along its own border counts, and thinning takes the
direction in which the probability of the strongest mask rises, as Canny's does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.options import EdgeOptions

if TYPE_CHECKING:
    from fastsam_plugins.geometry import Window
    from fastsam_plugins.segmentation import Segmentation

Map = NDArray[np.float32]
_STRIP = 1 << 20  # pixels


def edges(seg: Segmentation, options: EdgeOptions | None = None) -> Map:
    """Edge strength of every pixel.

    Parameters
    ----------
    seg : Segmentation
        Masks that keep no logits (merged, cleaned, loaded) count with their pixels: where their
        box cut them, they do have an edge.
    options : EdgeOptions

    Returns
    -------
    float32 array (H, W)
        In [0, 1]; zero everywhere if there is no edge.
    """
    options = EdgeOptions.of(options)
    if options.cropped:
        return _cropped(seg, options)
    height, width = seg.shape
    strongest = np.zeros((height, width), np.float32)
    for i in range(len(seg)):
        # Sobel looks one pixel around, and an edge may lie on the border of the box.
        x0, y0 = np.maximum(np.floor(seg.boxes[i, :2]).astype(int) - 2, 0).tolist()
        x1, y1 = np.minimum(np.ceil(seg.boxes[i, 2:]).astype(int) + 2, (width, height)).tolist()
        if min(x1 - x0, y1 - y0) < 3:
            continue
        weight = seg.scores[i] if options.by_confidence else np.float32(1)
        for low, high in _strips(y1 - y0, x1 - x0):
            strength = weight * _strength(seg, i, (x0, y0, x1, y1), y0 + low, y0 + high)
            part = strongest[y0 + low : y0 + high, x0:x1]
            np.maximum(part, strength, out=part)
    highest = float(strongest.max(initial=0))
    if highest > 0:
        strongest /= highest
    return ridges(strongest, options.smoothing) if options.thin else strongest


def _cropped(seg: Segmentation, options: EdgeOptions) -> Map:
    """The paper's own maps; of the whole image at once, with the slopes of its strongest masks."""
    from scipy import ndimage
    from skimage.filters import sobel_h, sobel_v

    height, width = seg.shape
    strongest, rise_y, rise_x = np.zeros((3, height, width), np.float32)
    around = np.ones((3, 3))
    for i in range(len(seg)):
        box = seg.boxes[i]
        x0, y0 = np.maximum(np.floor(box[:2]).astype(int) - 2, 0).tolist()
        x1, y1 = np.minimum(np.ceil(box[2:]).astype(int) + 2, (width, height)).tolist()
        if min(x1 - x0, y1 - y0) < 3:
            continue
        window = (x0, y0, x1, y1)
        mask = np.asarray(seg.mask(i, window), np.bool_)
        y, x = np.mgrid[y0:y1, x0:x1]
        inside = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
        probability = np.where(inside, _probability(seg, i, window), 0)
        dy, dx = sobel_h(probability), sobel_v(probability)
        strength = np.hypot(dy, dx) / np.sqrt(2)
        border = ndimage.binary_dilation(mask, around) & ~ndimage.binary_erosion(mask, around)
        # Sobel looks one pixel around: so near to its end the box is what it sees.
        border &= (x >= box[0] + 1) & (x < box[2] - 1) & (y >= box[1] + 1) & (y < box[3] - 1)
        strength *= border * (seg.scores[i] if options.by_confidence else 1)
        here = np.s_[y0:y1, x0:x1]
        higher = strength > strongest[here]
        for part, new in ((strongest, strength), (rise_y, dy), (rise_x, dx)):
            part[here][higher] = new[higher]
    highest = float(strongest.max(initial=0))
    if highest > 0:
        strongest /= highest
    if not options.thin:
        return strongest
    length = np.maximum(np.hypot(rise_y, rise_x), 1e-12)
    return _suppressed(strongest, rise_y / length, rise_x / length)


def to_uint16(strength: Map) -> NDArray[np.uint16]:
    """An edge map as whole numbers, of which 65535 is 1."""
    out = np.empty(strength.shape, np.uint16)
    for low, high in _strips(*strength.shape):
        out[low:high] = np.round(strength[low:high] * 65535)
    return out


def _strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Rows [low, high) that are worked on together: all of an image that is not large."""
    step = max(_STRIP // max(width, 1), 3)
    for low in range(0, height, step):
        yield low, min(low + step, height)


def _strength(seg: Segmentation, i: int, window: Window, low: int, high: int) -> Map:
    """Sobel of a mask's probability in rows [low, high) of a window ``(x0, y0, x1, y1)``."""
    from skimage.filters import sobel

    x0, y0, x1, y1 = window
    first, last = max(low - 1, y0), min(high + 1, y1)
    probability = _probability(seg, i, (x0, first, x1, last))
    return np.asarray(sobel(probability)[low - first : high - first], np.float32)


def _probability(seg: Segmentation, i: int, window: Window) -> NDArray[np.float64]:
    """Of a mask within a window; its pixels where it keeps no logits."""
    if seg.source.has_logits:
        return np.asarray(1 / (1 + np.exp(-np.clip(seg.logits(i, window), -30, 30))), np.float64)
    return np.asarray(seg.mask(i, window), np.float64)


def ridges(strength: Map, smoothing: float) -> Map:
    """Keep edges where they are strongest across their direction (non-maximum suppression).

    The map is changed in place, and is the result.

    Parameters
    ----------
    strength : float32 array (H, W)
    smoothing : float
        Pixels of the Gaussian from whose curvature the direction is taken.
    """
    height, width = strength.shape
    around = int(4 * smoothing + 0.5) + 2  # rows that a row depends on, by filter and neighbour
    above = strength[:0]  # as they were
    for low, high in _strips(height, width):
        together = np.concatenate([above, strength[low : min(high + around, height)]])
        kept = _ridges(together, smoothing)[len(above) : len(above) + high - low]
        above = together[: len(above) + high - low][-around:].copy()
        strength[low:high] = kept
    return strength


def _ridges(strength: Map, smoothing: float) -> Map:
    from scipy import ndimage

    def derivative(along_y: int, along_x: int) -> NDArray[np.float64]:
        return np.asarray(
            ndimage.gaussian_filter(strength, smoothing, (along_y, along_x), np.float64)
        )

    # Across a ridge, on its crest (down) as on its flanks (up), the surface bends most.
    xx, yy, xy = derivative(0, 2), derivative(2, 0), derivative(1, 1)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.where(xx + yy < 0, np.pi / 2, 0)
    return _suppressed(strength, np.sin(angle), np.cos(angle))


def _suppressed(strength: Map, dy: NDArray[np.floating], dx: NDArray[np.floating]) -> Map:
    """Where the map is as strong as a pixel away to either side, else 0."""
    from scipy import ndimage

    y, x = np.mgrid[: strength.shape[0], : strength.shape[1]]
    keep = np.ones(strength.shape, np.bool_)
    for sign in (1, -1):
        beside = ndimage.map_coordinates(
            strength, (y + sign * dy, x + sign * dx), order=1, mode="nearest"
        )
        # Plateaus two pixels wide stay: thinning for BSDS takes the rest.
        keep &= strength * 1.01 >= beside
    return np.where(keep, strength, np.float32(0))
