"""What a network says of an image, and what every backend promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Canvases = NDArray[np.uint8]
"""Letterboxed images (B, H, W, 3), RGB."""


@dataclass(frozen=True, eq=False)
class Output:
    """What a network says of one image, in the order of its anchors.

    Attributes
    ----------
    corners : float32 array (K, 4)
        xyxy in pixels of the input, of all that has at least some confidence.
    scores : float32 array (K,)
        Confidence in [0, 1].
    coefficients : float32 array (K, C)
        What each mask is of the prototypes.
    prototypes : float32 array (C, H/4, W/4)
    features : tuple of float32 arrays (channels, h, w)
        What all that was made from, at an eighth of the input's size, and two coarser ones.
    """

    corners: Floats
    scores: Floats
    coefficients: Floats
    prototypes: Floats
    features: tuple[Floats, ...] = ()


class Backend(ABC):
    """A network that is ready to run; several threads may call at once, with inputs of any size.

    Attributes
    ----------
    label : str
        What runs the network, for a person: ``OpenVINO bf16``.
    in_batches : bool
        Whether images of a batch go through the network together, as on a graphics processor, or
        side by side, each on one core.
    """

    label: str
    in_batches: bool = False

    @abstractmethod
    def run(self, canvases: Canvases, least: float) -> list[Output]:
        """Run the network, and leave out what has no more confidence than ``least``."""

    def count(self) -> int:
        """How many images may go side by side."""
        return 1

    def alone(self) -> None:  # noqa: B027 - nothing to do where batches go through together
        """From now on, what this thread runs uses one core: others run beside it."""


def outputs(
    predictions: Floats, prototypes: Floats, features: Sequence[Floats], least: float
) -> list[Output]:
    """Take a network's raw output apart; copies, so that its memory may be used again.

    Parameters
    ----------
    predictions : float32 array (B, 4 + 1 + C, A)
        Box as centre and size in input pixels, confidence, mask coefficients; per anchor.
    prototypes : float32 array (B, C, h, w)
    features : sequence of float32 arrays (B, channels, h, w)
    least : float
    """
    taken = []
    for k, prediction in enumerate(predictions):
        # Most anchors see nothing: what is copied are a few rows of many.
        columns = prediction[:, np.flatnonzero(prediction[4] > least)]
        taken.append(
            Output(
                *rows(columns, np.concatenate),
                prototypes[k].copy(),
                tuple(f[k].copy() for f in features),
            )
        )
    return taken


def rows(columns: Any, join: Any) -> tuple[Any, Any, Any]:
    """Corners (K, 4), confidence (K,) and coefficients (K, C) of predictions (4 + 1 + C, K)."""
    centre, half = columns[:2], columns[2:4] / 2
    corners = join([centre - half, centre + half]).T
    return corners, columns[4], columns[5:].T
