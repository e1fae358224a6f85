"""COCO ground truth and results files, read for evaluation; errors name the file and the record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.datasets import coco
from fastsam_plugins.datasets.coco import Record
from fastsam_plugins.evaluation import names
from fastsam_plugins.evaluation.regions import Regions
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import read_image
from fastsam_plugins.io.typed_json import shown
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import LimitOptions

IouType = Literal["bbox", "segm", "boundary"]
FlatRuns = tuple[R.Runs, NDArray[np.int64], NDArray[np.int64]]

FREQUENCIES = {"f": "frequent", "c": "common", "r": "rare"}
"""LVIS's letters for how often a category occurs in its training images."""


def is_lvis(truth: Record | coco.Dataset, path: Path) -> bool:
    """Whether a ground truth has LVIS's frequencies of categories.

    Raises
    ------
    ValueError
        If some of its categories have them and others do not.
    """
    if isinstance(truth, coco.Dataset):
        letters = [c.frequency for c in truth.categories or []]
    else:
        letters = [c.get("frequency") for c in truth.get("categories") or []]
    known = [letter in FREQUENCIES for letter in letters]
    if any(known) and not all(known):
        i = known.index(False)
        has = "no frequency" if letters[i] is None else f"the frequency {shown(letters[i])}"
        raise ValueError(f"{path}: categories[{i}] has {has}, and others have LVIS's: 'f', 'c' or "
                         "'r'")  # fmt: skip
    return any(known)


def load_truth(path: Path) -> Record:
    """A COCO ground truth file, checked, with all its keys."""
    return coco.read_plain(path)


def image_name(image: Record) -> str:
    """The name of an image's file; LVIS names its images by their address."""
    return str(image.get("file_name") or Path(image.get("coco_url") or "").name)


def without(truth: Record, folder: Path, unusable: Collection[Path]) -> Record:
    """The same ground truth, less the images of a folder that cannot be used, and their objects.

    An object of an image that nobody could look at was not missed.
    """
    images = [i for i in truth["images"] if folder / image_name(i) not in unusable]
    kept = {image["id"] for image in images}
    annotations = [a for a in truth["annotations"] if a["image_id"] in kept]
    return {**truth, "images": images, "annotations": annotations}


def read_sized(path: Path, shape: R.Shape, limits: LimitOptions) -> NDArray[np.uint8]:
    """The image (H, W, 3) of a file, which has to have the size of its labels.

    Raises
    ------
    ImageError, OSError
        If it cannot be read, or has another size.
    """
    image = read_image(path, limits=limits)
    if image.shape[:2] != tuple(shape):
        raise ImageError(f"{path} has size {image.shape[:2]}, its labels {tuple(shape)} (H, W)")
    return image


def load_results(path: Path, truth: Record | None = None, of: Path | None = None) -> list[Record]:
    """A COCO results file, or the annotations of a dataset, as `fastsam segment` writes them.

    Images are numbered as in the ground truth that ``truth``, of a file ``of``, is; see
    :func:`fastsam_plugins.evaluation.names.renumbered`.
    """
    results = coco.read_plain_results(path)
    if truth is None or of is None:
        return results.records
    images = coco.typed_images(truth["images"], of)
    return names.renumbered(results, images, (of, path))


def check_listed(images: Iterable[Any], truth: Path, *parts: Records) -> None:
    """Refuse records of an image that the ground truth does not list.

    Parameters
    ----------
    images : iterable
        The ids that it lists.
    truth : path
        Its file, for errors.
    parts : Records
    """
    known = set(images)
    for records in parts:
        strange = sorted(records.images.keys() - known, key=str)
        if strange:
            raise ValueError(
                f"{records.path} has records of image {_named(strange[0])}, "
                f"which {truth} does not list{_twin(strange[0], known)}"
            )


def check_objects(annotations: Records) -> None:
    """Refuse a ground truth in which nothing has to be found."""
    if not any(map(annotations.counts, range(len(annotations)))):
        raise ValueError(
            f"{annotations.path} has no object to find: it has no annotations, or crowds only"
        )


def check_categories(categories: Iterable[Any], truth: Path, *parts: Records) -> None:
    """Refuse records of a category that the ground truth does not list, if it lists any.

    Parameters
    ----------
    categories : iterable
        The ids that it lists.
    truth : path
        Its file, for errors.
    parts : Records
    """
    known = set(categories)
    for records in parts if known else ():
        for i in range(len(records)):
            category = records.field(i, "category_id")
            if category not in known:
                raise ValueError(
                    f"{records.at(i)} has category {_named(category)}, "
                    f"which {truth} does not list{_twin(category, known)}"
                )


def _named(value: Any) -> str:
    return str(value) if isinstance(value, int) and value < 2**63 else shown(value)


def _twin(value: Any, known: Iterable[Any]) -> str:
    """What to add where an id looks like one that is there, but is a text or a number."""
    kind = "a number" if isinstance(value, str) else "a text"
    twins = (f": it has {_named(k)}, {kind}" for k in known if str(k) == str(value))
    return next(twins, "")


@dataclass
class Records:
    """Annotations or results of a file, by image.

    Attributes
    ----------
    records : list of dict or of Annotation
    path : path
        Named in errors.
    place : str
        How errors name the i-th of them.
    images : dict of sequences
        Places in ``records`` by image. They come category after category, as in pycocotools, which
        ties between equal scores and equal overlaps follow.
    """

    records: list[Any]
    path: Path
    place: str = "record {}"

    def __post_init__(self) -> None:
        if all(isinstance(r, coco.Annotation) for r in self.records):
            self._typed = cast(list[coco.Annotation], self.records)
        else:
            self._typed = coco.typed_records(self.records, self.path)
        images: dict[Any, list[int]] = defaultdict(list)
        for i, record in enumerate(self._typed):
            images[record.image_id].append(i)
        for places in images.values():
            places.sort(key=self._category)
        self.images: dict[Any, Sequence[int]] = dict(images)

    def _category(self, i: int) -> tuple[bool, Any]:
        """What records of an image are sorted by: numbers first, of which none is 0."""
        category = self._typed[i].category_id or 0
        return isinstance(category, str), category

    def __len__(self) -> int:
        return len(self.records)

    def of(self, image: Any) -> Sequence[int]:
        """Places of an image's records."""
        return self.images.get(image, [])

    def counts(self, i: int) -> bool:
        """Whether a ground truth is one that has to be found."""
        record = self._typed[i]
        return not record.iscrowd and not record.ignore

    def field(self, i: int, name: str) -> Any:
        """A field of a record that must have it."""
        value = getattr(self._typed[i], name)
        if value is None:
            raise ValueError(f"{self.at(i)} has no {name}")
        return value

    def at(self, i: int) -> str:
        """The file and the place of a record, for errors."""
        return f"{self.path}: {self.place.format(i)}"

    def numbers(self, places: Sequence[int], name: str) -> NDArray[np.float64]:
        """A field of some records (N,), finite numbers."""
        return np.array([self.field(i, name) for i in places], np.float64)

    def areas(self, places: Sequence[int]) -> NDArray[np.float64]:
        """Areas of some records (N,) in pixels."""
        areas = self.numbers(places, "area")
        for i, area in zip(places, areas.tolist(), strict=True):
            if area < 0:
                raise ValueError(f"{self.at(i)} has the area {area}")
        return areas

    def boxes(self, places: Sequence[int]) -> NDArray[np.float64]:
        """Boxes of some records (N, 4): ``x, y, width, height`` in pixels."""
        boxes = np.array([self.field(i, "bbox") for i in places], np.float64).reshape(-1, 4)
        for i in np.flatnonzero((boxes[:, 2:] < 0).any(1)).tolist():
            raise ValueError(
                f"{self.at(places[i])} has the bbox {boxes[i].tolist()}, upside down: it should be "
                "x, y, width, height"
            )
        return boxes

    def regions(self, places: Sequence[int], shape: R.Shape, iou_type: IouType) -> Regions:
        """Boxes, or masks with their boxes, or those with their boundaries as well."""
        if iou_type == "bbox":
            return Regions(self.boxes(places))
        flat = self._compressed(places, shape)
        if flat is not None:
            masks = Regions.of_flat(*flat, shape[0])
        else:
            masks = Regions.of_masks([self.mask(i, shape) for i in places], shape[0])
        return masks.with_boundaries(shape) if iou_type == "boundary" else masks

    def _compressed(self, places: Sequence[int], shape: R.Shape) -> FlatRuns | None:
        """Masks that are all compressed strings of the image's size, read at once.

        None if one is anything else, or malformed: one by one they are read too, and it is said
        what is wrong with which.
        """
        from fastsam_plugins.evaluation import kernels

        texts = []
        for i in places:
            segmentation = self._typed[i].segmentation
            if type(segmentation) is not coco.Rle or segmentation.size != shape:
                return None
            if not isinstance(segmentation.counts, str):
                return None
            texts.append(segmentation.counts)
        joined = "".join(texts)
        if not joined.isascii():
            return None
        text = np.frombuffer(joined.encode(), np.uint8)
        lengths = np.array([len(t) for t in texts], np.int64)
        stops = np.cumsum(lengths)
        runs, starts, stops, bad = kernels.decode(text, stops - lengths, stops, shape[0] * shape[1])
        return None if bad >= 0 else (runs, starts, stops)

    def mask(self, i: int, shape: R.Shape) -> R.Runs:
        """The mask of a record."""
        try:
            return self._typed[i].mask(shape)
        except ValueError as error:
            raise ValueError(f"{self.at(i)}: {error}") from None
