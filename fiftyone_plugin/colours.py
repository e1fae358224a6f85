"""Colours in the App by which objects can be told apart, unless the person has chosen some."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
from bson import ObjectId

OURS = str(ObjectId(b"fastsam-mark"))
"""Id of a scheme that this program made: it may add fields to it."""

OPACITY = 0.45
FOUND, MISSED = "#2e7d32", "#ff1744"


def by_instance(dataset: fo.Dataset, field: str) -> None:
    """A colour for each object of a field."""
    _add(dataset, {"path": field, "colorByAttribute": "index"})


def missed(dataset: fo.Dataset, field: str, key: str) -> None:
    """Two colours for the ground truths of an evaluation: those that were found, and the others."""
    colors = [{"value": "fn", "color": MISSED}, {"value": "tp", "color": FOUND}]
    _add(dataset, {"path": field, "colorByAttribute": key, "valueColors": colors})


def _add(dataset: fo.Dataset, entry: dict[str, Any]) -> None:
    dataset.reload()
    scheme = dataset.app_config.color_scheme
    if scheme is None:
        if fo.app_config.color_by != "field":  # chosen for all datasets
            return
        scheme = fo.ColorScheme(color_by="value", opacity=OPACITY, fields=[])
        scheme.id = OURS
    elif str(scheme.id) != OURS:
        return
    others = [f for f in scheme.fields or [] if f["path"] != entry["path"]]
    if entry in (scheme.fields or []) or (
        len(others) < len(scheme.fields or []) and len(entry) < 3
    ):
        return
    scheme.fields = [*others, entry]
    dataset.app_config.color_scheme = scheme
    dataset.save()
