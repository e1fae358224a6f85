"""COCO ground truth and results files, read for evaluation; errors name the file and the record."""

from __future__ import annotations

import importlib.util
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.evaluation.proposals import FlatMasks, Regions
from fastsam_plugins.masks import polygons
from fastsam_plugins.masks import runs as R

IouType = Literal["bbox", "segm"]
Record = dict[str, Any]

FREQUENCIES = {"f": "frequent", "c": "common", "r": "rare"}
"""LVIS's letters for how often a category occurs in its training images."""


def is_lvis(truth: Record) -> bool:
    """Whether a ground truth has LVIS's frequencies of categories."""
    categories = truth.get("categories") or []
    return bool(categories) and all(c.get("frequency") in FREQUENCIES for c in categories)


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


def _load(path: Path) -> Any:
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    try:
        return parse(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def parse(text: bytes) -> Any:
    """What a JSON text holds, by msgspec if it is there, which takes a third of the time."""
    if importlib.util.find_spec("msgspec"):
        import msgspec

        # What it does not know (NaN), or refuses, Python's own reader may read or explain.
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return json.loads(text)


def images_of(content: Record, truth: Path, *parts: Records) -> Iterator[tuple[Any, R.Shape]]:
    """Number and (H, W) of every image of a ground truth.

    Raises
    ------
    ValueError
        If a record is of an image that the ground truth does not list.
    """
    known = {}
    for image in content["images"]:
        try:
            known[image["id"]] = int(image["height"]), int(image["width"])
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{truth}: image {image} has no id, height or width") from None
    for records in parts:
        strange = sorted(set(records.images) - set(known), key=str)
        if strange:
            raise ValueError(
                f"{records.path} has records of image {strange[0]}, which {truth} does not list"
            )
    yield from known.items()


@dataclass
class Records:
    """Annotations or results of a file, by image.

    Attributes
    ----------
    records : list of dict
    path : path
        Named in errors.
    images : dict of sequences
        Places in ``records`` by image. They come category after category, as in pycocotools, which
        ties between equal scores and equal overlaps follow.
    """

    records: list[Record]
    path: Path

    def __post_init__(self) -> None:
        images: dict[Any, list[int]] = defaultdict(list)
        records = self.records
        try:
            for i, record in enumerate(records):
                images[record["image_id"]].append(i)
        except (TypeError, KeyError):
            raise ValueError(f"{self.path}: record {i} has no image_id") from None
        for places in images.values():
            places.sort(key=lambda i: records[i].get("category_id") or 0)
        self.images: dict[Any, Sequence[int]] = dict(images)

    def __len__(self) -> int:
        return len(self.records)

    def of(self, image: Any) -> Sequence[int]:
        """Places of an image's records."""
        return self.images.get(image, [])

    def counts(self, i: int) -> bool:
        """Whether a ground truth is one that has to be found."""
        record = self.records[i]
        return not record.get("iscrowd") and not record.get("ignore")

    def field(self, i: int, name: str) -> Any:
        """A field of a record that must have it."""
        try:
            return self.records[i][name]
        except KeyError:
            raise ValueError(f"{self.path}: record {i} has no {name}") from None

    def numbers(self, places: Sequence[int], name: str) -> NDArray[np.float64]:
        """A field of some records (N,), finite numbers."""
        values = [self.field(i, name) for i in places]
        for i, value in zip(places, values, strict=True):
            if type(value) not in (int, float) or not math.isfinite(value):
                raise ValueError(
                    f"{self.path}: record {i} has {name} {value!r}, which is no number"
                )
        return np.array(values, np.float64)

    def regions(
        self, places: Sequence[int], shape: R.Shape, iou_type: IouType, compiled: bool = False
    ) -> Regions:
        """Boxes, or masks with their boxes."""
        if iou_type == "bbox":
            return Regions(np.array([self._box(i) for i in places], np.float64).reshape(-1, 4))
        flat = self._compressed(places, shape) if compiled else None
        if flat is None:
            masks = [self.mask(i, shape) for i in places]
            if not compiled:
                return Regions.of_masks(masks, shape[0])
            flat = FlatMasks.of(masks)
        return Regions.of_flat(flat, shape[0])

    def _compressed(self, places: Sequence[int], shape: R.Shape) -> FlatMasks | None:
        """Masks that are all compressed strings of the image's size, read at once."""
        size = list(shape)
        texts = []
        for i in places:
            segmentation = self.records[i].get("segmentation")
            if type(segmentation) is not dict or segmentation.get("size") != size:
                return None
            text = segmentation.get("counts")
            if type(text) is not str:
                return None
            texts.append(text)
        text = np.frombuffer("".join(texts).encode("latin-1", "replace"), np.uint8)
        lengths = np.array([len(t) for t in texts], np.int64)
        stops = np.cumsum(lengths)
        return decode(text, stops - lengths, stops, shape)

    def _box(self, i: int) -> list[float]:
        box = self.field(i, "bbox")
        numbers = isinstance(box, list) and all(isinstance(v, int | float) for v in box)
        if not numbers or len(box) != 4 or not all(map(math.isfinite, box)):
            raise ValueError(
                f"{self.path}: record {i} has bbox {box!r}: it must be [x, y, width, height]"
            )
        return list(box)

    def mask(self, i: int, shape: R.Shape) -> R.Runs:
        """The mask of a record."""
        try:
            return polygons.decode_segmentation(self.field(i, "segmentation"), shape)
        except (TypeError, ValueError) as error:
            text = str(error)
            prefix = f"{self.path}: record {i}"
            raise ValueError(text if text.startswith(prefix) else f"{prefix}: {text}") from None


def decode(
    text: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    shape: R.Shape,
    escaped: bool = False,
) -> FlatMasks | None:
    """Masks whose compressed counts stand in a text.

    Parameters
    ----------
    text : uint8 array
    starts, stops : int64 arrays (N,)
        Where the counts of each begin and end.
    shape : (H, W)
    escaped : bool
        Whether a backslash is written twice, as in JSON.

    Returns
    -------
    FlatMasks or None
        None if one is malformed; the long way says which and why.
    """
    from fastsam_plugins.evaluation import compiled

    *masks, bad = compiled.decode(text, starts, stops, shape[0] * shape[1], escaped)
    return None if bad >= 0 else FlatMasks(*masks)
