"""A decoder that has learned nothing, though its normalisation has seen something."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsam_plugins.decoder.modules import Ranker, Refiner, folded


@pytest.fixture(scope="module")
def trained():
    """A refiner whose normalisation has seen something, and a ranker."""
    torch.manual_seed(0)
    refiner = Refiner((8, 12, 16), 32)
    for module in refiner.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)
    return refiner.eval(), Ranker(83).eval()


@pytest.fixture(scope="module")
def arrays(trained):
    refiner, ranker = trained
    rng = np.random.default_rng(0)
    mean, deviation = rng.normal(size=83), rng.uniform(0.5, 2, 83)
    return folded(refiner) | ranker.arrays(mean.astype(np.float32), deviation.astype(np.float32))
