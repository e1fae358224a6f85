"""What IoU with an object each instance is expected to have: five numbers of it, weighed.

The score of a detector says how sure it is of a box. How well the mask fits shows also in how far
its logits are from zero, in how large it is, and in how many other proposals agree with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder.encoding import Encoding
from fastsam_plugins.decoder.proposals import Proposals
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.masks.sampling import Floats
from fastsam_plugins.masks.sources import MaskSource, Rows

COMPANY = 0.05  # the least confidence of proposals that are asked whether they agree
WEIGHTS = np.array([0.353, 0.104, 0.023, 0.091, 0.072, 0.094])
"""A constant, and those of :func:`evidence`; `python -m benchmarks.iou_pred` fits them."""


def evidence(encoding: Encoding, source: PrototypeMasks, rows: Rows, scores: Floats) -> Floats:
    """What is known of instances (N, 5).

    The logarithms of their confidence and of the share of the image that they cover; the mean of
    their logits; how much they overlap all proposals, each as far as it is trusted; and how much
    the one of those with a higher confidence that they overlap most.
    """
    own = Proposals(source.others(source.coefficients[rows], source.boxes[rows]), scores)
    every = np.arange(len(own))
    others = encoding.proposals
    company = np.flatnonzero(others.scores >= COMPANY)
    told = own.statistics(every)[:, [0, 1, 4]]
    shared = others.overlaps_with(company, own, every)
    trusted = others.scores[company]
    support = shared @ trusted
    higher = trusted[None] > scores[:, None] + 1e-6
    better = np.where(higher, shared, 0).max(1, initial=0)
    return np.column_stack([told, support, better]).astype(np.float32)


def iou_pred(
    encoding: Encoding | None, source: MaskSource, rows: Rows, scores: Floats
) -> NDArray[np.float64]:
    """The IoU (N,) in [0, 1] that instances are expected to have; NaN where it cannot be told."""
    if encoding is None or not encoding.source.shares(source) or not len(rows):
        return np.full(len(rows), np.nan)
    masks: Any = source
    told = evidence(encoding, masks, rows, scores)
    return np.asarray(np.clip(WEIGHTS[0] + told @ WEIGHTS[1:], 0, 1), np.float64)
