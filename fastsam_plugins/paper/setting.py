"""What experiments are run with: a network, data, and where pictures go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fastsam_plugins.datasets.coco import Record
from fastsam_plugins.datasets.sources import Labelled, read
from fastsam_plugins.evaluation.files import image_name, read_sized, without
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.masks import runs as R
from fastsam_plugins.model import FastSAM
from fastsam_plugins.options import TextOptions

SPECK = 20  # pixels: connected parts of a truth that are smaller are no objects


class Missing(Exception):
    """Why something of the paper cannot be measured here, and what would be needed."""


@dataclass(frozen=True)
class Setting:
    """What experiments are run with.

    Attributes
    ----------
    model : FastSAM
    data : path or None
        A folder with a folder for each data set; see :meth:`folder`.
    pictures : path
        Folder that pictures are written to.
    limit : int or None
        Most images of each data set.
    peers : tuple of str
        Other networks whose running time is measured beside.
    clip : str
        The CLIP that text prompts are compared by; see ``TextOptions.clip``.
    progress : callable
        Given a label and a number, wraps an iteration over so many.
    """

    model: FastSAM
    data: Path | None
    pictures: Path
    limit: int | None = None
    peers: tuple[str, ...] = ()
    clip: str = TextOptions().clip
    progress: Callable[[str, int], Callable[[Iterable[Any]], Iterable[Any]]] = field(
        default=lambda *_: iter
    )

    def folder(self, *names: str) -> Path:
        """The first of these folders of data that is there.

        Raises
        ------
        Missing
            If none is.
        """
        for name in names:
            if self.data is not None and (self.data / name).is_dir():
                return self.data / name
        where = "a folder --data" if self.data is None else str(self.data.name)
        raise Missing(f"there is no {' or '.join(f'`{n}/`' for n in names)} in {where}")

    def instances(self, *names: str) -> Path:
        """The COCO file in the first such folder, beside its ``images/``.

        Raises
        ------
        Missing
            If there is none.
        """
        folder = self.folder(*names)
        if not (folder / "instances.json").is_file():
            raise Missing(f"`{folder.name}/` needs `instances.json` and `images/`")
        return folder / "instances.json"

    def labelled(self, *names: str) -> Data:
        """The labelled images in the first such folder, as many as are asked for.

        Those that cannot be read, or have another size than their labels, are left out of all.

        Raises
        ------
        Missing
            If there is no such folder, or no object in it.
        """
        folder = self.folder(*names)
        given = list(read(folder))[: self.limit]
        failed = self.unusable((item.image, item.shape) for item in given)
        kept = [item for item in given if item.image not in failed]
        missing = left_out(failed, len(given))
        _check_objects(folder, any(item.masks for item in kept), missing)
        return Data(folder.name, kept, missing)

    def usable(self, whole: Record, file: Path) -> tuple[Record, list[str]]:
        """Of a COCO file that was read as many images as are asked for, and what was left out.

        As :meth:`labelled`; images lie in ``images/`` beside the file.
        """
        given = whole["images"][: self.limit]
        folder = file.parent / "images"
        failed = self.unusable(
            (folder / image_name(i), (int(i["height"]), int(i["width"]))) for i in given
        )
        kept = without({**whole, "images": given}, folder, failed)
        missing = left_out(failed, len(given))
        _check_objects(file.parent, any(not a.get("iscrowd") for a in kept["annotations"]), missing)
        return kept, missing

    def unusable(self, images: Iterable[tuple[Path, R.Shape]]) -> dict[Path, str]:
        """Why images that should have a size (H, W) cannot be used."""
        failed = {}
        for path, shape in images:
            try:
                read_sized(path, shape, self.model.limits)
            except (ImageError, OSError) as error:
                failed[path] = " ".join(str(error).split())
        return failed


class Data(NamedTuple):
    """Labelled images of a folder, its name, and what was left out."""

    name: str
    labelled: list[Labelled]
    missing: list[str]


def left_out(failed: Mapping[Path, str], of: int) -> list[str]:
    """How many images of some cannot be used, as a list of one line; empty if all can."""
    if not failed:
        return []
    first = next(iter(failed.values()))
    return [f"{len(failed)} of {of} images, which cannot be used; the first: {first}"]


def _check_objects(folder: Path, some: bool, missing: list[str]) -> None:
    if not some:
        raise Missing("; ".join([f"`{folder.name}/` has no labelled object", *missing]))


def without_specks(labelled: Sequence[Labelled]) -> list[Labelled]:
    """The same images; of each mask only connected parts of some pixels, as instances each."""
    import numpy as np
    from scipy import ndimage

    kept = []
    for item in labelled:
        clean = Labelled(item.image, item.shape, kind=item.kind)
        for mask in item.masks:
            parts, count = ndimage.label(R.to_bitmap(mask, item.shape), np.ones((3, 3)))
            sizes = np.bincount(parts.ravel(), minlength=count + 1)
            for part in (np.flatnonzero(sizes[1:] >= SPECK) + 1).tolist():
                clean.keep(R.from_bitmap(parts == part))
        kept.append(clean)
    return kept
