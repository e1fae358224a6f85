"""What forms and programs gave, as the rooms that do the work take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from fastsam_plugins.options import (
    LimitOptions,
    ReadOptions,
    RunOptions,
    SegmentOptions,
    TileOptions,
    WeightsOptions,
)
from fastsam_plugins.parameters import Options
from fastsam_plugins.scale.settings import Settings
from fiftyone_plugin import forms, sample_segmenter
from fiftyone_plugin import parameters as own

O = TypeVar("O", bound=Options)  # noqa: E741

NETWORK = (own.WriteOptions, own.NetworkOptions, SegmentOptions, ReadOptions, TileOptions,
           LimitOptions, WeightsOptions)  # fmt: skip
"""Options of operators that may ask the network."""


def network(params: dict[str, Any], field: str) -> dict[str, Any]:
    """What the operators that may ask the network, and write labels, have in common."""
    return {**looking(params), **written(params, field)}


def looking(params: dict[str, Any]) -> dict[str, Any]:
    """How images are looked at."""
    asked = forms.read(params, own.NetworkOptions)
    limits = forms.read(params, LimitOptions)
    model: Any = asked.model
    trusted = forms.read(params, WeightsOptions)
    if trusted != WeightsOptions() or (asked.backend, asked.precision) != ("auto", "auto"):
        model = sample_segmenter.loaded(
            model, limits=limits, trusted=trusted, backend=asked.backend,
            precision=asked.precision,
        )  # fmt: skip
    return {
        "model": model,
        "segmenting": forms.read(params, SegmentOptions),
        "reading": forms.read(params, ReadOptions),
        "limits": limits,
        "tiling": forms.read(params, TileOptions) if asked.tiled else None,
    }


def settings(params: dict[str, Any]) -> Settings:
    """The same, for whoever looks elsewhere."""
    asked = forms.read(params, own.NetworkOptions)
    return Settings(
        RunOptions(model=asked.model, backend=asked.backend, precision=asked.precision),
        forms.read(params, SegmentOptions),
        reading=forms.read(params, ReadOptions),
        limits=forms.read(params, LimitOptions),
        tiling=forms.read(params, TileOptions) if asked.tiled else None,
        trusting=forms.read(params, WeightsOptions),
    )


def written(params: dict[str, Any], field: str) -> dict[str, Any]:
    """Where labels go, and what happens to those there are.

    Raises
    ------
    ValueError
        If the name of the field was emptied: that does not mean any other.
    """
    given = params.get("field")
    if given == "":
        raise ValueError(f"name the field to write, such as {field}")
    params = {**params, "field": field if given is None else given}
    asked = forms.read(params, own.WriteOptions)
    return {"field": asked.field, "existing": asked.existing, "batch": asked.batch}


def needed(options: O, *names: str) -> O:
    """The options, if what they must have is there.

    Raises
    ------
    ValueError
        Naming what is missing.
    """
    for name in names:
        if not getattr(options, name):
            raise ValueError(f"choose {name}")
    return options


def check_path(path: Any) -> None:
    """Refuse a path that begins where the server happens to stand.

    Raises
    ------
    ValueError
        If it is not in full.
    """
    if not isinstance(path, str) or not path:
        return  # whose own check says so
    if not (path.startswith("~") or Path(path).is_absolute()):
        raise ValueError(f"path must be in full, as /folder/{path} or ~/{path}, got {path!r}")
    if ".." in Path(path).parts:
        raise ValueError(f"path must be without .., got {path!r}")
