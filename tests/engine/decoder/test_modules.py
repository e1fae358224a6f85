"""What modules learned, as plain arrays."""

from __future__ import annotations

import numpy as np
import torch

from fastsam_plugins.decoder import weights
from fastsam_plugins.decoder.network import Decoder


def test_proposals_are_ranked_as_by_pytorch(trained, arrays):
    _, ranker = trained
    evidence = np.random.default_rng(1).normal(size=(40, 83)).astype(np.float32)
    low, scale = arrays["rank.norm.weight"], arrays["rank.norm.bias"]
    with torch.no_grad():
        expected = ranker(torch.from_numpy((evidence - low) * scale).clamp(-8, 8)).sigmoid()
    assert np.allclose(Decoder(arrays, "").rank(evidence), expected, atol=1e-5)


def test_all_that_a_decoder_needs_is_there(arrays, tmp_path):
    path = tmp_path / f"a{weights.ENDING}"
    weights.write(path, arrays, "f" * 64)
    assert weights.read(path).arrays.keys() == arrays.keys()
    assert "parameters" in repr(Decoder(arrays, ""))
