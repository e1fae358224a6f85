"""How far figures would move with other images: percentile bootstrap intervals (Efron 1979).

Images are drawn again, as many as there are and with replacement, and the figure is computed of
what was drawn; the middle 95 % of many such figures are its interval. Objects of one image are
alike, so whole images are drawn, never single objects.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 1000
SEED = 0
TOLD = f"Ranges: {LEVEL:.0%} bootstrap intervals over images, {RESAMPLES} resamples."
_TOGETHER = 1 << 22  # numbers that are drawn in one go

Interval = tuple[float, float]


def ratios(
    parts: NDArray[np.float64],
    wholes: NDArray[np.float64],
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> list[Interval]:
    """Intervals of figures that are a sum over images divided by a sum over images.

    Parameters
    ----------
    parts, wholes : float64 arrays (I, S)
        Of every image, for each of S figures. All figures see the same draws, so that two can be
        compared.
    level : float
        Share of the resamples that lie within.
    resamples, seed : int

    Returns
    -------
    list of (float, float)
        Lowest and highest value of each figure; NaN where fewer than two images have any of it:
        how far other images would move it does not show then.

    Examples
    --------
    Of ten images with a hundred objects each, in which between none and all are found:

    >>> found = np.linspace(0, 100, 10)[:, None]
    >>> [(low, high)] = ratios(found, np.full((10, 1), 100.0))
    >>> bool(0.2 < low < 0.5 < high < 0.8)
    True
    """
    images, figures = parts.shape
    if not images:
        return [(np.nan, np.nan)] * figures
    rng = np.random.default_rng(seed)
    both = np.concatenate([parts, wholes], axis=1)
    sums = np.empty((resamples, 2 * figures))
    step = max(_TOGETHER // images, 1)
    for first in range(0, resamples, step):
        count = min(step, resamples - first)
        drawn = rng.integers(0, images, (count, images))
        drawn += np.arange(count)[:, None] * images
        times = np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images)
        sums[first : first + count] = times.astype(np.float64) @ both
    outer = (1 - level) / 2
    intervals: list[Interval] = []
    several = np.count_nonzero(wholes, axis=0) > 1
    pairs = zip(several, sums[:, :figures].T, sums[:, figures:].T, strict=True)
    for told, part, whole in pairs:
        values = part[whole > 0] / whole[whole > 0]
        ends = np.quantile(values, [outer, 1 - outer]) if told else (np.nan, np.nan)
        intervals.append((float(ends[0]), float(ends[1])))
    return intervals
