"""Separable bilinear sampling: cells of the prototypes -> grid points -> pixels, axis by axis.

Which samples are taken is ultralytics' ``process_mask_native`` to the letter: prototypes are
up-sampled by the smallest factor (1, 2 or 4) at which the letterbox padding is a whole number of
points, cropped, and up-sampled to the image; all with half-pixel centres.
"""

from __future__ import annotations

import copy
import functools
import math

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Letterbox

Floats = NDArray[np.float32]

CELL = 4  # input pixels per prototype cell


class Taps:
    """Linear interpolation: every output is a weighted sum of a few consecutive inputs.

    Sums over taps rather than products with a matrix: on a busy machine the threads of a BLAS wait
    for each other, and such small products take many times as long.

    Parameters
    ----------
    first : int64 array (outputs,)
        The first input that each output draws on.
    weights : float32 array (outputs, T)
        Weights of that input and the next ones.
    """

    def __init__(self, first: NDArray[np.int64], weights: Floats, inputs: int) -> None:
        # Taps that would lie beyond the last input have no weight: start early enough instead.
        late = np.maximum(first + weights.shape[1] - inputs, 0)
        for shift in range(1, int(late.max(initial=0)) + 1):
            weights[late == shift] = np.roll(weights[late == shift], shift, axis=1)
        self.inputs = (first - late)[:, None] + np.arange(weights.shape[1])
        self.weights = weights

    @classmethod
    def resize(cls, size_in: int, size_out: int) -> Taps:
        """Bilinear resizing with half-pixel centres, in float32 like torch's ``interpolate``."""
        scale = np.float32(size_in) / np.float32(size_out)
        place = scale * (np.arange(size_out, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5)
        place = np.clip(place, np.float32(0), np.float32(size_in - 1))
        i = place.astype(np.int64)
        t = place - i.astype(np.float32)
        taps = min(2, size_in)
        return cls(i, np.stack([1 - t, t], axis=1)[:, :taps], size_in)

    def then(self, other: Taps, inputs: int) -> Taps:
        """This interpolation followed by another, as one."""
        near = self.inputs[other.inputs]  # (outputs, T of other, T)
        weights = self.weights[other.inputs] * other.weights[:, :, None]
        first = near.min(axis=(1, 2))
        count = int((near.max(axis=(1, 2)) - first).max()) + 1
        summed = np.zeros((len(first), count), np.float32)
        output = np.arange(len(first))[:, None, None]
        np.add.at(summed, (output, near - first[:, None, None]), weights)
        return Taps(first, summed, inputs)

    def crop(self, start: int, stop: int) -> Taps:
        """The same for the outputs [start, stop) alone."""
        cropped = copy.copy(self)
        cropped.inputs, cropped.weights = self.inputs[start:stop], self.weights[start:stop]
        return cropped

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Inputs that the outputs [start, stop) draw on, half-open."""
        return int(self.inputs[start, 0]), int(self.inputs[stop - 1, -1]) + 1

    def apply(self, values: Floats, start: int, stop: int, origin: int) -> Floats:
        """Outputs [start, stop) along axis 0; ``values[0]`` is input ``origin``."""
        from fastsam_plugins.masks import kernels

        part = slice(start, stop)
        return kernels.interpolate(
            np.ascontiguousarray(values), self.inputs[part], self.weights[part], origin
        )


class Axis:
    """One image axis, from cells of the prototypes over grid points to pixels.

    Between grid points (cells, up-sampled by a factor and cropped to the image's content) a mask's
    logit is linear in the place of a pixel.

    Attributes
    ----------
    grid, pixels : Taps
        From cells to grid points, and from cells to pixels.
    pixels_on_grid : float64 array (pixels + 3,), float
        Where each pixel lies on the grid, led by minus infinity and followed by infinity twice; and
        how many pixels there are to a grid point. :func:`compiled.trace` finds pixels by them.
    """

    def __init__(self, cells: int, factor: int, start: int, content: int, pixels: int) -> None:
        self.grid = Taps.resize(cells, cells * factor).crop(start, start + content)
        if factor == 1:  # grid points are cells
            whole = np.ones((content, 1), np.float32)
            self.grid = Taps(np.arange(start, start + content), whole, cells)
        steps = Taps.resize(content, pixels)
        self.pixels = self.grid.then(steps, cells)
        # Where each pixel lies on the grid; never decreasing.
        self._place = (steps.inputs * steps.weights).sum(1)
        bounded = np.concatenate([[-np.inf], self._place, [np.inf, np.inf]])
        self.pixels_on_grid = bounded, pixels / content

    def grid_of_pixels(self, start: int, stop: int) -> tuple[int, int]:
        """Grid points that the pixels [start, stop) lie between, half-open."""
        return int(self._place[start]), math.ceil(self._place[stop - 1]) + 1


@functools.lru_cache(maxsize=8)
def axes(letterbox: Letterbox, h: int, w: int) -> tuple[Axis, Axis, bool]:
    """The axes (x, y) of an image over prototypes of h x w cells, and whether they up-sample."""
    pads = [
        whole - content
        for whole, content in zip(letterbox.input_shape, letterbox.content_shape, strict=True)
    ]
    bits = pads[0] | pads[1] | pads[0] // 2 | pads[1] // 2
    factor = CELL // math.gcd(CELL, bits)
    step = CELL // factor  # input pixels per grid point
    height, width = letterbox.image_shape
    content_y, content_x = (side // step for side in letterbox.content_shape)
    x = Axis(w, factor, letterbox.left // step, content_x, width)
    y = Axis(h, factor, letterbox.top // step, content_y, height)
    return x, y, factor > 1
