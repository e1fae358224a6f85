"""Training data: COCO instances become the one-class dataset that ultralytics' trainer reads."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R


@dataclass(frozen=True)
class DatasetReport:
    """What a conversion kept and what it dropped, and why."""

    yaml: Path
    images: int
    instances: int
    without_image: int
    crowd: int
    empty: int

    def __str__(self) -> str:
        dropped = [
            f"{n} {why}"
            for n, why in (
                (self.without_image, "images whose file is missing"),
                (self.crowd, "crowd regions"),
                (self.empty, "empty masks"),
            )
            if n
        ]
        text = f"{self.images} images with {self.instances} instances"
        return text + (f"; dropped {', '.join(dropped)}" if dropped else "")


def from_coco(annotations: Path, output: Path, balance: bool = False) -> DatasetReport:
    """Convert a COCO instance file into an ultralytics segmentation dataset of one class.

    Parameters
    ----------
    annotations : path
        COCO JSON. Images are looked for beside it and in its folder ``images``.
    output : path
        Folder to write: ``images/`` (links), ``labels/`` (polygons) and ``data.yaml``.
    balance : bool
        List the images of each source (the field ``source`` of an image) about equally often.

    Raises
    ------
    ValueError
        If the file is not COCO instances or nothing usable is left.
    """
    try:
        coco = json.loads(Path(annotations).read_text())
        images, instances = coco["images"], coco["annotations"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{annotations} is not a COCO instance file: {error}") from None
    by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for a in instances:
        by_image[a["image_id"]].append(a)

    (output / "images").mkdir(parents=True, exist_ok=True)
    (output / "labels").mkdir(exist_ok=True)
    by_source: dict[str, list[str]] = defaultdict(list)
    kept_instances = missing = crowd = empty = 0
    for image in images:
        source = _find(annotations.parent, image["file_name"])
        if source is None:
            missing += 1
            continue
        shape = (int(image["height"]), int(image["width"]))
        lines = []
        for a in by_image[image["id"]]:
            if a.get("iscrowd"):
                crowd += 1
                continue
            runs = decode_segmentation(a["segmentation"], shape)
            if not len(runs):
                empty += 1
                continue
            points = keyhole_polygon(runs, shape) / (shape[1], shape[0])
            lines.append("0 " + " ".join(f"{v:.6f}" for v in points.ravel()))
        link = output / "images" / source.name
        link.unlink(missing_ok=True)
        link.symlink_to(source.resolve())
        (output / "labels" / f"{source.stem}.txt").write_text("\n".join(lines))
        by_source[image.get("source", "")].append(str(link.absolute()))
        kept_instances += len(lines)
    if not kept_instances:
        raise ValueError(
            f"{annotations}: nothing to train on ({missing} of {len(images)} images not found "
            f"beside it or in images/, {len(instances)} annotations)"
        )
    kept = sum(len(files) for files in by_source.values())
    most = max(len(files) for files in by_source.values())
    listed = [
        name
        for files in by_source.values()
        for name in files * (round(most / len(files)) if balance else 1)
    ]
    (output / "train.txt").write_text("\n".join(listed))
    data = output / "data.yaml"
    data.write_text(
        json.dumps(
            {
                "path": str(output.resolve()),
                "train": "train.txt",
                "val": "train.txt",
                "names": {0: "object"},
            }
        )
    )
    return DatasetReport(data, kept, kept_instances, missing, crowd, empty)


def _find(folder: Path, name: str) -> Path | None:
    for candidate in (folder / "images" / name, folder / name):
        if candidate.is_file():
            return candidate
    return None


def decode_segmentation(segmentation: Any, shape: R.Shape) -> R.Runs:
    """Decode COCO's ``segmentation``: RLE, compressed or not, or a list of polygons.

    Parameters
    ----------
    segmentation : dict or list of flat ``[x, y, x, y, ...]`` lists
    shape : (H, W)
        Size of the image in pixels.
    """
    if isinstance(segmentation, dict):
        runs, size = rle.decode(segmentation)
        if size != shape:
            raise ValueError(f"a mask of size {size} does not fit its image of size {shape}")
        return runs
    from skimage.draw import polygon2mask

    parts = []
    for flat in segmentation:
        xy = np.asarray(flat, float).reshape(-1, 2)
        parts.append(R.from_bitmap(polygon2mask(shape, xy[:, ::-1] - 0.5)))
    return R.union(parts)


def keyhole_polygon(runs: R.Runs, shape: R.Shape) -> NDArray[np.float64]:
    """Trace a mask as one closed polygon that keeps every part and every hole.

    Ultralytics' labels hold one polygon per instance. Further parts and holes are joined to it by
    bridges walked there and back, which enclose nothing under the even-odd rule it is filled with.

    Returns
    -------
    float array of shape (K, 2)
        (x, y) in pixels; pixel centres lie at half-integers.
    """
    import cv2

    x0, y0, x1, y1 = R.bounds(runs, shape[0])
    bitmap = R.to_bitmap(runs, shape, (x0, y0, x1, y1)).astype(np.uint8)
    contours, _ = cv2.findContours(bitmap, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    loops = sorted((c[:, 0].astype(np.float64) for c in contours), key=len, reverse=True)
    path = np.concatenate([loops[0], loops[0][:1]])
    for loop in loops[1:]:
        distance = ((path[:, None] - loop[None]) ** 2).sum(-1)
        k, j = np.unravel_index(int(distance.argmin()), distance.shape)
        loop = np.roll(loop, -int(j), axis=0)
        path = np.concatenate([path[: k + 1], loop, loop[:1], path[k:]])
    if len(path) < 4:  # a speck of one or two pixels still needs a polygon
        path = np.concatenate([path, path + 0.25])
    return path + np.array([x0 + 0.5, y0 + 0.5])
