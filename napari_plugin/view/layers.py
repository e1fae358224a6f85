"""What the layers that show a session share: their names, where they lie, and what they know."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from napari_plugin.inference.worker import stride
from napari_plugin.model.edits import Key
from napari_plugin.model.plane import CHANNEL_AXIS, Plane, to_data
from napari_plugin.view.geometry import output_transform

PREVIEW, INSTANCES, OBJECTS = "FastSAM preview", "FastSAM instances", "FastSAM objects"
POINTS, BOXES, POLYGONS = "FastSAM points", "FastSAM boxes", "FastSAM polygons"

EDGE_COLOR = "lime"  # of shapes, and of points that say foreground


def grid_transform(image: Any, plane: Plane, key: Key, window: Window) -> dict[str, Any]:
    """Where a layer of a picture's grid (:func:`napari_plugin.inference.worker.picture`) lies."""
    step = stride(window)
    # The first grid point stands for the first step x step pixels: it lies in their middle.
    corner = window[0] + step / 2, window[1] + step / 2
    return output_transform(image, plane, to_data(plane, key, corner)[0], step)


def place_layer(layer: Any, place: dict[str, Any]) -> None:
    """Move a layer to where it is not yet: every setter redraws."""
    for name in ("scale", "translate", "rotate", "shear", "affine"):
        if name in place and not np.allclose(np.asarray(getattr(layer, name)), place[name]):
            setattr(layer, name, place[name])


def spread(plane: Plane, picture: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """A picture (h, w) with the axes of labels, those that count slices of length one."""
    shape = [1] * len(plane.kept)
    shape[plane.kept.index(plane.rows)], shape[plane.kept.index(plane.columns)] = picture.shape
    return picture.reshape(shape)


def metadata_of(image: Any, plane: Plane) -> dict[str, Any]:
    """What files that are made of a layer say of its image: where it came from and where it lies;
    and the axis on which the layer lies over all channels, which no file has."""
    names = ("crs", "transform", "nodata")
    known: dict[str, Any] = {k: image.metadata[k] for k in names if k in image.metadata}
    path = image_path(image)
    if plane.spanned is not None:
        known[CHANNEL_AXIS] = plane.spanned
    return known | ({"image_name": image.name} if path is None else {"image": path})


def image_path(image: Any) -> str | None:
    """The file that an image layer was read from, by napari, by our reader or by a script."""
    path = getattr(image.source, "path", None) or image.metadata.get("path")
    return str(path) if isinstance(path, str | os.PathLike) and str(path) else None


def shapes_layer(image: Any, plane: Plane, name: str) -> Shapes:
    """An empty layer of outlines."""
    return Shapes(
        ndim=len(plane.kept),
        name=name,
        edge_color=EDGE_COLOR,
        face_color="transparent",
        edge_width=2,
        metadata=metadata_of(image, plane),
        **output_transform(image, plane),
    )
