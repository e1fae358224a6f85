"""Train the tiny CLIP: ``python -m support.tiny_clip.train``, twenty minutes on two slow cores.

Objects of drawn scenes are compared with the words for all colours, all shapes and all pairs of
both; once cut out, and once pooled from the tokens of the whole scene, the way the engine does it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from torch.nn.functional import cross_entropy, normalize

from fastsam_plugins.masks import runs as R
from fastsam_plugins.text.crops import batches
from fastsam_plugins.text.dense import coverage, tokens
from fastsam_plugins.text.pixels import Pixels
from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import COLORS, SHAPES, Scene, say, scene

TEMPLATES = ("a {}", "{}", "the {}", "a photo of a {}", "one {}", "a picture of a {}")
SEED = 20_230_621  # tests draw from other seeds
PAIRS = [(c, s) for c in COLORS for s in SHAPES]


def words(rng: np.random.Generator) -> list[list[str]]:
    """Captions of every pair, every colour and every shape, said this way or that."""
    pairs = [f"{c} {s}" for c, s in PAIRS]
    colors = [f"{c} {rng.choice(['object', 'thing', 'shape'])}" for c in COLORS]
    groups = pairs, colors, list(SHAPES)
    return [[say(str(rng.choice(TEMPLATES)), w) for w in group] for group in groups]


def targets(names: list[tuple[str, str]]) -> list[torch.Tensor]:
    """The place of each object's words in :func:`words`."""
    colors = list(COLORS)
    return [
        torch.tensor([PAIRS.index(n) for n in names]),
        torch.tensor([colors.index(c) for c, _ in names]),
        torch.tensor([SHAPES.index(s) for _, s in names]),
    ]


def pooled(model, pixels: Pixels, scenes: list[Scene], longest: int) -> torch.Tensor:
    """Features of all objects of scenes of one size, from the tokens of the scenes."""
    stack = torch.stack([pixels.resize(s.image, (longest, longest)) for s in scenes])
    maps = tokens(model.visual, pixels.normalize(stack))
    found = []
    for s, cells in zip(scenes, maps, strict=True):
        shape = s.image.shape[:2]
        cover = np.stack([coverage(R.from_bitmap(m), shape, cells.shape[1:]) for m in s.masks])
        weights = torch.from_numpy(cover).float().flatten(1)
        found.append(weights / weights.sum(1, keepdim=True) @ cells.flatten(1).T)
    return torch.cat(found)


def cut_out(model, pixels: Pixels, scenes: list[Scene], background: str) -> torch.Tensor:
    """Features of all objects of scenes, cut out."""
    parts = [
        batch
        for s in scenes
        for batch in batches(s.image, map(R.from_bitmap, s.masks), pixels, background, 99)
    ]
    return model.encode_image(torch.cat(parts))


def contrast(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Every object is to find its words (N, T), and words are to find any object they fit."""
    fits = torch.zeros_like(logits, dtype=torch.bool)
    fits[torch.arange(len(target)), target] = True
    said = fits.any(0)
    found = logits.masked_fill(~fits, -torch.inf)[:, said].logsumexp(0)
    return cross_entropy(logits, target) + (logits[:, said].logsumexp(0) - found).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--scenes", type=int, default=8, help="Scenes of a step.")
    args = parser.parse_args()

    torch.manual_seed(SEED)
    config = json.loads((FOLDER / "open_clip_config.json").read_text())
    model = open_clip.model.CLIP(**config["model_cfg"])
    model = model.to(memory_format=torch.channels_last)  # half as fast again on a processor
    pixels = Pixels.of({**config["preprocess_cfg"], "size": model.visual.image_size})
    tokenizer = open_clip.SimpleTokenizer(
        context_length=config["model_cfg"]["text_cfg"]["context_length"]
    )
    slow = [p for n, p in model.named_parameters() if n == "logit_scale"]
    fast = [p for n, p in model.named_parameters() if n != "logit_scale"]
    optimizer = torch.optim.AdamW(
        [{"params": fast}, {"params": slow, "weight_decay": 0.0}], lr=2e-3, weight_decay=0.01
    )
    rng = np.random.default_rng(SEED)
    for step in range(args.steps):
        spent = step / args.steps
        rate = min(step / 100, 1) * 0.5 * (1 + np.cos(np.pi * spent))
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * rate + 1e-6
        scenes = [scene(SEED, step * args.scenes + k) for k in range(args.scenes)]
        names = targets([n for s in scenes for n in s.names])
        if spent > 0.4:  # from here on one normalisation for objects cut out and for whole scenes
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()
        background = str(rng.choice(["gray", "gray", "white", "black"]))
        looks = [
            cut_out(model, pixels, scenes, background),
            pooled(model, pixels, scenes, int(rng.choice([320, 384, 448]))),
        ]
        said = [model.encode_text(tokenizer(group)) for group in words(rng)]
        scale = model.logit_scale.exp()
        loss = sum(
            weight * contrast(scale * normalize(look, dim=-1) @ normalize(text, dim=-1).T, target)
            for look, weight in zip(looks, (1, 2), strict=True)
            for text, target in zip(said, names, strict=True)
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, np.log(100))
        if step % 25 == 0:
            right = [
                float((normalize(k, dim=-1) @ normalize(said[0], dim=-1).T).argmax(1).eq(names[0])
                      .float().mean()) for k in looks
            ]  # fmt: skip
            print(f"{spent:.3f} step {step} loss {loss:.3f} crops {right[0]:.3f} "
                  f"dense {right[1]:.3f}", flush=True)  # fmt: skip
    save(model, args.output)


def save(model, folder: Path) -> None:
    """Write the parameters in half precision."""
    from safetensors.torch import save_file

    state = {
        k: v.half().contiguous() if v.is_floating_point() else v.contiguous()
        for k, v in model.state_dict().items()
    }
    save_file(state, folder / "open_clip_model.safetensors")


if __name__ == "__main__":
    main()
