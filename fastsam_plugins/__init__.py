"""FastSAM: segment an image once, answer every prompt from what was kept.

Public names are imported on first use, so that importing the package is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "FastSAM": "model",
    "Segmentation": "segmentation",
    "SegmentOptions": "options",
    "PromptOptions": "options",
    "CleanOptions": "options",
    "EdgeOptions": "options",
    "FilterOptions": "options",
    "LinkOptions": "options",
    "ReadOptions": "options",
    "TextOptions": "options",
    "TileOptions": "options",
    "TrainOptions": "training.options",
    "WeightsError": "network.checkpoints",
    "ImageError": "images.contrast",
    "WindowedImage": "images.windowed_image",
    "open_raster": "io",
    "read_image": "io",
}

if TYPE_CHECKING:
    from fastsam_plugins.images.contrast import ImageError
    from fastsam_plugins.images.windowed_image import WindowedImage
    from fastsam_plugins.io import open_raster, read_image
    from fastsam_plugins.model import FastSAM
    from fastsam_plugins.network.checkpoints import WeightsError
    from fastsam_plugins.options import (
        CleanOptions,
        EdgeOptions,
        FilterOptions,
        LinkOptions,
        PromptOptions,
        ReadOptions,
        SegmentOptions,
        TextOptions,
        TileOptions,
    )
    from fastsam_plugins.segmentation import Segmentation
    from fastsam_plugins.training.options import TrainOptions

__all__ = [
    "CleanOptions",
    "EdgeOptions",
    "FastSAM",
    "FilterOptions",
    "ImageError",
    "LinkOptions",
    "PromptOptions",
    "ReadOptions",
    "SegmentOptions",
    "Segmentation",
    "TextOptions",
    "TileOptions",
    "TrainOptions",
    "WeightsError",
    "WindowedImage",
    "open_raster",
    "read_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
