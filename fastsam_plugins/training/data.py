"""Labelled images become the one-class dataset that ultralytics' trainer reads."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.datasets import sources
from fastsam_plugins.datasets.coco_writer import CocoWriter
from fastsam_plugins.datasets.sources import Labelled, read
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import atomic
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.polygons import keyhole_polygon
from fastsam_plugins.options import DataOptions
from fastsam_plugins.training.options import TrainOptions

MISSING_CURE = "name the folder that they are in with --images (DataOptions.images in Python)"

DATA, RUN = "data", "run"  # folders of a training, in its output folder
PARTIAL = "partial.txt"
"""Names the images in which not every object is labelled, one a line."""

MARK = "conversion.json"
"""In every folder that a conversion made, and nowhere else: only such a folder is replaced."""


@dataclass
class Report:
    """What a conversion kept, how exactly, and what it dropped and why.

    Attributes
    ----------
    images, instances : int
        How many were kept, those held out included.
    partial : int
        Images in which not every object is labelled.
    held_out : int
        Images that are not trained on.
    mean_iou, lowest_iou : float
        Between the masks and what ultralytics draws from their polygons at the image's own size.
    dropped : Counter
        What was left out, by reason.
    read_as : Counter
        How label images were read.
    """

    images: int = 0
    instances: int = 0
    partial: int = 0
    held_out: int = 0
    mean_iou: float = 0.0
    lowest_iou: float = 1.0
    dropped: Counter[str] = field(default_factory=Counter)
    read_as: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        text = (
            f"{self.images} images with {self.instances} instances (polygons keep "
            f"{self.mean_iou:.1%} of the masks, {self.lowest_iou:.0%} of the worst)"
        )
        if self.partial:
            text += f", {self.partial} of the images labelled in part"
        if self.held_out:
            text += f", {self.held_out} of the images held out to measure recall on"
        more = sources.summary(self.read_as, self.dropped)
        return f"{text}; {more}" if more else text


def convert(
    data: Collection[str | Path],
    output: Path,
    options: TrainOptions | None = None,
    reading: DataOptions | None = None,
    root: Path | None = None,
    partial: Collection[str | Path] = (),
) -> Report:
    """Write an ultralytics segmentation dataset of one class.

    Parameters
    ----------
    data : paths or names
        See :func:`fastsam_plugins.datasets.sources.read`.
    output : path
        Folder to write: ``images/`` (links, or PNG of what is not 8-bit), ``labels/`` (polygons),
        ``train.txt``, ``partial.txt`` (file names of images that are labelled in part) and
        ``data.yaml``; ``held_out.json``, COCO instances, if images are held out.
        It appears when it is complete, in place of one that a conversion made before. Nothing is
        written through a link.
    options : TrainOptions
        ``balance`` lists the images of each data, and each kind in them (COCO's field
        ``images.source``, unless every image has another), about equally often; ``held_out`` takes
        that share of each kind, evenly spread, at most 64.
    reading : DataOptions
        How label images are read, and where images lie.
    root : path, optional
        The folder of the training that this is for.
    partial : paths or names
        More data, in whose images not every object is labelled: what is not is unknown.

    Raises
    ------
    ValueError
        If the data cannot be read or nothing usable is left, saying why; if the folder is there and
        none of a conversion, or the data lie in it or in ``root``.
    """
    options = TrainOptions.of(options)
    check_ours(output)
    root = root or output
    check_outside([*data, *partial], root)
    with atomic.replacing_folder(output) as folder:
        return _convert(data, partial, folder, root, options, reading or DataOptions())


def check_ours(output: Path) -> None:
    """Refuse to replace a folder that no conversion made.

    Raises
    ------
    ValueError
        If it is another one: a person's own.
    """
    there = output.is_symlink() or output.exists()
    if there and (output.is_symlink() or not (output / MARK).is_file()):
        raise ValueError(
            f"{output} is there and no conversion of this program: name another output folder"
        )


def check_outside(data: Iterable[str | Path], output: Path) -> None:
    """Refuse data in the folder that is written to.

    Raises
    ------
    ValueError
        Naming the first that does.
    """
    inside = output.resolve()
    for source in data:
        if Path(source).resolve().is_relative_to(inside):
            raise ValueError(
                f"{source} lies in {output}, where the training is written: name another folder"
            )


def _convert(
    data: Collection[str | Path],
    partial: Collection[str | Path],
    folder: Path,
    root: Path,
    options: TrainOptions,
    reading: DataOptions,
) -> Report:
    """Write what is trained on into a folder; no data may lie in ``root``."""
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    report = Report()
    by_kind: dict[str, list[str]] = defaultdict(list)
    held_out = _HeldOut(options.held_out)
    ious: list[float] = []
    first: dict[str, Path] = {}
    in_part: list[str] = []
    for labelled in _read(data, partial, reading):
        report.dropped.update(labelled.beside)
        reason = _unusable(labelled)
        if reason:
            report.dropped[reason] += 1
            first.setdefault(reason, labelled.image)
            continue
        if labelled.read_as:
            report.read_as[labelled.read_as] += 1
        check_outside(labelled.files, root)
        report.dropped.update(labelled.dropped)
        name = f"{report.images:06d}"
        file = _place(labelled.image, folder / "images" / name).name
        placed = f"images/{file}"
        report.images += 1
        report.instances += len(labelled.masks)
        report.partial += not labelled.exhaustive
        if held_out.takes(labelled, placed):
            continue
        lines = []
        for runs in labelled.masks:
            points = keyhole_polygon(runs, labelled.shape)
            ious.append(_polygon_iou(points, runs, labelled.shape))
            points /= labelled.shape[::-1]
            lines.append("0 " + " ".join(f"{v:.6f}" for v in points.ravel()))
        (folder / "labels" / f"{name}.txt").write_text("\n".join(lines))
        by_kind[labelled.kind].append(placed)
        if not labelled.exhaustive:
            in_part.append(file)
    if not ious:
        reasons = ", ".join(
            f"{n} {why}" + (f", as {first[why]}" if why in first else "")
            for why, n in report.dropped.items()
        )
        missing = f": {MISSING_CURE}" if sources.MISSING in report.dropped else ""
        named = ", ".join(map(str, [*data, *partial]))
        raise ValueError(f"{named}: nothing to train on ({reasons or 'no image at all'}){missing}")
    report.mean_iou, report.lowest_iou = float(np.mean(ious)), float(np.min(ious))
    report.held_out = held_out.write(folder / "held_out.json")

    most = max(map(len, by_kind.values()))
    listed = [
        name
        for files in by_kind.values()
        for name in files * (round(most / len(files)) if options.balance else 1)
    ]
    # From here, so that the folder may be moved; ultralytics wants them to begin so.
    listed = [f"./{name}" for name in listed]
    (folder / "train.txt").write_text("\n".join(listed))
    # The trainer wants images to validate on, which it will not do: one is enough.
    (folder / "val.txt").write_text(listed[0])
    (folder / PARTIAL).write_text("\n".join(in_part))
    description = {"names": {0: "object"}}
    files = {"train": "train.txt", "val": "val.txt"}
    (folder / "data.yaml").write_text(json.dumps({**description, **files}))
    made = {
        "made by": "fastsam train",
        "of": [str(d) for d in [*data, *partial]],
        "kept": str(report),
    }
    (folder / MARK).write_text(json.dumps(made, indent=2))
    return report


def _read(
    data: Collection[str | Path], partial: Collection[str | Path], reading: DataOptions
) -> Iterator[Labelled]:
    """All images; those of ``partial`` are not exhaustive, whatever their files say.

    Of different data they are of different kinds.
    """
    for part, sources_ in (False, data), (True, partial):
        for number, source in enumerate(sources_):
            for labelled in read(source, reading):
                labelled.exhaustive &= not part
                labelled.kind = f"{part} {number} {labelled.kind}"
                yield labelled


class _HeldOut:
    """Takes every so many-th image of a kind, and keeps its masks as COCO instances."""

    MOST = 64  # of a kind: they are segmented after every epoch

    def __init__(self, share: float) -> None:
        self._share = share
        self._seen: Counter[str] = Counter()
        self._writer = CocoWriter()

    def takes(self, labelled: Labelled, placed: str) -> bool:
        """Whether the image is held out; its masks are kept if it is."""
        seen = self._seen[labelled.kind]
        self._seen[labelled.kind] += 1
        before, after = (int(n * self._share + 0.5) for n in (seen, seen + 1))
        if after == before or after > self.MOST:
            return False
        image = self._writer.add_image(placed, labelled.shape)
        masks = rle.encode(labelled.masks, labelled.shape)
        for mask, segmentation in zip(labelled.masks, masks, strict=True):
            x0, y0, x1, y1 = R.bounds(mask, labelled.shape[0])
            box = (x0, y0, x1 - x0, y1 - y0)
            self._writer.add_annotation(image, segmentation, R.area(mask), box)
        return True

    def write(self, path: Path) -> int:
        """Write what was taken, if anything; returns the number of images."""
        if self._writer.images:
            path.write_text(json.dumps(self._writer.content()))
        return len(self._writer.images)


def _unusable(labelled: Labelled) -> str:
    """Why an image cannot be trained on; empty if it can."""
    from fastsam_plugins.io.read import image_size

    if not sources.is_file(labelled.image):
        return sources.MISSING
    try:
        shape = image_size(labelled.image)
    except (ImageError, OSError):
        return "images that cannot be read"
    return "" if shape == labelled.shape else "images of another size than their labels"


def _place(image: Path, target: Path) -> Path:
    """Put an image into the dataset: a link, or a PNG as the network will see it.

    What ultralytics would mend in place is no link: it would write into the person's own file.
    """
    from PIL import Image

    from fastsam_plugins.io import open_image

    suffix = image.suffix.lower()
    with_suffix = target.with_suffix(suffix)
    exact = suffix in (".bmp", ".webp") or (suffix in (".jpg", ".jpeg") and _ends(image))
    if suffix == ".png":
        with open_image(image) as opened:
            plain = opened.mode in ("L", "RGB") and "16" not in str(opened.tile)
            # Not every reader turns a PNG; looking at its EXIF reads the file.
            exact = plain and opened.getexif().get(0x0112, 1) == 1
    if not exact:
        from fastsam_plugins.io import read_image

        with_suffix = target.with_suffix(".png")
        Image.fromarray(read_image(image)).save(with_suffix)
        return with_suffix
    with_suffix.symlink_to(image.resolve())
    return with_suffix


def _ends(jpeg: Path) -> bool:
    """Whether a JPEG ends as it should."""
    with open(jpeg, "rb") as stream:
        stream.seek(-2, os.SEEK_END)
        return stream.read() == b"\xff\xd9"


def _polygon_iou(points: NDArray[np.float64], runs: R.Runs, shape: R.Shape) -> float:
    """IoU between a mask and its polygon as ultralytics fills it."""
    import cv2

    x0, y0, x1, y1 = R.bounds(runs, shape[0])
    canvas = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(canvas, [(points - (x0, y0)).astype(np.int32)], 1)
    bitmap = R.to_bitmap(runs, shape, (x0, y0, x1, y1))
    filled = canvas.astype(np.bool_)
    return float((filled & bitmap).sum() / (filled | bitmap).sum())
