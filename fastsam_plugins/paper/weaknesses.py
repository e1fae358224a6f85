"""Section 6 and figures 10 and 11: the weaknesses that the paper names, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.evaluation.everything import PROPOSALS, segmented
from fastsam_plugins.masks import runs as R
from fastsam_plugins.paper.report import Finding
from fastsam_plugins.paper.setting import Setting
from fastsam_plugins.segmentation import Segmentation

TINY, LARGE = 32**2, 96**2  # pixels
_SETTINGS = PROPOSALS.replace(conf=0.05, max_det=300)


def weaknesses(setting: Setting) -> Finding:
    """Squareness of tiny masks, masks cut by their boxes, and scores against mask quality."""
    columns = (
        "tiny masks: share of their box", "of true ones", "on the box's border, tiny",
        "on the box's border, large", "score and mask IoU", "iou_pred and mask IoU",
    )  # fmt: skip
    rows: list[tuple[str, tuple[Any, ...]]] = []
    both = [setting.labelled(name) for name in ("coco", "nuclei")]  # before any is measured
    for data in both:
        rows.append((data.name, _of(setting, data.labelled)))
    on = [f"{len(data.labelled)} of `{data.name}/`" for data in both]
    missing = [f"of `{data.name}/`: {line}" for data in both for line in data.missing]
    notes = [
        "First pair: how much of their tight box masks of up to 32² px fill, in percent, found and "
        "true: squares fill all of it, disks 79. Second: pixels of a mask that lie on the border "
        "of its box, per pixel of that border, in percent. Third: Spearman correlation, in "
        "hundredths, with the IoU of the nearest true mask.",
    ]
    return Finding(columns, rows, ", ".join(on), notes, missing=missing)


def _of(setting: Setting, labelled: Any) -> tuple[float, ...]:
    fills: list[float] = []
    true_fills: list[float] = []
    borders: tuple[list[float], list[float]] = [], []  # of tiny and of large masks
    scores: list[float] = []
    worths: list[float] = []
    ious: list[float] = []
    failed: dict[str, str] = {}
    wrapped = setting.progress("Segmenting", len(labelled))
    for item, seg in segmented(setting.model, labelled, _SETTINGS, failed, wrapped):
        truth = Segmentation.from_runs(item.masks, item.shape)
        fills += _fill(seg).tolist()
        true_fills += _fill(truth).tolist()
        for kind, part in zip(borders, _on_border(seg), strict=True):
            kind += part
        scores += seg.scores.tolist()
        worths += seg.iou_pred.tolist()
        ious += [float(R.ious(seg.runs(i), item.masks).max(initial=0)) for i in range(len(seg))]
    known = ~np.isnan(np.array(worths))
    means = [100 * float(np.mean(v)) if v else np.nan for v in (fills, true_fills, *borders)]
    return (
        *means,
        _correlation(scores, ious),
        _correlation(np.array(worths)[known], np.array(ious)[known]),
    )


def _correlation(a: Sequence[float] | NDArray, b: Sequence[float] | NDArray) -> float:
    """Spearman's, in hundredths; NaN where one of them is the same throughout."""
    from scipy.stats import spearmanr

    if min(len(np.unique(a)), len(np.unique(b))) < 2:
        return np.nan
    return 100 * float(spearmanr(a, b).statistic)


def _fill(seg: Segmentation) -> NDArray[np.float64]:
    """How much of their tight boxes tiny masks fill."""
    boxes = seg.tight_boxes()
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    tiny = (seg.areas <= TINY) & (sizes > 0)
    return np.asarray(seg.areas[tiny] / sizes[tiny], np.float64)


def _on_border(seg: Segmentation) -> tuple[list[float], list[float]]:
    """Share of the pixels along the border of their boxes that tiny and large masks take."""
    tiny: list[float] = []
    large: list[float] = []
    height, width = seg.shape
    for i, area in enumerate(seg.areas.tolist()):
        if TINY < area < LARGE or not area:
            continue
        x0, y0, x1, y1 = np.clip(np.ceil(seg.boxes[i]), 0, [width, height] * 2).astype(int).tolist()
        inside = seg.mask(i, (x0, y0, x1, y1))
        if min(inside.shape) < 3:
            continue
        border = np.ones_like(inside)
        border[1:-1, 1:-1] = False
        (tiny if area <= TINY else large).append(float(inside[border].mean()))
    return tiny, large
