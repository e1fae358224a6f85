"""Which instances are worth cutting out: those that a look at the whole image finds promising.

A look that costs one pass for all instances ranks them for each text; the best few, cut out, decide
(:mod:`fastsam_plugins.text.crops`). Whether that look can be trusted is tried each time: some of
the others are cut out too, and where they do as well as the best, all are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Compare = Callable[[NDArray[np.int64]], NDArray[np.float32]]

WORTH = 3  # times as many instances as are cut out for a text: with fewer, all are cut out
CHECKS = 5  # of the others, cut out to try the rough look
TRUSTED = 0.7  # how often one of the best has to beat one of those


def shortlist(
    rough: NDArray[np.float32], unwanted: NDArray[np.float32], compare: Compare, few: int
) -> NDArray[np.int64]:
    """Instances (K,) among which texts are to pick.

    Parameters
    ----------
    rough : array (N, T)
        Similarity to each text by the rough look; NaN for instances that are not looked at.
    unwanted : array (N, U)
        Similarity to each negative by the same look.
    compare : callable
        Indices (K,) of instances to their similarity (K, T), as it is when they are cut out.
    few : int
        Instances for each text.
    """
    promising = np.nan_to_num(rough, nan=-np.inf)
    if unwanted.shape[1]:  # what resembles a negative more comes last
        promising = np.where(rough > unwanted.max(1, keepdims=True), promising, promising - 2)
    order = np.argsort(-promising, axis=0, kind="stable")
    best, others = order[:few], order[few:]
    others = others[np.linspace(0, len(others) - 1, CHECKS).round().astype(np.int64)]
    looked_at, place = np.unique(np.concatenate([best, others]), return_inverse=True)
    place = place.reshape(-1, rough.shape[1])  # NumPy 2.0 alone gives another shape
    similar = np.take_along_axis(compare(looked_at), place, 0)
    beaten = similar[:few, None] > similar[few:]  # never true of NaN
    if (beaten.mean((0, 1)) < TRUSTED).any():
        return np.arange(len(rough))
    return looked_at
