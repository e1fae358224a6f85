"""Channels that lie along an axis of an image: which axis it is, and which of them are looked at.

The image is left as it is, wherever its channels lie. Only where they are shown, as the rows or
columns of a picture that nobody wants to see, they are brought to the front.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsam_plugins.options import ReadOptions
from napari_plugin.model.plane import CHANNEL_AXIS, Plane, PlaneError
from napari_plugin.view.geometry import full_shape, reordered


def known_axis(layer: Any) -> int | None:
    """The axis of channels that a layer's metadata names."""
    axis = layer.metadata.get(CHANNEL_AXIS)
    return axis if isinstance(axis, int) and 0 <= axis < layer.ndim else None


def check(layer: Any, axis: int) -> None:
    """Refuse an axis that cannot hold channels, by PlaneError."""
    if layer.rgb or layer.ndim < 3:
        what = "its colours" if layer.rgb else "rows and columns"
        raise PlaneError(f"layer {layer.name} has no axes but {what}: leave channel axis empty")
    if axis >= layer.ndim:
        raise PlaneError(f"axes of {layer.name} are counted from 0 to {layer.ndim - 1}, got {axis}")


def shown_in(layer: Any, axis: int, dims: Any) -> bool:
    """Whether an axis of a layer is one of those that a viewer shows as rows and columns."""
    return axis + dims.ndim - layer.ndim in dims.displayed


def bring_first(layer: Any, axis: int, dims: Any) -> None:
    """Make a layer's axis of channels its first, and remember it in the metadata.

    No pixel is copied or changed: the layer holds a view of the same array, in another order. Its
    scale and the slices that the viewer shows go with their axes.

    Parameters
    ----------
    layer : image layer
    axis : int
    dims : ``viewer.dims``
    """
    order = [axis, *(a for a in range(layer.ndim) if a != axis)]
    levels = layer.data if layer.multiscale else [layer.data]
    moved = [_moved(level, axis) for level in levels]
    place, offset = reordered(layer, order), dims.ndim - layer.ndim
    point = [dims.point[a + offset] for a in order]
    layer.data = moved if layer.multiscale else moved[0]
    for name, value in place.items():
        setattr(layer, name, value)
    dims.set_point(range(offset, dims.ndim), point)
    layer.metadata[CHANNEL_AXIS] = 0


def looked_at(layer: Any, plane: Plane, dims: Any, options: ReadOptions) -> ReadOptions:
    """The options with the channel that is shown, where there are two and none was chosen."""
    if plane.channels is None or options.bands is not None:
        return options
    count = full_shape(layer)[plane.channels]
    if count != 2:
        return options
    place = layer.world_to_data(dims.point[-layer.ndim :])[plane.channels]
    return options.replace(bands=str(int(np.clip(np.rint(place), 0, count - 1))))


def _moved(array: Any, axis: int) -> Any:
    if not isinstance(array, np.ndarray):  # zarr and others know no views: dask makes them
        import dask.array as da

        return da.moveaxis(da.asarray(array), axis, 0)
    return np.moveaxis(array, axis, 0)
