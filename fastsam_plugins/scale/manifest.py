"""What made the results of a run, and whether another would make the same."""

from __future__ import annotations

from typing import Any

import msgspec

from fastsam_plugins import __version__, cache
from fastsam_plugins.scale import rows
from fastsam_plugins.scale.settings import changed


class Manifest(msgspec.Struct):
    """What made the results.

    Attributes
    ----------
    model : dict
        ``name`` and ``sha256`` of the weights, and ``decoder``: that of what answers prompts.
    running : dict
        ``backend`` and ``precision`` that ran it, and the kind of ``device``.
    options : dict
        See :meth:`fastsam_plugins.scale.settings.Settings.described`.
    versions : dict
        Of this program, and of what it computes with.
    format : int
    inputs : list of str
        The files here in which images were named: lists, COCO files, prompts.
    """

    model: dict[str, Any]
    running: dict[str, str]
    options: dict[str, Any]
    versions: dict[str, str]
    format: int = rows.FORMAT
    inputs: list[str] = []


def versions() -> dict[str, str]:
    """Versions of what has a say in the results."""
    names = ("numpy", "torch", "openvino", "onnxruntime", "pillow", "tifffile")
    return {"fastsam-plugins": __version__, **dict(zip(names, cache.versions(*names), strict=True))}


def check_same(before: Manifest, now: Manifest, address: str) -> None:
    """Refuse to go on with what another network or other options made.

    Raises
    ------
    ValueError
        In one line that says what differs.
    """
    named = {"auto": True}  # nobody asked for one: what was taken before is taken again
    ways = {k: v for k, v in now.running.items() if v not in named}
    was = {k: before.running.get(k) for k in ways}
    for old, new in ((before.model, now.model), (before.options, now.options), (was, ways)):
        if what := changed(old, new):
            raise ValueError(
                f"{address} was made with {what}: go on with the same, write elsewhere, or begin "
                "anew with --new"
            )
