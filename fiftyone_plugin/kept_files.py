"""What was kept of the images of a field, found by what the labels themselves say."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import fiftyone as fo
import numpy as np

from fastsam_plugins import kept
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import documents, references
from fiftyone_plugin.documents import Document
from fiftyone_plugin.mask_files import ATTRIBUTE, root

OLD = "kept.npz"
"""Earlier versions kept by place alone, in ``fastsam/DATASET/FIELD/SAMPLE/``."""


class Kept:
    """What was kept of the samples of a field.

    Parameters
    ----------
    dataset : fo.Dataset
    field : str
    """

    def __init__(self, dataset: fo.Dataset, field: str) -> None:
        self.dataset, self.field = dataset, field
        first = root() / str(dataset._doc.id) / field
        # A field may have been renamed or cloned since, or its dataset cloned.
        others = (f for f in root().glob("*/*") if "." not in f.name and f != first)
        self._old = [first, *sorted(others)]

    def segmentation(self, sample: str) -> Segmentation | None:
        """What was kept of a sample for the labels that it has; None if nothing can be used."""
        label = documents.light(self.dataset, self.field, [sample]).get(sample)
        if label is None:
            return None
        if ATTRIBUTE in label:
            own = label[ATTRIBUTE]
            path = own.get("kept") if isinstance(own, dict) else None
            return _read(Path(path)) if isinstance(path, str) else None
        for folder in self._old:
            path = folder / sample / OLD
            if path.is_file() and fits(label, path):
                return _read(path)
        return None


def _read(path: Path) -> Segmentation | None:
    """What a file holds; a file that is gone or damaged costs a look at the image."""
    try:
        return kept.read(path)
    except ValueError:
        return None


def fits(label: Document, path: Path) -> bool:
    """Whether an old file was kept of the instances of a label: their scores are the detector's."""
    try:
        with np.load(path, allow_pickle=False) as content:
            scores = set(content["scores"].tolist())
    except Exception:  # whatever a damaged archive raises: it is kept of nothing
        return False
    found = {one.get("confidence") for one in documents.objects(label)}
    return bool(found) and found <= scores


def unused(paths: Collection[Path]) -> list[Path]:
    """Which of some old files no label of the database can be prompted by any more."""
    left: dict[str, list[Path]] = {}
    for path in paths:
        left.setdefault(path.parent.name, []).append(path)
    for sample, label in references.labels(left):
        if _is_old(label):
            left[sample] = [path for path in left[sample] if not fits(label, path)]
    return [path for found in left.values() for path in found]


def _is_old(label: Document) -> bool:
    lists = ("detections", "polylines")
    return ATTRIBUTE not in label and any(isinstance(label.get(n), list) for n in lists)
