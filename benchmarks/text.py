"""Text prompts: do words pick the right objects, and how long does it take?

    python -m benchmarks.text
    python -m benchmarks.text --only right
    python -m benchmarks.text --only speed --network ViT-B-32      # or memory, crowded

Right: a tiny CLIP trained by this repository (support/tiny_clip), on drawn scenes that it was not
trained on. Each object of a scene is asked for by its colour and shape, among all of the scene.

Crowded: the same on scenes of another generator (support/tiny_clip/crowds.py), which it was not
trained on, of objects large and small.

Head: what ``fastsam train-text-head`` makes of unlabelled scenes, on fresh ones of both generators
(``--only head``). Trained on those of one, and on both.

Speed: CLIPs of random weights, since time does not depend on them. One crop at a time is what
others do: every mask cut out, prepared by open_clip's own transform and sent through the network
by itself, in float32. Its features are checked to be those of the batched crops first.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import logging
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import open_clip
import torch
from PIL import Image

from benchmarks.common import network_output, row
from fastsam_plugins import FastSAM, Segmentation, TextOptions, read_image
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.paths import SAMPLES
from fastsam_plugins.text import dense, head_training
from fastsam_plugins.text.clip import Clip
from fastsam_plugins.text.crops import cut_out
from fastsam_plugins.text.loading import load
from fastsam_plugins.text.selection import promising
from support.memory import peak_extra_megabytes
from support.tiny_clip import FOLDER
from support.tiny_clip.crowds import crowd
from support.tiny_clip.scenes import Scene, scene

SCENES, SEED = 200, 2024  # support/tiny_clip/train.py draws from another seed
CROWDS, CROWD_SEED = 50, 31
FRESH, HEAD_SEED, LESSONS = 100, 11, 100  # scenes
DENSE_SIZE = 448
DENSE_SIZES = (96, 144, 192, 224, 288, 336, DENSE_SIZE)
NETWORKS = ("ViT-B-32", "ViT-B-16")
SIZE, COUNTS, CHUNK = 1024, (50, 100, 300), 16
ALONE, TURNS = 5, 5
CROPS, DENSE = TextOptions(features="crops", chunk=CHUNK), TextOptions(features="dense")
PRECISIONS = ("full", "half")
# How far 1 - cosine of the same crop alone and in a batch may be from 0.
SAME = {"full": 1e-3, "half": 5e-3}


def right() -> None:
    """How often words pick the right object."""
    clip = load(FOLDER, "cpu")
    model = FastSAM("FastSAM-n", device="cpu")
    scenes = [scene(SEED, k) for k in range(SCENES)]
    print(f"{SCENES} scenes, {sum(len(s.names) for s in scenes)} objects\n")
    row("masks", "encoder", "precision", "one object of each scene", "all objects")
    row(*["---"] * 5)
    encoders = [
        o.replace(clip_precision=p)
        for o in (CROPS, DENSE.replace(dense_size=DENSE_SIZE)) for p in PRECISIONS
    ]  # fmt: skip
    for options in encoders:
        shares = percents([drawn(s, clip, options) for s in scenes])
        row("exact", options.features, options.clip_precision, *shares)
    proposals = [model.segment(s.image, conf=0.1) for s in scenes]
    for options in encoders:
        picked = [proposed(s, seg, clip, options) for s, seg in zip(scenes, proposals, strict=True)]
        row("FastSAM-n's", options.features, options.clip_precision, *percents(picked))
    found = sum(len(p) for p in picked) / sum(len(s.names) for s in scenes)
    print(f"\nOf the objects, {found:.1%} have a proposal of FastSAM-n with IoU 0.5 or more.\n")
    precision(scenes, clip)


def precision(scenes: list[Scene], clip: Clip) -> None:
    """What half precision changes, and how large ``dense`` has to see the image; exact masks."""
    own = max(dense.own_size(clip.model.visual))
    areas = np.concatenate([s.masks.sum((1, 2)) for s in scenes])
    smallest = areas <= np.quantile(areas, 0.25)
    row("encoder", "longest side", "of its own", "cells", "full", "half",
        "smallest quarter, full", "picks changed", "cosine moved by at most")  # fmt: skip
    row(*["---"] * 9)
    for options in (CROPS, *(DENSE.replace(dense_size=size) for size in DENSE_SIZES)):
        full, half = ([cosines(s, clip, options.replace(clip_precision=p)) for s in scenes]
                      for p in PRECISIONS)  # fmt: skip
        picks = [np.concatenate([c.argmax(0) for c in found]) for found in (full, half)]
        truth = np.concatenate([np.arange(len(s.names)) for s in scenes])
        moved = max(np.abs(f - h).max() for f, h in zip(full, half, strict=True))
        seen, cells = own, ""
        if options.features == "dense":
            seen = options.dense_size
            cells = clip.image_tokens(scenes[0].image, seen).shape[1]
        row(options.features, seen, f"{seen / own:.1f}×", cells,
            *(f"{np.mean(p == truth):.1%}" for p in picks),
            f"{np.mean((picks[0] == truth)[smallest]):.1%}",
            f"{np.sum(picks[0] != picks[1])} of {len(truth)}", f"{moved:.3f}")  # fmt: skip


def cosines(s: Scene, clip: Clip, options: TextOptions) -> np.ndarray:
    """Similarity (N, N) of each object of a scene to the caption of each."""
    seg = Segmentation.from_masks(s.masks).with_image(s.image, "cpu")
    return seg.similarity(s.captions, options, clip)


def drawn(s: Scene, clip: Clip, options: TextOptions) -> list[bool]:
    """For each object of a scene, given the exact masks: was it picked?"""
    seg = Segmentation.from_masks(s.masks).with_image(s.image, "cpu")
    found = seg.select(text=s.captions, options=options, clip=clip)
    return (found.rows == np.arange(len(s.names))).tolist()


def proposed(s: Scene, seg: Segmentation, clip: Clip, options: TextOptions) -> list[bool]:
    """For each object that any proposal fits: was one that fits it picked?"""
    iou = ious(s, seg)
    found = seg.select(text=s.captions, options=options, clip=clip)
    there = np.flatnonzero(iou.max(0) >= 0.5)
    rows = {int(r): i for i, r in enumerate(seg.rows)}
    return [bool(iou[rows[int(found.rows[k])], k] >= 0.5) for k in there]


def percents(picked: list[list[bool]]) -> tuple[str, str]:
    """Share of scenes whose first object was picked, and share of all objects."""
    first, every = (np.concatenate(p) for p in ([p[:1] for p in picked], picked))
    return f"{first.mean():.1%}", f"{every.mean():.1%}"


def crowded() -> None:
    """Another generator than the tiny CLIP's own; what ``auto`` cuts out for a first text."""
    clip = load(FOLDER, "cpu")
    model = FastSAM("FastSAM-n", device="cpu")
    scenes = [crowd(CROWD_SEED, k) for k in range(CROWDS)]
    areas = np.concatenate([s.masks.sum((1, 2)) for s in scenes])
    low, high = np.quantile(areas, (0.25, 0.75))
    print(f"\n{CROWDS} scenes, {len(areas)} objects, exact masks\n")
    row("features", "dense_size", "all", "largest quarter", "smallest quarter")
    row(*["---"] * 5)
    crops, whole = (o.replace(clip_precision="full") for o in (CROPS, DENSE))
    ways = [crops, *(whole.replace(dense_size=size) for size in (192, 384, 576, None))]
    for options in ways:
        found = [cosines(s, clip, options).argmax(0) == np.arange(len(s.names)) for s in scenes]
        hit = np.concatenate(found)
        parts = hit, hit[areas >= high], hit[areas <= low]
        size = options.dense_size or "by the masks"
        row(options.features, size if options.features == "dense" else "",
            *(f"{np.mean(p):.1%}" for p in parts))  # fmt: skip
    segs = [model.segment(s.image, conf=0.1).with_image(s.image, "cpu") for s in scenes]
    print(f"\nFastSAM-n's masks, {np.mean([len(seg) for seg in segs]):.0f} of an image\n")
    row("features", "dense_size", "right", "crops for a first text", "all cut out")
    row(*["---"] * 5)
    autos = [crops.replace(features="auto", dense_size=size) for size in (None, 576, 384, 192)]
    for options in (crops, whole, *autos):
        asked = [in_crowd(s, seg, clip, options) for s, seg in zip(scenes, segs, strict=True)]
        right, cut, every = np.concatenate(asked).T
        size = options.dense_size or "by the masks"
        row(options.features, size if options.features != "crops" else "", f"{right.mean():.1%}",
            f"{cut.mean():.0f}", f"{every.mean():.0%}")  # fmt: skip
    controls(scenes, segs)


def controls(scenes: list[Scene], segs: list[Segmentation]) -> None:
    """What is right where nobody looks at the text."""
    for control, pick in {
        "the largest mask": lambda seg, rng: int(seg.areas.argmax()),
        "any mask": lambda seg, rng: int(rng.integers(len(seg))),
    }.items():
        rng = np.random.default_rng(0)
        hits = [
            overlaps[pick(seg, rng), k] >= 0.5
            for s, seg in zip(scenes, segs, strict=True)
            for overlaps in [ious(s, seg)]
            for k in np.flatnonzero(overlaps.max(0) >= 0.5)
        ]
        row(control, f"{np.mean(hits):.1%}")


def in_crowd(s: Scene, seg: Segmentation, clip: Clip, options: TextOptions) -> np.ndarray:
    """For each object that a mask fits (K, 3): was one picked, crops made, were all made?

    Counted as if every text were the first that is asked of the image.
    """
    overlaps = ious(s, seg)
    there = np.flatnonzero(overlaps.max(0) >= 0.5)
    answers = []
    for k in there.tolist():
        text = s.captions[k]
        among = promising(seg, [text], [], options, clip)
        cut = 0 if options.features == "dense" else len(among)
        best = among[seg[among].similarity(text, options, clip).argmax()]
        answers.append((overlaps[best, k] >= 0.5, cut, cut == len(seg)))
    return np.array(answers, float).reshape(-1, 3)


def head() -> None:
    """Right objects and time of a head, on scenes that it did not see, beside the other ways."""
    clip = load(FOLDER, "cpu")
    model = FastSAM("FastSAM-n", device="cpu")
    fresh = {"shapes": [scene(SEED, k) for k in range(FRESH)],
             "crowds": [crowd(CROWD_SEED, k) for k in range(CROWDS)]}  # fmt: skip
    segs = {name: [model.segment(s.image, conf=0.1) for s in scenes]
            for name, scenes in fresh.items()}  # fmt: skip
    lessons = {"shapes": [scene(HEAD_SEED, k).image for k in range(LESSONS)],
               "crowds": [crowd(HEAD_SEED, k).image for k in range(LESSONS)]}  # fmt: skip
    lessons["both"] = lessons["shapes"][::2] + lessons["crowds"][::2]
    ways = {name: TextOptions(features=name, clip_precision="full")
            for name in ("crops", "auto", "dense")}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name, images in lessons.items():
            path = Path(folder) / f"{name}.text-head.safetensors"
            begun = time.perf_counter()
            found = head_training.train_text_head(
                model, clip, images, path, wording=ways["crops"], say=lambda line: None
            )
            took = time.perf_counter() - begun
            print(f"\nA head from {LESSONS} images of {name} ({took:.0f} s, {path.stat().st_size} "
                  "bytes), in images of those held out:")  # fmt: skip
            print("\n".join(f"    {agreement}" for agreement in found))
            ways[f"head, {name}"] = ways["crops"].replace(features="head", head=str(path))
        for name, scenes in fresh.items():
            many = np.mean([len(seg) for seg in segs[name]])
            print(f"\n{FRESH if name == 'shapes' else CROWDS} fresh scenes of {name}, {many:.0f} "
                  f"masks each, {torch.get_num_threads()} threads\n")  # fmt: skip
            row("features", "right", "first text of an image", "another text")
            row(*["---"] * 4)
            for way, options in ways.items():
                asked = [timed(s, seg, clip, options)
                         for s, seg in zip(scenes, segs[name], strict=True)]  # fmt: skip
                right, first, other = zip(*asked, strict=True)
                times = [f"{1e3 * np.median(t):.1f} ms" for t in (first, other)]
                row(way, f"{np.concatenate(right).mean():.1%}", *times)
            controls(scenes, segs[name])


def timed(
    s: Scene, seg: Segmentation, clip: Clip, options: TextOptions
) -> tuple[list[bool], float, float]:
    """Picks as :func:`proposed`, and seconds of a first and a further text of a new image."""
    encoding = dataclasses.replace(seg.encoding)  # which knows nothing of its instances yet
    fresh = dataclasses.replace(seg, encoding=encoding).with_image(s.image, "cpu")
    clip._texts.clear()
    spent = []
    for text in ("a thing", s.captions[0]):
        begun = time.perf_counter()
        fresh.select(text=text, options=options, clip=clip)
        spent.append(time.perf_counter() - begun)
    picked = [proposed(s, fresh, clip, options)] if options.features != "auto" else [
        # As if each text were the first: auto's choice depends on what else is asked.
        in_crowd(s, fresh, clip, options)[:, 0].astype(bool).tolist()
    ]  # fmt: skip
    return picked[0], *spent


def ious(s: Scene, seg: Segmentation) -> np.ndarray:
    """IoU (N, K) of proposals with the objects of a scene."""
    masks = seg.masks()
    shared = np.einsum("ahw,bhw->ab", masks, s.masks, dtype=np.float32)
    return shared / (seg.areas[:, None] + s.masks.sum((1, 2)) - shared)


def speed(name: str) -> None:
    """How long it takes until the instances of an image are compared with a text.

    All ways are measured in turns, so that what else the machine does befalls all; what takes
    equally long for every crop is measured on some, and multiplied.
    """
    image, seg = instances()
    clip, transform = random_clip(name)
    some = seg[:CHUNK]
    by_itself = alone(image, some, clip, transform)
    print(f"\n{name}, {torch.get_num_threads()} CPU threads; {SIZE} x {SIZE} image, chunk {CHUNK}.")
    for p in PRECISIONS:
        look = some.with_image(image, "cpu").image_features
        mine = look.of(some.source, some.rows, clip, CROPS.replace(clip_precision=p))
        off = (1 - (by_itself * mine).sum(1)).max()
        print(f"1 - cosine of crops alone and batched, {p}: at most {off:.0e}")
        assert off < SAME[p]
    print()
    row("masks", "one crop at a time", "precision", "batched crops", "dense, own side",
        "dense, 1.5×", "dense, 2×", "second text")  # fmt: skip
    row(*["---"] * 8)
    for count in COUNTS:
        turns = [turn(image, seg[:count], clip, transform) for _ in range(TURNS)]
        crop, text, *rest = np.median(turns, axis=0)
        theirs = count * crop + text
        for p, (in_batch, *passes) in zip(PRECISIONS, np.reshape(rest, (2, -1)), strict=True):
            mine = [count * in_batch + text, *passes, text]
            row(count, f"{theirs:.3g} s", p, *(f"{t:.3g} s, {theirs / t:.1f}×" for t in mine))


def turn(image, seg, clip, transform) -> list[float]:
    """Seconds: a crop alone, a text; and for each precision a crop in a batch, and all masks from
    one dense pass at each size."""
    some = seg[np.random.default_rng(0).permutation(len(seg))[:CHUNK]]
    found = [
        seconds(lambda: alone(image, some[:ALONE], clip, transform)) / ALONE,
        seconds(lambda: another_text(clip)),
    ]
    own = max(dense.own_size(clip.model.visual))
    for p in PRECISIONS:
        clip.text_features(["a"])  # is known then
        crops = CROPS.replace(clip_precision=p)
        batch = seconds(lambda o=crops: some.with_image(image, "cpu").similarity("a", o, clip))
        found.append(batch / CHUNK)
        for size in (own, own * 3 // 2, 2 * own):
            clip._texts.clear()
            whole = DENSE.replace(clip_precision=p, dense_size=size)
            found.append(
                seconds(lambda o=whole: seg.with_image(image, "cpu").similarity("a cup", o, clip))
            )
    return found


def instances() -> tuple[np.ndarray, Segmentation]:
    """An image, and as many instances of it as are counted."""
    image = cv2.resize(read_image(SAMPLES / "coffee.jpg"), (SIZE, SIZE))
    output = network_output(SIZE, max(COUNTS))
    source = PrototypeMasks(
        output.prototypes.numpy(), output.coefficients.numpy(), output.boxes.numpy(),
        output.letterbox,
    )  # fmt: skip
    scores = np.linspace(1, 0, max(COUNTS), dtype=np.float32)
    seg = Segmentation.from_source(source, source.boxes, scores)
    assert (seg.areas > 0).all()
    return image, seg


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


def memory() -> None:
    """Memory depends on the chunk, not on how many masks there are."""
    image, seg = instances()
    clip, _ = random_clip(NETWORKS[0])
    print(f"\n{NETWORKS[0]}, more memory than before\n")
    row("chunk", *(f"{count} masks" for count in COUNTS[:2]))
    row(*["---"] * 3)
    for chunk in (8, 32):
        options = CROPS.replace(chunk=chunk)

        def look(count: int, o: TextOptions = options) -> None:
            seg[:count].with_image(image, "cpu").similarity("a cup", o, clip)

        look(1)  # copies of the network are made
        peaks = []
        for count in COUNTS[:2]:
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # else what was freed before is used first
            peaks.append(peak_extra_megabytes(lambda c=count: look(c)))
        row(chunk, *(f"{p:.0f} MB" for p in peaks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["right", "crowded", "head", "speed", "memory"])
    parser.add_argument("--network", choices=NETWORKS, help="The only one whose speed is measured.")
    args = parser.parse_args()
    if args.only in (None, "right"):
        right()
    if args.only in (None, "crowded"):
        crowded()
    if args.only in (None, "head"):
        head()
    if args.only in (None, "speed"):
        for name in [args.network] if args.network else NETWORKS:
            speed(name)
    if args.only in (None, "memory"):
        memory()


if __name__ == "__main__":
    main()
