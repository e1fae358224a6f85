"""The pixels that the network is to see: one window of one slice, and nothing more is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.images.contrast import to_rgb
from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.options import ReadOptions
from fastsam_plugins.parameters import Options, option
from napari_plugin.model.edits import Key
from napari_plugin.model.plane import Plane


@dataclass(frozen=True)
class LayerOptions(Options):
    """How a layer is read, beside :class:`ReadOptions`."""

    channel_axis: int | None = option(
        None, "Axis of the layer that holds channels, counted from 0; bands picks three", ge=0
    )
    layer_contrast: bool = option(
        True, "Stretch between the layer's contrast limits; otherwise as contrast says"
    )


@dataclass(frozen=True)
class _Outside:
    """What an array is like whose values lie elsewhere."""

    shape: tuple[int, ...]
    dtype: Any


@dataclass(frozen=True)
class Pixels:
    """Where the pixels of a layer are, and how they become RGB. Free of napari, for any thread.

    Attributes
    ----------
    levels : sequence of arrays
        Full resolution first; numpy, dask, zarr or what else is read by slices.
    plane : Plane
    rgb : bool
        Whether the last axis holds colours.
    options : ReadOptions
    """

    levels: Sequence[Any]
    plane: Plane
    rgb: bool
    options: ReadOptions

    @classmethod
    def of(cls, layer: Any, plane: Plane, options: ReadOptions, layer_contrast: bool) -> Pixels:
        """Those of a napari image layer."""
        levels = list(layer.data) if layer.multiscale else [layer.data]
        if layer_contrast and not layer.rgb:
            low, high = (float(v) for v in layer.contrast_limits)
            options = options.replace(contrast="fixed", low=low, high=max(high, low + 1e-9))
        return cls(levels, plane, layer.rgb, options)

    def read(self, key: Key, window: Window, enough: int) -> NDArray[np.uint8]:
        """RGB pixels (h, w, 3) of a window, of the coarsest level that still is fine enough.

        Parameters
        ----------
        key : tuple of int
            The slice.
        window : (x0, y0, x1, y1)
            In pixels of the full resolution.
        enough : int
            A longer side of this many pixels is fine enough.

        Raises
        ------
        ImageError
            If the pixels are not what an image is made of.
        """
        level, part = self._level(window, enough)
        return to_rgb(_finite(self._values(key, level, part)), self.options)

    def windows(self, key: Key, window: Window) -> WindowedImage:
        """The same of a window in full resolution that is read a part at a time.

        Where values are stretched to their own range, it is that of parts spread over the whole.
        """
        x0, y0, x1, y1 = window

        def read(part: Window) -> NDArray:
            a, b, c, d = part
            values = self._values(key, 0, (x0 + a, y0 + b, x0 + c, y0 + d))
            if values.dtype.kind != "f" or (finite := np.isfinite(values)).all():
                return values
            if values.ndim == 3:
                finite = np.broadcast_to(finite.all(2, keepdims=True), values.shape)
            return np.ma.masked_array(values, ~finite)  # black, as napari shows it

        one = read((0, 0, 1, 1))
        return WindowedImage(
            _Outside((y1 - y0, x1 - x0, *one.shape[2:]), one.dtype), self.options, read
        )

    def _values(self, key: Key, level: int, part: Window) -> NDArray:
        """The values (h, w[, C]) of a window of a level, in its pixels."""
        at: dict[int, Any] = dict(zip(self.plane.stepped, key, strict=True))
        x0, y0, x1, y1 = part
        at |= {self.plane.rows: slice(y0, y1), self.plane.columns: slice(x0, x1)}
        index = []
        for axis in range(self.plane.ndim):
            if axis in self.plane.stepped:  # levels may be coarser along stepped axes, too
                full, here = self.levels[0].shape[axis], self.levels[level].shape[axis]
                index.append(at[axis] * here // full)
            else:
                index.append(at.get(axis, slice(None)))
        array = np.asarray(self.levels[level][tuple(index)])
        channels = self.plane.channels
        if channels is not None:
            left = [a for a in range(self.plane.ndim) if a not in self.plane.stepped]
            array = np.moveaxis(array, left.index(channels), -1 if not self.rgb else -2)
        return array

    def _level(self, window: Window, enough: int) -> tuple[int, Window]:
        """The level to read, and the window in its pixels."""
        x0, y0, x1, y1 = window
        axes = self.plane.columns, self.plane.rows
        size = np.array([self.levels[0].shape[a] for a in axes], np.float64)
        for level in range(len(self.levels) - 1, -1, -1):
            ratio = np.array([self.levels[level].shape[a] for a in axes]) / size
            if level == 0 or max((x1 - x0) * ratio[0], (y1 - y0) * ratio[1]) >= enough:
                break
        low = np.floor(np.array([x0, y0]) * ratio + 1e-6).astype(int)
        high = np.ceil(np.array([x1, y1]) * ratio - 1e-6).astype(int)
        high = np.maximum(high, low + 1)
        return level, (int(low[0]), int(low[1]), int(high[0]), int(high[1]))


def _finite(array: NDArray) -> NDArray:
    """The same with the lowest value there is where it has none, as napari shows it."""
    if array.dtype.kind != "f":
        return array
    finite = np.isfinite(array)
    if finite.all():
        return array
    return np.where(finite, array, array[finite].min() if finite.any() else 0)
