"""COCO JSON to be written: one place for what an image and an annotation look like in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastsam_plugins.masks import runs as R

OBJECT = "object"  # the category of what has no other


def image_record(number: int, name: str, shape: R.Shape, **more: Any) -> dict[str, Any]:
    """An image of a size (H, W), with its id; ``more`` are further keys.

    >>> image_record(1, "a.png", (2, 3))
    {'id': 1, 'file_name': 'a.png', 'width': 3, 'height': 2}
    """
    height, width = shape
    return {"id": number, "file_name": name, "width": width, "height": height} | more


def annotation_record(
    number: int,
    image: int,
    category: int,
    segmentation: dict[str, Any],
    area: int,
    box: Sequence[float],
    crowd: bool = False,
    score: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An object with its id; see :meth:`CocoWriter.add_annotation`, but categories are ids here."""
    annotation = {
        "id": number,
        "image_id": image,
        "category_id": category,
        "iscrowd": int(crowd),
        "bbox": list(box),
        "area": int(area),
        "segmentation": segmentation,
    }
    if score is not None:
        annotation["score"] = float(score)
    return annotation | more


def category_records(named: Mapping[str, int]) -> list[dict[str, Any]]:
    """Categories, whose ids are known by name; if there are none, ``object``."""
    return [{"id": number, "name": name} for name, number in (named or {OBJECT: 1}).items()]


class CocoWriter:
    """A dataset that grows image by image.

    Ids count on from 1, in the order in which images and annotations are added.

    Examples
    --------
    >>> writer = CocoWriter()
    >>> number = writer.add_image("a.png", (2, 3))
    >>> mask = {"size": [2, 3], "counts": "06"}
    >>> writer.add_annotation(number, mask, area=6, box=(0, 0, 3, 2), category="dog")
    >>> writer.content()["categories"]
    [{'id': 1, 'name': 'dog'}]
    """

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self._categories: dict[str, int] = {}

    def add_image(self, name: str, shape: R.Shape, **more: Any) -> int:
        """Add an image of a size (H, W); returns its id. ``more`` are further keys."""
        number = len(self.images) + 1
        self.images.append(image_record(number, name, shape, **more))
        return number

    def add_annotation(
        self,
        image: int,
        segmentation: dict[str, Any],
        area: int,
        box: Sequence[float],
        category: str = OBJECT,
        crowd: bool = False,
        score: float | None = None,
        **more: Any,
    ) -> None:
        """Add an object of an image.

        Parameters
        ----------
        image : int
            The image's id.
        segmentation : dict
            COCO's RLE of its mask.
        area : int
            Of the mask in pixels.
        box : x, y, width, height
        category : str
        crowd : bool
        score : float, optional
            Left out where it is not known.
        **more
            Further keys.
        """
        number = len(self.annotations) + 1
        kind = self._categories.setdefault(category, len(self._categories) + 1)
        self.annotations.append(
            annotation_record(number, image, kind, segmentation, area, box, crowd, score, **more)
        )

    def content(self) -> dict[str, Any]:
        """The dataset; one without annotations has the category ``object``."""
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": category_records(self._categories),
        }
