"""Where labels come from: COCO JSON, SA-1B folders, images with label images, other programs.

Every source gives :class:`Labelled` images, whose masks may overlap, nest, have holes and parts.
What other programs hold is read by the entry points of group ``fastsam_plugins.labels``: functions
that take a name and give the images.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import polygons
from fastsam_plugins.masks import runs as R

IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
LABEL_FOLDERS = ("labels", "masks", "label", "mask")


@dataclass
class Labelled:
    """One image with its instances.

    Attributes
    ----------
    image : path
    shape : (H, W)
    masks : list of run arrays
    kind : str
        What the image is of, where the source says so (COCO field ``images.source``).
    dropped : Counter
        How many instances were left out, by reason.
    """

    image: Path
    shape: R.Shape
    masks: list[R.Runs] = field(default_factory=list)
    kind: str = ""
    dropped: Counter[str] = field(default_factory=Counter)

    def keep(self, mask: R.Runs) -> None:
        """Add an instance; one without pixels is counted as dropped."""
        if len(mask):
            self.masks.append(mask)
        else:
            self.dropped["empty masks"] += 1


def read(data: str | Path) -> Iterator[Labelled]:
    """Read a COCO JSON, an SA-1B folder, a folder with ``images/`` and ``labels/``, or
    ``PROGRAM:NAME``.

    An image whose file is missing is given all the same: who needs the file finds out.

    Raises
    ------
    ValueError
        If the data is none of these, or the program is not installed.
    """
    program, colon, name = str(data).partition(":")
    if colon and program in (readers := entry_points(group="fastsam_plugins.labels")).names:
        try:
            reader = readers[program].load()
        except ImportError as error:
            raise ValueError(
                f"{data} needs {program} ({error}): pip install 'fastsam-plugins[{program}]'"
            ) from None
        found: Iterator[Labelled] = reader(name)
        return found
    data = Path(data)
    if data.is_file():
        return _coco(data)
    if not data.is_dir():
        raise ValueError(f"there is no {data}")
    if (data / "instances.json").is_file():
        return _coco(data / "instances.json")
    labels = next((data / n for n in LABEL_FOLDERS if (data / n).is_dir()), None)
    if (data / "images").is_dir() and labels is not None:
        return _label_images(data / "images", labels)
    files = sorted(data.glob("*.json"))
    if files:
        return _sa1b(files)
    raise ValueError(
        f"{data} holds no labels: give a COCO JSON, a folder of SA-1B (an image and a JSON each), "
        "or a folder with images/ and labels/"
    )


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def _coco(path: Path) -> Iterator[Labelled]:
    content = _load(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise ValueError(f"{path} is not a COCO instance file: it has no images or annotations")
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation.get("image_id")].append(annotation)
    for image in content["images"]:
        name = Path(image["file_name"])
        beside = path.parent / name
        yield _labelled(
            path.parent / "images" / name if not beside.is_file() else beside,
            (int(image["height"]), int(image["width"])),
            by_image[image["id"]],
            str(image.get("source", "")),
        )


def _sa1b(files: list[Path]) -> Iterator[Labelled]:
    for path in files:
        content = _load(path)
        if not isinstance(content, dict) or not {"image", "annotations"} <= content.keys():
            raise ValueError(f"{path} is not of SA-1B: it has no image or annotations")
        image = content["image"]
        shape = (int(image["height"]), int(image["width"]))
        yield _labelled(path.parent / image["file_name"], shape, content["annotations"])


def _labelled(
    image: Path, shape: R.Shape, annotations: list[dict[str, Any]], kind: str = ""
) -> Labelled:
    out = Labelled(image, shape, kind=kind)
    for annotation in annotations:
        if annotation.get("iscrowd"):
            out.dropped["crowd regions"] += 1
            continue
        try:
            runs = polygons.decode_segmentation(annotation["segmentation"], shape)
        except (KeyError, ValueError):
            out.dropped["masks that do not fit their image"] += 1
            continue
        out.keep(runs)
    return out


def _label_images(images: Path, labels: Path) -> Iterator[Labelled]:
    by_stem = {p.stem: p for p in sorted(labels.iterdir()) if p.suffix.lower() in IMAGES}
    for image in sorted(images.iterdir()):
        if image.suffix.lower() not in IMAGES or image.stem not in by_stem:
            continue
        label = _read_labels(by_stem[image.stem])
        out = Labelled(image, label.shape)
        for mask in R.from_labels(label).values():
            out.keep(mask)
        yield out


def _read_labels(path: Path) -> NDArray[np.integer]:
    """A label image (H, W): every value but 0 is an instance.

    An image of one value is a foreground mask, whose connected parts are the instances; so is one
    that is white with soft edges, and a JPEG, whose values are not exact.
    """
    from skimage.measure import label

    from fastsam_plugins.files import read_values

    values = read_values(path)
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise ValueError(f"{path} is not a label image: it needs one whole number per pixel")
    lossy = path.suffix.lower() in (".jpg", ".jpeg") or (
        values.dtype == np.uint8 and values.max() > 127 and np.median(values[values > 127]) >= 250
    )
    foreground = values > 127 if lossy else values != 0
    if lossy or len(np.unique(values[foreground])) <= 1:
        return np.asarray(label(foreground))
    return values
