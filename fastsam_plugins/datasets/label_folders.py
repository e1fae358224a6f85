"""Which label image belongs to which image, in the layouts of folders that people have.

- ``images/a.png`` with ``labels/a.png`` or ``masks/a.png``, as StarDist; folders within them alike;
- ``a.png`` with ``a_masks.png``, in one folder or two, as cellpose;
- ``images/a.png`` with a folder ``masks/a/`` of one mask each, and ``a/images/a.png`` with
  ``a/masks/*.png``, as the Data Science Bowl 2018.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
LABELS = (*IMAGES, ".gif", ".npy")
FOLDERS = ("labels", "masks", "label", "mask")
_AFTER = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_instances")
_AFTER_IMAGES = ("_img", "_image")


@dataclass
class Pairs:
    """Images with their label images.

    Attributes
    ----------
    matched : list of (path, list of paths)
        An image and its label image, or images of one mask each.
    apart : set of path
        The images whose masks are a file each.
    beside : Counter
        What was left out, by reason.
    """

    matched: list[tuple[Path, list[Path]]] = field(default_factory=list)
    apart: set[Path] = field(default_factory=set)
    beside: Counter[str] = field(default_factory=Counter)


def find(folder: Path) -> Pairs | None:
    """The images of a folder with their label images; None if it is no such folder.

    Raises
    ------
    ValueError
        If no image has a label image, or one has two.
    """
    labels = label_folder(folder)
    if labels is not None:
        return _pair(folder / "images", labels)
    inside = [f for f in _folders(folder) if label_folder(f) is not None]
    if inside:
        every = Pairs()
        for one in inside:
            pairs = _pair(one / "images", label_folder(one) or one)
            every.matched += pairs.matched
            every.apart |= pairs.apart
            every.beside += pairs.beside
        return every
    if any(_plain(p.stem) != p.stem for p in _files(folder, LABELS)):
        return _pair(folder, folder)
    return None


def label_folder(folder: Path) -> Path | None:
    """The folder of label images beside ``images/``."""
    if not (folder / "images").is_dir():
        return None
    return next((folder / n for n in FOLDERS if (folder / n).is_dir()), None)


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Image files in a folder and those within it, hidden ones left out."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in endings and not hidden and path.is_file():
            yield path


def _plain(stem: str, after: tuple[str, ...] = _AFTER) -> str:
    """The name of a label image without what says that it is one."""
    ending = next((e for e in after if stem.endswith(e) and stem != e), "")
    return stem.removesuffix(ending)


def _pair(images: Path, labels: Path) -> Pairs:
    together = images == labels
    by_name: dict[PurePath, list[Path]] = defaultdict(list)
    for path in _files(labels, LABELS):
        place, plain = path.relative_to(labels).parent, _plain(path.stem)
        if together and plain == path.stem:
            continue
        by_name[place / path.stem].append(path)
        if plain != path.stem:
            by_name[place / plain].append(path)
    pairs, used = Pairs(), set[Path]()
    for image in _files(images, IMAGES):
        name = image.relative_to(images).parent / image.stem
        if together and _plain(image.stem) != image.stem:
            continue
        own = by_name.get(name) or by_name.get(name.with_name(_plain(image.stem, _AFTER_IMAGES)))
        masks = [] if own or together else _masks_of(image, name, images, labels)
        if not own and not masks:
            pairs.beside["images without a label file"] += 1
            continue
        if masks:
            pairs.apart.add(image)
        else:
            assert own is not None
            masks = [_one(own, image)]
        used.update(masks)
        pairs.matched.append((image, masks))
    left = {p for paths in by_name.values() for p in paths} - used
    if left:
        pairs.beside["label files without an image"] = len(left)
    if not pairs.matched:
        said = ", ".join(f"{n} {why}" for why, n in pairs.beside.items()) or "no image at all"
        raise ValueError(
            f"{images} and {labels} have no name in common ({said}): images/a.png belongs to a "
            f"label image {labels.name}/a.png or a_masks.png, or to a folder {labels.name}/a of "
            "masks"
        )
    return pairs


def _masks_of(image: Path, name: PurePath, images: Path, labels: Path) -> list[Path]:
    """Files of one mask each: in a folder that is named as the image, or all there are."""
    folder = labels / name
    if folder.is_dir():
        return list(_files(folder, LABELS))
    if image.stem == images.parent.name and len(list(_files(images, IMAGES))) == 1:
        return list(_files(labels, LABELS))
    return []


def _one(paths: list[Path], image: Path) -> Path:
    """The label image of an image."""
    if len(paths) == 1:
        return paths[0]
    same = [p for p in paths if p.name == image.name]
    if len(same) == 1:
        return same[0]
    raise ValueError(f"{paths[0]} and {paths[1]} are both named as {image}: keep one of them")
