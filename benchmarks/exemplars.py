"""How well instances like an example are found, beside controls that look at less.

    python -m benchmarks.exemplars NUCLEI_FOLDER COCO_FILE [--leave-out COCO_FILE]

In one image: each true object is the example once; proposals (conf 0.05 for nuclei, 0.1 for COCO)
are put in order by how like it they are, and those that are an object of its category (mask IoU 0.5
or more) are to come first, the example's own left out. Average precision of the order, and
precision, recall and F1 of what ``similar`` gives by its default threshold. Across images: objects
of the same category of all other images are to come first. Means over examples; an example without
any other object of its kind does not count, nor one for which all that is proposed is right.

``--leave-out`` names data whose images are not looked at again, by the numbers in their file names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import row
from fastsam_plugins import FastSAM, Segmentation, read_image
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import ExemplarOptions

Likeness = Callable[[Segmentation, Segmentation], NDArray[Any]]
"""How like examples (Q) instances (N) are, (Q, N)."""


@dataclass
class Image:
    """Objects, their categories, and what is proposed."""

    truth: Segmentation
    kinds: NDArray[np.int64]
    proposals: Segmentation
    ious: NDArray[np.float64]


def size(one: Segmentation, other: Segmentation) -> NDArray[Any]:
    """By area alone."""
    a, b = (np.log(np.maximum(s.areas, 1)) for s in (one, other))
    return -np.abs(a[:, None] - b)


def form(one: Segmentation, other: Segmentation) -> NDArray[Any]:
    """By area and the sides of the box."""
    sides = [s.tight_boxes()[:, 2:] - s.tight_boxes()[:, :2] for s in (one, other)]
    a, b = (np.log(np.maximum(v[:, 0], 1) / np.maximum(v[:, 1], 1)) for v in sides)
    return size(one, other) / 2 - np.abs(a[:, None] - b)


def colour(one: Segmentation, other: Segmentation) -> NDArray[Any]:
    """By the mean colour (CIELAB)."""
    a, b = (np.array([_colour(s, i) for i in range(len(s))]).reshape(-1, 3) for s in (one, other))
    return -np.linalg.norm(a[:, None] - b, axis=2)


def _colour(seg: Segmentation, i: int) -> NDArray[Any]:
    x0, y0, x1, y1 = R.bounds(seg.runs(i), seg.shape[0])
    assert seg.image is not None
    lab = cv2.cvtColor(np.ascontiguousarray(seg.image[y0:y1, x0:x1]), cv2.COLOR_RGB2LAB)
    return np.asarray(lab[seg.mask(i, (x0, y0, x1, y1))].mean(0))


WAYS: dict[str, Likeness] = {
    "similar": lambda a, b: a.embeddings @ b.embeddings.T,
    "features alone": lambda a, b: _unit(a.embeddings[:, :-3]) @ _unit(b.embeddings[:, :-3]).T,
    "mean colour": colour,
    "size alone": size,
    "size and form": form,
    "score": lambda a, b: np.tile(b.scores, (len(a), 1)),
    "random": lambda a, b: np.random.default_rng(len(b)).random((len(a), len(b))),
}


def _unit(vectors: NDArray[Any]) -> NDArray[Any]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def precision(right: NDArray[np.bool_], like: NDArray[Any]) -> float:
    """Average precision of an order."""
    places = np.flatnonzero(right[np.argsort(-like, kind="stable")])
    return float(((np.arange(len(places)) + 1) / (places + 1)).mean())


def read(file: Path, model: FastSAM, conf: float, leave_out: set[str]) -> list[Image]:
    """Images of a COCO file, but those of some numbers."""
    content, images = json.loads(file.read_text()), []
    for record in content["images"]:
        if _number(record["file_name"]) in leave_out:
            continue
        image = read_image(file.parent / "images" / record["file_name"])
        proposals = model.segment(image, conf=conf)
        masks, kinds = [], []
        for one in content["annotations"]:
            if one["image_id"] == record["id"] and not one.get("iscrowd"):
                mask = _runs(one["segmentation"], image.shape[:2])
                if R.area(mask) >= 16:
                    masks.append(mask)
                    kinds.append(one["category_id"])
        if masks:
            truth = Segmentation.from_runs(masks, image.shape[:2]).with_encoding(proposals)
            ious = np.array([R.ious(proposals.runs(i), masks) for i in range(len(proposals))])
            images.append(Image(truth.with_image(image), np.array(kinds), proposals,
                                ious.reshape(-1, len(masks))))  # fmt: skip
    return images


def _runs(segmentation: Any, shape: tuple[int, int]) -> R.Runs:
    from pycocotools import mask as coco

    from fastsam_plugins.masks import rle

    if isinstance(segmentation, list):
        segmentation = coco.merge(coco.frPyObjects(segmentation, *shape))
        segmentation["counts"] = segmentation["counts"].decode()
    return rle.decode(segmentation)[0]


def _number(name: str) -> str:
    return re.findall(r"\d+", Path(name).stem)[-1]


def within(images: list[Image], way: Likeness) -> tuple[list[float], list[tuple[float, ...]]]:
    """Average precision of each example; precision, recall and F1 by the default threshold."""
    orders, chosen = [], []
    for image in images:
        like = way(image.truth, image.proposals)
        for q, kind in enumerate(image.kinds.tolist()):
            others = (image.kinds == kind) & (np.arange(len(image.kinds)) != q)
            rest = image.ious[:, q] < 0.5
            right = (image.ious[rest][:, others] >= 0.5).any(1)
            if not right.any() or right.all():
                continue
            orders.append(precision(right, like[q, rest]))
            given = like[q, rest] >= ExemplarOptions().threshold
            found = (given & right).sum()
            chosen.append((found / max(given.sum(), 1), found / right.sum(),
                           2 * found / (given.sum() + right.sum())))  # fmt: skip
    return orders, chosen


def across(images: list[Image], way: Likeness) -> list[float]:
    """Average precision of each object among those of all other images."""
    kinds = np.concatenate([image.kinds for image in images])
    where = np.repeat(np.arange(len(images)), [len(image.kinds) for image in images])
    like = np.concatenate(
        [np.concatenate([way(a.truth, b.truth) for b in images], 1) for a in images]
    )
    pairs = ((where != where[q], kinds == kinds[q], like[q]) for q in range(len(kinds)))
    return [precision(same[o], row[o]) for o, same, row in pairs if same[o].any()]


@click.command()
@click.argument("nuclei", type=click.Path(path_type=Path, exists=True))
@click.argument("coco", type=click.Path(path_type=Path, exists=True))
@click.option("--leave-out", type=click.Path(path_type=Path, exists=True))
@click.option("--model", default="FastSAM-n")
def main(nuclei: Path, coco: Path, leave_out: Path | None, model: str) -> None:
    """Print a Markdown table."""
    network, numbers = FastSAM(model), set[str]()
    if leave_out:
        numbers = {_number(i["file_name"]) for i in json.loads(leave_out.read_text())["images"]}
    cells = read(nuclei / "instances.json", network, 0.05, numbers)
    photographs = read(coco, network, 0.1, numbers)
    row("ordered by", "nuclei, one image", "COCO, one image", "COCO, other images")
    row(*["---"] * 4)
    for name, way in WAYS.items():
        orders = [within(data, way)[0] for data in (cells, photographs)]
        if name != "score":
            orders.append(across(photographs, way))
        row(name, *(f"{np.mean(o):.3f} ({len(o)})" for o in orders))
    print()
    row("by the default threshold", "precision", "recall", "F1")
    row(*["---"] * 4)
    for name, data in (("nuclei", cells), ("COCO", photographs)):
        row(name, *(f"{v:.3f}" for v in np.mean(within(data, WAYS["similar"])[1], 0)))


if __name__ == "__main__":
    main()
