"""Training a decoder for a network whose own weights stay as they are.

First what proposals are worth under a click is learned, then masks: simulated users prompt for
labelled objects, and every answer that they get is one that is learned from.
"""

from __future__ import annotations

import copy
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.datasets.sources import Labelled
from fastsam_plugins.decoder import weights
from fastsam_plugins.decoder.answer import Answer, View
from fastsam_plugins.decoder.encoding import Encoding
from fastsam_plugins.decoder.network import Decoder
from fastsam_plugins.decoder.prompter import Prompter
from fastsam_plugins.decoder.simulation import Session, somewhere
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import read_image
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sampling import CELL, Floats
from fastsam_plugins.model import FastSAM
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.prompts import to_pixels
from fastsam_plugins.training.options import DecoderOptions

_LEAST_AREA = 16  # pixels of the smallest object that is learned from
_SETTINGS = SegmentOptions(conf=0.25)  # instances are not looked at: what is proposed is


@dataclass(frozen=True, eq=False)
class Example:
    """One encoded image with its objects.

    Attributes
    ----------
    features : list of float16 arrays (C, h, w)
        All of the network's, by scale.
    """

    prompter: Prompter
    features: list[NDArray[np.float16]]
    masks: list[R.Runs]
    kind: str

    def mask(self, i: int) -> NDArray[np.bool_]:
        """The bitmap of an object."""
        return R.to_bitmap(self.masks[i], self.prompter.shape)


def train_decoder(
    model: FastSAM,
    labelled: Iterable[Labelled],
    output: str | Path,
    options: DecoderOptions | None = None,
    told: Callable[[str], object] = print,
    **changes: Any,
) -> Path:
    """Train a decoder for a network and write it.

    Parameters
    ----------
    model : FastSAM
        Its weights are not changed.
    labelled : iterable of Labelled
        From :func:`fastsam_plugins.datasets.sources.read`. Objects may be labelled in part: what
        is not labelled is not looked at.
    output : path
        A file; beside the weights and named like them it is found without being named:
        :func:`fastsam_plugins.decoder.weights.beside`.
    options : DecoderOptions
    told : callable
        Is given a line now and then.
    **changes
        Fields of the options by name.

    Raises
    ------
    ValueError
        If there is nothing to learn from, or the decoder to start from cannot be read or is for
        another kind of network.
    """
    options = DecoderOptions.of(options, **changes)
    start = weights.read(weights.named(options.start)) if options.start else None
    rng = np.random.default_rng(options.seed)
    examples = encoded(model, labelled, options, told)
    arrays = ranking(examples, rng, told)
    features = tuple(len(f) for f in examples[0].features)
    arrays |= refining(examples, Decoder(arrays, ""), features, options, rng, told, start)
    output = Path(output)
    weights.write(output, arrays, model.network.sha256)
    weights.read(output)
    return output


def encoded(
    model: FastSAM,
    labelled: Iterable[Labelled],
    options: DecoderOptions,
    told: Callable[[str], object],
) -> list[Example]:
    """Images that can be learned from, put through the network once."""
    examples: list[Example] = []
    left_out = 0
    for item in labelled:
        if len(examples) >= options.max_images:
            break
        kept = [m for m in item.masks if R.area(m) >= _LEAST_AREA]
        try:
            image = read_image(item.image, limits=model.limits)
        except (ImageError, OSError):
            left_out += 1
            continue
        if image.shape[:2] != tuple(item.shape) or not kept:
            left_out += 1
            continue
        encoding, features = model.encode(image, _SETTINGS.replace(imgsz=options.imgsz))
        kind = item.kind if item.kind and ":" not in item.kind else str(item.image.parent)
        examples.append(
            Example(Prompter(replace(encoding, decoder=None), image), features, kept, kind)
        )
        if len(examples) % 100 == 0:
            told(f"{len(examples)} images encoded")
    if not examples:
        raise ValueError(f"there is nothing to learn from: {left_out} images were left out")
    told(f"{len(examples)} images with {sum(len(e.masks) for e in examples)} objects; "
         f"{left_out} left out")  # fmt: skip
    return examples


# --- what proposals are worth -------------------------------------------------------------------


def _pairs(
    examples: Sequence[Example], rng: np.random.Generator, each: int = 12
) -> tuple[Floats, Floats]:
    """Evidence (P, E) of proposals under clicks, and the IoU (P,) that they have."""
    evidence, truth = [], []
    for example in examples:
        proposals = example.prompter.encoding.proposals
        if not len(proposals):
            continue
        for i in rng.permutation(len(example.masks))[:each].tolist():
            mask = example.mask(i)
            share = float(rng.choice([0.999, 0.0, 0.3, 0.6]))
            pixel = to_pixels(np.array([somewhere(mask, rng, share)]))[0]
            rows = proposals.under(pixel)
            if len(rows):
                evidence.append(proposals.evidence(rows, pixel))
                truth.append(proposals.ious(rows, _in_cells(mask, example.prompter.encoding)))
    return np.concatenate(evidence), np.concatenate(truth).astype(np.float32)


def _in_cells(mask: NDArray[np.bool_], encoding: Encoding) -> NDArray[np.bool_]:
    """A mask at the prototypes' cells, (h * w,)."""
    import cv2

    box = encoding.source.letterbox
    canvas = np.zeros(box.input_shape, np.float32)
    height, width = box.content_shape
    canvas[box.top : box.top + height, box.left : box.left + width] = cv2.resize(
        mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
    )
    cells = (canvas.shape[1] // CELL, canvas.shape[0] // CELL)
    return np.asarray(cv2.resize(canvas, cells, interpolation=cv2.INTER_AREA).ravel() > 0.5)


def ranking(
    examples: Sequence[Example], rng: np.random.Generator, told: Callable[[str], object]
) -> dict[str, Floats]:
    """Learn what proposals are worth under a click."""
    import torch
    from torch.nn import functional as F

    from fastsam_plugins.decoder.modules import Ranker

    evidence, truth = _pairs(examples, rng)
    mean, deviation = evidence.mean(0), evidence.std(0) + 1e-3
    x = torch.from_numpy(np.clip((evidence - mean) / deviation, -8, 8))
    y = torch.from_numpy(truth)
    torch.manual_seed(int(rng.integers(1 << 31)))
    ranker = Ranker(x.shape[1])
    batch = min(4096, len(x))
    steps = max(4 * len(x) // batch, 200)
    optimizer = torch.optim.AdamW(ranker.parameters(), 2e-3, weight_decay=1e-2)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for step in range(steps):
        chosen = torch.from_numpy(rng.integers(0, len(x), batch))
        loss = F.binary_cross_entropy_with_logits(ranker(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step < steps - 1:
            rates.step()
    told(f"{len(x)} proposals under clicks were learned from")
    return ranker.arrays(mean.astype(np.float32), deviation.astype(np.float32))


# --- masks --------------------------------------------------------------------------------------


def refining(
    examples: Sequence[Example],
    ranker: Decoder,
    features: tuple[int, ...],
    options: DecoderOptions,
    rng: np.random.Generator,
    told: Callable[[str], object],
    start: Decoder | None = None,
) -> dict[str, Floats]:
    """Learn masks from the prompts of simulated users, for so many minutes."""
    import torch
    from torch.nn import functional as F

    from fastsam_plugins.decoder.modules import Refiner, folded, measured, opened

    for example in examples:
        example.prompter.decoder = ranker
    torch.manual_seed(int(rng.integers(1 << 31)))
    prototypes = examples[0].prompter.encoding.source.prototypes.shape[2]
    draw = _drawing(examples, rng)
    if start is None:
        refiner = Refiner(features, prototypes)
    else:
        refiner = opened(start.arrays, features, prototypes)
        told("going on from the decoder given")

        def look() -> None:
            _pass(refiner, [draw() for _ in range(options.batch)])

        measured(refiner, [look] * 8)
    average = copy.deepcopy(refiner)
    optimizer = torch.optim.AdamW(refiner.parameters(), options.lr, weight_decay=1e-3)
    sessions: list[tuple[Session, Example]] = []
    begun, step, seconds = time.monotonic(), 0, options.minutes * 60
    recent: list[tuple[float, float]] = []
    while (past := time.monotonic() - begun) < seconds or step == 0:
        rate = 0.5 * (1 + math.cos(math.pi * min(past / max(seconds, 1), 1))) * 0.98 + 0.02
        for group in optimizer.param_groups:
            group["lr"] = options.lr * min(1, (step + 1) / 100) * rate
        while len(sessions) < options.batch:
            sessions.append(draw())
        views, maps, qualities = _pass(refiner, sessions)
        target = torch.from_numpy(np.stack([s.target for s, _ in sessions]))
        detached = maps.detach().numpy()
        ious = [
            session.take(Answer(m, v.window, 0.5))
            for (session, _), m, v in zip(sessions, detached, views, strict=True)
        ]
        fits = torch.tensor(ious, dtype=torch.float32)
        loss = _loss(maps, target)
        quality = F.binary_cross_entropy_with_logits(qualities, fits)
        optimizer.zero_grad()
        (loss + 0.3 * quality).backward()
        torch.nn.utils.clip_grad_norm_(refiner.parameters(), 2.0)
        optimizer.step()
        _follow(average, refiner, min(0.998, (1 + step) / (10 + step)))
        sessions = [(s, e) for s, e in sessions if s.left > 0]
        step += 1
        recent.append((float(loss.detach()), float(np.mean(ious))))
        if step % 200 == 0:
            lost, gained = np.mean(recent[-200:], 0)
            told(f"step {step}, {past / 60:.1f} min: loss {lost:.3f}, IoU {gained:.3f}")
    told(f"{step} steps of {options.batch} prompts")
    return folded(average.eval())


def _pass(refiner: Any, sessions: Sequence[tuple[Session, Example]]) -> tuple[list[View], Any, Any]:
    """What the sessions look at now, and the logits of their masks and of their IoU."""
    import torch

    views = [session.view() for session, _ in sessions]
    coarse = [_crop(refiner, e, v) for (_, e), v in zip(sessions, views, strict=True)]
    maps, qualities = refiner(
        torch.cat(coarse),
        torch.from_numpy(np.stack([v.fine for v in views])),
        torch.from_numpy(np.stack([v.extent for v in views])),
    )
    return views, maps, qualities


def _crop(refiner: Any, example: Example, view: View) -> Any:
    import torch

    features = [torch.from_numpy(f).float()[None] for f in example.features]
    prototypes = torch.from_numpy(example.prompter.encoding.source.prototypes).permute(2, 0, 1)
    return refiner.crop(features, prototypes[None], torch.from_numpy(view.corners).float())


def _loss(maps: Any, target: Any) -> Any:
    """Cross entropy that looks at what is still wrong, and Dice."""
    from torch.nn import functional as F

    p = maps.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(maps, target, reduction="none")
    wrong = 1 - (target * p + (1 - target) * (1 - p)).detach()
    focused = (entropy * wrong).sum((1, 2)) / wrong.sum((1, 2)).clamp_min(50)
    shared = (p * target).sum((1, 2))
    dice = 1 - (2 * shared + 10) / (p.sum((1, 2)) + target.sum((1, 2)) + 10)
    return (focused + dice + 0.3 * entropy.mean((1, 2))).mean()


def _follow(average: Any, module: Any, keep: float) -> None:
    """The moving average of what is learned."""
    import torch

    pairs = zip(average.state_dict().values(), module.state_dict().values(), strict=True)
    with torch.no_grad():
        for mean, value in pairs:
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)


def _drawing(
    examples: Sequence[Example], rng: np.random.Generator
) -> Callable[[], tuple[Session, Example]]:
    """Objects at random: kinds of images by the square root of how many there are, as images."""
    kinds: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        kinds[example.kind].append(example)
    groups = list(kinds.values())
    shares = np.sqrt([len(g) for g in groups])
    shares /= shares.sum()

    def draw() -> tuple[Session, Example]:
        group = groups[rng.choice(len(groups), p=shares)]
        example = group[rng.integers(len(group))]
        prompts = int(rng.choice([1, 2, 3, 4, 6, 8], p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.1]))
        mask = example.mask(int(rng.integers(len(example.masks))))
        session = Session(example.prompter, mask, prompts, rng)
        session.start()
        return session, example

    return draw
