"""Label images of squares, and photographs beside them, for the tests of this folder."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from PIL import Image

SHAPE = (70, 90)


def blocks(values, shape=SHAPE, dtype=np.uint8, background=0):
    """A square of 8 x 8 pixels for each value."""
    image = np.full(shape, background, dtype)
    places = itertools.product(range(2, shape[0] - 9, 11), range(2, shape[1] - 9, 11))
    for value, (y, x) in zip(values, places, strict=False):
        image[y : y + 8, x : x + 8] = value
    return image


def outlined(image, value):
    """The same with a line of two pixels around every instance."""
    wide = cv2.dilate((image != 0).astype(np.uint8), np.ones((5, 5), np.uint8)) != 0
    return np.where(wide & (image == 0), image.dtype.type(value), image)


def save(path, array, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image = image.convert("P")
        image.putpalette(palette)
    image.save(path)
    return path


def photo(path, shape=SHAPE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    Image.fromarray(picture).save(path, **options)
