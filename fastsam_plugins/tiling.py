"""Windows over an image too large to look at at once, and one set of instances out of them.

Neighbouring windows share a strip. Of an object that reaches into it both have a mask, and inside
the strip, where both look, these two are nearly the same; outside of it they need not be, since
each window may see another part. So instances are one object where their masks overlap *inside what
both windows see*, whatever they do elsewhere, matched one to one. That is transitive along a road
through ten windows, and does not mistake a wheel for the car that another window cuts off behind
it.

Of the masks of one object

- the largest is the object, if no window's border cuts it: the others are parts or copies of it;
- else they are put together, each pixel from the window in whose middle it lies more.

What a border cuts off and nobody continues is a fragment. It stays if its window is the one that
sees it best, as when the next window missed the object; else it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import box_intersections
from fastsam_plugins.linking import matched
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sources import RunMasks, Window
from fastsam_plugins.options import TileOptions
from fastsam_plugins.segmentation import Segmentation

INSIDE = 0.8  # of a fragment: if more of it lies in an object found in the whole image, it is part
SIDES = 4  # left, top, right, bottom, as in a box


def windows(shape: R.Shape, side: int, overlap: float) -> list[Window]:
    """Windows that cover an image (H, W), spread evenly, row by row.

    Parameters
    ----------
    shape : (H, W)
    side : int
        Of a window in pixels; of a smaller image they have its side.
    overlap : float
        Share of the side that neighbours have in common at least, below 1.

    Returns
    -------
    list of (x0, y0, x1, y1)
    """

    def spans(length: int) -> list[tuple[int, int]]:
        if length <= side:
            return [(0, length)]
        step = max(side - round(side * overlap), 1)
        count = -(-(length - side) // step) + 1
        starts = np.linspace(0, length - side, count).round().astype(int)
        return [(s, s + side) for s in starts.tolist()]

    columns = spans(shape[1])
    return [(x0, y0, x1, y1) for y0, y1 in spans(shape[0]) for x0, x1 in columns]


@dataclass
class _Piece:
    """What one window saw of an object, in the image's coordinates."""

    window: int
    runs: R.Runs
    box: NDArray[np.float32]
    score: float
    cut: NDArray[np.bool_]  # (4,), by which of the window's sides


class Mosaic:
    """Instances of a large image from those of its windows.

    Parameters
    ----------
    shape : (H, W)
        Of the image.
    windows : sequence of (x0, y0, x1, y1)
    options : TileOptions
    """

    def __init__(self, shape: R.Shape, windows: Sequence[Window], options: TileOptions) -> None:
        self._shape, self._options = shape, options
        self._windows = np.array(windows).reshape(-1, SIDES)
        self._pieces: list[_Piece] = []
        self._found: list[list[int]] = []  # pieces of each window so far
        self._object: list[
            int
        ] = []  # of each piece: an earlier piece of the same object, or itself

    def add(self, seg: Segmentation) -> None:
        """The instances of the next window."""
        number = len(self._found)
        x0, y0, x1, y1 = self._windows[number].tolist()
        if seg.shape != (y1 - y0, x1 - x0):
            raise ValueError(f"window {number} is {(y1 - y0, x1 - x0)}, its masks {seg.shape}")
        boxes = seg.boxes + np.array([x0, y0, x0, y0], np.float32)
        cut = self._cut(boxes, number)
        first = len(self._pieces)
        for i, score in enumerate(seg.scores.tolist()):
            runs = R.shift(seg.runs(i), y1 - y0, self._shape[0], x0, y0)
            self._pieces.append(_Piece(number, runs, boxes[i], score, cut[i]))
        self._found.append(list(range(first, len(self._pieces))))
        self._object += self._found[-1]
        for earlier in self._neighbours(number):
            if earlier < number:
                self._match(earlier, number)

    def _neighbours(self, number: int) -> list[int]:
        """Windows that share pixels with one, itself among them."""
        shared = box_intersections(self._windows[number : number + 1], self._windows)[0]
        return np.flatnonzero(shared).tolist()

    def _cut(self, boxes: NDArray[np.float32], number: int) -> NDArray[np.bool_]:
        """Which sides (N, 4) of boxes end at a side of the window that is none of the image."""
        height, width = self._shape
        window = self._windows[number]
        inner = window != (0, 0, width, height)
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        # A network is never exact to the pixel, and less so for large objects.
        return inner & (np.abs(boxes - window) <= 1 + sides / 50)

    def _match(self, one: int, other: int) -> None:
        """Join the pieces of two windows that are the same where both look."""
        a, b = self._windows[[one, other]]
        low, high = np.maximum(a, b)[:2], np.minimum(a, b)[2:]
        shared: Window = (*low.tolist(), *high.tolist())
        sides = []
        for number in (one, other):
            near = self._reaching(number, shared)
            parts = [R.crop(self._pieces[p].runs, self._shape[0], shared) for p in near]
            sides.append([(p, part) for p, part in zip(near, parts, strict=True) if len(part)])
        masks = [[part for _, part in side] for side in sides]
        pairs = matched(masks[0], masks[1], self._shape, self._options.seam_iou)
        for i, j in zip(*pairs, strict=True):
            self._object[self._first(sides[1][j][0])] = self._first(sides[0][i][0])

    def _reaching(self, number: int, window: Window) -> list[int]:
        """Pieces whose boxes reach into a window."""
        pieces = self._found[number]
        boxes = np.array([self._pieces[p].box for p in pieces]).reshape(-1, 4)
        shared = box_intersections(boxes, np.array([window]))[:, 0]
        return [p for p, area in zip(pieces, shared, strict=True) if area]

    def _first(self, piece: int) -> int:
        while self._object[piece] != piece:
            piece = self._object[piece]
        return piece

    def instances(self, whole: Segmentation | None = None) -> Segmentation:
        """All of them, highest score first.

        Parameters
        ----------
        whole : Segmentation, optional
            What was found in the whole image at once: what is too large to be seen whole by any
            window comes from there, if the windows do not have it.
        """
        groups: dict[int, list[_Piece]] = {}
        for place, piece in enumerate(self._pieces):
            groups.setdefault(self._first(place), []).append(piece)
        kept = [found for group in groups.values() if (found := self._one(group)) is not None]
        if whole is not None:
            kept = list(self._with_large(kept, whole))
        kept.sort(key=lambda piece: -piece.score)
        return Segmentation.from_source(
            RunMasks([piece.runs for piece in kept], self._shape),
            np.array([piece.box for piece in kept], np.float32),
            np.array([piece.score for piece in kept], np.float32),
        )

    def _one(self, group: list[_Piece]) -> _Piece | None:
        """One object from its pieces; None if it is a fragment that another window sees better."""
        largest = max(group, key=lambda piece: R.area(piece.runs))
        score = max(piece.score for piece in group)
        if not largest.cut.any():
            return _Piece(largest.window, largest.runs, largest.box, score, largest.cut)
        open_sides = self._open(group)
        if len(group) == 1:
            core = self._core(largest.window)
            inside = R.area_inside(largest.runs, self._shape[0], core)
            return largest if 2 * inside >= R.area(largest.runs) else None
        runs = R.union(
            R.crop(piece.runs, self._shape[0], self._own(piece.window, group)) for piece in group
        )
        if not len(runs):
            return None
        box = np.array(R.bounds(runs, self._shape[0]), np.float32)
        return _Piece(largest.window, runs, box, score, open_sides)

    def _open(self, group: list[_Piece]) -> NDArray[np.bool_]:
        """Sides (4,) on which a border cuts the object off and no other piece continues it."""
        seen = self._windows[[piece.window for piece in group]]
        sign = np.array([-1, -1, 1, 1])
        out = np.zeros(SIDES, np.bool_)
        for piece, window in zip(group, seen, strict=True):
            continued = ((seen - window) * sign > 0).any(0)
            out |= piece.cut & ~continued
        return out

    def _core(self, number: int) -> Window:
        """The part of a window that lies nearer to its middle than to any neighbour's."""
        return self._own_among(number, self._neighbours(number))

    def _own(self, number: int, group: list[_Piece]) -> Window:
        """The part of a window that is its own among those of a group."""
        return self._own_among(number, [piece.window for piece in group])

    def _own_among(self, number: int, others: Sequence[int]) -> Window:
        """A window without the halves of the strips shared with others beside, above and below."""
        x0, y0, x1, y1 = window = self._windows[number].tolist()
        for a0, b0, a1, b1 in self._windows[list(others)].tolist():
            if b0 == window[1]:
                x0 = max(x0, (a1 + window[0]) // 2) if a0 < window[0] < a1 else x0
                x1 = min(x1, (a0 + window[2]) // 2) if a0 < window[2] < a1 else x1
            if a0 == window[0]:
                y0 = max(y0, (b1 + window[1]) // 2) if b0 < window[1] < b1 else y0
                y1 = min(y1, (b0 + window[3]) // 2) if b0 < window[3] < b1 else y1
        return x0, y0, x1, y1

    def _with_large(self, kept: list[_Piece], whole: Segmentation) -> Iterator[_Piece]:
        """Objects of windows, and those of the whole image that no window can have seen whole."""
        side = (self._windows[:, 2:] - self._windows[:, :2]).max() * self._options.overlap
        large = whole[(whole.boxes[:, 2:] - whole.boxes[:, :2]).max(1, initial=0) > side]
        masks = [large.runs(i) for i in range(len(large))]
        complete = [piece.runs for piece in kept if not piece.cut.any()]
        _, known = matched(complete, masks, self._shape, self._options.seam_iou)
        added = [i for i in range(len(large)) if i not in set(known.tolist())]
        new = [masks[i] for i in added]
        for piece in kept:
            shared = R.intersection_areas(piece.runs, new)
            part = shared.max(initial=0) > INSIDE * R.area(piece.runs)
            if not (part and piece.cut.any()):
                yield piece
        for i in added:
            no = np.zeros(SIDES, np.bool_)
            yield _Piece(-1, masks[i], large.boxes[i], float(large.scores[i]), no)
