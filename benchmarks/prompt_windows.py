"""A click or a box in a large image: one look at all of it, or a window around the prompt.

    python -m benchmarks.prompt_windows FOLDER [--objects 100]

FOLDER holds ``instances.json`` and ``images/`` (shared/data/dev/nuclei). Its images are laid out
side by side as one large image, as `benchmarks.tiling` does. Of some of its objects, spread evenly
over the list, the pixel deepest inside is clicked, or the box is drawn. "One look" shrinks the
large image to the network's input; "alone" is the control: the same prompt where the object's own
image is all there is, which in a large image nobody has. "Read" counts the large image's pixels.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.common import row
from benchmarks.tiling import SIDE, canvas
from fastsam_plugins import FastSAM, Segmentation, WindowedImage
from fastsam_plugins.decoder.simulation import deepest
from fastsam_plugins.masks import runs as R
from support.counting import Counting


def iou(truth: R.Runs, found: Segmentation) -> float:
    """With the first mask; 0 if there is none."""
    return float(R.ious(truth, [found.runs(0)])[0]) if len(found) else 0.0


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--objects", default=100, show_default=True)
def main(folder: Path, objects: int) -> None:
    """Print a row for each way to answer."""
    image, masks, _ = canvas(folder)
    height, width = image.shape[:2]
    places = np.unique(np.linspace(0, len(masks) - 1, objects).astype(int)).tolist()
    model = FastSAM("FastSAM-n")
    raster = Counting(image)
    shown = WindowedImage(raster)
    whole = model.segment(image)

    def alone(given: dict[str, Any]) -> Segmentation:
        at = np.array(given["points"] if "points" in given else given["boxes"], float)
        middle = at.reshape(-1, 2).mean(0)
        x, y = (middle // SIDE * SIDE).astype(int).tolist()
        part = model.segment(image[y : y + SIDE, x : x + SIDE])
        shift = [x, y] * (at.shape[1] // 2)
        found = part.predict(**dict.fromkeys(given, at - shift), multimask=False)
        moved = [R.shift(found.runs(i), part.shape[0], height, x, y) for i in range(len(found))]
        return Segmentation.from_runs(moved, (height, width), found.scores)

    ways = {
        "one look at all": lambda given: whole.predict(**given, multimask=False),
        "predict_tiled": lambda given: model.predict_tiled(shown, **given),
        "alone (control)": alone,
    }
    print(f"{len(places)} of {len(masks)} objects, image {width} x {height}, {model}\n")
    row("prompt", "way", "mean IoU", "median IoU", "ms a prompt", "read a prompt, Mpx")
    row(*["---"] * 6)
    for prompt in ("click", "box"):
        for way, answer in ways.items():
            raster.read, ious, spent = 0, [], 0.0
            for k in places:
                x0, y0, x1, y1 = R.bounds(masks[k], height)
                cut = R.to_bitmap(masks[k], (height, width))[int(y0) : int(y1), int(x0) : int(x1)]
                x, y = deepest(cut)
                given: dict[str, Any] = (
                    {"points": [(x0 + x, y0 + y)]} if prompt == "click"
                    else {"boxes": [(x0, y0, x1, y1)]}
                )  # fmt: skip
                start = time.perf_counter()
                found = answer(given)
                spent += time.perf_counter() - start
                ious.append(iou(masks[k], found))
            read = f"{raster.read / 3 / len(places) / 1e6:.2f}" if way == "predict_tiled" else ""
            means = f"{np.mean(ious):.3f}", f"{np.median(ious):.3f}"
            row(prompt, way, *means, f"{1000 * spent / len(places):.0f}", read)


if __name__ == "__main__":
    main()
