"""Text prompts: do words pick the right objects, and how long does it take?

    python -m benchmarks.text
    python -m benchmarks.text --only right      # or speed

Right: a tiny CLIP trained by this repository (tests/tiny_clip), on drawn scenes that it was not
trained on. Each object of a scene is asked for by its colour and shape, among all of the scene.

Speed: CLIPs of random weights, since time does not depend on them. One crop at a time is what
others do: every mask cut out, prepared by open_clip's own transform and sent through the network
by itself. Its features are checked to be those of the batched crops first.
"""

from __future__ import annotations

import argparse
import logging
import time

import cv2
import numpy as np
import open_clip
import torch
from PIL import Image

from benchmarks.common import network_output, peak_extra_megabytes, row
from benchmarks.prompts import ours
from fastsam_plugins import FastSAM, Segmentation, TextOptions, read_image
from fastsam_plugins.demo import SAMPLES
from fastsam_plugins.text.clip import Clip
from fastsam_plugins.text.crops import cut_out
from fastsam_plugins.text.loading import load
from tests.tiny_clip import FOLDER
from tests.tiny_clip.scenes import Scene, scene

SCENES, SEED = 200, 2024  # tests/tiny_clip/train.py draws from another seed
DENSE_SIZE = 448
SIZE, COUNTS, CHUNK = 1024, (50, 100, 300), 16
ALONE, TURNS = 5, 5
CROPS, DENSE = TextOptions(features="crops", chunk=CHUNK), TextOptions(features="dense")


def right() -> None:
    """How often words pick the right object."""
    clip = load(FOLDER, "cpu")
    model = FastSAM("FastSAM-n", device="cpu")
    scenes = [scene(SEED, k) for k in range(SCENES)]
    print(f"{SCENES} scenes, {sum(len(s.names) for s in scenes)} objects\n")
    row("masks", "encoder", "one object of each scene", "all objects")
    row(*["---"] * 4)
    for options in (CROPS, DENSE.replace(dense_size=DENSE_SIZE)):
        picked = [drawn(s, clip, options) for s in scenes]
        row("exact", options.features, percent([p[:1] for p in picked]), percent(picked))
    proposals = [model.segment(s.image, conf=0.1) for s in scenes]
    for options in (CROPS, DENSE.replace(dense_size=DENSE_SIZE)):
        picked = [proposed(s, seg, clip, options) for s, seg in zip(scenes, proposals, strict=True)]
        row("FastSAM-n's", options.features, percent([p[:1] for p in picked]), percent(picked))
    found = sum(len(p) for p in picked) / sum(len(s.names) for s in scenes)
    print(f"\nOf the objects, {found:.1%} have a proposal of FastSAM-n with IoU 0.5 or more.")


def drawn(s: Scene, clip: Clip, options: TextOptions) -> list[bool]:
    """For each object of a scene, given the exact masks: was it picked?"""
    seg = Segmentation.from_masks(s.masks).with_image(s.image, "cpu")
    found = seg.select(text=s.captions, options=options, clip=clip)
    return (found.rows == np.arange(len(s.names))).tolist()


def proposed(s: Scene, seg: Segmentation, clip: Clip, options: TextOptions) -> list[bool]:
    """For each object that any proposal fits: was one that fits it picked?"""
    masks = seg.masks()
    shared = np.einsum("ahw,bhw->ab", masks, s.masks, dtype=np.float32)
    iou = shared / (seg.areas[:, None] + s.masks.sum((1, 2)) - shared)
    found = seg.select(text=s.captions, options=options, clip=clip)
    there = np.flatnonzero(iou.max(0) >= 0.5)
    rows = {int(r): i for i, r in enumerate(seg.rows)}
    return [bool(iou[rows[int(found.rows[k])], k] >= 0.5) for k in there]


def percent(picked: list[list[bool]]) -> str:
    flat = [p for scene in picked for p in scene]
    return f"{np.mean(flat):.1%}"


def speed() -> None:
    """How long it takes until the instances of an image are compared with a text.

    Both sides are measured in turns, so that what else the machine does befalls both; what takes
    equally long for every crop is measured on some, and multiplied.
    """
    image = cv2.resize(read_image(SAMPLES / "coffee.jpg"), (SIZE, SIZE))
    output = network_output(SIZE, max(COUNTS))
    seg = ours(output, np.linspace(1, 0, max(COUNTS), dtype=np.float32))
    assert (seg.areas > 0).all()
    print(f"\n{torch.get_num_threads()} CPU threads; {SIZE} x {SIZE} image, chunk {CHUNK}.")
    for name in ("ViT-B-32", "ViT-B-16"):
        clip, transform = random_clip(name)
        one = seg[:CHUNK]
        look = one.with_image(image, "cpu").image_features
        both = alone(image, one, clip, transform), look.of(one.source, one.rows, clip, CROPS)
        off = 1 - (both[0] * both[1]).sum(1)
        print(f"\n{name}; 1 - cosine of crops alone and batched at most {off.max():.0e}\n")
        assert off.max() < 1e-3
        row("masks", "one crop at a time", "batched crops", "dense", "second text")
        row(*["---"] * 5)
        for count in COUNTS:
            turns = np.array([turn(image, seg[:count], clip, transform) for _ in range(TURNS)])
            crop, in_batch, dense, text = np.median(turns, axis=0)
            theirs = count * crop + text
            mine = count * in_batch + text, dense, text
            row(count, f"{theirs:.3g} s", *(f"{t:.3g} s, {theirs / t:.1f}×" for t in mine))
        if name == "ViT-B-32":
            memory(seg, image, clip)


def turn(image, seg, clip, transform) -> tuple[float, float, float, float]:
    """Seconds: a crop alone, a crop in a batch, all masks from one dense pass, and a text."""
    some = seg[np.random.default_rng(0).permutation(len(seg))[:CHUNK]]
    crop = seconds(lambda: alone(image, some[:ALONE], clip, transform)) / ALONE
    text = seconds(lambda: another_text(clip))
    clip.text_features(["a"])  # is known then
    in_batch = seconds(lambda: some.with_image(image, "cpu").similarity("a", CROPS, clip)) / CHUNK
    clip._texts.clear()
    dense = seconds(lambda: seg.with_image(image, "cpu").similarity("a cup", DENSE, clip))
    return crop, in_batch, dense, text


def random_clip(name: str) -> tuple[Clip, object]:
    torch.manual_seed(0)
    logging.disable(logging.WARNING)  # that these weights are random
    model, _, transform = open_clip.create_model_and_transforms(name)
    return Clip(model, open_clip.get_tokenizer(name), name), transform


def alone(image, seg, clip, transform) -> np.ndarray:
    """Features (N, D), every instance by itself."""
    found = []
    with torch.inference_mode():
        for i in range(len(seg)):
            crop = Image.fromarray(cut_out(image, seg.runs(i), "gray", clip.pixels.gray))
            look = clip.model.encode_image(transform(crop)[None], normalize=True)
            found.append(look[0].numpy())
    return np.array(found)


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def another_text(clip: Clip) -> None:
    clip._texts.clear()
    clip.text_features(["a spoon"])


def memory(seg: Segmentation, image: np.ndarray, clip: Clip) -> None:
    """Memory depends on the chunk, not on how many masks there are."""
    print()
    row("chunk", *(f"{count} masks" for count in COUNTS[:2]))
    row(*["---"] * 3)
    for chunk in (4, 32):
        options = CROPS.replace(chunk=chunk)
        peaks = [
            peak_extra_megabytes(
                lambda c=c, o=options: seg[:c].with_image(image, "cpu").similarity("a cup", o, clip)
            )
            for c in COUNTS[:2]
        ]
        row(chunk, *(f"{p:.0f} MB" for p in peaks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["right", "speed"])
    only = parser.parse_args().only
    if only != "speed":
        right()
    if only != "right":
        speed()


if __name__ == "__main__":
    main()
