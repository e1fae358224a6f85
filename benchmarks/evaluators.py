"""Average recall of masks from JSON files: this project and every COCO evaluator, one run.

    pip install hotcoco ultrafast-pycocotools vernier
    python -m benchmarks.evaluators [--images 200] [--objects 20] [--proposals 600]

Each evaluator loads a ground truth and a results file and gives the recall of 1, 10, 100 and 1000
proposals at ten thresholds and four sizes; all are given one thread, and checked to agree with
pycocotools first. Times are the processor's, which leave out what else the machine does. The masks
are ellipses with bites taken out, jittered for the proposals. Then ours alone with more proposals
of each image: what it keeps does not grow with them.
"""

from __future__ import annotations

import os

# Before anything that starts threads.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")

import contextlib
import importlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from benchmarks.common import median_seconds, row
from fastsam_plugins.evaluation.proposal_files import evaluate_proposals
from fastsam_plugins.evaluation.proposals import SIZES
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R

HEIGHT, WIDTH = 480, 640
LIMITS = [1, 10, 100, 1000]
RUNS = 3
PEERS = {
    "pycocotools": ("pycocotools.coco", "pycocotools.cocoeval", "COCOeval"),
    "faster-coco-eval": ("faster_coco_eval", "faster_coco_eval", "COCOeval_faster"),
    "hotcoco": ("hotcoco", "hotcoco", "COCOeval"),
    "vernier": ("pycocotools.coco", "vernier", "COCOeval"),  # whose files pycocotools loads
    "ultrafast-pycocotools": (
        "ultrafast_pycocotools.coco",
        "ultrafast_pycocotools.cocoeval",
        "COCOeval",
    ),
}


def blob(rng: np.random.Generator, shape: np.ndarray) -> R.Runs:
    """Run array of an ellipse (x, y, rx, ry) whose lower border is ragged."""
    x, y, rx, ry = shape
    columns = np.arange(max(int(x - rx), 0), min(int(x + rx) + 1, WIDTH))
    half = ry * np.sqrt(np.maximum(1 - ((columns - x) / rx) ** 2, 0))
    top = np.clip(np.round(y - half), 0, HEIGHT).astype(np.int64)
    bite = rng.uniform(0.6, 1, len(columns))
    bottom = np.clip(np.round(y + half * bite), 0, HEIGHT).astype(np.int64)
    kept = bottom > top
    return R.from_columns(columns[kept], top[kept], bottom[kept], HEIGHT)


def write(folder: Path, images: int, objects: int, proposals: int) -> tuple[Path, Path]:
    """A ground truth and a results file."""
    rng = np.random.default_rng(0)
    truth: list[dict] = []
    results: list[dict] = []
    for image in range(1, images + 1):
        radius = np.exp(rng.uniform(np.log(6), np.log(90), objects))
        shapes = np.c_[
            rng.uniform(0, WIDTH, objects), rng.uniform(0, HEIGHT, objects),
            radius, radius * rng.uniform(0.5, 1, objects),
        ]  # fmt: skip
        near = shapes[rng.integers(objects, size=proposals)]
        near = near + near[:, 2:3] * rng.normal(0, 0.15, near.shape)
        near[:, 2:] = np.maximum(near[:, 2:], 2)
        for records, drawn in ((truth, shapes), (results, near)):
            masks = [m if R.area(m) else R.EMPTY for m in (blob(rng, s) for s in drawn)]
            for mask, segmentation in zip(masks, rle.encode(masks, (HEIGHT, WIDTH)), strict=True):
                x0, y0, x1, y1 = R.bounds(mask, HEIGHT) if len(mask) else (0, 0, 0, 0)
                record = {"image_id": image, "category_id": 1, "segmentation": segmentation,
                          "bbox": [x0, y0, x1 - x0, y1 - y0]}  # fmt: skip
                if records is truth:
                    record |= {"id": len(truth) + 1, "area": R.area(mask), "iscrowd": 0}
                else:
                    record["score"] = float(rng.random())
                records.append(record)
    content = {
        "images": [{"id": i + 1, "height": HEIGHT, "width": WIDTH} for i in range(images)],
        "annotations": truth,
        "categories": [{"id": 1, "name": "object"}],
        "info": {},
    }
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "truth.json", folder / "results.json"


def ours(truth: Path, results: Path) -> np.ndarray:
    """Recall (10, 4, 4): thresholds, sizes, limits; -1 without ground truth."""
    found = evaluate_proposals(truth, results, "segm")
    recall = np.stack([[found.recall(k, s) for k in LIMITS] for s in SIZES])
    return np.nan_to_num(recall.transpose(2, 0, 1), nan=-1.0)


def peer(name: str) -> Callable[[Path, Path], np.ndarray]:
    """The same through a package that follows pycocotools."""
    coco_module, eval_module, evaluator = PEERS[name]
    COCO = importlib.import_module(coco_module).COCO
    COCOeval = getattr(importlib.import_module(eval_module), evaluator)

    def run(truth: Path, results: Path) -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()):
            reference = COCO(str(truth))
            evaluation = COCOeval(reference, reference.loadRes(str(results)), "segm")
            evaluation.params.useCats = 0
            evaluation.params.maxDets = LIMITS
            evaluation.evaluate()
            evaluation.accumulate()
        recall = np.asarray(evaluation.eval["recall"]).reshape(10, -1, 4, len(LIMITS))
        return recall[:, 0]

    return run


@click.command()
@click.option("--images", default=200)
@click.option("--objects", default=20)
@click.option("--proposals", default=600)
def main(images: int, objects: int, proposals: int) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as name:
        files = write(Path(name), images, objects, proposals)
        expected = peer("pycocotools")(*files)
        difference = float(np.abs(ours(*files) - expected).max())
        print(f"{images} images x {objects} objects x {proposals} proposals, load and evaluate\n")
        row("evaluator", "time", "ratio to ours", "largest difference to pycocotools")
        row(*["---"] * 4)
        own = median_seconds(lambda: ours(*files), RUNS, time.process_time)
        row("fastsam-plugins", f"{own:.2f} s", "", f"{difference:g}")
        for package in PEERS:
            try:
                run = peer(package)
            except ImportError:
                row(package, "not installed", "", "")
                continue
            off = float(np.abs(run(*files) - expected).max())
            seconds = median_seconds(lambda run=run: run(*files), RUNS, time.process_time)
            row(package, f"{seconds:.2f} s", f"{seconds / own:.1f}×", f"{off:g}")
        print()
        row("proposals of an image", "what is kept")
        row(*["---"] * 2)
        for more in (proposals, 4 * proposals):
            with tempfile.TemporaryDirectory() as other:
                recall = evaluate_proposals(*write(Path(other), 10, objects, more), "segm")
                kept = sum(r.nbytes for ranks in recall.ranks.values() for r in ranks)
                row(more, f"{kept / 1e3:.1f} kB")


if __name__ == "__main__":
    main()
