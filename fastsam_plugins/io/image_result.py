"""What was found in an image, with where it lies; as table rows and as a COCO dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.datasets.coco_writer import OBJECT, CocoWriter
from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.io.raster import Georeference
from fastsam_plugins.segmentation import Segmentation


@dataclass(frozen=True)
class ImageResult:
    """An image, where it came from, and what was found in it.

    Attributes
    ----------
    path : path
        The image's file.
    image : uint8 array (H, W, 3) or WindowedImage, optional
        What an overlay is drawn on; nothing else needs it.
    segmentation : Segmentation
        Scores that are NaN are not known.
    georeference : Georeference, optional
        Where the image's pixels lie.
    ids : sequence of N int, optional
        The number of each instance, in every format; 1 to N by default.
    plane : mapping of str to int
        Where the image lies in a stack: ``{"t": 0, "z": 3}``.
    extra : mapping of str to sequences of N
        Further columns. One of ``score``, ``stability``, ``box_leak`` or ``prompt`` says what the
        segmentation does not know (any more). ``text`` and ``similarity`` are what was asked for in
        words, and how well each instance fits it.
    """

    path: Path
    image: NDArray[np.uint8] | WindowedImage | None
    segmentation: Segmentation
    georeference: Georeference | None = None
    ids: Sequence[int] | None = None
    plane: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def numbers(self) -> list[int]:
        """The number of each instance."""
        given = range(1, 1 + len(self.segmentation)) if self.ids is None else self.ids
        return [int(i) for i in given]

    @property
    def captions(self) -> list[str]:
        """What each instance was asked for in words, and how well it fits; empty if it was not."""
        if "text" not in self.extra:
            return []
        both = zip(self.extra["text"], self.extra["similarity"], strict=True)
        return [f"{text} {similarity:.2f}" for text, similarity in both]


COLUMNS = (
    "image", "instance", "prompt", "score", "area", "stability", "box_leak", "x1", "y1", "x2", "y2"
)  # fmt: skip
MEASURED = ("image", "instance", "area", "area_m2", "x1", "y1", "x2", "y2")


def columns(result: ImageResult) -> dict[str, list[Any]]:
    """Values of all instances by name, None where not known.

    Always those of ``COLUMNS``: area and box are in pixels, ``instance`` is the number in label
    images. ``area_m2`` where the CRS is projected, axes of a stack, and what is extra come besides.
    """
    seg = result.segmentation
    areas = seg.areas.tolist()
    by_name: dict[str, list[Any]] = {
        "image": [result.path.name] * len(seg),
        "instance": result.numbers,
        "prompt": [p if p >= 0 else None for p in seg.prompts.tolist()],
        "score": [None if np.isnan(s) else s for s in seg.scores.tolist()],
        "area": areas,
        "stability": [_number(v) for v in seg.stability],
        "box_leak": [_number(v) for v in seg.box_leak],
        **{k: seg.boxes[:, n].tolist() for n, k in enumerate(("x1", "y1", "x2", "y2"))},
    }
    pixel = result.georeference.pixel_m2 if result.georeference else None
    if pixel is not None:
        by_name["area_m2"] = [a * pixel for a in areas]
    by_name |= {axis: [place] * len(seg) for axis, place in result.plane.items()}
    for name, values in result.extra.items():
        if name not in MEASURED:
            by_name[name] = list(values)
    return by_name


def names(paths: Sequence[Path]) -> list[str]:
    """What images are called in a file that holds several: alone by name, or with their folders.

    Of ``plate1/1.png`` and ``plate2/1.png`` that is all but the folder they have in common: images
    of one name stay apart.
    """
    if len({p.parent for p in paths}) <= 1:
        return [p.name for p in paths]
    full = [os.path.abspath(p) for p in paths]
    try:
        shared = os.path.commonpath([os.path.dirname(f) for f in full])
    except ValueError:  # on several drives
        return [Path(f).as_posix() for f in full]
    return [Path(os.path.relpath(f, shared)).as_posix() for f in full]


def table(results: Iterable[ImageResult]) -> list[dict[str, Any]]:
    """One row per instance: scores, area in pixels, box; the instance's number in label images."""
    rows: list[dict[str, Any]] = []
    paths: list[Path] = []
    for result in results:
        by_name = columns(result)
        each = zip(*by_name.values(), strict=True)
        rows += [dict(zip(by_name, values, strict=True)) for values in each]
        paths += [result.path] * (len(rows) - len(paths))
    # As is said of planes and layers, a result may have a name of its own.
    for row, path, name in zip(rows, paths, names(paths), strict=True):
        if row["image"] == path.name:
            row["image"] = name
    return rows


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def coco(results: Iterable[ImageResult]) -> dict[str, Any]:
    """Results as a COCO dataset: one category, or one of each text that was asked for.

    Detector confidence is each annotation's ``score``, and CLIP's ``similarity`` another number.

    An annotation's id is the instance's number where there is one image, and counts on where there
    are several, as ids must differ; ``instance`` is the number in either case.
    """
    writer = CocoWriter()
    paths: list[Path] = []
    for result in results:
        seg = result.segmentation
        paths.append(result.path)
        image = writer.add_image(result.path.name, seg.shape, **result.plane)
        boxes = seg.tight_boxes().tolist()
        scores = columns(result)["score"]
        texts = result.extra.get("text", [OBJECT] * len(seg))
        similarity = result.extra.get("similarity")
        for i, (mask, instance) in enumerate(zip(seg.rles(), result.numbers, strict=True)):
            x0, y0, x1, y1 = boxes[i]
            more = {} if similarity is None else {"similarity": similarity[i]}
            writer.add_annotation(
                image, mask, seg.areas[i], (x0, y0, x1 - x0, y1 - y0), texts[i],
                score=scores[i], instance=instance, **more,
            )  # fmt: skip
    content = writer.content()
    for image_record, name in zip(content["images"], names(paths), strict=True):
        image_record["file_name"] = name
    if len(paths) == 1:
        for annotation in content["annotations"]:
            annotation["id"] = annotation["instance"]
    return content
