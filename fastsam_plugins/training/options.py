"""Every parameter of training once: of the network, of a decoder of prompts, of a head for texts.

The others are in :mod:`fastsam_plugins.options`, and all are validated as those are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.parameters import Options, like, option


@dataclass(frozen=True)
class TrainOptions(Options):
    """A training recipe (section 4.1 of the paper), carried out by ultralytics' trainer."""

    architecture: str = option(
        "yolov8n-seg", "Network to train from scratch, as ultralytics names it"
    )
    reg_max: int = option(
        16,
        "Values a box edge's distance is regressed over: reaches reg_max - 1 strides "
        "(from scratch only; YOLO26 has none of them)",
        ge=2,
        le=64,
    )
    shape_terms: bool = option(
        False,
        "Let six of the mask coefficients draw an outline in the box, instead of six prototypes",
    )
    weights: str | None = option(None, "Weights to start from instead of from scratch")
    backbone: Literal["lite0", "lite1", "lite2"] | None = option(
        None, "Put an EfficientNet-Lite that knows ImageNet in place of YOLOv8's backbone"
    )
    freeze: int = option(
        0,
        "First layers kept as they are; the backbone is 10, an EfficientNet-Lite 4",
        ge=0,
        le=22,
    )
    balance: bool = option(
        False,
        "Show the images of each DATA, and of each source in it (COCO field images.source), "
        "equally often",
    )
    held_out: float = option(
        0.1, "Share of images to measure recall on instead of training on them", ge=0, le=0.5
    )
    synthetic: float = option(
        0.0, "Share of images that are drawn by the program instead of read", ge=0, le=1
    )
    paste: float = option(
        0.0, "Share of images on which objects of other images are laid", ge=0, le=1
    )
    mosaic: float = option(1.0, "Share of images put together from four", ge=0, le=1)
    flipud: float = option(0.0, "Share of images turned upside down", ge=0, le=1)
    dice: float = option(0.0, "Weight of the Dice loss beside the masks' cross-entropy", ge=0)
    mask_gain: float = option(1.0, "Weight of the masks' losses beside those of boxes", ge=0)
    per_image: bool = option(
        False, "Count all images alike in the masks' losses, not all objects: crowds weigh less"
    )
    mask_scores: bool = option(False, "Teach scores how well the mask fits, and not the box alone")
    imgsz: int | None = option(
        None,
        "Longest side of the network's input; by default that of the weights, 640 from scratch",
        unit="px",
        ge=32,
        le=4096,
    )
    epochs: int = option(100, "Passes over the training images", ge=1)
    hours: float = option(0.0, "Stop after this time instead; 0 runs all epochs", unit="h", ge=0)
    batch: int = option(16, "Images per pass through the network", ge=1)
    step: int = option(64, "Images per step of the optimizer, of several batches if more", ge=1)
    lr0: float = option(
        0.0, "Initial learning rate of AdamW; 0 lets ultralytics choose optimizer and rate", ge=0
    )
    cosine: bool = option(False, "Lower the learning rate along a cosine instead of a line")
    workers: int = option(2, "Processes that load images", ge=0)
    seed: int = option(0, "Seed of everything random", ge=0)


@dataclass(frozen=True)
class DecoderOptions(Options):
    """How a decoder of prompts is trained."""

    start: str | None = option(
        None,
        "A decoder to go on from, of weights that these were trained from: a file, or FastSAM-n",
    )
    minutes: float = option(30.0, "How long masks are learned", unit="min", ge=0)
    max_images: int = option(2000, "Most images to learn from; they are kept in memory", ge=1)
    imgsz: int | None = like(SegmentOptions, "imgsz")
    batch: int = option(16, "Prompts per step", ge=2)
    lr: float = option(0.002, "Highest learning rate of AdamW", ge=0)
    seed: int = option(0, "Seed of everything random", ge=0)


@dataclass(frozen=True)
class TextHeadOptions(Options):
    """How a head for texts is trained."""

    max_images: int = option(1000, "Most images to learn from; the others are left out", ge=2)
    held_out: float = option(0.2, "Share of images to measure the head on first", ge=0.01, le=0.5)
    conf: float = option(0.1, "Learn from instances that the detector trusts more", ge=0, le=1)
    imgsz: int | None = like(SegmentOptions, "imgsz")
    steps: int = option(2000, "Steps of 256 instances", ge=1, le=100_000)
    width: int = option(256, "Numbers in each hidden layer", ge=8, le=4096)
    relations: float = option(
        1.0, "Weight of keeping how alike instances are, beside what each is like", ge=0
    )
    seed: int = option(0, "Seed of everything random", ge=0)


PRESETS: dict[str, dict[str, Any]] = {
    # Section 4.1 of the paper; what it does not name is as the authors' script leaves it.
    "paper": {
        "architecture": "yolov8x-seg", "reg_max": 26, "imgsz": 1024, "epochs": 100, "batch": 32,
        "held_out": 0.0,
    },
    # Your own labels, however few: short, gentle, and with other images' objects pasted in.
    "finetune": {
        "weights": "FastSAM-n", "epochs": 40, "batch": 4, "step": 4, "lr0": 0.0005,
        "cosine": True, "mosaic": 0.5, "flipud": 0.5, "paste": 0.2, "dice": 1.0,
    },
    # The bundled FastSAM-n.
    "nano": {
        "architecture": "yolov8n-seg", "shape_terms": True, "imgsz": 416, "epochs": 300,
        "batch": 8, "step": 8, "lr0": 0.002, "cosine": True, "balance": True, "held_out": 0.0,
        "synthetic": 0.2, "paste": 0.2, "mosaic": 0.4, "flipud": 0.5, "dice": 1.0,
        "mask_gain": 3.0, "per_image": True,
    },
}  # fmt: skip
"""Training recipes by name: what each changes in :class:`TrainOptions`."""
