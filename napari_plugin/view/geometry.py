"""Where layers are: world and image coordinates, the slice and the window that are shown.

Of the two kinds of coordinates see :mod:`napari_plugin.model.plane`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins.geometry import Window
from napari_plugin.model.edits import Key
from napari_plugin.model.plane import Plane, PlaneError


def shown_plane(layer: Any, dims: Any, channels: int | None = None) -> Plane:
    """The plane of a layer that a viewer shows.

    Parameters
    ----------
    layer : napari layer
    dims : ``viewer.dims``
    channels : int, optional
        The layer's axis of bands.

    Raises
    ------
    PlaneError
        If it shows a volume, or the layer along one of its axes.
    """
    if dims.ndisplay != 2:
        raise PlaneError("show the image in 2D: instances are segmented slice by slice")
    rows, columns = sorted(int(a) - (dims.ndim - layer.ndim) for a in dims.displayed)
    if rows < 0 or channels in (rows, columns):
        raise PlaneError(f"turn the axes until {layer.name} is shown as a plane")
    return Plane(rows, columns, layer.ndim, channels)


def plane_shape(layer: Any, plane: Plane) -> tuple[int, int]:
    """(H, W) of a slice, in pixels of the full resolution."""
    shape = full_shape(layer)
    return shape[plane.rows], shape[plane.columns]


def full_shape(layer: Any) -> tuple[int, ...]:
    """Shape of an image layer's full resolution, without the colours of RGB."""
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(int(n) for n in data.shape[: layer.ndim])


def current_key(layer: Any, plane: Plane, dims: Any) -> Key:
    """The slice that a viewer shows of a layer."""
    place = layer.world_to_data(dims.point)
    shape = full_shape(layer)
    return tuple(int(np.clip(np.rint(place[a]), 0, shape[a] - 1)) for a in plane.stepped)


def to_image(layer: Any, plane: Plane, world: Sequence[float]) -> tuple[float, float]:
    """The (x, y) of a place in the world, in pixels of the full resolution."""
    place = layer.world_to_data(world)
    return float(place[plane.columns]) + 0.5, float(place[plane.rows]) + 0.5


def visible_window(layer: Any, plane: Plane) -> Window:
    """The part of a slice ``(x0, y0, x1, y1)`` that is in view, in pixels of full resolution.

    Raises
    ------
    PlaneError
        If none of it is in view.
    """
    corners = np.sort(np.asarray(layer.corner_pixels, np.float64), axis=0)
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors)[layer.data_level][: layer.ndim]
    height, width = plane_shape(layer, plane)
    y0, x0 = np.floor(corners[0, [plane.rows, plane.columns]]).astype(int).tolist()
    y1, x1 = np.ceil(corners[1, [plane.rows, plane.columns]]).astype(int).tolist()
    window = max(x0, 0), max(y0, 0), min(x1 + 1, width), min(y1 + 1, height)
    if window[2] - window[0] < 2 or window[3] - window[1] < 2:
        raise PlaneError(f"nothing of {layer.name} is in view: move it into view")
    return window


def output_transform(
    layer: Any, plane: Plane, offset: ArrayLike | None = None, step: int = 1
) -> dict[str, Any]:
    """What puts labels where their image is: arguments for making a layer.

    Parameters
    ----------
    layer : image layer
    plane : Plane
    offset : array of labels' axes, optional
        Data coordinates of the new layer's first pixel's centre.
    step : int
        Pixels of the image, along rows and columns, to one of the new layer.

    Returns
    -------
    dict
        ``scale``, ``translate``, ``rotate``, ``shear`` and ``affine``, or ``affine`` alone where
        an axis of channels is left out; ``units`` and ``axis_labels`` where this napari has them.
    """
    kept = list(plane.kept)
    out: dict[str, Any] = {}
    for name in ("units", "axis_labels"):  # since napari 0.5.1
        values = getattr(layer, name, None)
        if values is not None:
            out[name] = tuple(values[a] for a in kept)
    linear, origin = _affine(layer)
    inner = np.linalg.inv(np.asarray(layer.affine.linear_matrix)) @ linear
    shift = np.zeros(layer.ndim)
    if offset is not None:
        shift[kept] = np.asarray(offset, np.float64)
    steps = np.ones(layer.ndim)
    steps[[plane.rows, plane.columns]] = step
    if plane.spanned is not None:
        steps[plane.channels] = count = full_shape(layer)[plane.channels or 0]
        shift[plane.channels] = (count - 1) / 2
    if len(kept) == layer.ndim:
        return {
            **out,
            "scale": np.asarray(layer.scale) * steps,
            "translate": np.asarray(layer.translate) + inner @ shift,
            "rotate": np.asarray(layer.rotate),
            "shear": np.asarray(layer.shear),
            "affine": np.asarray(layer.affine.affine_matrix),
        }
    matrix = np.eye(len(kept) + 1)
    matrix[:-1, :-1] = (linear * steps)[np.ix_(kept, kept)]
    matrix[:-1, -1] = (origin + linear @ shift)[kept]
    return {**out, "affine": matrix}


def reordered(layer: Any, order: Sequence[int]) -> dict[str, Any]:
    """What puts a layer where it is once its axes are in another order: attributes to set."""
    around = np.ix_(order, order)
    out: dict[str, Any] = {"scale": layer.scale, "translate": layer.translate}
    out = {name: np.asarray(value)[list(order)] for name, value in out.items()}
    out |= {"rotate": np.asarray(layer.rotate)[around], "shear": np.zeros_like(layer.shear)}
    linear, origin = np.asarray(layer.affine.linear_matrix), np.asarray(layer.affine.translate)
    if np.any(layer.shear):  # of axes in another order it need not be one
        linear, origin = _affine(layer)
        out |= {"scale": np.ones(layer.ndim), "translate": np.zeros(layer.ndim)}
        out["rotate"] = np.eye(layer.ndim)
    matrix = np.eye(layer.ndim + 1)
    matrix[:-1, :-1] = linear[around]
    matrix[:-1, -1] = origin[list(order)]
    out["affine"] = matrix
    for name in ("units", "axis_labels"):  # since napari 0.5.1
        values = getattr(layer, name, None)
        if values is not None:
            out[name] = tuple(values[a] for a in order)
    return out


def _affine(layer: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Linear part and origin of a layer's way from data to world."""
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)), np.float64)
    steps = [np.asarray(layer.data_to_world(unit)) - origin for unit in np.eye(layer.ndim)]
    return np.stack(steps, axis=1), origin
