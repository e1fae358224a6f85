"""Where things are: those that come with this program, and a person's own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
BUNDLED = ASSETS / "FastSAM-n.safetensors"
"""The weights of FastSAM-n."""
SAMPLES = ASSETS / "samples"
"""Images to try things on."""
CACHE_VARIABLE = "FASTSAM_CACHE_DIR"


def home() -> Path:
    """A person's home; the root, as containers have it, where the system knows of none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.sep)


def named(variable: str) -> Path | None:
    """The folder that is named in the environment; None where none is.

    Raises
    ------
    ValueError
        If it lies in a home that there is not.
    """
    own = os.environ.get(variable)
    try:
        return Path(own).expanduser().absolute() if own else None
    except RuntimeError:
        raise ValueError(
            f"{variable} is {own}, and nobody here is called so: name a folder"
        ) from None


def samples() -> list[Path]:
    """The images to try things on, by name."""
    return sorted(p for p in SAMPLES.iterdir() if p.suffix in (".png", ".jpg"))


def data() -> Path:
    """The folder of this program in the person's data folder; it may not exist."""
    if sys.platform == "darwin":
        base = home() / "Library" / "Application Support"
    else:
        base = _base("XDG_DATA_HOME", ".local/share")
    return base / "fastsam-plugins"


def cache() -> Path:
    """The folder for what can be made again; it may not exist."""
    if own := named(CACHE_VARIABLE):
        return own
    if sys.platform == "darwin":
        base = home() / "Library" / "Caches"
    else:
        base = _base("XDG_CACHE_HOME", ".cache")
    return base / "fastsam-plugins" / ("cache" if sys.platform == "win32" else "")


def _base(variable: str, usual: str) -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home() / "AppData" / "Local")
    # A relative one means nothing, says the XDG base directory specification.
    named = Path(os.environ.get(variable, ""))
    return named if named.is_absolute() else home() / usual
