"""``LabelsCanvas``: a Labels layer as what objects are committed into.

It is written to through ``data_setitem`` where few pixels change: napari then uploads their window
alone, instead of the whole slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from napari_plugin.model.blocks import LARGE, BlocksCanvas, Level, layer_levels
from napari_plugin.model.edits import ArrayCanvas, Key
from napari_plugin.model.plane import Plane
from napari_plugin.view.geometry import output_transform
from napari_plugin.view.layers import metadata_of

FEW = 50_000
"""Pixels up to which napari's partial upload is quicker than a whole one. It also remembers them
for its own undo, which larger numbers would fill the memory with."""


class LabelsCanvas(ArrayCanvas):
    """The data of a Labels layer, as what objects are committed into."""

    def __init__(self, layer: Labels, plane: Plane) -> None:
        rows, columns = plane.kept.index(plane.rows), plane.kept.index(plane.columns)
        super().__init__(layer.data, rows, columns, plane.spanned)
        self.layer = layer
        self.writing = False  # rather than a person, who paints
        self._shown = 0  # pixels, since all was shown
        self._stale = False

    def write(  # noqa: D102
        self, key: Key, window: Window, block: NDArray[np.integer], changed: NDArray[np.bool_]
    ) -> None:
        count = int(np.count_nonzero(changed))
        self._shown += count
        if not isinstance(self.array, np.ndarray) or self._shown > FEW:
            super().write(key, window, block, changed)
            self._stale = True
            return
        self.keep(key, window)
        rows, columns = np.nonzero(changed)
        place = self.place(key, rows + window[1], columns + window[0])
        self.writing = True
        try:
            indices = tuple(np.broadcast_to(p, rows.shape) for p in place)
            self.layer.data_setitem(indices, block[changed])
        finally:
            self.writing = False

    def show(self) -> None:
        """What was written without being shown, all at once."""
        if self._stale:
            self.layer.refresh()
        self._shown, self._stale = 0, False


def canvas_of(layer: Labels, plane: Plane) -> LabelsCanvas | BlocksCanvas:
    """What objects are committed into, of a layer that was made here or by a person."""
    if isinstance(layer.data[0], Level) and layer.multiscale:
        return BlocksCanvas(list(layer.data), layer.refresh)
    return LabelsCanvas(layer, plane)


def objects_layer(
    image: Any, plane: Plane, shape: Sequence[int], name: str, dtype: Any = np.int32
) -> Labels:
    """An empty layer to commit into: as large as the image, where it is, and with what it knows.

    Of slices of more than :data:`napari_plugin.model.blocks.LARGE` pixels it holds squares of runs.

    Raises
    ------
    MemoryError
        If there is no room for it.
    """
    wanted = plane.label_shape(shape)
    data: Any
    if shape[plane.rows] * shape[plane.columns] > LARGE:
        rows, columns = plane.kept.index(plane.rows), plane.kept.index(plane.columns)
        data = layer_levels(wanted, rows, columns, plane.spanned, dtype)
    else:
        data = np.zeros(wanted, dtype)
    return Labels(
        data,
        name=name,
        multiscale=isinstance(data, list),
        metadata=metadata_of(image, plane),
        **output_transform(image, plane),
    )
