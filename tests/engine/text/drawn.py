"""Options of the tiny CLIP, and drawn scenes as instances."""

from __future__ import annotations

from fastsam_plugins import Segmentation, TextOptions
from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import Scene

SEED = 7  # not the one trained on


def options(features="crops", **changes) -> TextOptions:
    return TextOptions(
        clip=str(FOLDER), features=features, dense_size=448, clip_precision="full", **changes
    )


def instances(drawn: Scene) -> Segmentation:
    return Segmentation.from_masks(drawn.masks).with_image(drawn.image, "cpu")
