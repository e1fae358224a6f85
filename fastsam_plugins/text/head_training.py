"""Training a head for texts: what a CLIP makes of cut out instances, learned from kept features.

The network and the CLIP stay as they are, and images need no labels. An instance's own crop is what
is learned, and how alike the instances are (Park et al. 2019, "Relational Knowledge Distillation",
arXiv:1904.05068).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import read_image
from fastsam_plugins.masks.sampling import Floats
from fastsam_plugins.model import FastSAM
from fastsam_plugins.options import SegmentOptions, TextOptions
from fastsam_plugins.text import head
from fastsam_plugins.text.clip import Clip
from fastsam_plugins.text.head import LAYERS, TextHead
from fastsam_plugins.training.options import TextHeadOptions

_BATCH, _RATE = 256, 3e-3
_LEAST = 50  # instances to learn from
_RIDGE = 1e-2  # of the control


@dataclass(frozen=True)
class Agreement:
    """How near a way comes to crops, in images that it did not learn from.

    Attributes
    ----------
    way : str
    cosine : float
        Mean over instances.
    own : float
        Share of instances whose vector is nearest to their own crop's, among those of their image.
    """

    way: str
    cosine: float
    own: float

    def __str__(self) -> str:
        return f"{self.way:<24} cosine {self.cosine:.3f}, nearest to its own crop {self.own:.1%}"


@dataclass(frozen=True, eq=False)
class Example:
    """One image: what a head is told of its instances (N, C), and their crops' vectors (N, D)."""

    told: Floats
    seen: Floats


def train_text_head(
    model: FastSAM,
    clip: Clip,
    images: Iterable[str | Path | NDArray[Any]],
    output: str | Path,
    options: TextHeadOptions | None = None,
    wording: TextOptions | None = None,
    say: Callable[[str], object] = print,
    **changes: Any,
) -> list[Agreement]:
    """Train a head for a network and a CLIP, and write it.

    Parameters
    ----------
    model : FastSAM
        With a decoder, whose kept features the head reads.
    clip : Clip
    images : iterable of paths or arrays (H, W, 3)
        Like those that will be asked about; they need no labels.
    output : path
        A file.
    options : TextHeadOptions
    wording : TextOptions
        How instances are cut out.
    say : callable
        Is given a line now and then.
    **changes
        Fields of ``options`` by name.

    Returns
    -------
    list of Agreement
        With crops, in the images held out: of the head, and of controls.

    Raises
    ------
    ValueError
        If the network has no decoder, or there is too little to learn from.
    """
    options = TextHeadOptions.of(options, **changes)
    if model.decoder is None:
        raise ValueError(
            f"{model.network.name} has no decoder, whose kept features a head reads: train one "
            "with fastsam train-decoder"
        )
    rng = np.random.default_rng(options.seed)
    examples = looked_at(model, clip, images, options, TextOptions.of(wording), say)
    order = rng.permutation(len(examples)).tolist()
    apart = max(round(options.held_out * len(order)), 1)
    held_out, learned = ([examples[k] for k in part] for part in (order[:apart], order[apart:]))
    count = sum(len(e.told) for e in learned)
    if count < _LEAST:
        raise ValueError(
            f"there are {count} instances in {len(learned)} images to learn from, and {_LEAST} are "
            "needed: give more images, or lower conf"
        )
    arrays = distilled(learned, options, rng, say)
    output = Path(output)
    head.write(output, arrays, model.decoder.sha256, clip.fingerprint)
    return agreements(head.read(output), learned, held_out)


def looked_at(
    model: FastSAM,
    clip: Clip,
    images: Iterable[str | Path | NDArray[Any]],
    options: TextHeadOptions,
    wording: TextOptions,
    say: Callable[[str], object],
) -> list[Example]:
    """Images put through the network, and their instances through CLIP, once."""
    settings = SegmentOptions(conf=options.conf, imgsz=options.imgsz)
    cut_out = wording.replace(features="crops")
    examples: list[Example] = []
    for item in images:
        if len(examples) >= options.max_images:
            break
        try:
            image = item if isinstance(item, np.ndarray) else read_image(item, limits=model.limits)
        except (ImageError, OSError) as error:
            say(f"{item} is left out: {error}")
            continue
        seg = model.segment(image, settings).filter(min_area=wording.min_pixels)
        if not len(seg):
            continue
        assert seg.image_features is not None
        seen = seg.image_features.of(seg.source, seg.rows, clip, cut_out)
        examples.append(Example(head.told(seg), seen))
        if len(examples) % 50 == 0:
            say(f"{len(examples)} images looked at")
    if len(examples) < 2:
        raise ValueError(
            f"{len(examples)} of the images could be used, and two are needed, one to learn from "
            "and one to measure with: give more images, or lower conf"
        )
    say(f"{len(examples)} images with {sum(len(e.told) for e in examples)} instances")
    return examples


def distilled(
    examples: Sequence[Example],
    options: TextHeadOptions,
    rng: np.random.Generator,
    say: Callable[[str], object],
) -> dict[str, NDArray]:
    """The arrays of a head that learned from images."""
    import torch
    from torch.nn import functional as F

    told, seen = _together(examples)
    mean, scale = told.mean(0), 1 / (told.std(0) + 1e-3)
    sizes = [told.shape[1], options.width, options.width, seen.shape[1]]
    torch.manual_seed(int(rng.integers(1 << 31)))
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    between = [part for layer in layers[:-1] for part in
               (layer, torch.nn.ReLU(), torch.nn.Dropout(0.1))]  # fmt: skip
    network = torch.nn.Sequential(*between, layers[-1])
    x = torch.from_numpy(np.clip((told - mean) * scale, -head.FAR, head.FAR))
    y = torch.from_numpy(seen)
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=0.05)
    steps = options.steps
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps + 1)
    losses = []
    for step in range(1, steps + 1):
        chosen = torch.from_numpy(rng.integers(0, len(x), _BATCH))
        made, target = F.normalize(network(x[chosen]), dim=1), y[chosen]
        alike = ((made @ target.T - target @ target.T) ** 2).mean()
        loss = 1 - (made * target).sum(1).mean() + options.relations * alike
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        losses.append(float(loss.detach()))
        if step % 500 == 0:
            say(f"step {step}: loss {np.mean(losses[-500:]):.3f}")
    arrays: dict[str, NDArray] = {"mean": mean, "scale": scale}
    for k, layer in enumerate(layers):
        arrays[f"{k}.weight"] = layer.weight.detach().numpy()
        arrays[f"{k}.bias"] = layer.bias.detach().numpy()
    assert len(layers) == LAYERS
    return arrays


def agreements(
    made: TextHead, learned: Sequence[Example], held_out: Sequence[Example]
) -> list[Agreement]:
    """How near a head comes to crops, and what is without one."""
    told, seen = _together(learned)
    mean, scale = told.mean(0), 1 / (told.std(0) + 1e-3)
    x = (told - mean) * scale
    alike = x.T @ x + _RIDGE * len(x) * np.eye(x.shape[1], dtype=np.float32)
    weights = np.linalg.solve(alike, x.T @ (seen - seen.mean(0)))

    def nearest(asked: Floats) -> Floats:
        z = (asked - mean) * scale
        return seen[((x**2).sum(1) - 2 * z @ x.T).argmin(1)]

    ways: dict[str, Callable[[Floats], Floats]] = {
        "the head": made,
        "linear ridge": lambda asked: (asked - mean) * scale @ weights + seen.mean(0),
        "nearest known instance": nearest,
        "the mean of all": lambda asked: np.tile(seen.mean(0), (len(asked), 1)),
    }
    return [_measured(name, way, held_out) for name, way in ways.items()]


def _measured(name: str, way: Callable[[Floats], Floats], examples: Sequence[Example]) -> Agreement:
    cosines, own = [], []
    for e in examples:
        made = way(e.told)
        made = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
        all_crops = made @ e.seen.T
        cosines.append(np.diagonal(all_crops))
        own.append(all_crops.argmax(1) == np.arange(len(made)))
    return Agreement(name, float(np.mean(np.concatenate(cosines))),
                     float(np.mean(np.concatenate(own))))  # fmt: skip


def _together(examples: Sequence[Example]) -> tuple[Floats, Floats]:
    return np.concatenate([e.told for e in examples]), np.concatenate([e.seen for e in examples])
