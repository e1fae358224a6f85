"""What the benchmarks share: medians, memory, a network output of a known size."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from fastsam_plugins import read_image
from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.network import weights
from fastsam_plugins.network.nms import nms
from fastsam_plugins.paths import SAMPLES

IMGSZ = 1024


@dataclass
class Output:
    """Network output after NMS, for both sides: prototypes, coefficients, boxes in image pixels."""

    prototypes: torch.Tensor
    coefficients: torch.Tensor
    boxes: torch.Tensor
    letterbox: Letterbox

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image."""
        return self.letterbox.image_shape


@functools.cache
def raw_output() -> tuple[torch.Tensor, torch.Tensor]:
    """FastSAM-n's output (37, A) and prototypes (32, 256, 256) for a sample image at imgsz 1024."""
    image = cv2.resize(read_image(SAMPLES / "coffee.jpg"), (IMGSZ, IMGSZ))
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        predictions, prototypes = weights.load("FastSAM-n").module(pixels)[0]
    return predictions[0].clone(), prototypes[0].clone()


def network_output(size: int, count: int) -> Output:
    """The best ``count`` instances of the sample, as if its image had ``size`` x ``size`` pixels.

    Nothing after the network depends on the pixels, so a larger image needs no larger file.
    """
    predictions, prototypes = raw_output()
    letterbox = Letterbox.fit((size, size), IMGSZ)
    half = predictions[2:4] / 2
    corners = torch.cat([predictions[:2] - half, predictions[:2] + half]).T
    kept = nms(corners.numpy(), predictions[4].numpy(), iou=0.9, conf=0.0, max_det=count)
    assert len(kept) == count
    boxes = torch.from_numpy(letterbox.boxes_to_image(corners[kept].numpy()))
    return Output(prototypes, predictions[5:, kept].T.contiguous(), boxes, letterbox)


def median_seconds(
    work: Callable[[], Any], runs: int = 5, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Median time of a call, after one that does not count."""
    work()
    times = []
    for _ in range(runs):
        start = clock()
        work()
        times.append(clock() - start)
    return float(np.median(times))


def row(*cells: Any) -> None:
    """Print one row of a Markdown table."""
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def milliseconds(seconds: float) -> str:
    """A time with three significant digits."""
    return f"{seconds * 1e3:.3g} ms"
