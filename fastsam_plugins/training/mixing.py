"""Synthetic scenes among the real images of ultralytics' dataset, drawn anew each time."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R
from fastsam_plugins.training.data import keyhole_polygon
from fastsam_plugins.training.synthetic import Scene, scene

TEXTURES = 64  # real images kept in memory to cut textures from


class Mixed:
    """Stands in for a dataset's ``get_image_and_label``: now and then it draws a scene instead.

    Augmentations that combine images (mosaic, copy-paste) ask through the same method, so they mix
    both kinds.

    Parameters
    ----------
    dataset : ultralytics.data.YOLODataset
    share : float
        Of synthetic images, 0 to 1.
    seed : int
        Of the scenes; which one is drawn next follows Python's random numbers, which ultralytics
        seeds in every process that loads images.
    """

    def __init__(self, dataset: Any, share: float, seed: int) -> None:
        self._real = dataset.get_image_and_label
        self._finish = dataset.update_labels_info
        self._size, self._share, self._seed = int(dataset.imgsz), share, seed
        files = dataset.im_files
        step = max(1, len(files) // TEXTURES)
        self._textures = [_texture(Path(f), self._size) for f in files[::step][:TEXTURES]]

    def __call__(self, index: int) -> dict[str, Any]:
        """The label dictionary of a real image or of a new scene."""
        if random.random() >= self._share:
            label: dict[str, Any] = self._real(index)
            return label
        drawn = scene(self._seed, random.getrandbits(31), self._size, crops=self._textures)
        finished: dict[str, Any] = self._finish(as_label(drawn))
        return finished


def _texture(path: Path, side: int) -> NDArray[np.uint8]:
    import cv2
    from PIL import Image

    with Image.open(path) as image:
        rgb = np.asarray(image.convert("RGB"))
    scale = side / max(rgb.shape[:2])
    size = max(round(rgb.shape[1] * scale), 1), max(round(rgb.shape[0] * scale), 1)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))


def as_label(drawn: Scene) -> dict[str, Any]:
    """A scene as ultralytics' datasets give an image: BGR, one class, polygons in 0 to 1."""
    size = drawn.image.shape[0]
    shape = (size, size)
    corners = np.array([R.bounds(m, size) for m in drawn.masks], np.float32).reshape(-1, 2, 2)
    centre, sides = corners.mean(1), corners[:, 1] - corners[:, 0]
    return {
        "im_file": f"synthetic {drawn.kind}",
        "img": np.ascontiguousarray(drawn.image[:, :, ::-1]),
        "ori_shape": shape,
        "resized_shape": shape,
        "ratio_pad": (1.0, 1.0),
        "cls": np.zeros((len(drawn.masks), 1), np.float32),
        "bboxes": np.concatenate([centre, sides], 1) / size,
        "segments": [(keyhole_polygon(m, shape) / size).astype(np.float32) for m in drawn.masks],
        "bbox_format": "xywh",
        "normalized": True,
    }
