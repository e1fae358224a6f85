"""Boundary detection as BSDS500 measures it: ODS, OIS, AP and R50 (Table 2 of the paper).

Martin, Fowlkes and Malik 2004, "Learning to Detect Natural Image Boundaries"; Arbelaez et al. 2011,
"Contour Detection and Hierarchical Image Segmentation". At each threshold a map is thinned and its
pixels are matched one to one with those of every human's boundaries, no further apart than 0.0075
of the image's diagonal. The original finds that matching approximately, in a graph with random
edges, so its own figures vary by some 1e-4; here it is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.options import BoundaryOptions

if TYPE_CHECKING:
    from fastsam_plugins.evaluation.pixel_matching import Index

DEFAULT = BoundaryOptions()

Bitmap = NDArray[np.bool_]
Counts = NDArray[np.int64]


def count(
    boundaries: Iterable[Bitmap],
    truths: Sequence[Bitmap],
    max_distance: float = DEFAULT.max_distance,
    thin: bool = DEFAULT.thin,
) -> Counts:
    """Compare one image's boundaries at every threshold with every human's.

    Parameters
    ----------
    boundaries : bool arrays (H, W)
        Of one threshold each; see :func:`at_thresholds` and :func:`of_segmentation`.
    truths : sequence of bool arrays (H, W)
        One per human.
    max_distance : float
        Between matched pixels, as a share of the diagonal.
    thin : bool
        Thin the boundaries to one pixel first.

    Returns
    -------
    int64 array (T, 4)
        Per threshold: human pixels matched, human pixels, machine pixels matched by any human,
        machine pixels.
    """
    from skimage.morphology import thin as thinned

    from fastsam_plugins.evaluation.pixel_matching import Index

    indexed = [Index.of(np.asarray(t, np.bool_)) for t in truths]  # once for all thresholds
    human = sum(len(t.pixels) for t in indexed)
    rows: list[tuple[int, int, int, int]] = []
    before: Bitmap | None = None
    for bitmap in boundaries:
        bitmap = np.asarray(bitmap, np.bool_)
        if before is not None and np.array_equal(bitmap, before):
            rows.append(rows[-1])  # maps of few levels repeat themselves
            continue
        before = bitmap
        if thin:
            bitmap = thinned(bitmap)
        by_any, recalled = np.zeros_like(bitmap), 0
        for truth in indexed:
            machine, recalled_here = correspond(bitmap, truth, max_distance)
            by_any |= machine
            recalled += int(recalled_here.sum())
        rows.append((recalled, human, int(by_any.sum()), int(bitmap.sum())))
    return np.array(rows, np.int64)


def at_thresholds(
    edges: NDArray[np.floating], thresholds: int = DEFAULT.thresholds
) -> tuple[NDArray[np.float64], Iterable[Bitmap]]:
    """Evenly spaced thresholds inside (0, 1) and an edge map's boundaries at them."""
    values = np.linspace(1 / (thresholds + 1), 1 - 1 / (thresholds + 1), thresholds)
    return values, (edges >= value for value in values)


def of_segmentation(labels: NDArray[np.integer]) -> Bitmap:
    """Boundaries (H, W) of a label image: pixels that differ from one right of or below them."""
    edges = np.zeros(labels.shape, np.bool_)
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    edges[:-1, :-1] |= labels[:-1, :-1] != labels[1:, 1:]
    return edges


def correspond(
    machine: Bitmap, truth: Bitmap | Index, max_distance: float = DEFAULT.max_distance
) -> tuple[Bitmap, Bitmap]:
    """Match the pixels of two boundary maps one to one at least total cost.

    As many as possible; see :mod:`fastsam_plugins.evaluation.pixel_matching`.

    Returns
    -------
    two bool arrays (H, W)
        The pixels of each map that have a partner.
    """
    from fastsam_plugins.evaluation.pixel_matching import match

    return match(machine, truth, max_distance * float(np.hypot(*machine.shape)))


@dataclass
class BoundaryScores:
    """Counts of images, added one after another, and the figures that follow from them."""

    thresholds: NDArray[np.float64]
    counts: list[Counts] = field(default_factory=list)

    def add(self, counts: Counts) -> None:
        """Add one image's :func:`count`."""
        if counts.shape != (len(self.thresholds), 4):
            raise ValueError(f"counts of {len(self.thresholds)} thresholds expected")
        self.counts.append(counts)

    def merge(self, other: BoundaryScores) -> None:
        """Add the images of another part of the dataset."""
        self.counts += other.counts

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Recall and precision (T,) of all images together."""
        return _rates(np.sum(self.counts, axis=0))

    def images(self) -> NDArray[np.float64]:
        """Best threshold, recall, precision and F of each image (N, 4)."""
        return np.array([_best(self.thresholds, *_rates(c)) for c in self.counts])

    def summary(self) -> dict[str, float | int]:
        """ODS, OIS, AP and R50, with the threshold, recall and precision where they are reached."""
        if not self.counts:
            raise ValueError("no images to measure boundaries on")
        recall, precision = self.curve()
        threshold, r, p, ods = _best(self.thresholds, recall, precision)
        best = np.sum([c[_last_best(*_rates(c))] for c in self.counts], axis=0)
        ois_recall, ois_precision = (float(v) for v in _rates(best))
        return {
            "ODS": ods,
            "OIS": float(_f_measure(np.array(ois_recall), np.array(ois_precision))),
            "AP": _average_precision(recall, precision),
            "R50": _recall_at_half(recall, precision),
            "threshold": threshold,
            "recall": r,
            "precision": p,
            "OIS recall": ois_recall,
            "OIS precision": ois_precision,
            "images": len(self.counts),
        }


def _rates(counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    found_r, all_r, found_p, all_p = np.moveaxis(counts, -1, 0).astype(np.float64)
    return found_r / np.maximum(all_r, 1), found_p / np.maximum(all_p, 1)


def _f_measure(recall: NDArray, precision: NDArray) -> NDArray[np.float64]:
    total = recall + precision
    return np.asarray(2 * recall * precision / np.where(total == 0, 1, total))


def _best(
    thresholds: NDArray, recall: NDArray, precision: NDArray
) -> tuple[float, float, float, float]:
    """Threshold, recall, precision and F where F is largest, between thresholds too."""
    steps = np.linspace(0, 1, 100)[1:] if len(thresholds) > 1 else np.zeros(0)
    between = [
        np.concatenate([v[:1], (v[:-1, None] * (1 - steps) + v[1:, None] * steps).ravel()])
        for v in (thresholds, recall, precision)
    ]
    f = _f_measure(between[1], between[2])
    k = int(f.argmax())
    return float(between[0][k]), float(between[1][k]), float(between[2][k]), float(f[k])


def _last_best(recall: NDArray, precision: NDArray) -> int:
    f = _f_measure(recall, precision)
    return int(np.flatnonzero(f == f.max())[-1])


def _average_precision(recall: NDArray, precision: NDArray) -> float:
    """Mean precision at recalls 0, 0.01, ..., 1; zero where no recall reaches."""
    levels, first = np.unique(recall, return_index=True)
    if len(levels) < 2:
        return 0.0
    wanted = np.arange(101) / 100
    inside = np.interp(wanted, levels, precision[first], left=0.0, right=0.0)
    return float(inside.sum() * 0.01)


def _recall_at_half(recall: NDArray, precision: NDArray) -> float:
    """Recall where precision first is one half, thresholds rising; 0 if it never is.

    At the highest thresholds a few pixels are left, whose precision may be anything.
    """
    enough = np.flatnonzero(precision >= 0.5)
    if not len(enough):
        return 0.0
    around = np.s_[max(int(enough[0]) - 1, 0) : int(enough[0]) + 1]
    return float(np.interp(0.5, precision[around], recall[around]))
