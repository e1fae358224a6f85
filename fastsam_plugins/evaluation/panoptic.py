"""Panoptic quality of instances, all categories as one (Kirillov et al. 2019).

Every pixel belongs to one segment at most, so that a segment and a ground truth that overlap by
more than half of their union are each other's only partner. PQ is the sum of those IoUs over
matched + (unmatched segments + unmatched ground truths) / 2: SQ, their mean, times RQ, an F score.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.evaluation import bootstrap
from fastsam_plugins.evaluation.bootstrap import Interval
from fastsam_plugins.evaluation.regions import Regions, overlaps
from fastsam_plugins.masks import runs as R

NAMES = ("PQ", "SQ", "RQ")
OVERLAP = 0.5  # share of an instance that better ones may have taken: the paper's own way


@dataclass
class PanopticQuality:
    """PQ, SQ and RQ over images, added one after another.

    Attributes
    ----------
    min_score : float
        Instances below are left out: one too many costs as much as one that is missed. 0 to 1.
    images : list of (float, int, int, int)
        Of each: sum of IoUs of what was matched, matched, too many, missed.
    """

    min_score: float
    images: list[tuple[float, int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ValueError(
                f"panoptic quality (--pq) takes a score from 0 to 1, got {self.min_score:g}"
            )

    def add(
        self,
        truth: Regions,
        ignored: NDArray[np.bool_],
        found: Regions,
        scores: NDArray[np.float64],
        shape: R.Shape,
    ) -> None:
        """Add one image.

        Where instances overlap, those of higher score come first, and one is left out if more than
        half of it is taken then. Of ground truths the smaller come first.

        Parameters
        ----------
        truth : Regions
            Masks; all that is outside of them is background. With boundaries, IoUs are the lower
            of masks and boundaries.
        ignored : bool array (G,)
            Crowd regions, which need not be found: what lies in them by more than half is not
            counted as too many.
        found : Regions
        scores : float64 array (D,)
        shape : (height, width)

        Raises
        ------
        ValueError
            If there are boxes instead of masks.
        """
        if truth.masks is None or found.masks is None:
            raise ValueError("panoptic quality compares masks, not boxes")
        by_size = np.lexsort((truth.masks.areas, ignored))
        best = np.argsort(-scores, kind="mergesort")
        true, kept = _flat(truth.take(by_size), shape, 1.0)
        ignored = ignored[by_size][kept]
        segments, _ = _flat(found.take(best[scores[best] >= self.min_score]), shape, OVERLAP)
        wanted = true.take(np.flatnonzero(~ignored))
        iou = overlaps(wanted, segments, 0.5)
        matched = iou > 0.5
        alone = segments.take(np.flatnonzero(~matched.any(0)))
        crowd = R.union(_each(true.take(np.flatnonzero(ignored))))
        forgiven = 0
        if len(crowd) and len(alone):
            inside = R.intersection_areas(crowd, list(_each(alone)))
            assert alone.masks is not None
            forgiven = int((inside > alone.masks.areas / 2).sum())
        pairs = int(matched.sum())
        row = float(iou[matched].sum()), pairs, len(alone) - forgiven, len(wanted) - pairs
        self.images.append(row)

    def summary(self) -> dict[str, float | int]:
        """PQ, SQ and RQ in [0, 1], NaN without anything to match; TP, FP and FN."""
        parts, wholes = (column.sum(0) for column in self._columns())
        values = np.divide(parts, wholes, out=np.full(3, np.nan), where=wholes > 0)
        counts = np.array(self.images, np.float64).reshape(-1, 4)[:, 1:].sum(0).astype(int)
        figures: dict[str, float | int] = dict(zip(NAMES, values.tolist(), strict=True))
        return figures | dict(zip(("TP", "FP", "FN"), counts.tolist(), strict=True))

    def intervals(self) -> dict[str, Interval]:
        """Of PQ, SQ and RQ; see :mod:`fastsam_plugins.evaluation.bootstrap`."""
        return dict(zip(NAMES, bootstrap.ratios(*self._columns()), strict=True))

    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What is divided by what for PQ, SQ and RQ, of each image (I, 3)."""
        iou, tp, fp, fn = np.array(self.images, np.float64).reshape(-1, 4).T
        all_of = tp + (fp + fn) / 2
        return np.stack([iou, iou, tp], 1), np.stack([all_of, tp, all_of], 1)


def _flat(regions: Regions, shape: R.Shape, most: float) -> tuple[Regions, NDArray[np.int64]]:
    """What is left of masks if each pixel is the first one's that has it, and which are left."""
    from fastsam_plugins.evaluation import kernels

    assert regions.masks is not None
    runs, starts, stops, areas, _ = regions.masks
    runs, starts, stops = kernels.flatten(runs, starts, stops, areas, shape[0] * shape[1], most)
    kept = np.flatnonzero(stops > starts)
    left = Regions.of_flat(runs, starts[kept], stops[kept], shape[0])
    return (left.with_boundaries(shape) if regions.boundaries is not None else left), kept


def _each(regions: Regions) -> Iterator[R.Runs]:
    """Run arrays of masks."""
    assert regions.masks is not None
    runs, starts, stops, _, _ = regions.masks
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        yield runs[start:stop]
