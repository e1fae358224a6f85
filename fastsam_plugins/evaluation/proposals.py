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

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.evaluation import bootstrap
from fastsam_plugins.evaluation.bootstrap import Interval
from fastsam_plugins.evaluation.regions import Regions, overlaps

THRESHOLDS = np.linspace(0.5, 0.95, 10)
SIZES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
MAX_PROPOSALS = 1000
MISSED = np.iinfo(np.int32).max

Ranks = NDArray[np.int32]


@dataclass
class ProposalRecall:
    """Recall of proposals over images, added one after another.

    Attributes
    ----------
    ranks : dict of int32 arrays (G, 10)
        Per size, for every ground truth of that size and every threshold: the rank (from 0, within
        its image) of the proposal that matched it, or ``MISSED``. Groups, if any are named, hold
        the rows of ``all`` that belong to them.
    counts : dict of lists of int
        Per size and group, how many rows each image has: images are drawn again for intervals.
    images, proposals : int
        How many were seen; of each image, the best ``max_proposals`` proposals are.
    """

    max_proposals: int = MAX_PROPOSALS
    ranks: dict[str, list[Ranks]] = field(default_factory=lambda: {size: [] for size in SIZES})
    counts: dict[str, list[int]] = field(default_factory=lambda: {size: [] for size in SIZES})
    images: int = 0
    proposals: int = 0

    def add(
        self,
        truth: Regions,
        areas: NDArray[np.float64],
        proposals: Regions,
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
        proposals : Regions
            Of any order.
        scores : float64 array (D,)
        groups : sequence of str, optional
            A name for each ground truth, to count them apart as well.

        Returns
        -------
        int32 array (G, 10)
            Rank of the proposal that matched each ground truth, per threshold.
        """
        order = np.argsort(-scores, kind="mergesort")[: self.max_proposals]
        iou = overlaps(truth, proposals.take(order), float(THRESHOLDS[0]))
        for size, (low, high) in SIZES.items():
            inside = (areas >= low) & (areas <= high)
            self._keep(size, match(iou[inside]))
        every = self.ranks["all"][-1]
        low, high = SIZES["all"]
        counted = (areas >= low) & (areas <= high)
        for group in sorted(set(groups or ())):
            rows = [g == group for g, k in zip(groups or (), counted.tolist(), strict=True) if k]
            self._keep(group, every[rows])
        self.images += 1
        self.proposals += len(order)
        return every

    def _keep(self, size: str, ranks: Ranks) -> None:
        """Add an image's ranks to a size or group; images before it had none of a new group."""
        self.ranks.setdefault(size, []).append(ranks)
        counts = self.counts.setdefault(size, [])
        counts += [0] * (self.images - len(counts))
        counts.append(len(ranks))

    def merge(self, other: ProposalRecall) -> None:
        """Add the images of another part of the dataset."""
        for size, ranks in other.ranks.items():
            self.ranks.setdefault(size, []).extend(ranks)
            counts = self.counts.setdefault(size, [])
            counts += [0] * (self.images - len(counts)) + other.counts[size]
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
        return float(np.trapezoid(curve, np.log10(np.arange(1, len(curve) + 1))) / 3)

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

    def intervals(self, limits: Sequence[int] = (10, 100, 1000)) -> dict[str, Interval]:
        """Where 95 % of the figures of :meth:`summary` lie if images are drawn again.

        See :mod:`fastsam_plugins.evaluation.bootstrap`. The draws are the same every time, and the
        same for boxes and masks of the same images.

        Returns
        -------
        dict of (float, float)
            Lowest and highest value by name; NaN without ground truth.
        """
        last = limits[-1]
        names = {f"AR@{k}": self._hits(k) for k in limits} | {"AUC": self._areas()}
        sizes = dict.fromkeys(names, "all")
        for size in self.ranks:
            if size != "all":
                names[f"AR@{last}/{size}"] = self._hits(last, size)
                sizes[f"AR@{last}/{size}"] = size
        wholes = [len(THRESHOLDS) * self._counts(size) for size in sizes.values()]
        found = bootstrap.ratios(np.stack([*names.values()], 1), np.stack(wholes, 1))
        return dict(zip(names, found, strict=True))

    def _hits(self, k: int, size: str = "all") -> NDArray[np.float64]:
        """Of each image (I,), how often one of the best k proposals matched, over thresholds."""
        return self._by_image((self._table(size) < k).sum(1), size)

    def _areas(self) -> NDArray[np.float64]:
        """What each image (I,) adds to the area under AR, before it is divided as AR is."""
        k = np.log10(np.arange(1, min(self.max_proposals, 1000) + 1))
        # A proposal that matches counts from its rank on: trapezoids from there to the end.
        steps = np.diff(k, prepend=k[0], append=k[-1])
        from_rank = np.append((steps[:-1] + steps[1:])[::-1].cumsum()[::-1] / 2, 0)
        ranks = np.minimum(self._table("all"), len(k))
        return self._by_image(from_rank[ranks].sum(1) / 3, "all")

    def _counts(self, size: str) -> NDArray[np.int64]:
        """Ground truths of each image (I,)."""
        counts = np.zeros(self.images, np.int64)
        counts[: len(self.counts[size])] = self.counts[size]
        return counts

    def _by_image(self, values: NDArray, size: str) -> NDArray[np.float64]:
        """Sums (I,) of what the rows have."""
        image = np.repeat(np.arange(self.images), self._counts(size))
        return np.bincount(image, values, self.images).astype(np.float64)

    def _table(self, size: str) -> Ranks:
        parts = self.ranks[size]
        if len(parts) > 1:  # kept joined, so that asking again costs nothing
            parts[:] = [np.concatenate(parts)]
        return parts[0] if parts else np.empty((0, len(THRESHOLDS)), np.int32)


def match(iou: NDArray[np.float64]) -> Ranks:
    """Match greedily, proposals in order.

    A proposal takes the free ground truth it overlaps most, among equals the later one, if the
    overlap reaches the threshold.

    Parameters
    ----------
    iou : float64 array (G, D)

    Returns
    -------
    int32 array (G, 10)
        The proposal that took each ground truth at each threshold, or ``MISSED``.
    """
    from fastsam_plugins.evaluation import kernels

    # As pycocotools has it: an IoU that rounding keeps from 1 still reaches a threshold of 1.
    return np.asarray(kernels.match(iou, np.minimum(THRESHOLDS, 1 - 1e-10), int(MISSED)))
