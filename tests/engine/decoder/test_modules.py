"""What modules learned, as plain arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsam_plugins.decoder import weights
from fastsam_plugins.decoder.modules import measured, opened
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


def test_an_opened_decoder_computes_what_it_did(trained, arrays):
    """Also after its normalisation has statistics; in training, about that."""
    refiner, _ = trained
    features = tuple(layer.in_channels for layer in refiner.project)
    again = opened(arrays, features, refiner.prototypes.num_features)
    generator = torch.Generator().manual_seed(1)
    channels = (*features, refiner.prototypes.num_features)
    *maps, prototypes = (torch.randn(1, c, 64, 64, generator=generator) for c in channels)
    fine = torch.randn(2, refiner.fine.in_channels, 64, 64, generator=generator)
    extent = torch.randn(2, 4, generator=generator)
    corners = torch.tensor([0.1, 0.1, 0.9, 0.7])

    def computed(module):
        coarse = module.crop(maps, prototypes, corners)
        return module(torch.cat([coarse, coarse]), fine, extent)[0]

    with torch.no_grad():
        expected = computed(refiner)

        def apart(maps):
            return float((maps - expected).abs().mean() / expected.std())

        assert apart(computed(again.eval())) < 1e-4
        before = apart(computed(again.train()))  # normalised, and nothing gives back what that took
        again = opened(arrays, features, refiner.prototypes.num_features)
        measured(again, [lambda: computed(again)])
        assert again.training
        assert apart(computed(again)) < min(0.2 * before, 0.1)
        assert apart(computed(again.eval())) < 1e-4


def test_a_decoder_of_another_kind_of_network_is_told(trained, arrays):
    refiner, _ = trained
    features = tuple(layer.in_channels for layer in refiner.project)
    with pytest.raises(ValueError, match=r"another kind of network: its project\.0"):
        opened(arrays, (features[0] * 2, *features[1:]), refiner.prototypes.num_features)
    with pytest.raises(ValueError, match=r"another kind of network: its coarse"):
        opened(arrays, features, refiner.prototypes.num_features + 1)
