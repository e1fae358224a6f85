"""Pixels as a CLIP wants them: open_clip's own image transform, on arrays and in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pixels:
    """How a CLIP wants its images; ``preprocess_cfg`` of an open_clip model.

    open_clip's transform also crops to the network's aspect ratio. Nothing is left to crop here:
    what is resized has that ratio already, so that no end of a long object is cut off.

    Attributes
    ----------
    size : (h, w)
        Of the network's input in pixels.
    mean, std : tuple of float
        Of each channel, on a scale of 0 to 1.
    interpolation : str
        ``bicubic`` or ``bilinear``.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str

    @classmethod
    def of(cls, config: dict[str, Any]) -> Pixels:
        """From open_clip's dictionary."""
        size = config["size"]
        height, width = (size, size) if isinstance(size, int) else size
        mode = "bilinear" if config["interpolation"] == "bilinear" else "bicubic"
        return cls((height, width), tuple(config["mean"]), tuple(config["std"]), mode)

    @property
    def gray(self) -> tuple[int, ...]:
        """The mean colour, 0 to 255: what says nothing to the network."""
        return tuple(round(255 * m) for m in self.mean)

    def resize(self, image: NDArray[np.uint8], size: tuple[int, int] | None = None) -> torch.Tensor:
        """An image (H, W, 3) at a size (h, w), the network's by default: uint8 tensor (3, h, w).

        Antialiased, in whole numbers, as Pillow does.
        """
        import torch

        writable = np.require(image, requirements=("C", "W"))  # torch warns of others
        pixels = torch.from_numpy(writable).permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(
            pixels, size or self.size, mode=self.interpolation, antialias=True
        )
        return resized[0]

    def normalize(self, stack: torch.Tensor) -> torch.Tensor:
        """Resized images (B, 3, h, w) as the network's input, float32."""
        mean = stack.new_tensor(self.mean, dtype=stack.float().dtype)[:, None, None]
        std = stack.new_tensor(self.std, dtype=mean.dtype)[:, None, None]
        return stack.float().div_(255).sub_(mean).div_(std)
