"""Class-agnostic average recall of a model on COCO instance files, by pycocotools.

    python -m benchmarks.recall FOLDER... [--model FastSAM-n] [--imgsz N]

Each FOLDER holds ``instances.json`` and ``images/``. Settings are the paper's for proposals: conf
0.001, iou 0.9, max_det 1000, at the model's own input size. Prints one Markdown row per folder and
kind: AR@10, AR@100, AR@1000 and AR@1000 of small, medium and large objects.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import click
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.common import row
from fastsam_plugins import FastSAM, SegmentOptions
from support.proposals import load_truth, proposals

LIMITS = [10, 100, 1000]
SETTINGS = SegmentOptions(conf=0.001, iou=0.9, max_det=1000)


def average_recall(truth: COCO, found: list[dict], kind: str) -> list[float]:
    """AR at each limit over all sizes, then at the last limit for small, medium, large."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes([dict(f) for f in found]), kind)
        evaluation.params.useCats = 0
        evaluation.params.maxDets = LIMITS
        evaluation.evaluate()
        evaluation.accumulate()
    recall = evaluation.eval["recall"][:, 0]  # thresholds, areas, limits
    cells = [recall[:, 0, k] for k in range(3)] + [recall[:, a, 2] for a in (1, 2, 3)]
    return [float(np.mean(c)) if (c > -1).all() else float("nan") for c in cells]


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--model", default="FastSAM-n")
@click.option("--imgsz", type=int)
def main(folders: tuple[Path, ...], model: str, imgsz: int | None) -> None:
    """Print average recall."""
    network = FastSAM(model)
    options = SETTINGS.replace(imgsz=imgsz)
    print(f"{network.network.name}, imgsz {imgsz or network.imgsz}\n")
    row("data", "", *(f"AR@{k}" for k in LIMITS), "small", "medium", "large")
    row(*["---"] * 8)
    for folder in folders:
        truth = load_truth(folder)
        found = proposals(network, truth, folder, options)
        for kind, name in (("bbox", "box"), ("segm", "mask")):
            values = average_recall(truth, found, kind)
            row(folder.name, name, *(f"{v:.3f}" for v in values))


if __name__ == "__main__":
    main()
