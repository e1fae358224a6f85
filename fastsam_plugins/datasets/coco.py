"""COCO JSON, typed: ground truth, results, and SA-1B's file of one image (Lin et al. 2014).

Training and evaluation read them here. What does not fit its type is one line that names the file
and the record; further keys are allowed everywhere. Whether a mask fits its image is looked at when
it is decoded.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from fastsam_plugins.io import typed_json
from fastsam_plugins.masks import polygons
from fastsam_plugins.masks import runs as R

MAX_SIDE = 2**24
MAX_PIXELS = 2**40
"""Of an image: positions of pixels stay exact numbers, and what is counted cannot overflow."""

Record = dict[str, Any]

# Programs that know one kind of number write 1.0 for 1. True and false are no numbers.
_Side = (
    Annotated[int, Meta(ge=1, le=MAX_SIDE)]
    | Annotated[float, Meta(ge=1, le=MAX_SIDE, multiple_of=1)]
)
_Whole = int | Annotated[float, Meta(multiple_of=1)]
_Coordinate = Annotated[float, Meta(ge=-1e12, le=1e12)]
Flag = Annotated[int, Meta(ge=0, le=1)] | bool | None
Id = int | Annotated[float, Meta(multiple_of=1)] | str
Box = tuple[_Coordinate, _Coordinate, _Coordinate, _Coordinate]


class Image(Struct, gc=False, kw_only=True):
    """An image of a dataset; ``id`` is not asked for by SA-1B."""

    id: Id | None = None
    height: _Side
    width: _Side
    file_name: str | None = None
    coco_url: str | None = None
    source: Any = None

    @property
    def shape(self) -> R.Shape:
        """(H, W) in pixels."""
        return int(self.height), int(self.width)

    @property
    def name(self) -> str:
        """Of its file; LVIS names its images by their address. Empty if there is none."""
        return self.file_name or Path(self.coco_url or "").name

    @property
    def kind(self) -> str:
        """What the image is of, where the file says so."""
        return str(self.source) if isinstance(self.source, str | int | float) else ""


class Rle(Struct, gc=False):
    """A mask in runs, compressed or not."""

    size: tuple[_Whole, _Whole]
    counts: str | list[int]


class Region(Struct, gc=False, kw_only=True):
    """An instance, of whichever image."""

    id: Id | None = None
    category_id: Id | None = None
    bbox: Box | None = None
    area: float | None = None
    score: float | None = None
    iscrowd: Flag = None
    ignore: Flag = None
    segmentation: Rle | list[list[float]] | None = None

    def mask(self, shape: R.Shape) -> R.Runs:
        """Its mask.

        Raises
        ------
        ValueError
            If it has none, or one that is malformed or of another size.
        """
        segmentation = self.segmentation
        if segmentation is None:
            raise ValueError("it has no segmentation")
        if isinstance(segmentation, Rle):
            return polygons.decode_segmentation(
                {"size": segmentation.size, "counts": segmentation.counts}, shape
            )
        return polygons.decode_segmentation(segmentation, shape)


class Annotation(Region, gc=False, kw_only=True):
    """An instance of a dataset or of results."""

    image_id: Id


class Category(Struct, gc=False):
    """A category; LVIS says how frequent it is."""

    id: Id
    name: str | int | float | None = None
    frequency: str | int | float | None = None


class Dataset(Struct):
    """A ground truth."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category] | None = None
    info: Any = None

    @property
    def exhaustive(self) -> bool:
        """Whether every object of its images is labelled; ``info.exhaustive`` may say it is not."""
        return not isinstance(self.info, dict) or self.info.get("exhaustive", True) is True


class SingleImage(Struct):
    """SA-1B's file of one image."""

    image: Image
    annotations: list[Region]


class Named(Struct, gc=False, kw_only=True):
    """What an image of results is called, where they are a dataset."""

    id: Id | None = None
    file_name: str | None = None
    coco_url: str | None = None

    @property
    def name(self) -> str:
        """As :attr:`Image.name`."""
        return self.file_name or Path(self.coco_url or "").name


class _Annotated(Struct):
    annotations: list[Annotation]
    images: list[Named] | None = None


_Results = list[Annotation] | _Annotated
TRUTH, RESULTS = "a COCO ground truth", "a COCO results file"


def read(path: Path) -> Dataset:
    """A ground truth.

    Warns of annotations that share an id. Those of images that are not listed are left in.

    Raises
    ------
    ValueError
        If it is none, or a record does not fit: one line that names it.
    """
    dataset = typed_json.read(path, Dataset, TRUTH)
    _check(dataset, path)
    return dataset


def read_plain(path: Path) -> dict[str, Any]:
    """The same, checked, as dictionaries with all their keys."""
    content = typed_json.plain(typed_json.content(path), path)
    _check(typed_json.convert(content, Dataset, path, TRUTH), path)
    return dict(content)


@dataclass
class Results:
    """Results, or the annotations of a dataset.

    Attributes
    ----------
    records : list of Annotation, or of dict
    images : list of Named
        Empty where the file is a list, which names no images.
    """

    records: list[Any]
    images: list[Named] = field(default_factory=list)


def with_image(record: Annotation, image: Id) -> Annotation:
    """A record that is of another image."""
    renumbered = copy.copy(record)
    renumbered.image_id = image
    return renumbered


def read_results(path: Path) -> Results:
    """Results, typed.

    Raises
    ------
    ValueError
        As :func:`read`.
    """
    decoded: Any = typed_json.read(path, _Results, RESULTS)  # type: ignore[arg-type]
    if isinstance(decoded, _Annotated):
        return Results(list(decoded.annotations), decoded.images or [])
    return Results(list(decoded))


def read_plain_results(path: Path) -> Results:
    """The same, checked, as dictionaries with all their keys."""
    content = typed_json.plain(typed_json.content(path), path)
    checked: Any = typed_json.convert(content, _Results, path, RESULTS)  # type: ignore[arg-type]
    if isinstance(checked, _Annotated):
        return Results(list(content["annotations"]), checked.images or [])
    return Results(list(content))


def read_single(path: Path) -> SingleImage:
    """A file of SA-1B.

    Raises
    ------
    ValueError
        As :func:`read`.
    """
    single = typed_json.read(path, SingleImage, "of SA-1B")
    _check_size(single.image, path, "image")
    return single


def typed_records(records: list[Record], path: Path) -> list[Annotation]:
    """Records that were read as dictionaries.

    Raises
    ------
    ValueError
        As :func:`read`.
    """
    return typed_json.convert(records, list[Annotation], path, RESULTS)


def typed_images(images: list[Record], path: Path) -> list[Image]:
    """Images that were read as dictionaries.

    Raises
    ------
    ValueError
        As :func:`read`.
    """
    return typed_json.convert(images, list[Image], path, TRUTH)


def _check(dataset: Dataset, path: Path) -> None:
    said = dataset.info.get("exhaustive", True) if isinstance(dataset.info, dict) else True
    if not isinstance(said, bool):
        raise ValueError(
            f"{path}: info.exhaustive: expected true or false, got {typed_json.shown(said)}"
        )
    sizes: dict[Id, R.Shape] = {}
    for i, image in enumerate(dataset.images):
        if image.id is None:
            raise ValueError(f"{path}: images[{i}] has no id")
        _check_size(image, path, f"images[{i}]")
        if sizes.setdefault(image.id, image.shape) != image.shape:
            raise ValueError(
                f"{path}: images[{i}] has the id {typed_json.shown(image.id)} of another image, "
                "which has another size"
            )
    again = len(dataset.images) - len(sizes)
    if again:
        _warn(f"{path}: {again} of its images have the id of another one")
    ids = Counter(a.id for a in dataset.annotations if a.id is not None)
    shared = sum(ids.values()) - len(ids)
    if shared:
        _warn(f"{path}: {shared} of its annotations have the id of another one")


def _check_size(image: Image, path: Path, place: str) -> None:
    height, width = image.shape
    if height * width > MAX_PIXELS:
        raise ValueError(f"{path}: {place} has {height} x {width} pixels: too many for any image")


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)
