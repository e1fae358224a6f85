"""Layers in numpy against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsam_plugins.decoder import layers


@pytest.mark.parametrize(("step", "apart"), [(1, 1), (2, 1), (1, 2), (1, 4)])
def test_a_convolution_is_that_of_pytorch(step, apart):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 12, 10, 5)).astype(np.float32)
    weight, bias = (rng.normal(size=s).astype(np.float32) for s in ((7, 5, 3, 3), (7,)))
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(weight), torch.from_numpy(bias),
        stride=step, padding=apart, dilation=apart,
    ).permute(0, 2, 3, 1)  # fmt: skip
    assert np.allclose(layers.convolution(x, weight, bias, step, apart), expected, atol=1e-4)


def test_doubling_is_that_of_pytorch():
    x = np.random.default_rng(0).normal(size=(3, 6, 5, 2)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x).permute(0, 3, 1, 2), scale_factor=2, mode="bilinear",
        align_corners=False,
    ).permute(0, 2, 3, 1)  # fmt: skip
    assert np.allclose(layers.doubled(x), expected, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 1, 5, 12, 13, 1000])
def test_a_product_in_parts_is_the_product(rows):
    rng = np.random.default_rng(rows)
    x, weight = rng.normal(size=(rows, 432)), rng.normal(size=(432, 48))
    own = layers.product(x.astype(np.float32), weight.astype(np.float32))
    assert np.allclose(own, x @ weight, atol=1e-3)
