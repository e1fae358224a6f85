"""The matching is the best there is: SciPy's solver finds none with more pairs, or nearer ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fastsam_plugins.evaluation.pixel_matching import ALONE, _assign, _near, match


def best(a, b, limit):
    """Pairs and total distance of the best matching of points (n, 2) and (m, 2)."""
    apart = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    alone = np.full((len(a), len(a)), 2 * ALONE * limit)  # not another's stand-in
    np.fill_diagonal(alone, ALONE * limit)
    far = np.where(apart <= limit + 1e-9, apart, 2 * ALONE * limit)
    costs = np.concatenate([far, alone], axis=1)
    rows, columns = linear_sum_assignment(costs)
    pairs = columns < len(b)
    return pairs.sum(), costs[rows, columns][pairs].sum()


@pytest.mark.parametrize("seed", range(40))
def test_there_is_no_better_matching(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 25, 2)
    machine, truth = (rng.random(shape) < share for share in rng.uniform(0.02, 0.6, 2))
    limit = rng.uniform(0.5, 5)
    a, b = np.argwhere(machine), np.argwhere(truth)
    matched = match(machine, truth, limit)
    pairs, distance = best(a, b, limit)
    assert matched[0].sum() == matched[1].sum() == pairs
    assert not (matched[0] & ~machine).any()
    assert not (matched[1] & ~truth).any()
    # Which pixels are matched says little of how near their partners are: the pairs do.
    number = np.full(shape, -1)
    number[tuple(b.T)] = np.arange(len(b))
    steps = np.argwhere(np.ones((11, 11))) - 5
    apart = np.hypot(*steps.T)
    order = np.argsort(apart, kind="stable")[: (apart <= limit + 1e-9).sum()]
    partner = _assign(*_near(a, number, steps[order], apart[order]), len(b), ALONE * limit)
    some = partner >= 0
    assert len(set(partner[some])) == some.sum() == pairs
    assert np.hypot(*(a[some] - b[partner[some]]).T).sum() == pytest.approx(distance)


def test_a_pixel_gives_way_so_that_more_are_matched():
    machine, truth = np.zeros((2, 1, 9), bool)
    machine[0, [3, 5]] = truth[0, [4, 6]] = True  # 5 is as near to both
    assert [m[0].nonzero()[0].tolist() for m in match(machine, truth, 1.0)] == [[3, 5], [4, 6]]


def test_nothing_matches_nothing():
    none, some = np.zeros((4, 5), bool), np.ones((4, 5), bool)
    for a, b in ((none, some), (some, none), (none, none)):
        assert not any(m.any() for m in match(a, b, 3.0))
