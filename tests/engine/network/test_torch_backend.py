"""PyTorch's half precision; what it gives in float32 is compared with ultralytics' elsewhere."""

from __future__ import annotations

import numpy as np

from fastsam_plugins.network import backends, weights


def test_bfloat16_is_near_float32():
    network = weights.load("FastSAM-n")
    canvases = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    plain, half = (backends.make("torch", p, network, "cpu") for p in ("f32", "bf16"))
    assert (plain.label, half.label) == ("PyTorch f32", "PyTorch bf16")
    assert not plain.in_batches
    for a, b in zip(plain.run(canvases, -1.0), half.run(canvases, -1.0), strict=True):
        assert b.prototypes.dtype == b.scores.dtype == np.float32
        assert 0 < np.abs(a.prototypes - b.prototypes).max() < 0.2
        assert np.abs(a.scores - b.scores).max() < 0.05


def test_the_network_itself_stays_on_the_processor():
    """Another backend may be made of it; ``meta`` is a device that every machine has."""
    network = weights.load("FastSAM-n")
    for precision in ("f32", "f16"):
        assert backends.make("torch", precision, network, "meta").in_batches
        first = next(network.module.parameters())
        assert (first.device.type, str(first.dtype)) == ("cpu", "torch.float32")
