"""``Preview``: what prompts pick, and the instance under the cursor, in a layer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.inference.worker import sampled, stride
from napari_plugin.model.edits import Key
from napari_plugin.model.plane import Plane
from napari_plugin.model.slice_instances import SliceInstances
from napari_plugin.view.labels_canvas import FEW
from napari_plugin.view.layers import grid_transform, place_layer

COLORS = ("#00e5ff", "#ff4dd2", "#ffd500", "#76ff03", "#ff6d00", "#b388ff")
HOVER = len(COLORS) + 1
# Cyclic, though it never comes round: a direct colormap compiles for seconds where numba is there.
_SHOWN = ("#00000000", *(f"{c}ff" for c in COLORS), "#ffffffff")
PALETTE = CyclicLabelColormap(
    colors=np.array([list(bytes.fromhex(c[1:])) for c in _SHOWN], np.float32) / 255
)


class Preview:
    """What prompts pick, and what is under the cursor, in a layer of its own over one window.

    Parameters
    ----------
    image : image layer
    plane : Plane
    key : tuple of int
    instances : SliceInstances
    """

    def __init__(
        self, image: Any, plane: Plane, key: Key, instances: SliceInstances, name: str
    ) -> None:
        self._rows, self._columns = plane.kept.index(plane.rows), plane.kept.index(plane.columns)
        self.layer = Labels(
            self._begin(plane, instances),
            name=name,
            opacity=0.55,
            colormap=PALETTE,
            **grid_transform(image, plane, key, instances.window),
        )
        self.layer.mouse_pan = True

    def _begin(self, plane: Plane, instances: SliceInstances) -> NDArray[np.uint8]:
        """Show nothing of a slice; the layer's data."""
        x0, y0, x1, y1 = instances.window
        self.step = stride(instances.window)
        height, width = (len(range(self.step // 2, n, self.step)) for n in (y1 - y0, x1 - x0))
        self._shape = height, width
        self._base = np.zeros(self._shape, np.uint8)  # what prompts pick, without the cursor
        self._picked: list[R.Runs] = []
        self._hovered = R.EMPTY
        shape = [1] * len(plane.kept)
        shape[self._rows], shape[self._columns] = self._shape
        return np.zeros(shape, np.uint8)

    def move(self, image: Any, plane: Plane, key: Key, instances: SliceInstances) -> None:
        """Show nothing, over another slice or window."""
        self.layer.data = self._begin(plane, instances)
        place_layer(self.layer, grid_transform(image, plane, key, instances.window))

    @property
    def picks(self) -> bool:
        """Whether there is a pixel of what prompts pick."""
        return any(len(mask) for mask in self._picked)

    def pick(self, seg: Segmentation) -> None:
        """Show what prompts pick, each instance in a colour, and nothing under the cursor."""
        before = [*self._picked, self._hovered]
        self._picked, self._hovered = [self._runs(seg, i) for i in range(len(seg))], R.EMPTY
        for mask in before:
            self._set(mask, 0)
        for i, mask in sorted(enumerate(self._picked), key=lambda pair: -R.area(pair[1])):
            self._set(mask, i % len(COLORS) + 1)
        self._show([*before, *self._picked])

    def hover(self, seg: Segmentation | None, value: int = HOVER) -> None:
        """Show the instance under the cursor, or none."""
        before = self._hovered
        self._hovered = R.EMPTY if seg is None or not len(seg) else self._runs(seg, 0)
        self._show([before, self._hovered], value)

    def _runs(self, seg: Segmentation, i: int) -> R.Runs:
        return sampled(seg.runs(i), seg.shape[0], self.step, self._shape[0])

    def _set(self, mask: R.Runs, value: int) -> None:
        x0, y0, x1, y1 = window = R.bounds(mask, self._shape[0])
        self._base[y0:y1, x0:x1][R.to_bitmap(mask, self._shape, window)] = value

    def _show(self, masks: Sequence[R.Runs], value: int = HOVER) -> None:
        """Bring the pixels around some masks up to date, in one go."""
        pixels = self.layer.data.reshape(self._shape)
        parts, count = [], 0
        for mask in masks:
            x0, y0, x1, y1 = window = R.bounds(mask, self._shape[0])
            wanted = self._base[y0:y1, x0:x1].copy()
            if len(self._hovered):
                wanted[R.to_bitmap(self._hovered, self._shape, window)] = value
            changed = wanted != pixels[y0:y1, x0:x1]
            parts.append((window, wanted, changed))
            count += int(np.count_nonzero(changed))
        if count > FEW:
            for (x0, y0, x1, y1), wanted, _ in parts:
                pixels[y0:y1, x0:x1] = wanted
            self.layer.refresh()
        elif count:
            rows = np.concatenate([np.nonzero(c)[0] + w[1] for w, _, c in parts])
            columns = np.concatenate([np.nonzero(c)[1] + w[0] for w, _, c in parts])
            values = np.concatenate([v[c] for _, v, c in parts])
            # Napari remembers the indices: small numbers take less memory.
            place: list[Any] = [np.zeros(len(rows), np.int16)] * self.layer.ndim
            place[self._rows] = rows.astype(np.int16)
            place[self._columns] = columns.astype(np.int16)
            self.layer.data_setitem(tuple(place), values)
