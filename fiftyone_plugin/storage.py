"""Where a field's masks are put: the database, PNG files or outlines; and what prompts need later.

Files lie in one folder for each sample and field, under FiftyOne's folder of datasets. What a
sample no longer refers to is deleted after the sample was saved: a kill leaves nothing broken, and
overwriting leaves nothing behind.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam_plugins import kept
from fastsam_plugins.options import Options, option
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import documents, labels
from fiftyone_plugin.documents import Document
from fiftyone_plugin.packing import packed

KEPT = "kept.npz"
LIMIT = 12_000_000
"""Bytes of masks in one sample. MongoDB refuses 16 MB, and the sample may hold other fields."""


@dataclass(frozen=True)
class StoreOptions(Options):
    """How a field's instances are stored."""

    storage: Literal["auto", "database", "files", "polylines"] = option(
        "auto",
        "Masks in the database, as PNG files, or as outlines (which blur holes); auto is the "
        "database, and files for an image whose masks would outgrow it",
    )
    keep: bool = option(
        True, "Keep what later prompts need on disk: they then ask no network (some MB per image)"
    )


class Store:
    """The labels of one field of a dataset.

    Parameters
    ----------
    dataset : fo.Dataset
    field : str
    options : StoreOptions
    """

    def __init__(self, dataset: fo.Dataset, field: str, options: StoreOptions) -> None:
        root = Path(fo.config.default_dataset_dir) / "fastsam" / str(dataset._doc.id)
        self.folder = root / field
        self.options = options

    @property
    def kind(self) -> type[fo.Detections] | type[fo.Polylines]:
        """The kind of field that is written."""
        return fo.Polylines if self.options.storage == "polylines" else fo.Detections

    def put(
        self,
        sample: str,
        seg: Segmentation,
        names: Sequence[str] | None = None,
        sources: Sequence[str] | None = None,
        similarity: NDArray[np.float32] | None = None,
    ) -> list[Document]:
        """Write what a sample's instances need on disk, and make their labels.

        Parameters
        ----------
        sample : str
            Id of the sample.
        seg : Segmentation
        names, sources, similarity : optional
            See :func:`fiftyone_plugin.labels.instances`.
        """
        if self.options.keep:
            kept.write(seg, self.folder / sample / KEPT)
        found = list(labels.instances(seg, names, sources, similarity=similarity))
        if self.options.storage == "polylines":
            return [documents.polyline(f) for f in found]
        if self.options.storage != "files":
            masks = [packed(f.mask) for f in found]
            if self.options.storage == "database" or sum(map(len, masks)) < LIMIT:
                return [documents.detection(f, m) for f, m in zip(found, masks, strict=True)]
        return [documents.detection(f, self._file(sample, f)) for f in found]

    def _file(self, sample: str, found: labels.Instance) -> str:
        """Write the mask of an instance."""
        path = self.folder / sample / f"{uuid.uuid4().hex}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(found.mask).save(path)
        return str(path)

    def tidy(self, sample: str, saved: Sequence[Document]) -> None:
        """Delete the sample's files that its labels, as they were saved, do not refer to."""
        used = {Path(d["mask_path"]).name for d in saved if d.get("mask_path")}
        if self.options.keep:
            used.add(KEPT)
        folder = self.folder / sample
        for file in folder.iterdir() if folder.is_dir() else ():
            if file.name not in used:
                file.unlink()

    def segmentation(self, sample: str) -> Segmentation | None:
        """What was kept of a sample; None if nothing was."""
        path = self.folder / sample / KEPT
        return kept.read(path) if path.is_file() else None
