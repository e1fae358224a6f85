"""Where labels come from: COCO JSON, SA-1B folders, images with label images, other programs.

Every source gives :class:`Labelled` images, whose masks may overlap, nest, have holes and parts.
What other programs hold is read by the entry points of group ``fastsam_plugins.labels``: functions
that take a name and give the images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

from fastsam_plugins.datasets import coco, label_folders, label_images
from fastsam_plugins.masks import runs as R
from fastsam_plugins.messages import install
from fastsam_plugins.options import DataOptions, LabelKind

MISSING = "images whose file is missing"


@dataclass
class Labelled:
    """One image with its instances.

    Attributes
    ----------
    image : path
    shape : (H, W)
    masks : list of run arrays
    kind : str
        What the image is of, where the data say so (COCO field ``images.source``, unless every
        image has another).
    dropped : Counter
        How many instances were left out, by reason.
    beside : Counter
        What of the whole file belongs to no image, by reason; told with its first image.
    read_as : str
        How its label image was read; empty where there is none.
    labels : list of path
        The files that its instances were read from.
    exhaustive : bool
        Whether every object is labelled; else what is not labelled is unknown.
    """

    image: Path
    shape: R.Shape
    masks: list[R.Runs] = field(default_factory=list)
    kind: str = ""
    dropped: Counter[str] = field(default_factory=Counter)
    beside: Counter[str] = field(default_factory=Counter)
    read_as: str = ""
    labels: list[Path] = field(default_factory=list)
    exhaustive: bool = True

    @property
    def files(self) -> list[Path]:
        """All that is read of it: nothing may be written there."""
        return [self.image, *self.labels]

    def keep(self, mask: R.Runs) -> None:
        """Add an instance; one without pixels is counted as dropped."""
        if len(mask):
            self.masks.append(mask)
        else:
            self.dropped["empty masks"] += 1


_DEFAULT = DataOptions()


def read(data: str | Path, options: DataOptions = _DEFAULT) -> Iterator[Labelled]:
    """Read a COCO JSON, an SA-1B folder, a folder of images and label images, or ``PROGRAM:NAME``.

    An image whose file is missing is given all the same: who needs the file finds out.

    Parameters
    ----------
    data : path or name
        See :mod:`fastsam_plugins.datasets.label_folders` for folders of label images.
    options : DataOptions

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
            raise ValueError(f"{data} needs {program} ({error}): {install(program)}") from None
        labelled: Iterator[Labelled] = reader(name)
        return labelled
    data = Path(data)
    images = Path(options.images).expanduser() if options.images else None
    if images is not None and not images.is_dir():
        raise ValueError(f"there is no folder {images}, where the images are to be")
    if data.is_file():
        return _coco(data, images)
    if not data.is_dir():
        raise ValueError(f"there is no {data}")
    if files := _coco_files(data):
        if len(files) > 1:
            raise ValueError(f"{data} holds {', '.join(f.name for f in files)}: name one of them")
        return _coco(files[0], images)
    pairs = label_folders.find(data)
    if pairs is not None:
        return _label_images(pairs, options.labels)
    if files := sorted(data.glob("*.json")):
        return _sa1b(files, images or data)
    raise ValueError(
        f"{data} holds no labels: give a COCO JSON, a folder of SA-1B (an image and a JSON each), "
        "a folder with images/ and labels/ or masks/, or one of a.png and a_masks.png"
    )


def _coco_files(folder: Path) -> list[Path]:
    """The COCO files of a dataset: beside its images, or in ``annotations/``."""
    beside = [folder / n for n in ("instances.json", "_annotations.coco.json")]
    files = [p for p in beside if p.is_file()]
    return files or sorted((folder / "annotations").glob("instances*.json"))


def image_places(path: Path, images: Path | None) -> list[Path]:
    """Folders in which the images of a COCO file may lie."""
    if images is not None:
        return [images]
    root = path.parent
    split = path.stem.removeprefix("instances_")
    above = [root.parent / split, root.parent / "images" / split, root.parent / "images"]
    return [root, root / "images", *(above if root.name == "annotations" else [])]


def _coco(path: Path, folder: Path | None = None) -> Iterator[Labelled]:
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
    places = image_places(path, folder)
    # Where each image has a source of its own, as its address, that says nothing of its kind.
    same_kind = len({image.kind for image, _ in images}) == len(images)
    for image, regions in images:
        tried = [place / image.name for place in places]
        place = next((p for p in tried if is_file(p)), tried[0])
        labelled = _labelled(place, image, regions, path)
        labelled.exhaustive = content.exhaustive
        labelled.kind = "" if same_kind else image.kind
        labelled.beside, left_out = left_out, Counter()
        yield labelled


def _sa1b(files: list[Path], folder: Path) -> Iterator[Labelled]:
    for path in files:
        content = coco.read_single(path)
        if not content.image.name:
            raise ValueError(f"{path}: image has no file_name")
        yield _labelled(folder / content.image.name, content.image, content.annotations, path)


def _labelled(
    place: Path, image: coco.Image, regions: Sequence[coco.Region], path: Path
) -> Labelled:
    out = Labelled(place, image.shape, labels=[path])
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


def _label_images(pairs: label_folders.Pairs, labels: LabelKind) -> Iterator[Labelled]:
    beside = pairs.beside
    for image, paths in pairs.matched:
        if image in pairs.apart:
            label_image = label_images.read_parts(paths)
        else:
            label_image = label_images.read(paths[0], labels)
        out = Labelled(
            image, label_image.shape, beside=beside, read_as=str(label_image), labels=paths
        )
        beside = Counter()
        for mask in label_image.masks:
            out.keep(mask)
        yield out


def told(labelled: Iterable[Labelled]) -> str:
    """What was read of label images, and what was left out; empty if there is nothing to say."""
    read_as, left_out = Counter[str](), Counter[str]()
    for item in labelled:
        read_as[item.read_as] += 1
        left_out += item.dropped + item.beside
    return summary(read_as, left_out)


def summary(read_as: Counter[str], left_out: Counter[str]) -> str:
    """The same of what was counted."""
    parts = []
    if as_labels := [f"{n} as {how}" for how, n in read_as.items() if how]:
        parts.append("label images read: " + ", ".join(as_labels))
    if left_out:
        parts.append("left out: " + ", ".join(f"{n} {why}" for why, n in left_out.items()))
    return "; ".join(parts)
