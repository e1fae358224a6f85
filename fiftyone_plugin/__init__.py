"""FastSAM in FiftyOne: conversions and registration; ``fastsam_plugins`` does the work."""

from __future__ import annotations

import importlib
from typing import Any


def register(plugin: Any) -> None:
    """Register what the plugin has. FiftyOne calls this on a file that it loads by path.

    Raises
    ------
    ImportError
        If only this folder was downloaded, not the package installed.
    """
    for operator in (*_room("operators").OPERATORS, _room("panel").RecallPanel):
        plugin.register(operator)


def download_model(model_name: str, model_path: str) -> None:
    """FiftyOne's model zoo calls this to have weights downloaded to a path."""
    _room("zoo").download(model_name, model_path)


def load_model(model_name: str, model_path: str, **kwargs: Any) -> Any:
    """FiftyOne's model zoo calls this to load a network; see :func:`fiftyone_plugin.zoo.load`."""
    return _room("zoo").load(model_path, **kwargs)


def _room(name: str) -> Any:
    try:
        return importlib.import_module(f"fiftyone_plugin.{name}")
    except ModuleNotFoundError as error:
        raise ImportError(
            "the FastSAM plugin needs its package: pip install 'fastsam-plugins[fiftyone]' "
            f"({error})"
        ) from None
