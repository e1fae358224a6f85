"""A model's figures by every protocol on a folder of data: ``docs/results.md``.

    python -m benchmarks.results FOLDER --trained-on FILE > docs/results.md

FOLDER holds any of: ``coco``, ``nuclei`` (COCO instances), ``bsds_val`` (``images``,
``groundTruth``), ``coco_instances``, ``anomaly``, ``saliency``, ``buildings`` (``images``,
``masks``). What is missing is left out and said so. FILE is the ``instances.json`` of the network's
training data: images of ``coco_instances`` that are in it, by the number in their names, do not
count. Figures of boxes stand beside those of the filled box, which is what a mask has to beat.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from benchmarks.common import row
from fastsam_plugins import FastSAM, PromptOptions, SegmentOptions, read_image
from fastsam_plugins.datasets.sources import read
from fastsam_plugins.evaluation import files, published
from fastsam_plugins.evaluation.edge_files import evaluate_boundaries
from fastsam_plugins.evaluation.everything import PROPOSALS, measure
from fastsam_plugins.evaluation.instances import average_precision, prompt_with_boxes
from fastsam_plugins.evaluation.prompt_iou import BOXES_MODES, POINTS_MODES, evaluate_prompts
from fastsam_plugins.paper.boxes import filled


def everything(model: FastSAM, folder: Path) -> None:
    """Recall of boxes and masks."""
    row("data", "", "AR@10", "AR@100", "AR@1000", "small", "medium", "large", "AUC")
    row(*["---"] * 9)
    names = [
        "AR@10",
        "AR@100",
        "AR@1000",
        "AR@1000/small",
        "AR@1000/medium",
        "AR@1000/large",
        "AUC",
    ]
    for data in ("nuclei", "coco"):
        if not (folder / data).is_dir():
            continue
        found = measure(model, read(folder / data)).summary()
        for kind in ("box", "mask"):
            row(data, kind, *(f"{found[f'{kind} {n}']:.3f}" for n in names))


def boundaries(model: FastSAM, folder: Path, workers: int) -> None:
    """Edge detection, beside the paper's."""
    data = folder / "bsds_val"
    with tempfile.TemporaryDirectory() as name:
        maps = Path(name)
        for path in sorted((data / "images").glob("*.jpg")):
            edges = model.segment(read_image(path), PROPOSALS).edges()
            scaled = np.round(edges * 65535).astype(np.uint16)
            Image.fromarray(scaled).save(maps / f"{path.stem}.png")
        scores = evaluate_boundaries(data / "groundTruth", maps, workers=workers).summary()
    row("BSDS500", *published.BOUNDARIES.columns)
    row(*["---"] * 5)
    row("validation, ours", *(f"{scores[n]:.3f}" for n in published.BOUNDARIES.columns))
    paper = published.BOUNDARIES.rows[published.OURS]
    row("test, FastSAM-x in the paper", *(f"{v / 100:.3f}" for v in paper if v is not None))


def number(name: str) -> str:
    """The number in an image's name: COCO's id of it, whatever stands before."""
    return (re.findall(r"\d+", name) or [name])[-1].lstrip("0")


def unseen(truth: dict[str, Any], trained_on: Path | None) -> dict[str, Any]:
    """A ground truth without the images that a network was trained on."""
    seen = set()
    if trained_on is not None:
        seen = {number(i["file_name"]) for i in files.load_truth(trained_on)["images"]}
    images = [i for i in truth["images"] if number(i["file_name"]) not in seen]
    ids = {i["id"] for i in images}
    annotations = [a for a in truth["annotations"] if a["image_id"] in ids]
    return {**truth, "images": images, "annotations": annotations}


def instances(model: FastSAM, folder: Path, trained_on: Path | None) -> None:
    """AP of masks prompted by the true boxes: what a perfect detector would get."""
    data = folder / "coco_instances"
    whole = files.load_truth(data / "instances.json")
    truth = unseen(whole, trained_on)
    print(f"On {len(truth['images'])} of {len(whole['images'])} images: the others are in the "
          "training data. conf 0.001, iou 0.9, max_det 1000.\n")  # fmt: skip
    boxes = [
        {k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 1.0}
        for a in truth["annotations"]
        if not a.get("iscrowd")
    ]
    row("boxes", "AP", "AP50", "AP75", "small", "medium", "large")
    row(*["---"] * 7)
    for mode in ("box_iou", "mask_iou", "filled box"):
        if mode == "filled box":
            masks = filled(truth, boxes)
        else:
            options = PromptOptions(boxes_mode=mode)
            masks = prompt_with_boxes(model, truth, boxes, data / "images", PROPOSALS, options)
        found = average_precision(truth, masks, "segm")
        names = ("AP", "AP50", "AP75", "AP/small", "AP/medium", "AP/large")
        row(mode, *(f"{found[n]:.3f}" for n in names))


SELECTED = (
    "everything",
    *(f"{n} points, {mode}" for n in (1, 3, 5) for mode in POINTS_MODES),
    *(f"box, {mode}" for mode in (*BOXES_MODES, "filled")),
)
"""Of what prompts give, what they select; what they predict is in ``benchmarks.answers``."""


def prompts(model: FastSAM, folder: Path) -> None:
    """Mean IoU of what prompts select."""
    header: list[str] = []
    for data in ("anomaly", "saliency", "buildings", "nuclei", "coco"):
        if not (folder / data).is_dir():
            continue
        options = SegmentOptions(conf=0.05, iou=0.9, max_det=300)
        found = evaluate_prompts(model, list(read(folder / data)), options).summary()
        if not header:
            header = [k for k in found if k in SELECTED]
            row("data", "instances", *header)
            row(*["---"] * (len(header) + 2))
        row(data, found["instances"], *(f"{found[k]:.3f}" for k in header))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--model", default="FastSAM-n")
@click.option("--trained-on", type=click.Path(path_type=Path, exists=True))
@click.option("--workers", default=2)
def main(folder: Path, model: str, trained_on: Path | None, workers: int) -> None:
    """Print a Markdown page."""
    network = FastSAM(model)
    print(f"# Results of {network.network.name}\n")
    print(f"`python -m benchmarks.results FOLDER --model {model} --trained-on FILE`, "
          f"imgsz {network.imgsz}.")  # fmt: skip
    sections: list[tuple[str, str, Callable[[], None]]] = [
        ("Everything mode", "coco", lambda: everything(network, folder)),
        ("Edges", "bsds_val", lambda: boundaries(network, folder, workers)),
        ("Instances, prompted with the true boxes (dev/coco_instances)", "coco_instances",
         lambda: instances(network, folder, trained_on)),
        ("Mean IoU of prompts (conf 0.05)", "anomaly", lambda: prompts(network, folder)),
    ]  # fmt: skip
    for title, needed, section in sections:
        print(f"\n## {title}\n", flush=True)
        if (folder / needed).is_dir():
            section()
        else:
            print(f"Not measured: there is no {needed}.")
        print(f"{title}: done", file=sys.stderr)


if __name__ == "__main__":
    main()
