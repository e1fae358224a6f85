"""What was kept of the images of a field, found by what the labels themselves say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np

from fastsam_plugins.io import npz
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import documents, references
from fiftyone_plugin.documents import Document
from fiftyone_plugin.fiftyone_private import id_of
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
        self.asked: Mapping[str, Any] = {}
        first = root() / str(id_of(dataset)) / field
        # A field may have been renamed or cloned since, or its dataset cloned.
        others = (f for f in root().glob("*/*") if "." not in f.name and f != first)
        self._old = [first, *sorted(others)]

    def ask(self, view: fo.Dataset | fo.DatasetView, asked: Mapping[str, Any]) -> None:
        """Say with which settings the images are to be looked at.

        Raises
        ------
        ValueError
            If what was kept of the samples of a view was found with others, and it cannot be told
            from it what these would find.
        """
        path = f"{self.field}.{ATTRIBUTE}.how"
        for how in documents.different(view, path):
            # Earlier versions had no such thing; and what is diverse has no confidence any more.
            diverse = how.get("diverse", 0.0)
            for name, value in asked.items():
                known = diverse if name == "diverse" else how.get(name, value)
                if known != value and (diverse or not _is_part(name, value, known)):
                    raise ValueError(
                        f"{self.field} was kept with {name} {known}, and {value} is asked for: "
                        f"{_cure('' if diverse else name, known)}, or prompt without kept proposals"
                    )
        self.asked = asked

    def segmentation(self, sample: str) -> Segmentation | None:
        """What was kept of a sample for the labels that it has; None if nothing can be used."""
        seg = self._all(sample)
        if seg is None or not self.asked:
            return seg
        conf = self.asked.get("conf")
        if conf is not None and len(seg) and conf < seg.scores.min() and self._how(sample) is None:
            return None  # kept by an earlier version, which did not say how
        least = 0 if (self._how(sample) or {}).get("diverse") else conf or 0
        wanted = seg.filter(min_score=least, min_area=self.asked.get("min_area") or 0)
        return wanted[: self.asked.get("max_det") or len(wanted)]

    def _how(self, sample: str) -> Any:
        label = documents.light(self.dataset, self.field, [sample]).get(sample) or {}
        own = label.get(ATTRIBUTE)
        return own.get("how") if isinstance(own, dict) else None

    def _all(self, sample: str) -> Segmentation | None:
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


def _is_part(name: str, asked: Any, kept: Any) -> bool:
    """Whether what a setting would find is a part of what was kept with another value."""
    if name in ("conf", "min_area"):
        return bool(asked >= kept)
    return bool(name == "max_det" and asked <= kept)


def _cure(name: str, kept: Any) -> str:
    if name in ("conf", "min_area"):
        return f"what is below is not there; choose {kept} or more"
    if name == "max_det":
        return f"choose {kept} or less"
    return f"choose {kept}"


def _read(path: Path) -> Segmentation | None:
    """What a file holds; a file that is gone or damaged costs a look at the image."""
    try:
        return npz.read(path)
    except ValueError:
        return None


def fits(label: Document, path: Path) -> bool:
    """Whether an old file was kept of the instances of a label: their scores are the detector's."""
    try:
        with np.load(path, allow_pickle=False) as content:
            scores = set(content["scores"].tolist())
    except Exception:  # whatever a damaged archive raises: it is kept of nothing
        return False
    confidences = {one.get("confidence") for one in documents.objects(label)}
    return bool(confidences) and confidences <= scores


def unused(paths: Collection[Path]) -> list[Path]:
    """Which of some old files no label of the database can be prompted by any more."""
    left: dict[str, list[Path]] = {}
    for path in paths:
        left.setdefault(path.parent.name, []).append(path)
    for sample, label in references.labels(left):
        if _is_old(label):
            left[sample] = [path for path in left[sample] if not fits(label, path)]
    return [path for files in left.values() for path in files]


def _is_old(label: Document) -> bool:
    lists = ("detections", "polylines")
    return ATTRIBUTE not in label and any(isinstance(label.get(n), list) for n in lists)
