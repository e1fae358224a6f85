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


def data() -> Path:
    """The folder of this program in the person's data folder; it may not exist."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        # A relative one means nothing, says the XDG base directory specification.
        named = Path(os.environ.get("XDG_DATA_HOME", ""))
        base = named if named.is_absolute() else home / ".local" / "share"
    return base / "fastsam-plugins"
