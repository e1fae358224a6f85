"""FastSAM in FiftyOne: conversions and registration; ``fastsam_plugins`` does the work."""

from __future__ import annotations

from typing import Any


def register(plugin: Any) -> None:
    """Register what the plugin has. FiftyOne calls this on a file that it loads by path.

    Raises
    ------
    ImportError
        If only this folder was downloaded, not the package installed.
    """
    try:
        from fiftyone_plugin.operators import OPERATORS
        from fiftyone_plugin.panel import RecallPanel
    except ModuleNotFoundError as error:
        raise ImportError(
            "the FastSAM plugin needs its package: pip install 'fastsam-plugins[fiftyone]' "
            f"({error})"
        ) from None
    for operator in (*OPERATORS, RecallPanel):
        plugin.register(operator)
