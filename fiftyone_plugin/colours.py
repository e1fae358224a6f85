"""Colours in the App by which objects can be told apart, unless the person has chosen some."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
from bson import ObjectId
from fiftyone.core.state import build_color_scheme
from fiftyone.server.events import get_state

OURS = str(ObjectId(b"fastsam-mark"))
"""Id of a scheme that this program made: it may add fields to it."""

OPACITY = 0.45
FOUND, MISSED = "#2e7d32", "#ff1744"


def by_instance(dataset: fo.Dataset, field: str) -> bool:
    """A colour for each object of a field; gives whether that is new."""
    # Where labels have no index, the App takes their id.
    return _add(dataset, {"path": field, "colorByAttribute": "index"})


def missed(dataset: fo.Dataset, field: str, key: str) -> bool:
    """Two colours for the ground truths of an evaluation: those that were found, and the others."""
    colors = [{"value": "fn", "color": MISSED}, {"value": "tp", "color": FOUND}]
    return _add(dataset, {"path": field, "colorByAttribute": key, "valueColors": colors})


def _add(dataset: fo.Dataset, entry: dict[str, Any]) -> bool:
    dataset.reload()
    scheme = dataset.app_config.color_scheme
    if scheme is None:
        if fo.app_config.color_by != "field":  # chosen for all datasets
            return False
        scheme = fo.ColorScheme(color_by="value", opacity=OPACITY, fields=[])
        scheme.id = OURS
    elif str(scheme.id) != OURS:
        return False
    others = [f for f in scheme.fields or [] if f["path"] != entry["path"]]
    is_known = len(others) < len(scheme.fields or [])
    if entry in (scheme.fields or []) or (is_known and "valueColors" not in entry):
        return False
    scheme.fields = [*others, entry]
    dataset.app_config.color_scheme = scheme
    dataset.save()
    return True


def is_chosen(dataset: fo.Dataset) -> bool:
    """Whether the person at the App has chosen colours there, which no dataset has.

    To be asked in the App's server, before the dataset's are changed.
    """
    now, stored = get_state().color_scheme, build_color_scheme(dataset=dataset)
    return any(
        getattr(now, name) != getattr(stored, name)
        for name in ("color_by", "color_pool", "opacity")
    )


def in_app(dataset: fo.Dataset) -> dict[str, Any]:
    """The dataset's colours as the App's operator ``set_color_scheme`` takes them.

    The App asks for a dataset's colours when it is opened, and not when it is loaded again.
    """
    scheme = dataset.app_config.color_scheme
    return {
        "color_by": scheme.color_by, "opacity": scheme.opacity,
        "fields": [dict(f) for f in scheme.fields],
    }  # fmt: skip
