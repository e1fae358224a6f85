"""Synthetic scenes and pasted objects among the real images of ultralytics' dataset."""

from __future__ import annotations

import random
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.datasets.synthetic import Scene, scene
from fastsam_plugins.io import read_image
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.polygons import keyhole_polygon
from fastsam_plugins.training import partial
from fastsam_plugins.training.copy_paste import Cutouts, Label, centres_and_sides

TEXTURES = 64  # real images kept in memory to cut textures from
CROWDED = 30  # instances: even a small crop of such an image shows some, which have no mask there
SCENES, SHOWN = 64, 4  # scenes kept in memory; how often each is shown before a new one replaces it
OUTLINE = 256  # points of an outline at least: where augmentation cuts it, a point must be near


class Mixed:
    """Takes over a dataset's loading: some images are drawn, and some get objects pasted.

    Augmentations that combine images (mosaic) ask through the same method, so they mix both kinds.

    Parameters
    ----------
    dataset : ultralytics.data.YOLODataset
        Changed in place.
    synthetic : float
        Share of synthetic scenes, 0 to 1.
    paste : float
        Share of images, real or drawn, that get objects of other real images pasted, 0 to 1.
    seed : int
        Of the scenes; which one is drawn next follows Python's random numbers, which ultralytics
        seeds in every process that loads images.
    unknown : collection of str
        Names of the image files in which not every object is labelled.
    """

    def __init__(
        self,
        dataset: Any,
        synthetic: float,
        paste: float,
        seed: int,
        unknown: Collection[str] = frozenset(),
    ) -> None:
        self._load = dataset.get_image_and_label
        self._size, self._seed = int(dataset.imgsz), seed
        self._synthetic, self._paste, self._partial = synthetic, paste, frozenset(unknown)
        labelled = zip(dataset.im_files, dataset.labels, strict=True)
        files = [file for file, label in labelled if len(label["cls"]) <= CROWDED]
        step = max(1, len(files) // TEXTURES)
        self._textures = [_texture(Path(f), self._size) for f in files[::step][:TEXTURES]]
        self._scenes: list[Label] = []
        self._cutouts = Cutouts()
        dataset.get_image_and_label = self.image
        dataset.update_labels_info = self.finish

    def image(self, index: int) -> Label:
        """The label dictionary of a real image or of a scene."""
        if random.random() < self._synthetic:
            drawn = self._scene()
            fresh = {"img": drawn["img"].copy(), "bboxes": drawn["bboxes"].copy()}
            return self.finish({**drawn, **fresh}, real=False)
        label: Label = self._load(index)  # which calls `finish`
        return label

    def _scene(self) -> Label:
        if len(self._scenes) == SCENES and random.random() >= 1 / SHOWN:
            return random.choice(self._scenes)
        drawn = scene(self._seed, random.getrandbits(31), self._size, crops=self._textures)
        label = as_label(drawn)
        if len(self._scenes) < SCENES:
            self._scenes.append(label)
        else:
            self._scenes[random.randrange(SCENES)] = label
        return label

    def finish(self, label: Label, real: bool = True) -> Label:
        """Paste, and turn polygons into ultralytics' ``Instances``.

        In place of ``YOLODataset.update_labels_info``, which gives every outline 1000 points:
        with a hundred cells in an image that is most of the time loading takes.
        """
        from fastsam_plugins.network.ultralytics_guard import Instances, resample_segments

        if self._paste:
            if random.random() < self._paste:
                self._cutouts.paste(label)
            elif real:
                self._cutouts.collect(label)
        if real and Path(label["im_file"]).name in self._partial:
            partial.mark(label)
        label.pop("keypoints", None)
        segments = list(label.pop("segments"))
        points = max([OUTLINE, *(len(s) + 1 for s in segments)])
        outlines = resample_segments(segments, n=points)
        label["instances"] = Instances(
            label.pop("bboxes"),
            np.stack(outlines) if outlines else np.zeros((0, points, 2), np.float32),
            bbox_format=label.pop("bbox_format"),
            normalized=label.pop("normalized"),
        )
        return label


def _texture(path: Path, side: int) -> NDArray[np.uint8]:
    import cv2

    rgb = read_image(path)
    scale = side / max(rgb.shape[:2])
    size = max(round(rgb.shape[1] * scale), 1), max(round(rgb.shape[0] * scale), 1)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))


def as_label(drawn: Scene) -> Label:
    """A scene as ultralytics' datasets give an image: BGR, one class, polygons in 0 to 1."""
    size = drawn.image.shape[0]
    shape = (size, size)
    return {
        "im_file": f"synthetic {drawn.kind}",
        "img": np.ascontiguousarray(drawn.image[:, :, ::-1]),
        "ori_shape": shape,
        "resized_shape": shape,
        "ratio_pad": (1.0, 1.0),
        "cls": np.zeros((len(drawn.masks), 1), np.float32),
        "bboxes": centres_and_sides([R.bounds(m, size) for m in drawn.masks]) / size,
        "segments": [(keyhole_polygon(m, shape) / size).astype(np.float32) for m in drawn.masks],
        "bbox_format": "xywh",
        "normalized": True,
    }
