"""Model descriptions in files: what they would take, worked out before anything of it is made.

A description of some hundred bytes can ask for a million channels or layers. What it describes is
laid out here without memory (PyTorch's ``meta`` device) and compared with what the file holds.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastsam_plugins.limits import too_much_memory
from fastsam_plugins.options import LimitOptions

if TYPE_CHECKING:
    import torch

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
    """Numbers that a small image becomes in all layers but the head."""
    import torch

    made: list[torch.Tensor] = []
    total, x = 0, torch.zeros(1, 3, _PROBE, _PROBE)
    with torch.inference_mode():
        for layer in list(network)[:-1]:
            places = [layer.f] if isinstance(layer.f, int) else layer.f
            given = [x if place == -1 else made[place] for place in places]
            x = layer(given[0] if isinstance(layer.f, int) else given)
            made.append(x)
            total += x.numel()
    return total
