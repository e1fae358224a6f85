"""The decoder's networks as PyTorch modules, for training; what they learned as plain arrays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastsam_plugins.decoder.network import APART
from fastsam_plugins.decoder.windows import GRID
from fastsam_plugins.masks.sampling import Floats

_FINE = 10  # see decoder.prompter.Prompter.view
_KEPT = (24, 24, 16)  # channels kept of the network's features, by scale
_WIDE, _SHARP = 48, 24


class _Block(nn.Module):
    def __init__(self, channels: int, apart: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(channels, channels, 3, padding=apart, dilation=apart, bias=False)
        self.norm_a = nn.BatchNorm2d(channels)
        self.b = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm_b = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.norm_a(self.a(x)))
        return F.relu(x + self.norm_b(self.b(inner)))


class Refiner(nn.Module):
    """What :meth:`Decoder.project` and :meth:`Decoder.refine` compute.

    Parameters
    ----------
    features : sequence of int
        Channels of the network's features, by scale.
    prototypes : int
    """

    def __init__(self, features: tuple[int, ...], prototypes: int) -> None:
        super().__init__()
        pairs = zip(features, _KEPT, strict=True)
        self.project = nn.ModuleList(nn.Conv2d(given, kept, 1) for given, kept in pairs)
        self.prototypes = nn.BatchNorm2d(prototypes)
        self.fine = nn.Conv2d(_FINE, _SHARP, 3, padding=1)
        self.down = nn.Conv2d(_SHARP, _WIDE, 3, stride=2, padding=1, bias=False)
        self.coarse = nn.Conv2d(prototypes + sum(_KEPT), _WIDE, 1, bias=False)
        self.extent = nn.Linear(4, _WIDE, bias=False)
        self.norm = nn.BatchNorm2d(_WIDE)
        self.body = nn.ModuleList(_Block(_WIDE, apart) for apart in APART)
        self.up = nn.Conv2d(_WIDE, _SHARP, 1)
        self.out_a = nn.Conv2d(2 * _SHARP, _SHARP, 3, padding=1, bias=False)
        self.out_norm = nn.BatchNorm2d(_SHARP)
        self.out_b = nn.Conv2d(_SHARP, 1, 3, padding=1)
        self.quality = nn.ModuleList([nn.Linear(2 * _WIDE + 5, 64), nn.Linear(64, 1)])

    def crop(self, features: list[Tensor], prototypes: Tensor, corners: Tensor) -> Tensor:
        """Kept features and prototypes of one image in one window (1, F, GRID/2, GRID/2)."""
        half = GRID // 2
        steps = (torch.arange(half, dtype=torch.float32) + 0.5) / half
        x = corners[0] + (corners[2] - corners[0]) * steps
        y = corners[1] + (corners[3] - corners[1]) * steps
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None] * 2 - 1
        maps = [layer(f) for layer, f in zip(self.project, features, strict=True)]
        maps.append(self.prototypes(prototypes))
        seen = [F.grid_sample(m, grid, align_corners=False, padding_mode="border") for m in maps]
        return torch.cat(seen, 1)

    def forward(self, coarse: Tensor, fine: Tensor, extent: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, GRID, GRID), and those of the IoU (n,)."""
        sharp = F.relu(self.fine(fine))
        wide = self.extent(extent)[:, :, None, None]
        x = F.relu(self.norm(self.down(sharp) + self.coarse(coarse) + wide))
        for block in self.body:
            x = block(x)
        y = F.interpolate(self.up(x), scale_factor=2, mode="bilinear", align_corners=False)
        y = F.relu(self.out_norm(self.out_a(torch.cat([y, sharp], 1))))
        maps = self.out_b(y)[:, 0]
        p = maps.sigmoid()
        q = F.avg_pool2d(p[:, None], 2)
        inside = (x * q).sum((2, 3)) / (q.sum((2, 3)) + 1)
        sure = (p - 0.5).abs().mean((1, 2)) * 2
        stable = (p > 0.73).float().sum((1, 2)) / ((p > 0.27).float().sum((1, 2)) + 1)
        told = torch.stack([p.mean((1, 2)), sure, stable], 1)
        z = torch.cat([inside, x.mean((2, 3)), told, extent[:, :2]], 1)
        return maps, self.quality[1](F.relu(self.quality[0](z)))[:, 0]


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """A normalisation as a factor and a summand for every channel."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def folded(refiner: Refiner) -> dict[str, Floats]:
    """What a refiner learned, as :class:`Decoder` names it, normalisation folded into weights."""
    made: dict[str, Tensor] = {}

    def put(name: str, weight: Tensor, bias: Tensor) -> None:
        made[f"{name}.weight"], made[f"{name}.bias"] = weight, bias

    for k, layer in enumerate(refiner.project):
        put(f"project.{k}", layer.weight[:, :, 0, 0], layer.bias)
    put("fine", refiner.fine.weight, refiner.fine.bias)
    scale, shift = _affine(refiner.norm)
    put("down", refiner.down.weight * scale[:, None, None, None], shift)
    own_scale, own_shift = _affine(refiner.prototypes)
    coarse = refiner.coarse.weight[:, :, 0, 0] * scale[:, None]
    of_prototypes = coarse[:, -len(own_scale) :]
    summand = of_prototypes @ own_shift
    coarse = torch.cat([coarse[:, : -len(own_scale)], of_prototypes * own_scale], 1)
    put("coarse", coarse, summand)
    put("extent", refiner.extent.weight * scale[:, None], torch.zeros_like(scale))
    for k, block in enumerate(refiner.body):
        for name in "ab":
            scale, shift = _affine(getattr(block, f"norm_{name}"))
            put(f"body.{k}.{name}", getattr(block, name).weight * scale[:, None, None, None], shift)
    put("up", refiner.up.weight[:, :, 0, 0], refiner.up.bias)
    scale, shift = _affine(refiner.out_norm)
    put("out.a", refiner.out_a.weight * scale[:, None, None, None], shift)
    put("out.b", refiner.out_b.weight, refiner.out_b.bias)
    for k, layer in enumerate(refiner.quality):
        put(f"quality.{k}", layer.weight, layer.bias)
    return {k: v.detach().numpy().astype(np.float32) for k, v in made.items()}


def opened(arrays: Mapping[str, Floats], features: tuple[int, ...], prototypes: int) -> Refiner:
    """A refiner that computes what these arrays do, to be trained on: :func:`folded` backwards.

    Its normalisation passes everything as it is, until :func:`measured` gives it statistics.

    Raises
    ------
    ValueError
        If the arrays are of a decoder for another kind of network.
    """
    refiner = Refiner(features, prototypes)
    for norm in _norms(refiner):
        nn.init.zeros_(norm.bias)
        norm.running_var.fill_(1 - norm.eps)

    def put(weight: Tensor, name: str, bias: Tensor) -> None:
        given = torch.from_numpy(arrays[f"{name}.weight"])
        if given.shape != weight.shape[: given.ndim]:
            raise ValueError(
                f"the decoder to start from is for another kind of network: its {name} is of shape "
                f"{tuple(given.shape)}, this one's of {tuple(weight.shape[: given.ndim])}"
            )
        weight.copy_(given.reshape(weight.shape))
        bias.add_(torch.from_numpy(arrays[f"{name}.bias"]))

    plain = {f"project.{k}": layer for k, layer in enumerate(refiner.project)}
    plain |= {"fine": refiner.fine, "up": refiner.up, "out.b": refiner.out_b}
    plain |= {f"quality.{k}": layer for k, layer in enumerate(refiner.quality)}
    shift = refiner.norm.bias  # of all three that are added up before this normalisation
    with torch.no_grad():
        for name, layer in plain.items():
            nn.init.zeros_(layer.bias)
            put(layer.weight, name, layer.bias)
        for name, layer in {"down": refiner.down, "coarse": refiner.coarse}.items():
            put(layer.weight, name, shift)
        put(refiner.extent.weight, "extent", shift)
        for k, block in enumerate(refiner.body):
            put(block.a.weight, f"body.{k}.a", block.norm_a.bias)
            put(block.b.weight, f"body.{k}.b", block.norm_b.bias)
        put(refiner.out_a.weight, "out.a", refiner.out_norm.bias)
    return refiner


def measured(refiner: Refiner, passes: Iterable[Callable[[], object]]) -> None:
    """Give the normalisation of an :func:`opened` refiner the statistics of what passes it.

    What it computes stays the same; in training, where a batch is normalised by its own
    statistics, it then begins near there.

    Parameters
    ----------
    refiner : Refiner
    passes : iterable of callables
        Each puts a batch through it.
    """
    seen: dict[nn.Module, list[Tensor]] = {norm: [] for norm in _norms(refiner)}

    def look(norm: nn.Module, given: tuple[Tensor]) -> None:
        x = given[0].transpose(0, 1).flatten(1)
        seen[norm].append(torch.stack([x.mean(1), (x * x).mean(1)]))

    hooks = [norm.register_forward_pre_hook(look) for norm in seen]
    refiner.eval()
    with torch.no_grad():
        for run in passes:
            run()
        for norm, moments in seen.items():
            mean, square = torch.stack(moments).mean(0)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_((square - mean * mean).clamp_min(0))
            norm.weight.copy_(torch.sqrt(norm.running_var + norm.eps))
            norm.bias.add_(mean)
    for hook in hooks:
        hook.remove()
    refiner.train()


def _norms(refiner: Refiner) -> list[Any]:
    return [m for m in refiner.modules() if isinstance(m, nn.BatchNorm2d)]


class Ranker(nn.Module):
    """What :meth:`Decoder.rank` computes, for evidence (K, E) that is normalised already."""

    def __init__(self, evidence: int) -> None:
        super().__init__()
        sizes = (evidence, 96, 64, 1)
        pairs = itertools.pairwise(sizes)
        self.layers = nn.ModuleList(nn.Linear(given, made) for given, made in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the IoU (K,)."""
        x = F.relu(self.layers[0](x))
        return self.layers[2](F.relu(self.layers[1](x)))[:, 0]

    def arrays(self, mean: Floats, deviation: Floats) -> dict[str, Floats]:
        """What it learned, as :class:`Decoder` names it."""
        made: dict[str, Floats] = {
            "rank.norm.weight": mean,
            "rank.norm.bias": (1 / deviation).astype(np.float32),
        }
        for k, layer in enumerate(self.layers):
            made[f"rank.{k}.weight"] = layer.weight.detach().numpy()
            made[f"rank.{k}.bias"] = layer.bias.detach().numpy()
        return made
