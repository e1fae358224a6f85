"""A graph is made once, and takes images as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsam_plugins import cache, paths
from fastsam_plugins.network import graphs, weights

pytest.importorskip("openvino")


def test_a_graph_is_made_once_and_again_when_it_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path))
    network = weights.load("FastSAM-n")
    made = graphs.openvino(network)
    monkeypatch.setattr(graphs, "exportable", lambda _: pytest.fail("it was made again"))
    assert graphs.openvino(network) == made
    place = cache.place(graphs._name(network, "openvino"))
    bad = bytearray(place.read_bytes())
    bad[len(bad) // 2] ^= 255  # OpenVINO itself would answer, and wrongly
    place.write_bytes(bad)
    with pytest.raises(pytest.fail.Exception, match="made again"):
        graphs.openvino(network)


def test_it_answers_as_the_network_does():
    network = weights.load("FastSAM-n")
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), np.uint8)
    with torch.inference_mode():
        plain = network.module(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)[0]
        heads, features = graphs.exportable(network.module)(torch.from_numpy(images))
    assert torch.allclose(heads[0], plain[0], atol=1e-3)
    assert torch.allclose(heads[1], plain[1], atol=1e-4)
    assert [f.shape[1] for f in features] == [64, 128, 256]
    assert not network.module.model[-1].export
