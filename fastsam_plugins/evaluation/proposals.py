"""Class-agnostic average recall of proposals, streaming and mergeable.

AR@k is the share of ground truths that the best k proposals of each image match, averaged over the
IoU thresholds .50:.05:.95 (Hosang et al. 2016, "What makes for effective detection proposals?"),
matched greedily as the COCO API matches (Lin et al. 2014).

Greedy matching goes down the scores, so what the best k match is a prefix of what all match. All
that has to be remembered of a ground truth is, per threshold, the rank of the proposal that matched
it: every k is answered from that, in one pass, for the same memory. A ground truth that COCO would
ignore (crowd, or of another size) can be left out: to recall it makes no difference whether a
proposal matched it or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R

THRESHOLDS = np.linspace(0.5, 0.95, 10)
SIZES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
MAX_PROPOSALS = 1000
MISSED = np.iinfo(np.int32).max

Ranks = NDArray[np.int32]


@dataclass(frozen=True)
class FlatMasks:
    """Many masks in two arrays, as compiled code takes them.

    Attributes
    ----------
    runs : int64 array (K, 2)
        Run arrays of all masks, one after another.
    starts, stops : int64 arrays (N,)
        Mask i is ``runs[starts[i]:stops[i]]``.
    """

    runs: R.Runs
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    @classmethod
    def of(cls, masks: Sequence[R.Runs]) -> FlatMasks:
        """Put run arrays together."""
        lengths = np.array([len(m) for m in masks], np.int64)
        stops = np.cumsum(lengths)
        return cls(np.concatenate([R.EMPTY, *masks]), stops - lengths, stops)

    def take(self, index: NDArray[np.int64]) -> FlatMasks:
        """Some of them, in the order of the index."""
        return FlatMasks(self.runs, self.starts[index], self.stops[index])


@dataclass(frozen=True)
class Regions:
    """Boxes or masks of one image, ground truth or proposals.

    Attributes
    ----------
    boxes : float64 array (N, 4)
        ``x, y, width, height`` in pixels, as COCO writes them.
    masks : list of run arrays or FlatMasks, optional
        Without masks, the boxes are compared.
    areas : float64 array (N,), optional
        Of the masks, where compiled code has measured them.
    simple : bool array (N,), optional
        Which masks have exactly one run in each of their columns; likewise.
    """

    boxes: NDArray[np.float64]
    masks: Sequence[R.Runs] | FlatMasks | None = None
    areas: NDArray[np.float64] | None = None
    simple: NDArray[np.bool_] | None = None

    @classmethod
    def of_masks(cls, masks: Sequence[R.Runs], height: int) -> Regions:
        """Masks with their tight boxes."""
        corners = np.array([R.bounds(m, height) for m in masks], np.float64).reshape(-1, 4)
        corners[:, 2:] -= corners[:, :2]
        return cls(corners, masks)

    @classmethod
    def of_flat(cls, masks: FlatMasks, height: int) -> Regions:
        """The same for compiled code."""
        from fastsam_plugins.evaluation import kernels

        boxes, *measured = kernels.measure(masks.runs, masks.starts, masks.stops, height)
        return cls(boxes, masks, *measured)

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, index: NDArray[np.int64]) -> Regions:
        """Some of them, in the order of the index."""
        masks = self.masks
        if isinstance(masks, FlatMasks):
            masks = masks.take(index)
        elif masks is not None:
            masks = [masks[i] for i in index.tolist()]
        areas = None if self.areas is None else self.areas[index]
        simple = None if self.simple is None else self.simple[index]
        return Regions(self.boxes[index], masks, areas, simple)


@dataclass
class ProposalRecall:
    """Recall of proposals over images, added one after another.

    Attributes
    ----------
    ranks : dict of int32 arrays (G, 10)
        Per size, for every ground truth of that size and every threshold: the rank (from 0, within
        its image) of the proposal that matched it, or ``MISSED``. Groups, if any are named, hold
        the rows of ``all`` that belong to them.
    images, proposals : int
        How many were seen; of each image, the best ``max_proposals`` proposals are.
    compiled : bool
        Match with machine code: worth its loading from some thousand proposals.
    """

    max_proposals: int = MAX_PROPOSALS
    compiled: bool = False
    ranks: dict[str, list[Ranks]] = field(default_factory=lambda: {size: [] for size in SIZES})
    images: int = 0
    proposals: int = 0

    def add(
        self,
        truth: Regions,
        areas: NDArray[np.float64],
        found: Regions,
        scores: NDArray[np.float64],
        groups: Sequence[str] | None = None,
    ) -> Ranks:
        """Add one image.

        Parameters
        ----------
        truth : Regions
            Ground truths that count: crowd regions left out.
        areas : float64 array (G,)
            Area of each ground truth as annotated, which decides its size.
        found : Regions
            Proposals, of any order.
        scores : float64 array (D,)
        groups : sequence of str, optional
            A name for each ground truth, to count them apart as well.

        Returns
        -------
        int32 array (G, 10)
            Rank of the proposal that matched each ground truth, per threshold.
        """
        order = np.argsort(-scores, kind="mergesort")[: self.max_proposals]
        iou = overlaps(truth, found.take(order))
        self.images += 1
        self.proposals += len(order)
        for size, (low, high) in SIZES.items():
            inside = (areas >= low) & (areas <= high)
            self.ranks[size].append(match(iou[inside], self.compiled))
        every = self.ranks["all"][-1]
        low, high = SIZES["all"]
        counted = (areas >= low) & (areas <= high)
        for group in sorted(set(groups or ())):
            rows = [g == group for g, k in zip(groups or (), counted.tolist(), strict=True) if k]
            self.ranks.setdefault(group, []).append(every[rows])
        return every

    def merge(self, other: ProposalRecall) -> None:
        """Add the images of another part of the dataset."""
        for size, ranks in other.ranks.items():
            self.ranks.setdefault(size, []).extend(ranks)
        self.images += other.images
        self.proposals += other.proposals

    def recall(self, k: int, size: str = "all") -> NDArray[np.float64]:
        """Recall (10,) of the best k proposals at each threshold; NaN without ground truth."""
        ranks = self._table(size)
        if not len(ranks):
            return np.full(len(THRESHOLDS), np.nan)
        return (ranks < k).sum(0) / len(ranks)

    def average_recall(self, k: int, size: str = "all") -> float:
        """AR@k in [0, 1]; NaN without ground truth."""
        return float(self.recall(k, size).mean())

    def curve(self, size: str = "all") -> NDArray[np.float64]:
        """AR@k (max_proposals,) for every k from 1."""
        ranks = self._table(size)
        if not len(ranks):
            return np.full(self.max_proposals, np.nan)
        matched = ranks[ranks < self.max_proposals]
        hits = np.bincount(matched, minlength=self.max_proposals)
        return np.cumsum(hits) / ranks.size

    def area_under_curve(self) -> float:
        """Area under AR over log10 k from k = 1 to 1000, divided by 3 (Kim et al. 2022, OLN)."""
        curve = self.curve()[:1000]
        k = np.log10(np.arange(1, len(curve) + 1))
        return float(np.trapezoid(curve, k) / 3)

    def summary(self, limits: Sequence[int] = (10, 100, 1000)) -> dict[str, float | int]:
        """AR at each limit, AUC, AR at the last limit by size and group, and counts."""
        last = limits[-1]
        return {
            **{f"AR@{k}": self.average_recall(k) for k in limits},
            "AUC": self.area_under_curve(),
            **{f"AR@{last}/{s}": self.average_recall(last, s) for s in self.ranks if s != "all"},
            "images": self.images,
            "ground_truths": len(self._table("all")),
            "proposals": self.proposals,
        }

    def _table(self, size: str) -> Ranks:
        parts = self.ranks[size]
        if len(parts) > 1:  # kept joined, so that asking again costs nothing
            parts[:] = [np.concatenate(parts)]
        return parts[0] if parts else np.empty((0, len(THRESHOLDS)), np.int32)


def overlaps(truth: Regions, found: Regions) -> NDArray[np.float64]:
    """IoU (G, D) of ground truths and proposals; 0 where it cannot reach the lowest threshold.

    Computed as pycocotools computes it, to the last bit.
    """
    if isinstance(truth.masks, FlatMasks) and isinstance(found.masks, FlatMasks):
        return _compiled_overlaps(truth, found)
    if truth.masks is None or found.masks is None:
        shared, g_area, d_area = _box_overlaps(truth.boxes, found.boxes)
        return _ratio(shared, g_area[:, None] + d_area[None] - shared)
    assert not isinstance(truth.masks, FlatMasks)
    assert not isinstance(found.masks, FlatMasks)
    g_area = np.array([R.area(m) for m in truth.masks], np.float64)
    d_area = np.array([R.area(m) for m in found.masks], np.float64)
    # Masks share no more than their boxes, nor than the smaller one: few pairs can reach the
    # lowest threshold, and only those are measured.
    bound = np.minimum(np.minimum(g_area[:, None], d_area[None]), _pixels(truth, found))
    possible = bound * (1 + THRESHOLDS[0]) >= (g_area[:, None] + d_area[None]) * THRESHOLDS[0]
    iou = np.zeros(possible.shape)
    for g in np.flatnonzero(possible.any(1)).tolist():
        near = np.flatnonzero(possible[g])
        shared = R.intersection_areas(truth.masks[g], [found.masks[d] for d in near.tolist()])
        iou[g, near] = _ratio(shared, g_area[g] + d_area[near] - shared)
    return iou


def _compiled_overlaps(truth: Regions, found: Regions) -> NDArray[np.float64]:
    from fastsam_plugins.evaluation import kernels

    both: list[Any] = []
    for regions in (truth, found):
        assert isinstance(regions.masks, FlatMasks)
        masks = regions.masks
        both += [masks.runs, masks.starts, masks.stops, regions.boxes, regions.areas]
        both.append(regions.simple)
    return np.asarray(kernels.overlaps(*both, float(THRESHOLDS[0])))


def _box_overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray, ...]:
    a, b = a.reshape(-1, 4), b.reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    sides = np.maximum(high - low, 0)
    return sides[..., 0] * sides[..., 1], a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]


def _pixels(truth: Regions, found: Regions) -> NDArray[np.float64]:
    """Pixels (G, D) that the masks' boxes share. Boxes may be rounded: one pixel is allowed."""
    wide = [np.concatenate([r.boxes[:, :2] - 1, r.boxes[:, 2:] + 2], 1) for r in (truth, found)]
    return np.asarray(_box_overlaps(*wide)[0])


def _ratio(shared: NDArray, union: NDArray) -> NDArray[np.float64]:
    return np.divide(shared, union, out=np.zeros(np.shape(union)), where=union > 0)


def match(iou: NDArray[np.float64], compiled: bool = False) -> Ranks:
    """Match greedily, proposals in order.

    A proposal takes the free ground truth it overlaps most, among equals the later one, if the
    overlap reaches the threshold.

    Parameters
    ----------
    iou : float64 array (G, D)
    compiled : bool
        With machine code.

    Returns
    -------
    int32 array (G, 10)
        The proposal that took each ground truth at each threshold, or ``MISSED``.
    """
    limits = np.minimum(THRESHOLDS, 1 - 1e-10)
    if compiled:
        from fastsam_plugins.evaluation import kernels as machine

        return np.asarray(machine.match(iou, limits, int(MISSED)))
    ranks = np.full((len(iou), len(limits)), MISSED, np.int32)
    if not iou.size:
        return ranks
    reach = iou >= limits[0]
    choices = reach.sum(0)
    rivals = reach[:, choices > 1].any(1)  # ground truths some proposal has to choose between
    # Where every proposal has one candidate, the first that reaches a threshold takes it.
    for g in np.flatnonzero(~rivals & reach.any(1)).tolist():
        near = np.flatnonzero(reach[g])
        enough = iou[g, near][:, None] >= limits
        first = enough.argmax(0)
        ranks[g] = np.where(enough.any(0), near[first], MISSED)
    contested = np.flatnonzero(rivals)
    for d in np.flatnonzero(reach[contested].any(0)).tolist():
        candidates = contested[reach[contested, d]]
        own = iou[candidates, d]
        free = (ranks[candidates] == MISSED) & (own[:, None] >= limits)
        # The last of the largest: argmax from the end.
        best = len(candidates) - 1 - np.where(free, own[:, None], -1.0)[::-1].argmax(0)
        taken = np.flatnonzero(free.any(0))
        ranks[candidates[best[taken]], taken] = d
    return ranks
