"""Text prompts: do words pick the right objects, and how long does it take?

    python -m benchmarks.text
    python -m benchmarks.text --only right      # or speed

Right: a tiny CLIP trained by this repository (tests/tiny_clip), on drawn scenes that it was not
trained on. Each object of a scene is asked for by its colour and shape, among all of the scene.

Speed: CLIPs of random weights, since time does not depend on them. One crop at a time is what
others do: every mask cut out, prepared by open_clip's own transform and sent through the network
alone. Its features are checked to be those of the batched crops first.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np
import open_clip
import torch
from PIL import Image

from benchmarks.common import median_seconds, network_output, peak_extra_megabytes, row
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
ENCODERS = {
    "crops": TextOptions(features="crops", chunk=CHUNK),
    "dense": TextOptions(features="dense"),
}


def right() -> None:
    """How often words pick the right object."""
    clip = load(FOLDER, "cpu")
    model = FastSAM("FastSAM-n", device="cpu")
    scenes = [scene(SEED, k) for k in range(SCENES)]
    print(f"{SCENES} scenes, {sum(len(s.names) for s in scenes)} objects\n")
    row("masks", "encoder", "one object of each scene", "all objects")
    row(*["---"] * 4)
    for features, options in ENCODERS.items():
        options = options.replace(dense_size=DENSE_SIZE)
        picked = [drawn(s, clip, options) for s in scenes]
        row("exact", features, percent([p[:1] for p in picked]), percent(picked))
    proposals = [model.segment(s.image, conf=0.1) for s in scenes]
    for features, options in ENCODERS.items():
        options = options.replace(dense_size=DENSE_SIZE)
        picked = [proposed(s, seg, clip, options) for s, seg in zip(scenes, proposals, strict=True)]
        row("FastSAM-n's", features, percent([p[:1] for p in picked]), percent(picked))
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
    """How long it takes until the instances of an image are compared with a text."""
    image = cv2.resize(read_image(SAMPLES / "coffee.jpg"), (SIZE, SIZE))
    output = network_output(SIZE, max(COUNTS))
    whole = ours(output, np.linspace(1, 0, max(COUNTS), dtype=np.float32))
    assert (whole.areas > 0).all()
    print(f"{torch.get_num_threads()} CPU threads; {SIZE} x {SIZE} image, chunk {CHUNK}.")
    for name in ("ViT-B-32", "ViT-B-16"):
        clip, transform = random_clip(name)
        alone, features = one_at_a_time(image, whole, clip, transform)
        seg = whole[:20].with_image(image, "cpu")
        batched = seg.image_features.of(seg.source, seg.rows, clip, ENCODERS["crops"])
        off = 1 - (features[:20] * batched).sum(1)
        print(
            f"\n{name}: 1 - cosine of features one at a time and batched, at most {off.max():.1e}"
        )
        assert off.max() < 1e-3
        second = median_seconds(lambda clip=clip: another_text(clip), 5)
        row("masks", "one crop at a time", "batched crops", "dense", "second text")
        row(*["---"] * 5)
        for count in COUNTS:
            times = [first_text(whole[:count], image, clip, o) for o in ENCODERS.values()]
            cells = [f"{t:.3g} s, {alone[count] / t:.1f}×" for t in (*times, second)]
            row(count, f"{alone[count]:.3g} s", *cells)
        if name == "ViT-B-32":
            memory(whole, image, clip)


def random_clip(name: str) -> tuple[Clip, object]:
    torch.manual_seed(0)
    model, _, transform = open_clip.create_model_and_transforms(name)
    return Clip(model, open_clip.get_tokenizer(name), name), transform


def one_at_a_time(image, seg, clip, transform) -> tuple[dict[int, float], np.ndarray]:
    """Seconds after so many masks, a text included; and the features (N, D)."""
    gray, found, times = clip.pixels.gray, [], {}
    start = time.perf_counter()
    with torch.inference_mode():
        text = clip.model.encode_text(clip._tokenizer(["a cup"]), normalize=True)
        for i in range(len(seg)):
            crop = Image.fromarray(cut_out(image, seg.runs(i), "gray", gray))
            look = clip.model.encode_image(transform(crop)[None], normalize=True)
            found.append(look[0].numpy())
            if i + 1 in COUNTS:
                assert np.isfinite(np.array(found) @ text.numpy().T).all()
                times[i + 1] = time.perf_counter() - start
    return times, np.array(found)


def first_text(seg: Segmentation, image: np.ndarray, clip: Clip, options: TextOptions) -> float:
    """Seconds for a text to be compared with instances that nobody has looked at yet."""
    clip._texts.clear()
    fresh = seg.with_image(image, "cpu")
    start = time.perf_counter()
    fresh.similarity("a cup", options, clip)
    return time.perf_counter() - start


def another_text(clip: Clip) -> None:
    clip._texts.clear()
    clip.text_features(["a spoon"])


def memory(seg: Segmentation, image: np.ndarray, clip: Clip) -> None:
    """Memory depends on the chunk, not on how many masks there are."""
    print()
    row("chunk", *(f"{count} masks" for count in COUNTS))
    row(*["---"] * (1 + len(COUNTS)))
    for chunk in (4, CHUNK, 64):
        options = ENCODERS["crops"].replace(chunk=chunk)
        peaks = [
            peak_extra_megabytes(lambda c=c, o=options: first_text(seg[:c], image, clip, o))
            for c in COUNTS
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
