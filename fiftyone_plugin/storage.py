"""Where a field's masks are put: the database, PNG files or outlines; and what prompts need later.

Files are written before the labels that name them are saved, and deleted after: a kill leaves
nothing broken. Where they lie, and when they go, is :mod:`fiftyone_plugin.mask_files`' affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.parameters import Options, option
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import documents, kept_files, labels
from fiftyone_plugin.documents import Document
from fiftyone_plugin.fiftyone_private import id_of
from fiftyone_plugin.mask_codec import packed
from fiftyone_plugin.mask_files import ATTRIBUTE, RunFiles, delete, root

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
    iou_pred: bool = option(
        False,
        "Say of every instance of the network what IoU with an object its mask is expected to have",
    )


class Store:
    """The labels that one run writes to a field of a dataset.

    Parameters
    ----------
    dataset : fo.Dataset
    field : str
    options : StoreOptions
    """

    def __init__(self, dataset: fo.Dataset, field: str, options: StoreOptions) -> None:
        self.files = RunFiles(dataset, field)
        self.options = options
        self._old = root() / str(id_of(dataset)) / field
        self._replaced_old: list[Path] = []
        self.how: Document = {}  # what is kept was found: model and settings

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
        crowds: Sequence[bool] | None = None,
    ) -> Document:
        """Write what a sample's instances need on disk, and make the label.

        Parameters
        ----------
        sample : str
            Id of the sample.
        seg : Segmentation
        names, sources, similarity, crowds : optional
            See :func:`fiftyone_plugin.labels.instances`.
        """
        kept = self.files.keep(sample, seg) if self.options.keep else None
        instances = list(
            labels.instances(
                seg,
                names,
                sources,
                similarity=similarity,
                crowds=crowds,
                iou_pred=seg.iou_pred if self.options.iou_pred else None,
            )
        )
        label = documents.label(self.kind, self._objects(sample, instances))
        how = {"how": self.how} if kept and self.how else {}
        return label | {ATTRIBUTE: {"run": self.files.run, "kept": kept, **how}}

    def _objects(self, sample: str, instances: list[labels.Instance]) -> list[Document]:
        if self.options.storage == "polylines":
            return [documents.polyline(one) for one in instances]
        if self.options.storage != "files":
            masks = [packed(one.mask) for one in instances]
            if self.options.storage == "database" or sum(map(len, masks)) < LIMIT:
                return [
                    documents.detection(one, mask)
                    for one, mask in zip(instances, masks, strict=True)
                ]
        return [documents.detection(one, self.files.mask(sample, one.mask)) for one in instances]

    def saved(self, sample: str, replaced: Document | None) -> None:
        """The label made last was saved in place of another, if there was one."""
        self.files.saved(replaced)
        if replaced and ATTRIBUTE not in replaced:
            self._replaced_old.append(self._old / sample / kept_files.OLD)

    def finish(self) -> None:
        """Delete what labels that were replaced had, unless others have it too."""
        self.files.finish()
        old = [path for path in self._replaced_old if path.is_file()]
        self._replaced_old.clear()
        if old:
            delete(kept_files.unused(old))
