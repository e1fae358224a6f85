"""Instances of neighbouring slices that are one object: a stack in depth or time, linked by IoU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import box_intersections
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import LinkOptions


def link(
    slices: Sequence[Sequence[R.Runs]], shape: R.Shape, options: LinkOptions | None = None
) -> list[NDArray[np.int64]]:
    """Number the objects of a stack.

    Instances of each slice are :func:`matched` with those of the slice before.

    Parameters
    ----------
    slices : sequence of sequences of run arrays
        The instances of every slice, in order.
    shape : (H, W)
        Of every slice.
    options : LinkOptions

    Returns
    -------
    list of int64 arrays
        For every slice, the object that each instance belongs to, counted from 0. Instances of one
        slice are never one object.
    """
    options = options or LinkOptions()
    numbers: list[NDArray[np.int64]] = []
    count = 0
    for k, masks in enumerate(slices):
        found = np.full(len(masks), -1)
        if k:
            before, now = matched(slices[k - 1], masks, shape, options.min_iou)
            found[now] = numbers[-1][before]
        fresh = np.flatnonzero(found < 0)
        found[fresh] = count + np.arange(len(fresh))
        count += len(fresh)
        numbers.append(found)
    return numbers


def matched(
    masks: Sequence[R.Runs], others: Sequence[R.Runs], shape: R.Shape, min_iou: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Match masks one to one, such that the sum of their IoUs is largest.

    Kuhn 1955, "The Hungarian method for the assignment problem".

    Returns
    -------
    two int64 arrays (K,)
        Places in ``masks`` and in ``others`` of the pairs, which overlap at least ``min_iou``.
    """
    from scipy.optimize import linear_sum_assignment

    overlap = overlaps(masks, others, shape)
    overlap[overlap < min_iou] = 0
    one, other = linear_sum_assignment(overlap, maximize=True)
    linked = overlap[one, other] > 0
    return one[linked], other[linked]


def overlaps(
    masks: Sequence[R.Runs], others: Sequence[R.Runs], shape: R.Shape
) -> NDArray[np.float64]:
    """IoU (N, M) of all pairs of masks; only those whose boxes meet are measured."""
    boxes = [
        np.array([R.bounds(m, shape[0]) for m in side]).reshape(-1, 4) for side in (masks, others)
    ]
    near = box_intersections(*boxes) > 0
    iou = np.zeros(near.shape)
    for i in np.flatnonzero(near.any(1)).tolist():
        meeting = np.flatnonzero(near[i])
        iou[i, meeting] = R.ious(masks[i], [others[j] for j in meeting.tolist()])
    return iou
