"""Where labels come from: COCO JSON, SA-1B folders, images with label images, other programs.

Every source gives :class:`Labelled` images, whose masks may overlap, nest, have holes and parts.
What other programs hold is read by the entry points of group ``fastsam_plugins.labels``: functions
that take a name and give the images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.datasets import coco
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
    beside : Counter
        What of the whole file belongs to no image, by reason; told with its first image.
    """

    image: Path
    shape: R.Shape
    masks: list[R.Runs] = field(default_factory=list)
    kind: str = ""
    dropped: Counter[str] = field(default_factory=Counter)
    beside: Counter[str] = field(default_factory=Counter)

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


def _coco(path: Path) -> Iterator[Labelled]:
    content = coco.read(path)
    by_image: dict[coco.Id, list[coco.Region]] = defaultdict(list)
    for annotation in content.annotations:
        by_image[annotation.image_id].append(annotation)
    given = set()
    left_out = Counter[str]()
    images = []
    for i, image in enumerate(content.images):
        if not image.name:
            raise ValueError(f"{path}: images[{i}] has no file_name")
        if image.id in given or image.id is None:
            left_out["images that have the id of another"] += 1
            continue
        given.add(image.id)
        images.append((image, by_image.pop(image.id, [])))
    if strange := sum(map(len, by_image.values())):
        left_out["instances of images that are not listed"] = strange
    for image, regions in images:
        beside = path.parent / image.name
        place = beside if is_file(beside) else path.parent / "images" / image.name
        found = _labelled(place, image, regions)
        found.beside, left_out = left_out, Counter()
        yield found


def _sa1b(files: list[Path]) -> Iterator[Labelled]:
    for path in files:
        content = coco.read_single(path)
        if not content.image.name:
            raise ValueError(f"{path}: image has no file_name")
        yield _labelled(path.parent / content.image.name, content.image, content.annotations)


def _labelled(place: Path, image: coco.Image, regions: Sequence[coco.Region]) -> Labelled:
    out = Labelled(place, image.shape, kind=image.kind)
    for region in regions:
        if region.iscrowd:
            out.dropped["crowd regions"] += 1
            continue
        try:
            runs = region.mask(image.shape)
        except ValueError:
            out.dropped["masks that do not fit their image"] += 1
            continue
        out.keep(runs)
    return out


def is_file(path: Path) -> bool:
    """Whether a file is there; none has a name that the system does not take."""
    try:
        return path.is_file()
    except OSError:
        return False


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
