"""Instances seen one by one: the box of each mask, cut out, what is not the mask filled.

The paper: "each mask region is required to be fed into the CLIP feature extractor" (section 4.6).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import Background
from fastsam_plugins.text.pixels import Pixels

if TYPE_CHECKING:
    import torch

_FILLS = {"white": (255, 255, 255), "black": (0, 0, 0)}


def cut_out(
    image: NDArray[np.uint8] | WindowedImage,
    mask: R.Runs,
    background: Background = "gray",
    gray: tuple[int, ...] = (122, 116, 104),
    ratio: float = 1.0,
) -> NDArray[np.uint8]:
    """A mask's box in an image, widened to an aspect ratio; pixels of others are filled.

    Parameters
    ----------
    image : uint8 array (H, W, 3), or WindowedImage
    mask : run array
        Not empty.
    background : str
        ``keep`` leaves what is around the mask, and fills only what lies outside the image.
    gray : tuple of int
        The colour that ``gray``, and ``keep`` outside the image, stand for.
    ratio : float
        Width by height.

    Returns
    -------
    uint8 array (h, w, 3)
    """
    height, width = image.shape[:2]
    import cv2

    x0, y0, x1, y1 = R.bounds(mask, height)
    h = max(y1 - y0, math.ceil((x1 - x0) / ratio))
    w = max(x1 - x0, math.ceil((y1 - y0) * ratio))
    left, top = x0 - (w - (x1 - x0)) // 2, y0 - (h - (y1 - y0)) // 2
    out = np.empty((h, w, 3), np.uint8)
    out[:] = _FILLS.get(background, gray)
    if background == "keep":
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
        out[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    else:
        inside = R.to_bitmap(mask, (height, width), (x0, y0, x1, y1))
        # NumPy's own indexing takes longer than all the rest of a crop.
        place = out[y0 - top : y1 - top, x0 - left : x1 - left]
        cv2.copyTo(image[y0:y1, x0:x1], inside.view(np.uint8), place)
    return out


def batches(
    image: NDArray[np.uint8] | WindowedImage,
    masks: Iterable[R.Runs],
    pixels: Pixels,
    background: Background,
    chunk: int,
) -> Iterator[torch.Tensor]:
    """The network's input (B, 3, h, w) for masks in order, at most ``chunk`` at a time."""
    import torch

    ratio = pixels.size[1] / pixels.size[0]
    source = iter(masks)
    while part := [
        pixels.resize(cut_out(image, mask, background, pixels.gray, ratio))
        for mask in islice(source, chunk)
    ]:
        yield pixels.normalize(torch.stack(part))
