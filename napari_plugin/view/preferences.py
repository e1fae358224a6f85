"""What a person sets once, on the plugin's page of napari's preferences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastsam_plugins import paths
from fastsam_plugins.parameters import Options, option, parameters

PLUGIN, PAGE = "fastsam-plugins", "general"


@dataclass(frozen=True)
class Preferences(Options):
    """Preferences; ``napari.yaml`` lists the same."""

    model: str = option(
        "FastSAM-n", "FastSAM-n (bundled), FastSAM-s, FastSAM-x, or a .pt or .safetensors file"
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps")
    predict: bool = option(
        True, "Answer clicks with masks of their own; else they choose among what was found"
    )
    hover: bool = option(True, "Show the instance under the cursor")
    autosave: bool = option(True, "Save what you do as you do it; Reopen brings it back")
    keep_results: bool = option(True, "Keep what was segmented on disk, to reopen at once")
    disk: int = option(2, "Most that kept results may take", unit="GB", ge=0, le=1000)
    folder: str = option("", "Where sessions and results are kept; empty for the usual place")

    @property
    def place(self) -> Path:
        """The folder of sessions and results."""
        return Path(self.folder).expanduser() if self.folder else paths.data()


def load() -> Preferences:
    """The preferences of this person; the defaults where this napari (before 0.9) has no page."""
    page = _page()
    if page is None:
        return Preferences()
    names = [p.name for p in parameters(Preferences)]
    return Preferences(**{n: getattr(page, n) for n in names if hasattr(page, n)})


def remember(name: str, value: object) -> None:
    """Make a value the preference from now on, where there is a page."""
    page = _page()
    if page is not None and hasattr(page, name) and getattr(page, name) != value:
        setattr(page, name, value)  # napari writes its file


def _page() -> Any:
    """Our page of napari's preferences; None before napari 0.9."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    try:
        return getattr(get_plugin_settings(PLUGIN), PAGE)
    except (AttributeError, KeyError):  # the plugin was not found, as in a source checkout
        return None
