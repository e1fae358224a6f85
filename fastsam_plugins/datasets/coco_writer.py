"""COCO JSON to be written: one place for what an image and an annotation look like in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastsam_plugins.masks import runs as R

OBJECT = "object"  # the category of what has no other


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
        height, width = shape
        number = len(self.images) + 1
        image = {"id": number, "file_name": name, "width": width, "height": height}
        self.images.append(image | more)
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
        annotation = {
            "id": len(self.annotations) + 1,
            "image_id": image,
            "category_id": self._categories.setdefault(category, len(self._categories) + 1),
            "iscrowd": int(crowd),
            "bbox": list(box),
            "area": int(area),
            "segmentation": segmentation,
        }
        if score is not None:
            annotation["score"] = float(score)
        self.annotations.append(annotation | more)

    def content(self) -> dict[str, Any]:
        """The dataset; one without annotations has the category ``object``."""
        named = self._categories or {OBJECT: 1}
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": [{"id": number, "name": name} for name, number in named.items()],
        }
