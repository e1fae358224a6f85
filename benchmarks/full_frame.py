"""What the full-frame rule does to recall: ours, its authors', ultralytics', and none.

    python -m benchmarks.full_frame FOLDER... [--model FastSAM-n] [--imgsz N]

FOLDER as in benchmarks.recall. The authors snap every edge within 20 px of the network's input to
the border, ultralytics within 20 px of the image; ours moves no edge by more than a twentieth of
its box's side. Prints AR@1000 of boxes and masks.
"""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import click
import numpy as np

from benchmarks.common import row
from benchmarks.recall import SETTINGS, average_recall, load_truth, proposals
from fastsam_plugins import FastSAM
from fastsam_plugins import model as engine
from fastsam_plugins.geometry import box_iou


def snap_all(
    boxes: np.ndarray, shape: tuple[int, int], tolerance: tuple[float, float]
) -> np.ndarray:
    """The rule without regard to the size of a box."""
    height, width = shape
    out = boxes.copy()
    for low, high, size, near in ((0, 2, width, tolerance[0]), (1, 3, height, tolerance[1])):
        out[boxes[:, low] < near, low] = 0
        out[boxes[:, high] > size - near, high] = size
    canvas = np.array([[0, 0, width, height]], np.float32)
    out[box_iou(out, canvas)[:, 0] > 0.9] = canvas
    return out


RULES = {
    "none": None,
    "ours": engine.snap_to_canvas,
    "authors: 20 px of the input": snap_all,
    "ultralytics: 20 px of the image": lambda b, shape, _: snap_all(b, shape, (20, 20)),
}


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--model", default="FastSAM-n")
@click.option("--imgsz", type=int)
def main(folders: tuple[Path, ...], model: str, imgsz: int | None) -> None:
    """Print average recall under each rule."""
    network = FastSAM(model)
    options = SETTINGS.replace(imgsz=imgsz)
    row("data", "rule", "box AR@1000", "mask AR@1000")
    row(*["---"] * 4)
    for folder in folders:
        truth = load_truth(folder)
        for name, rule in RULES.items():
            with mock.patch.object(engine, "snap_to_canvas", rule):
                found = proposals(
                    network, truth, folder, options.replace(full_frame=rule is not None)
                )
            values = [average_recall(truth, found, kind)[2] for kind in ("bbox", "segm")]
            row(folder.name, name, *(f"{v:.3f}" for v in values))


if __name__ == "__main__":
    main()
