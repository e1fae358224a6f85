"""The decoder's networks: what a proposal is worth under a click, and a corrected mask.

Both are small (docs/prompts.md) and trained for one FastSAM network, whose weights stay as they
are: see :mod:`fastsam_plugins.decoder.training`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder.layers import convolution, dense, doubled, rectified, sigmoid
from fastsam_plugins.decoder.windows import GRID
from fastsam_plugins.masks.sampling import Floats

Maps = tuple[NDArray[np.float16], ...]
"""Features of the whole image at the network's scales, (channels, height, width) each."""

SCALES = 3  # at which the network has features
APART = (1, 2, 4, 1)  # dilations of the blocks: together they see the whole window


@dataclass(frozen=True, eq=False)
class Decoder:
    """A trained decoder.

    Attributes
    ----------
    arrays : mapping of float32 arrays
        By name; see :func:`fastsam_plugins.decoder.modules.folded`.
    network : str
        SHA-256 of the weights of the network that it was trained for.
    sha256 : str
        Of its own file.
    """

    arrays: Mapping[str, Floats]
    network: str
    sha256: str = ""

    def __repr__(self) -> str:
        return f"Decoder({sum(v.size for v in self.arrays.values())} parameters)"

    def _layer(self, name: str) -> tuple[Floats, Floats]:
        return self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]

    def project(self, features: Sequence[Floats]) -> Maps:
        """What is kept of the network's features (C, h, w): a few channels of each scale."""
        kept = []
        for k, f in enumerate(features):
            weight, bias = self._layer(f"project.{k}")
            # Row by row of the map: for long products BLAS would wake threads, see layers.product.
            mixed = np.matmul(weight, f.transpose(1, 0, 2)) + bias[:, None]
            kept.append(np.ascontiguousarray(mixed.transpose(1, 0, 2), np.float16))
        return tuple(kept)

    def rank(self, evidence: Floats) -> Floats:
        """The IoU (K,) that proposals are expected to have; evidence is (K, E)."""
        low, scale = self._layer("rank.norm")
        x = np.clip((evidence - low) * scale, -8, 8)
        x = rectified(dense(x, *self._layer("rank.0")))
        x = rectified(dense(x, *self._layer("rank.1")))
        return sigmoid(dense(x, *self._layer("rank.2"))[:, 0])

    def refine(self, coarse: Floats, fine: Floats, extent: Floats) -> tuple[Floats, Floats]:
        """Masks of n windows.

        Parameters
        ----------
        coarse : float32 array (n, GRID / 2, GRID / 2, F)
            Kept features and prototypes.
        fine : float32 array (n, GRID, GRID, 10)
            The image, clicks, the last answer and proposals; see
            :meth:`fastsam_plugins.decoder.prompter.Prompter.view`.
        extent : float32 array (n, 4)
            How large a window is, and what was asked.

        Returns
        -------
        maps : float32 array (n, GRID, GRID)
            Logits.
        ious : float32 array (n,)
            What IoU they are expected to have.
        """
        sharp = rectified(convolution(fine, *self._layer("fine")))
        x = convolution(sharp, *self._layer("down"), step=2)
        x += dense(coarse, *self._layer("coarse"))
        x += dense(extent, *self._layer("extent"))[:, None, None]
        rectified(x)
        for k, apart in enumerate(APART):
            inner = rectified(convolution(x, *self._layer(f"body.{k}.a"), apart=apart))
            inner = convolution(inner, *self._layer(f"body.{k}.b"))
            inner += x
            x = rectified(inner)
        y = np.concatenate([doubled(dense(x, *self._layer("up"))), sharp], -1)
        y = rectified(convolution(y, *self._layer("out.a")))
        maps = convolution(y, *self._layer("out.b"))[..., 0]
        return maps, self._quality(x, maps, extent)

    def _quality(self, x: Floats, maps: Floats, extent: Floats) -> Floats:
        p = sigmoid(maps)
        n, half = len(p), GRID // 2
        q = p.reshape(n, half, 2, half, 2).mean((2, 4))
        inside = (x * q[..., None]).sum((1, 2)) / (q.sum((1, 2)) + 1)[:, None]
        sure = np.abs(p - 0.5).mean((1, 2)) * 2
        stable = (p > 0.73).sum((1, 2)) / ((p > 0.27).sum((1, 2)) + 1)
        told = np.stack([p.mean((1, 2)), sure, stable], 1)
        z = np.concatenate([inside, x.mean((1, 2)), told, extent[:, :2]], 1)
        z = rectified(dense(np.asarray(z, np.float32), *self._layer("quality.0")))
        return sigmoid(dense(z, *self._layer("quality.1"))[:, 0])
