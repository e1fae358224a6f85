"""A large image in windows: what is found, what is found twice, and how long it takes.

    pip install sahi
    python -m benchmarks.tiling FOLDER [--conf 0.25]

FOLDER holds ``instances.json`` and ``images/`` (shared/data/dev/nuclei). Its images, 512 pixels a
side each, are laid out side by side as one large image with all their instances. The same network
looks at it in windows of 512 pixels that overlap by a quarter, whose borders lie anywhere; SAHI
(Akyon et al. 2022, "Slicing aided hyper inference") and ``segment_tiled`` put together what it
found. "No seam" is each image looked at by itself: what the network finds where nothing is cut.

First come larger images, which repeat this one and whose pixels are made when they are read: memory
is that above the process's before, and "pixels" is what the image itself would take.

Instances are matched one to one with the truth, highest score first. AR is the mean recall at IoU
0.5 to 0.95, F1 is at IoU 0.5, "twice" counts found instances that overlap, IoU 0.5, a true one
which a better one has already.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import row
from fastsam_plugins import FastSAM, Segmentation, read_image
from fastsam_plugins.datasets import sources
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.matching import overlaps
from support.memory import peak_extra_megabytes

SIDE = 512
OVERLAP = 0.25
SIDES = 2048, 8192, 16384
Way = Callable[[NDArray[np.uint8], float], Segmentation]
IOUS = 0.5, 0.9  # of boxes, from which NMS drops copies within a window; 0.9 is FastSAM's


def canvas(folder: Path) -> tuple[NDArray[np.uint8], list[R.Runs], list[tuple[int, int]]]:
    """The large image (H, W, 3), its true instances, and where its parts begin (x, y)."""
    labelled = list(sources.read(folder / "instances.json"))
    across = int(np.ceil(np.sqrt(len(labelled))))
    down = -(-len(labelled) // across)
    image = np.zeros((down * SIDE, across * SIDE, 3), np.uint8)
    masks, corners = [], []
    for k, item in enumerate(labelled):
        x, y = k % across * SIDE, k // across * SIDE
        pixels = read_image(item.image)
        scale = SIDE / max(pixels.shape[:2])
        size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
        image[y : y + size[1], x : x + size[0]] = cv2.resize(pixels, size)
        corners.append((x, y))
        for runs in item.masks:
            bitmap = R.to_bitmap(runs, item.shape).astype(np.uint8)
            large = cv2.resize(bitmap, size, interpolation=cv2.INTER_NEAREST)
            if large.any():
                masks.append(R.from_bitmap(large, image.shape[:2], (x, y)))
    return image, masks, corners


class Peer:
    """SAHI with this project's network."""

    def __init__(self, model: FastSAM, conf: float, iou: float, **merging: Any) -> None:
        from sahi.models.base import DetectionModel
        from sahi.prediction import ObjectPrediction
        from sahi.utils.cv import get_coco_segmentation_from_bool_mask as polygons

        class Network(DetectionModel):
            """What SAHI asks of a network."""

            def load_model(self) -> None:
                self.model = model

            def perform_inference(self, image: NDArray[np.uint8]) -> None:
                self._original_predictions = model.segment(
                    np.ascontiguousarray(image), conf=conf, iou=iou
                )

            def _create_object_prediction_list_from_original_predictions(
                self, shift_amount_list: Any = None, full_shape_list: Any = None
            ) -> None:
                seg, found = self._original_predictions, []
                shape = None if full_shape_list is None else full_shape_list[0]
                for i in range(len(seg)):
                    outlines = polygons(seg.mask(i).astype(np.uint8))
                    if outlines:
                        found.append(
                            ObjectPrediction(
                                bbox=seg.boxes[i].tolist(), category_id=0, category_name="object",
                                score=float(seg.scores[i]), segmentation=outlines,
                                shift_amount=shift_amount_list[0],
                                full_shape=shape or list(seg.shape),
                            )
                        )  # fmt: skip
                self._object_prediction_list_per_image = [found]

        self._network = Network(confidence_threshold=conf, image_size=SIDE)
        self._merging = merging

    def __call__(self, image: NDArray[np.uint8]) -> Segmentation:
        """The instances of the large image."""
        from sahi.predict import get_sliced_prediction

        result = get_sliced_prediction(
            image, self._network, slice_height=SIDE, slice_width=SIDE, verbose=0,
            overlap_height_ratio=OVERLAP, overlap_width_ratio=OVERLAP,
            perform_standard_pred=False, **self._merging,
        )  # fmt: skip
        found = result.object_prediction_list
        masks = [R.from_bitmap(p.mask.bool_mask) for p in found]
        scores = [p.score.value for p in found]
        return Segmentation.from_runs(masks, image.shape[:2], scores).sort()


class Endless:
    """An image (side, side, 3) that repeats another and takes no memory."""

    dtype = np.dtype(np.uint8)

    def __init__(self, image: NDArray[np.uint8], side: int) -> None:
        self._image, self.shape = image, (side, side, 3)

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[np.uint8]:
        y, x = (np.arange(i.start, i.stop) for i in index)
        return self._image[np.ix_(y % self._image.shape[0], x % self._image.shape[1])]


def figures(seg: Segmentation, truth: list[R.Runs], seconds: float) -> list[str]:
    """AR, F1, how many are found twice, how many there are, seconds."""
    iou = overlaps([seg.runs(i) for i in range(len(seg))], truth, seg.shape)
    recalls, hits, twice = [], 0, 0
    for threshold in np.arange(0.5, 1, 0.05):
        free = np.ones(len(truth), np.bool_)
        for overlap in iou:  # highest score first
            best = int(np.where(free, overlap, -1).argmax())
            if overlap[best] >= threshold and free[best]:
                free[best] = False
            elif threshold == 0.5:
                twice += overlap.max() >= threshold
        recalls.append(1 - free.mean())
        hits = hits or int((~free).sum())
    f1 = 2 * hits / (len(seg) + len(truth))
    return [f"{np.mean(recalls):.3f}", f"{f1:.3f}", str(twice), str(len(seg)), f"{seconds:.1f}"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--conf", default=0.25, show_default=True)
def main(folder: Path, conf: float) -> None:
    """Print one Markdown row per way of putting windows together."""
    image, truth, corners = canvas(folder)
    model = FastSAM("FastSAM-n")

    def no_seam(image: NDArray[np.uint8], iou: float) -> Segmentation:
        height = image.shape[0]
        masks, scores = [], []
        parts = [image[y : y + SIDE, x : x + SIDE] for x, y in corners]
        found = model.segment_many(parts, conf=conf, iou=iou)
        for (x, y), seg in zip(corners, found, strict=True):
            masks += [R.shift(seg.runs(i), SIDE, height, x, y) for i in range(len(seg))]
            scores += seg.scores.tolist()
        return Segmentation.from_runs(masks, image.shape[:2], scores).sort()

    def windows(image: NDArray[np.uint8], iou: float) -> Segmentation:
        options = {"conf": conf, "iou": iou, "imgsz": SIDE, "overlap": OVERLAP, "whole": False}
        return model.segment_tiled(image, **options)

    def sahi(kind: str, metric: str) -> Way:
        merging = {"postprocess_type": kind, "postprocess_match_metric": metric}
        return lambda image, iou: Peer(model, conf, iou, **merging)(image)

    ways: dict[str, Way] = {
        "no seam": no_seam,
        "segment_tiled": windows,
        "SAHI, greedy NMM (its default)": sahi("GREEDYNMM", "IOS"),
        "SAHI, NMS": sahi("NMS", "IOU"),
    }
    row("image", "instances", "s", "memory", "pixels")
    row(*["---"] * 5)
    for side in SIDES:
        found, start = [], time.perf_counter()
        endless = Endless(image, side)
        used = peak_extra_megabytes(
            lambda endless=endless, found=found: found.append(windows(endless, 0.5))
        )
        seconds = time.perf_counter() - start
        row(
            f"{side}²",
            len(found[0]),
            f"{seconds:.0f}",
            f"{used:.0f} MB",
            f"{side**2 * 3e-6:.0f} MB",
        )
    print(f"\n{image.shape[1]} x {image.shape[0]}, {len(truth)} instances, conf {conf}:\n")
    row("iou", "", "AR", "F1", "twice", "found", "s")
    row(*["---"] * 7)
    for iou in IOUS:
        for name, way in ways.items():
            start = time.perf_counter()
            seg = way(image, iou)
            row(str(iou), name, *figures(seg, truth, time.perf_counter() - start))


if __name__ == "__main__":
    main()
