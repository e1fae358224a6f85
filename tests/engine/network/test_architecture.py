"""Descriptions of networks are worked out before anything of them is made."""

from __future__ import annotations

import resource

import pytest
import torch

from fastsam_plugins.limits import DEFAULT
from fastsam_plugins.network import checkpoints, weights
from tests.tiny_network import answer, error_of

DOUBLED = [[[-1, -1], 1, "Concat", [1]]] * 40


ABSURD = {
    "a million times as wide": {"scales": {"n": [1, 1e6, 1e12]}},
    "forty times as wide": {"scales": {"n": [1, 40, 1e5]}},
    "a billion times as deep": {"scales": {"n": [1e9, 1, 1024]}},
    "ten thousand times as deep": {"scales": {"n": [1e4, 1, 1024]}},
    "a layer 100 million times": {"backbone": [[-1, 100_000_000, "Conv", [8, 3, 1]]]},
    "a million channels": {"backbone": [[-1, 1, "Conv", [1_000_000, 33, 2]]]},
    "a hundred thousand channels": {"backbone": [[-1, 1, "Conv", [99_000, 3, 2]]] * 2},
    "enlarged a million times": {"backbone": [[-1, 1, "nn.Upsample", [None, 1e6, "nearest"]]]},
    "doubled 20 times": {"backbone": [[-1, 1, "nn.Upsample", [None, 2, "nearest"]]] * 20},
    "concatenated 40 times": {"backbone": DOUBLED},
    "not a number": {"scales": {"n": [float("nan"), 1, 1024]}},
    "nested": {"backbone": [[-1, 1, "Conv", [[[[[[[[8]]]]]]]]]]},
    "a long word": {"backbone": [[-1, 1, "Conv", ["(" * 5000 + ")" * 5000, 3, 2]]]},
    "more layers than parameters": {"backbone": [[-1, 1, "Concat", [1]]] * 5000},
}


@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_description_is_refused_before_it_is_built(name, tmp_path):
    """These ran for more than 20 seconds, or until memory was full."""
    read = checkpoints.read(weights.BUNDLED)
    read.architecture = {**read.architecture, **ABSURD[name]}
    if "backbone" in ABSURD[name]:
        read.architecture["backbone"] = [*ABSURD[name]["backbone"], *read.architecture["backbone"]]
    if "scales" in ABSURD[name]:
        read.architecture["scale"] = "n"
    checkpoints.save(read, tmp_path / "a.safetensors")
    before = resource.getrusage(resource.RUSAGE_SELF)
    assert "describes no network that works" in error_of(tmp_path / "a.safetensors")
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_maxrss - before.ru_maxrss < 300_000
    assert after.ru_utime - before.ru_utime < 10  # of the processor, whoever else uses it


def test_what_is_built_is_what_was_described(checkpoint):
    assert torch.isfinite(answer(weights.load(checkpoint, limits=DEFAULT).module)).all()
