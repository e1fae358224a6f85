"""JPEG files read at a part of their size (``--reduced``): what is found, and how long it takes.

    python -m benchmarks.reduced DATA [--imgsz N …]

DATA is labelled images, as for ``fastsam evaluate everything``. They are enlarged to photos of four
times their sides and written as JPEG, so that the truth is known; the control is the same file read
whole. The network is exact (PyTorch, f32), its masks of confidence .25 and above are compared.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import row
from fastsam_plugins import FastSAM, ReadOptions, Segmentation, read_image
from fastsam_plugins.datasets.sources import Labelled, read
from fastsam_plugins.evaluation.everything import PROPOSALS, EverythingRecall
from fastsam_plugins.evaluation.regions import Regions
from fastsam_plugins.geometry import xyxy_to_xywh
from fastsam_plugins.images.reduced_image import ReducedImage
from fastsam_plugins.io import read_for_network
from fastsam_plugins.masks import runs as R

TIMES = 4  # as large as the labelled images: nothing is asked of the network at this size


def add(recall: EverythingRecall, item: Labelled, seg: Segmentation) -> None:
    """Count what was found, in the pixels of the labels."""
    truth, scores = Regions.of_masks(item.masks, item.shape[0]), seg.scores.astype(np.float64)
    areas = np.array([R.area(mask) for mask in item.masks], np.float64)
    recall.boxes.add(Regions(truth.boxes), areas, Regions(xyxy_to_xywh(seg.boxes)), scores)
    found = Regions.of_masks([seg.runs(i) for i in range(len(seg))], item.shape[0])
    recall.masks.add(truth, areas, found, scores)


def best_ious(one: Segmentation, other: Segmentation) -> NDArray[np.float64]:
    """IoU (N,) of each mask with the one of the other that is most like it."""
    masks = [other.runs(i) for i in range(len(other))]
    if not masks:
        return np.zeros(len(one))
    return np.array([R.ious(one.runs(i), masks).max() for i in range(len(one))])


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--imgsz", "sizes", multiple=True, default=(1024, 512, 256), show_default=True)
def main(data: Path, sizes: tuple[int, ...]) -> None:
    """Print a table."""
    model = FastSAM("FastSAM-n", device="cpu", backend="torch")
    row("imgsz", "read", "ms", "mask AR@10", "AR@100", "AR@1000", "box AR@1000",
        "mean IoU with masks of the whole")  # fmt: skip
    row(*["---"] * 8)
    for imgsz in sizes:
        ways = {"whole": ReadOptions(), "reduced": ReadOptions(reduced=True)}
        recalls = {name: EverythingRecall() for name in ways}
        milliseconds: dict[str, list[float]] = {name: [] for name in ways}
        ious: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            photo = Path(folder) / "photo.jpg"
            for item in read(data):
                pixels = read_image(item.image)
                large = cv2.resize(pixels, None, fx=TIMES, fy=TIMES, interpolation=cv2.INTER_CUBIC)
                grain = np.random.default_rng(0).normal(0, 4, large.shape[:2])[..., None]
                Image.fromarray((large + grain).clip(0, 255).astype(np.uint8)).save(
                    photo, quality=90
                )
                found = {}
                for name, options in ways.items():
                    start = time.process_time()
                    image = read_for_network(photo, lambda side=imgsz: side, options)
                    milliseconds[name].append(1e3 * (time.process_time() - start))
                    seen = image.pixels if isinstance(image, ReducedImage) else image
                    found[name] = model.segment(seen, PROPOSALS, item.shape, imgsz=imgsz)
                    add(recalls[name], item, found[name])
                sure = [found[name].filter(min_score=0.25) for name in ways]
                ious.extend(best_ious(*sure))
        for name, recall in recalls.items():
            s = recall.summary()
            row(imgsz, name, f"{np.median(milliseconds[name]):.0f}",
                *(f"{s[f'mask AR@{n}']:.3f}" for n in (10, 100, 1000)),
                f"{s['box AR@1000']:.3f}",
                "" if name == "whole" else f"{np.mean(ious):.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
