"""Labels of a layer as rough masks, for which better ones are asked."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsam_plugins.masks import runs as R
from napari_plugin.model.edits import ArrayCanvas, Key
from napari_plugin.model.painting import SessionError
from napari_plugin.model.plane import to_data
from napari_plugin.view.shown_image import ShownImage

NEAR = 0.5  # pixels of the image


def rough_masks(layer: Any, image: ShownImage, key: Key, every: bool) -> dict[int, tuple[int, ...]]:
    """The ends of the runs of labels in a slice, by label.

    Parameters
    ----------
    layer : Labels, optional
    image : ShownImage
    key : tuple of int
        The slice.
    every : bool
        All labels, and not just the one that is selected in the layer.

    Raises
    ------
    SessionError
        If there are none, or the layer does not lie over the image.
    """
    if layer is None:
        raise SessionError("choose a Labels layer: there is none yet")
    shape = image.plane.label_shape(image.full_shape)
    data = layer.data[0] if layer.multiscale else layer.data
    if tuple(data.shape) != shape:
        raise SessionError(
            f"layer {layer.name} has shape {tuple(data.shape)}, the labels of {image.layer.name} "
            f"would have {shape}"
        )
    if not _lies_over(layer, image, key):
        raise SessionError(
            f"layer {layer.name} lies elsewhere than {image.layer.name}: give it the same scale "
            "and place"
        )
    wanted = int(layer.selected_label)
    if not every and wanted == 0:
        raise SessionError(
            f"label 0 of {layer.name} is its background: select another, or tick every label"
        )
    height, width = image.shape
    kept, plane = image.plane.kept, image.plane
    rows, columns = kept.index(plane.rows), kept.index(plane.columns)
    block = ArrayCanvas(data, rows, columns, plane.spanned).read(key, (0, 0, width, height))
    masks = R.from_labels(block) if every else {wanted: R.from_bitmap(block == wanted)}
    found = {n: tuple(runs.ravel().tolist()) for n, runs in masks.items() if n and len(runs)}
    if not found:
        what = "no label" if every else f"no pixel of label {wanted}"
        raise SessionError(f"layer {layer.name} has {what} in this slice")
    return found


def _lies_over(layer: Any, image: ShownImage, key: Key) -> bool:
    """Whether the corners of a slice are where those of the image are."""
    height, width = image.shape
    corners = to_data(image.plane, key, [(0, 0), (width, 0), (0, height), (width, height)])
    kept, off = list(image.plane.kept), 0.0
    for corner in corners:
        ours = np.zeros(image.layer.ndim)
        ours[kept] = corner
        world = np.array(image.layer.data_to_world(ours), np.float64)
        world[kept] = layer.data_to_world(corner)
        off = max(off, float(np.abs(np.asarray(image.layer.world_to_data(world)) - ours).max()))
    return off <= NEAR
