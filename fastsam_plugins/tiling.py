"""Windows over an image too large to look at at once, and one set of instances out of them.

Neighbouring windows share a strip. Of an object that reaches into it both have a mask, and inside
the strip, where both look, these two are nearly the same; outside of it they need not be, since
each window may see another part. So instances are one object where their masks overlap *inside what
both windows see*, whatever they do elsewhere: the best pairs first, on and on along a road through
ten windows, but never two of one window, or everything would soon be one.

Of the masks of one object

- the largest is the object, if no window's border cuts it and none of the others goes on beyond its
  window: they are parts or copies of it;
- else they are put together, each pixel from the window in whose middle it lies more.

What a border cuts off and nobody continues is a fragment. It goes if it is like a whole object, or
like a larger fragment, that has another piece of the same window; and if another window saw more of
it, and found nothing; and if it fills a window, which says no more than that the ground goes on.
Else it stays: the next window may have missed the object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window, box_intersections
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.matching import overlaps
from fastsam_plugins.masks.sources import RunMasks
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
        count = _along(length, side, overlap)
        starts = np.linspace(0, length - side, count).round().astype(int)
        return [(s, s + side) for s in starts.tolist()]

    columns = spans(shape[1])
    return [(x0, y0, x1, y1) for y0, y1 in spans(shape[0]) for x0, x1 in columns]


def window_count(shape: R.Shape, side: int, overlap: float) -> int:
    """How many :func:`windows` there are."""
    return _along(shape[0], side, overlap) * _along(shape[1], side, overlap)


def _along(length: int, side: int, overlap: float) -> int:
    """Windows along one axis."""
    step = max(side - round(side * overlap), 1)
    return 1 if length <= side else -(-(length - side) // step) + 1


@dataclass
class _Piece:
    """What one window saw of an object, in the image's coordinates."""

    window: int
    runs: R.Runs
    box: NDArray[np.float32]
    score: float
    cut: NDArray[np.bool_]  # (4,), by which of the window's sides
    fills: bool = False  # the window, from side to side


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
        self._near: dict[int, list[int]] = {}
        self._pieces: list[_Piece] = []
        self._found: list[list[int]] = []  # pieces of each window so far
        self._pairs: list[tuple[float, float, int, int]] = []  # that may be one object

    def add(self, seg: Segmentation) -> None:
        """The instances of the next window."""
        number = len(self._found)
        x0, y0, x1, y1 = self._windows[number].tolist()
        if seg.shape != (y1 - y0, x1 - x0):
            raise ValueError(f"window {number} is {(y1 - y0, x1 - x0)}, its masks {seg.shape}")
        seg = seg[seg.areas > 0]
        boxes = seg.boxes + np.array([x0, y0, x0, y0], np.float32)
        ends = self._ends(boxes, number)
        cut = ends & (self._windows[number] != (0, 0, *self._shape[::-1]))
        first = len(self._pieces)
        for i, score in enumerate(seg.scores.tolist()):
            runs = R.shift(seg.runs(i), y1 - y0, self._shape[0], x0, y0)
            fills = bool(ends[i].all())
            self._pieces.append(_Piece(number, runs, boxes[i], score, cut[i], fills))
        self._found.append(list(range(first, len(self._pieces))))
        for earlier in self._neighbours(number):
            if earlier < number:
                self._compare(earlier, number)

    def _neighbours(self, number: int) -> list[int]:
        """Windows that share pixels with one, itself among them."""
        if number not in self._near:
            shared = box_intersections(self._windows[number : number + 1], self._windows)[0]
            self._near[number] = np.flatnonzero(shared).tolist()
        return self._near[number]

    def _ends(self, boxes: NDArray[np.float32], number: int) -> NDArray[np.bool_]:
        """Which sides (N, 4) of boxes end at a side of the window."""
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        # A network is never exact to the pixel, and less so for large objects.
        return np.abs(boxes - self._windows[number]) <= 1 + sides / 50

    def _compare(self, one: int, other: int) -> None:
        """Note the pieces of two windows that are alike where both look."""
        a, b = self._windows[[one, other]]
        low, high = np.maximum(a, b)[:2], np.minimum(a, b)[2:]
        shared: Window = (*low.tolist(), *high.tolist())
        near = [self._reaching(number, shared) for number in (one, other)]
        masks, others = (
            [R.crop(self._pieces[p].runs, self._shape[0], shared) for p in side] for side in near
        )
        iou = overlaps(masks, others, self._shape, self._options.seam_iou)
        for i, j in np.argwhere(iou).tolist():
            p, q = near[0][i], near[1][j]
            # Where many cover all of the strip, those of like size are more likely to be the same.
            small, large = sorted(R.area(self._pieces[k].runs) for k in (p, q))
            self._pairs.append((float(iou[i, j]), small / large, p, q))

    def _reaching(self, number: int, window: Window) -> list[int]:
        """Pieces whose boxes reach into a window."""
        pieces = self._found[number]
        boxes = np.array([self._pieces[p].box for p in pieces]).reshape(-1, 4)
        shared = box_intersections(boxes, np.array([window]))[:, 0]
        return [p for p, area in zip(pieces, shared, strict=True) if area]

    def _objects(self) -> list[list[_Piece]]:
        """The pieces of each object, without fragments of others."""
        members = [[p] for p in range(len(self._pieces))]
        seen = [{piece.window} for piece in self._pieces]
        place = list(range(len(self._pieces)))  # of the object that a piece belongs to
        for *_, p, q in sorted(self._pairs, key=lambda pair: (-pair[0], -pair[1])):
            one, other = sorted((place[p], place[q]), key=lambda k: -len(members[k]))
            if one != other and seen[one].isdisjoint(seen[other]):
                for k in members[other]:
                    place[k] = one
                members[one] += members[other]
                seen[one] |= seen[other]
                members[other] = []
        groups = {k: [self._pieces[p] for p in group] for k, group in enumerate(members) if group}
        size = {k: self._size(group) for k, group in groups.items()}
        parts = {
            k
            for k, group in groups.items()
            if size[k] < 0 and (any(piece.fills for piece in group) or self._beyond(group))
        }
        for *_, p, q in self._pairs:
            less, more = sorted((place[p], place[q]), key=size.__getitem__)
            if size[less] < 0 and size[less] < size[more]:
                parts.add(less)
        return [group for k, group in groups.items() if k not in parts]

    def _size(self, group: list[_Piece]) -> float:
        """What decides which of two that are alike is part of the other: positive if complete."""
        area = max(R.area(piece.runs) for piece in group)
        return -1 / area if self._open(group).any() else area

    def _beyond(self, group: list[_Piece]) -> bool:
        """Whether most of a fragment lies where another window sees more, but did not find it."""
        if len(group) > 1:
            return False
        runs, height = group[0].runs, self._shape[0]
        number = group[0].window
        core = self._own(number, self._neighbours(number))
        return 2 * R.area_inside(runs, height, core) < R.area(runs)

    def instances(self, whole: Segmentation | None = None) -> Segmentation:
        """All of them, highest score first.

        Parameters
        ----------
        whole : Segmentation, optional
            What was found in the whole image at once: what is too large to be seen whole by any
            window comes from there, if the windows do not have it.
        """
        kept = [self._one(group) for group in self._objects()]
        if whole is not None:
            kept = list(self._with_large(kept, whole))
        kept.sort(key=lambda piece: -piece.score)
        return Segmentation.from_source(
            RunMasks([piece.runs for piece in kept], self._shape),
            np.array([piece.box for piece in kept], np.float32),
            np.array([piece.score for piece in kept], np.float32),
        )

    def _one(self, group: list[_Piece]) -> _Piece:
        """One object from its pieces."""
        largest = max(group, key=lambda piece: R.area(piece.runs))
        score = max(piece.score for piece in group)
        if len(group) == 1 or not (largest.cut.any() or self._goes_on(largest, group)):
            return replace(largest, score=score)
        present = {piece.window for piece in group}
        own = {n: self._own(n, [o for o in self._neighbours(n) if o in present]) for n in present}
        runs = R.union(R.crop(p.runs, self._shape[0], own[p.window]) for p in group)
        if not len(runs):  # each has only what a third one, without having it, sees better
            runs = R.union(piece.runs for piece in group)
        box = np.array(R.bounds(runs, self._shape[0]), np.float32)
        return _Piece(largest.window, runs, box, score, self._open(group))

    def _goes_on(self, piece: _Piece, group: list[_Piece]) -> bool:
        """Whether others have pixels beyond a piece's window, as objects of several parts do."""
        x0, y0, x1, y1 = self._windows[piece.window].tolist()
        return any(
            R.area_inside(p.runs, self._shape[0], (x0, y0, x1, y1)) < R.area(p.runs) for p in group
        )

    def _open(self, group: list[_Piece]) -> NDArray[np.bool_]:
        """Sides (4,) on which a border cuts the object off and no piece beside continues it."""
        present = {piece.window for piece in group}
        out = np.zeros(SIDES, np.bool_)
        for piece in group:
            if piece.cut.any():
                beside = [n for n in self._neighbours(piece.window) if n in present]
                own, others = self._windows[piece.window], self._windows[beside]
                along = (others == own)[:, [1, 0, 1, 0]]  # in its row, in its column
                beyond = (others - own) * (-1, -1, 1, 1) > 0
                out |= piece.cut & ~(along & beyond).any(0)
        return out

    def _own(self, number: int, others: Sequence[int]) -> Window:
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
        known = overlaps(complete, masks, self._shape, self._options.seam_iou).any(0)
        added = np.flatnonzero(~known)
        for piece in kept:
            if piece.cut.any():
                near = box_intersections(piece.box[None], large.boxes[added])[0] > 0
                over = [masks[i] for i in added[near].tolist()]
                shared = R.intersection_areas(piece.runs, over)
                if shared.max(initial=0) > INSIDE * R.area(piece.runs):
                    continue
            yield piece
        for i in added.tolist():
            no = np.zeros(SIDES, np.bool_)
            yield _Piece(-1, masks[i], large.boxes[i], float(large.scores[i]), no)
