"""A network's raw output, taken apart."""

from __future__ import annotations

import numpy as np

from fastsam_plugins.network.output import outputs


def test_what_is_kept_is_sure_enough_in_order_and_a_copy():
    predictions = np.arange(2 * 8 * 5, dtype=np.float32).reshape(2, 8, 5)
    predictions[0, 4] = [0.1, 0.5, 0.2, 0.2, 0.9]
    predictions[1, 4] = 0.1
    prototypes, feature = np.ones((2, 3, 4, 4), np.float32), np.ones((2, 6, 2, 2), np.float32)
    first, second = outputs(predictions, prototypes, [feature], 0.2)
    assert first.scores.tolist() == np.float32([0.5, 0.9]).tolist()
    assert first.coefficients.tolist() == [[26, 31, 36], [29, 34, 39]]
    centre, size = predictions[0, :2, 1], predictions[0, 2:4, 1]
    assert first.corners[0].tolist() == [*(centre - size / 2), *(centre + size / 2)]
    assert (second.corners.shape, second.scores.shape, second.coefficients.shape) == (
        (0, 4), (0,), (0, 3),
    )  # fmt: skip
    prototypes[:], feature[:] = 0, 0
    assert first.prototypes.min() == first.features[0].min() == 1
