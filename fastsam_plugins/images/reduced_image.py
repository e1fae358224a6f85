"""A smaller copy of an image, with the size of the image itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images.contrast import to_rgb
from fastsam_plugins.masks.runs import check_shape


@dataclass(frozen=True, eq=False)
class ReducedImage:
    """What the network looks at in place of an image, and in whose pixels it answers.

    Attributes
    ----------
    pixels : uint8 array (h, w, 3)
        RGB: a reduced copy, as of a pyramid, or of a JPEG that was decoded at a part of its size.
    shape : (H, W)
        Of the image itself.
    whole : uint8 array (H, W, 3), optional
        The image, where text prompts or a picture of the result need it.

    >>> ReducedImage(np.zeros((75, 100, 3), np.uint8), (3000, 4000)).shape
    (3000, 4000)
    """

    pixels: NDArray[np.uint8]
    shape: tuple[int, int]
    whole: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        """Refuse a shape that is none."""
        object.__setattr__(self, "shape", check_shape(self.shape))

    @classmethod
    def of(cls, image: object) -> ReducedImage:
        """One as it is; of any other image, the image itself, as :func:`to_rgb` shows it."""
        if isinstance(image, ReducedImage):
            return image
        rgb = to_rgb(image)
        return cls(rgb, rgb.shape[:2], rgb)
