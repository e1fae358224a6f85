"""Files of masks and of what was kept: a folder for every run, unique names, and their end.

They lie in ``fastsam/DATASET/FIELD.DATABASE.RUN/SAMPLE/`` of FiftyOne's folder of datasets. Labels
hold their absolute paths, so that fields and datasets can be renamed and cloned; a file goes when
labels that named it were replaced and nothing in the database names it any more. What a kill leaves
behind is found by :mod:`fiftyone_plugin.tidy`.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam_plugins.io import atomic, npz
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import references
from fiftyone_plugin.documents import Document
from fiftyone_plugin.fiftyone_private import id_of

ATTRIBUTE = "fastsam"
"""Of a label of ours: ``run``, the name of its run, and ``kept``, the file that was kept, or None.

It goes where the labels go: with a field that is renamed, or a dataset that is cloned.
"""

OURS = re.compile(r".*/fastsam/[0-9a-f]{24}/[^/]+/[0-9a-f]{24}/[0-9a-f]{32}\.(png|npz)")


def root() -> Path:
    """The folder under which all files lie."""
    return Path(fo.config.default_dataset_dir).expanduser().absolute() / "fastsam"


class RunFiles:
    """The files that one run writes, and those that its labels replace.

    Parameters
    ----------
    dataset : fo.Dataset
    field : str
    """

    def __init__(self, dataset: fo.Dataset, field: str) -> None:
        self.run = uuid.uuid4().hex[:12]
        place = root() / str(id_of(dataset))
        self.folder = place / f"{field[:40]}.{references.identity()}.{self.run}"
        self._fresh: list[Path] = []  # no label that was saved names them yet
        self._replaced: set[Path] = set()

    def mask(self, sample: str, mask: NDArray[np.bool_]) -> str:
        """Write a mask of a sample, and give its path."""
        content = io.BytesIO()
        Image.fromarray(mask).save(content, "png")
        path = self._path(sample, ".png")
        atomic.write_bytes(path, content.getvalue(), flush=False)
        return str(path)

    def keep(self, sample: str, seg: Segmentation) -> str:
        """Write what prompts asked later need, and give its path."""
        path = self._path(sample, ".npz")
        npz.write(seg, path)
        return str(path)

    def _path(self, sample: str, suffix: str) -> Path:
        path = self.folder / sample / f"{uuid.uuid4().hex}{suffix}"
        self._fresh.append(path)
        return path

    def saved(self, replaced: Document | None) -> None:
        """The labels of the files written last were saved in place of others."""
        self._fresh.clear()
        self._replaced |= set(named(replaced))

    def not_saved(self) -> None:
        """The labels of the files written last were not: they go."""
        delete(self._fresh)
        self._fresh.clear()

    def undone(self) -> None:
        """All labels of this run were taken back."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._replaced.clear()

    def finish(self) -> None:
        """Delete files of labels that were replaced, unless something names them still."""
        there = [path for path in self._replaced if path.is_file()]
        self._replaced.clear()
        if there:
            used = references.used()
            delete(path for path in there if path.name not in used)


def named(label: Document | None) -> list[Path]:
    """Our files that a label's document names."""
    if label is None:
        return []
    objects = label.get("detections") or [label]
    own = label.get(ATTRIBUTE)
    paths: list[Any] = [one.get("mask_path") for one in objects if isinstance(one, dict)]
    paths.append(own.get("kept") if isinstance(own, dict) else None)
    return [Path(p) for p in paths if isinstance(p, str) and is_ours(p)]


def is_ours(path: str) -> bool:
    """Whether a path is one that this program gives to its files."""
    return OURS.fullmatch(Path(path).as_posix()) is not None


def delete(paths: Iterable[Path]) -> None:
    """Delete files, and the folders that they leave empty."""
    folders = set()
    for path in paths:
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    for folder in folders:
        with contextlib.suppress(OSError):  # not empty, or another process was faster
            folder.rmdir()
            folder.parent.rmdir()
            folder.parent.parent.rmdir()
