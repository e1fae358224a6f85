"""Channels that lie along an axis of an image: which axis it is, and bringing it to the front.

Napari lays layers over each other from the last axis on: labels, which have no channels, lie over
their image only if its channels come first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_plugin.geometry import PlaneError, reordered

KEY = "channel_axis"  # in the metadata of layers that our reader made, or that we were told about


def known_axis(layer: Any) -> int | None:
    """The axis of channels that a layer's metadata names."""
    axis = layer.metadata.get(KEY)
    return axis if isinstance(axis, int) and 0 <= axis < layer.ndim else None


def bring_first(layer: Any, axis: int) -> bool:
    """Make a layer's axis of channels its first, and remember it in the metadata.

    No pixel is copied or changed: the layer holds a view of the same array, in another order.

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    PlaneError
        If the layer cannot have channels there.
    """
    if layer.rgb or layer.ndim < 3:
        what = "its colours" if layer.rgb else "rows and columns"
        raise PlaneError(f"layer {layer.name} has no axes but {what}: leave channel axis empty")
    if axis >= layer.ndim:
        raise PlaneError(f"axes of {layer.name} are counted from 0 to {layer.ndim - 1}, got {axis}")
    order = [axis, *(a for a in range(layer.ndim) if a != axis)]
    if axis:
        levels = layer.data if layer.multiscale else [layer.data]
        moved = [_moved(level, axis) for level in levels]
        place = reordered(layer, order)
        layer.data = moved if layer.multiscale else moved[0]
        layer.scale, layer.translate = np.ones(layer.ndim), np.zeros(layer.ndim)
        layer.rotate, layer.shear = np.eye(layer.ndim), np.eye(layer.ndim)
        for name, value in place.items():
            setattr(layer, name, value)
    layer.metadata[KEY] = 0
    return axis > 0


def _moved(array: Any, axis: int) -> Any:
    if not isinstance(array, np.ndarray):  # zarr and others know no views: dask makes them
        import dask.array as da

        return da.moveaxis(da.asarray(array), axis, 0)
    return np.moveaxis(array, axis, 0)
