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

    Instances of each slice are matched one to one with those of the slice before, such that the sum
    of their IoUs is largest (Kuhn 1955, "The Hungarian method for the assignment problem").

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
    from scipy.optimize import linear_sum_assignment

    options = LinkOptions.of(options)
    numbers: list[NDArray[np.int64]] = []
    count = 0
    for k, masks in enumerate(slices):
        assigned = np.full(len(masks), -1)
        if k:
            overlap = overlaps(slices[k - 1], masks, shape, options.min_iou)
            before, now = linear_sum_assignment(overlap, maximize=True)
            linked = overlap[before, now] > 0
            assigned[now[linked]] = numbers[-1][before[linked]]
        fresh = np.flatnonzero(assigned < 0)
        assigned[fresh] = count + np.arange(len(fresh))
        count += len(fresh)
        numbers.append(assigned)
    return numbers


def overlaps(
    masks: Sequence[R.Runs], others: Sequence[R.Runs], shape: R.Shape, least: float = 0.0
) -> NDArray[np.float64]:
    """IoU (N, M) of all pairs of masks, 0 where it is less than ``least``.

    Masks share no more than their boxes do, and no more than the smaller one has: pairs that cannot
    reach the least IoU by that are not measured.
    """
    sides = masks, others
    boxes = [np.array([R.bounds(m, shape[0]) for m in side]).reshape(-1, 4) for side in sides]
    one, other = (np.array([R.area(m) for m in side], np.float64) for side in sides)
    most = np.minimum(np.minimum(one[:, None], other), box_intersections(*boxes))
    near = (most > 0) & (most >= least * (one[:, None] + other - most))
    iou = np.zeros(near.shape)
    for i in np.flatnonzero(near.any(1)).tolist():
        meeting = np.flatnonzero(near[i])
        shared = R.intersection_areas(masks[i], [others[j] for j in meeting.tolist()])
        iou[i, meeting] = shared / (one[i] + other[meeting] - shared)
    iou[iou < least] = 0
    return iou
