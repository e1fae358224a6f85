"""Descriptions of networks are worked out before anything of them is made."""

from __future__ import annotations

import copy
import resource
import subprocess
import sys

import pytest
import torch
from ultralytics.nn.tasks import SegmentationModel

from fastsam_plugins.limits import DEFAULT
from fastsam_plugins.network import architecture, checkpoints, weights
from tests.tiny_network import answer, describe, error_of

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


def activations(module, size=256):
    """Numbers that an image of zeros becomes in all layers but the head, counted while it runs."""
    layers, seen = list(module.model)[:-1], []
    hooks = [layer.register_forward_hook(lambda *a: seen.append(a[2].numel())) for layer in layers]
    with torch.inference_mode():
        module(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    assert len(seen) == len(layers)
    return sum(seen)


CHANGES = {
    "as it is": {},
    "of other kernels": {
        "backbone": [[-1, 1, "Conv", [8, 5, 1, 4, 1, 2]], [-1, 1, "Conv", [8, 4, 2, 1]]]
    },
    "repeated": {"backbone": [[-1, 3, "Conv", [6, 3, 1]]]},
    "enlarged": {"backbone": [[-1, 1, "nn.Upsample", [None, 1.5, "nearest"]]]},
    "doubled": {"backbone": [[-1, 1, "Conv", [8, 3, 1]], [[-1, -1], 1, "Concat", [1]]]},
    "pooled": {"backbone": [[-1, 2, "C2f", [8, True]], [-1, 1, "SPPF", [16, 3]]]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_an_image_takes_is_worked_out_to_the_number(name):
    described = describe(nc=1)
    first = CHANGES[name].get("backbone", [])
    moved = copy.deepcopy([*described["backbone"], *described["head"]])
    for layer in moved:  # places are counted from the first layer
        places = layer[0] if isinstance(layer[0], list) else [layer[0]]
        places = [place + len(first) if place >= 0 else place for place in places]
        layer[0] = places if isinstance(layer[0], list) else places[0]
    described |= {"backbone": [*first, *moved[:-1]], "head": moved[-1:]}
    network = SegmentationModel(described, ch=3, nc=1, verbose=False).eval()
    if name == "as it is":
        network = weights.load("FastSAM-n").module
    assert architecture._passed(network.model) == activations(network)


@pytest.mark.parametrize(
    "layers",
    [
        [[-1, 1, "Conv", [8, 3, 2]], [[-1, -2], 1, "Concat", [1]]],
        [[[-1, -1], 1, "Concat", [2]]],
        [[-1, 1, "Conv", [8, 300, 1, 0]]],
        [[-1, 1, "nn.Upsample", [None, -1, "nearest"]]],
    ],
    ids=["of two sizes", "along another axis", "of no pixels", "to less than none"],
)
def test_what_fits_nowhere_is_refused(layers, tmp_path):
    read = checkpoints.read(weights.BUNDLED)
    backbone = [*layers, *read.architecture["backbone"]]
    read.architecture = {**read.architecture, "backbone": backbone}
    checkpoints.save(read, tmp_path / "a.safetensors")
    assert "describes no network that works" in error_of(tmp_path / "a.safetensors")


def test_a_network_is_loaded_without_pytorchs_compiler():
    """It takes seconds to import, and ends a process that has drawn a window by Mesa's LLVM."""
    program = (
        "import sys; from fastsam_plugins import FastSAM; import numpy as np\n"
        "FastSAM('FastSAM-n', device='cpu').segment(np.zeros((64, 64, 3), np.uint8))\n"
        "print({'torch._dynamo', 'triton'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("set()\n", 0), done.stderr
