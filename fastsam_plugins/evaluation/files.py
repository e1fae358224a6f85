"""COCO ground truth and results files, read for evaluation; errors name the file and the record."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fastsam_plugins.evaluation.proposals import ProposalRecall, Regions
from fastsam_plugins.masks import polygons
from fastsam_plugins.masks import runs as R

IouType = Literal["bbox", "segm"]
Record = dict[str, Any]


@dataclass(frozen=True)
class ImageRecords:
    """One image's annotations and results, as the files hold them."""

    image: Record
    annotations: list[Record]
    results: list[Record]

    @property
    def shape(self) -> R.Shape:
        """(H, W) in pixels."""
        return int(self.image["height"]), int(self.image["width"])


FREQUENCIES = {"f": "frequent", "c": "common", "r": "rare"}
"""LVIS's letters for how often a category occurs in its training images."""


def is_lvis(truth: Record) -> bool:
    """Whether a ground truth has LVIS's frequencies of categories."""
    categories = truth.get("categories") or []
    return bool(categories) and all(c.get("frequency") in FREQUENCIES for c in categories)


def evaluate_proposals(truth: Path, results: Path, iou_type: IouType) -> ProposalRecall:
    """Recall of a COCO results file against a COCO or LVIS ground truth, all categories as one.

    What LVIS says of categories that an image was not searched for plays no part. The ground
    truths of its frequent, common and rare categories are counted apart as well.

    Raises
    ------
    ValueError
        If a file or a record in it cannot be used; the message says which and why.
    """
    content = load_truth(truth)
    groups = {}
    if is_lvis(content):
        groups = {c["id"]: FREQUENCIES[c["frequency"]] for c in content["categories"]}
    recall = ProposalRecall()
    for item in pairs(content, truth, results):
        counted = [a for a in item.annotations if not a.get("iscrowd") and not a.get("ignore")]
        recall.add(
            _regions(counted, item.shape, iou_type, truth),
            np.array([_number(a, "area", truth) for a in counted]),
            _regions(item.results, item.shape, iou_type, results),
            np.array([_number(r, "score", results) for r in item.results]),
            [groups[a["category_id"]] for a in counted] if groups else None,
        )
    return recall


def load_truth(path: Path) -> Record:
    """A COCO ground truth file."""
    content = _load(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise ValueError(f"{path} is not a COCO ground truth: it has no images or annotations")
    return content


def load_results(path: Path) -> list[Record]:
    """A COCO results file, or the annotations of a dataset, as `fastsam segment` writes them."""
    found = _load(path)
    if isinstance(found, dict) and "annotations" in found:
        found = found["annotations"]
    if not isinstance(found, list):
        raise ValueError(f"{path} is not a COCO results file: it holds no list of results")
    return found


def pairs(content: Record, truth: Path, results: Path) -> Iterator[ImageRecords]:
    """Every image of a ground truth, read from ``truth``, with its annotations and results.

    Records come category after category, as in pycocotools, which ties between equal scores and
    equal overlaps follow.
    """
    found = load_results(results)
    annotations, detections = _by_image(content["annotations"], truth), _by_image(found, results)
    known = {_field(image, "id", truth) for image in content["images"]}
    for records, path in ((annotations, truth), (detections, results)):
        strange = sorted(set(records) - known, key=str)
        if strange:
            raise ValueError(
                f"{path} has records of image {strange[0]}, which {truth} does not list"
            )
    for image in content["images"]:
        yield ImageRecords(image, annotations[image["id"]], detections[image["id"]])


def _load(path: Path) -> Any:
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def _by_image(records: Any, path: Path) -> dict[Any, list[Record]]:
    grouped: dict[Any, list[Record]] = defaultdict(list)
    for number, record in enumerate(records):
        if not isinstance(record, dict) or "image_id" not in record:
            raise ValueError(f"{path}: record {number} has no image_id")
        grouped[record["image_id"]].append({**record, "#": number})
    for image in grouped.values():
        image.sort(key=lambda r: r.get("category_id") or 0)
    return grouped


def _field(record: Record, name: str, path: Path) -> Any:
    if name not in record:
        raise ValueError(f"{path}: record {record.get('#', record)} has no {name}")
    return record[name]


def _number(record: Record, name: str, path: Path) -> float:
    value = _field(record, name, path)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{path}: record {record['#']} has {name} {value!r}, which is no number")
    return float(value)


def _regions(records: list[Record], shape: R.Shape, iou_type: IouType, path: Path) -> Regions:
    if iou_type == "bbox":
        boxes = [_box(r, path) for r in records]
        return Regions(np.array(boxes, np.float64).reshape(-1, 4))
    masks = [_mask(r, shape, path) for r in records]
    corners = np.array([R.bounds(m, shape[0]) for m in masks], np.float64).reshape(-1, 4)
    corners[:, 2:] -= corners[:, :2]
    return Regions(corners, masks)


def _box(record: Record, path: Path) -> list[float]:
    box = _field(record, "bbox", path)
    numbers = isinstance(box, list) and all(isinstance(v, int | float) for v in box)
    if not numbers or len(box) != 4 or not all(map(math.isfinite, box)):
        raise ValueError(
            f"{path}: record {record['#']} has bbox {box!r}: it must be [x, y, width, height]"
        )
    return list(box)


def _mask(record: Record, shape: R.Shape, path: Path) -> R.Runs:
    segmentation = _field(record, "segmentation", path)
    try:
        return polygons.decode_segmentation(segmentation, shape)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: record {record['#']}: {error}") from None
