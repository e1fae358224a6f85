"""Model descriptions in files: what they would take, worked out before anything of it is made.

A description of some hundred bytes can ask for a million channels or layers. What it describes is
laid out here without memory (PyTorch's ``meta`` device) and compared with what the file holds.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastsam_plugins.limits import too_much_memory
from fastsam_plugins.options import LimitOptions

if TYPE_CHECKING:
    import torch

Size = tuple[int, int, int]
_MOST = 100_000  # for any number in a description: channels are the largest
_TEXT = 20  # letters of the longest word in one
_PROBE = 256  # pixels a side of the image that ultralytics sends through a network it has made
_SPARE = 1.5, 100_000  # what a description may have more than the file, and be told of precisely


def check(
    architecture: Mapping[str, Any], state: Mapping[str, torch.Tensor], limits: LimitOptions
) -> None:
    """Refuse a description that is of another size than the parameters that came with it.

    Raises
    ------
    ValueError
        Saying what it asks for.
    """
    import torch

    from fastsam_plugins.network.ultralytics_guard import parse_model

    layers = [*architecture.get("backbone", ()), *architecture.get("head", ())]
    if len(layers) > len(state):
        raise ValueError(
            f"it describes {len(layers)} layers, and the file holds {len(state)} arrays"
        )
    _check_numbers([v for k, v in architecture.items() if k != "reg_max"])
    repeats = [layer[1] for layer in layers]
    deepest = max(_depths(architecture), default=1)
    if sum(max(n * deepest, 1) for n in repeats) > len(state):
        raise ValueError(
            f"it describes more layers than the {len(state)} arrays of the file are of"
        )
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        network, _ = parse_model(copy.deepcopy(dict(architecture)), ch=3, verbose=False)
        described = sum(v.numel() for v in network.parameters())
        held = sum(v.numel() for v in state.values())
        if described > _SPARE[0] * held + _SPARE[1]:
            raise ValueError(f"it describes {described} parameters, and the file holds {held}")
        if problem := too_much_memory(4 * _passed(network), limits):
            raise ValueError(f"a small image in it {problem}")


def _check_numbers(values: Any, depth: int = 0) -> None:
    """Refuse numbers, words and nesting that no description has."""
    if depth > 6:
        raise ValueError("it is nested too deep")
    if isinstance(values, Mapping):
        values = list(values.values())
    for value in values:
        if isinstance(value, list | tuple | Mapping):
            _check_numbers(value, depth + 1)
        elif isinstance(value, int | float):
            if not -_MOST <= value <= _MOST:  # NaN neither
                raise ValueError(f"it has the number {value:g}")
        elif value is not None and (not isinstance(value, str) or len(value) > _TEXT):
            raise ValueError(f"it has {str(value)[:_TEXT]!r} where a number belongs")


def _depths(architecture: Mapping[str, Any]) -> list[float]:
    """By what the repeats of layers may be multiplied."""
    scales = architecture.get("scales") or {}
    return [*(scale[0] for scale in scales.values()), architecture.get("depth_multiple", 1) or 1]


def _passed(network: Any) -> int:
    """Numbers that a small image becomes in all layers but the head.

    Worked out, not run: for that PyTorch would import its compiler, even on the ``meta`` device. It
    takes seconds, and ends the process where a napari window is drawn by Mesa's LLVM.
    """
    made: list[Size] = []
    total, size = 0, (3, _PROBE, _PROBE)
    for layer in list(network)[:-1]:
        places = [layer.f] if isinstance(layer.f, int) else layer.f
        size = _size_after(layer, [size if place == -1 else made[place] for place in places])
        made.append(size)
        total += math.prod(size)
    return total


def _size_after(layer: Any, given: list[Size]) -> Size:
    """What a layer of YOLOv8-seg makes of what it is given, as (channels, height, width)."""
    kind, (channels, *sides) = type(layer).__name__, given[0]
    if kind == "Sequential":  # a layer that is repeated
        for part in layer:
            given = [_size_after(part, given)]
        return given[0]
    if kind == "Concat":
        if layer.d != 1 or len({size[1:] for size in given}) > 1:
            raise ValueError("it joins what is not of one size")
        channels = sum(size[0] for size in given)
    elif kind == "Upsample":
        factor = layer.scale_factor
        factors = factor if isinstance(factor, tuple) else (factor, factor)
        sides = [int(n * f) for n, f in zip(sides, factors, strict=True)]
    elif kind == "Conv":
        conv = layer.conv
        how = zip(sides, conv.kernel_size, conv.stride, conv.padding, conv.dilation, strict=True)
        sides = [(n + 2 * padding - d * (k - 1) - 1) // step + 1 for n, k, step, padding, d in how]
        channels = conv.out_channels
    else:  # C2f and SPPF leave the sides as they are
        channels = layer.cv2.conv.out_channels
    if min(sides) < 1:
        raise ValueError("it makes an image of no pixels")
    return channels, sides[0], sides[1]
