"""``Preview``: what prompts pick, and the instance under the cursor, in a layer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
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
CARVES = HOVER + 1  # a line that says background
_SHOWN = ("#00000000", *(f"{c}ff" for c in COLORS), "#ffffffff", "#ff0000ff")
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

    def hover(self, seg: Segmentation | None) -> None:
        """Show the instance under the cursor, or none."""
        before = self._hovered
        self._hovered = R.EMPTY if seg is None or not len(seg) else self._runs(seg, 0)
        self._show([before, self._hovered])

    def hover_more(self, seg: Segmentation) -> None:
        """Show what a click would add to what is picked."""
        before = self._hovered
        wanted = R.union([self._runs(seg, i) for i in range(len(seg))])
        x0, y0, x1, y1 = window = R.bounds(wanted, self._shape[0])
        new = R.to_bitmap(wanted, self._shape, window) & (self._base[y0:y1, x0:x1] == 0)
        self._hovered = R.from_bitmap(new, self._shape, (x0, y0)) if new.size else R.EMPTY
        self._show([before, self._hovered])

    def draw(self, line: NDArray[np.float64], width: float, foreground: bool) -> None:
        """Show one more step of a line that is being drawn, over everything.

        Parameters
        ----------
        line : array (2, 2)
            Where it was and where it is, (x, y) in pixels of the window.
        width : float
            In the same pixels.
        foreground : bool
        """
        cells = np.floor(line / self.step).astype(np.int64)
        thick = max(round(width / self.step), 1)
        x0, y0 = np.maximum(cells.min(0) - thick, 0).tolist()
        x1, y1 = np.minimum(cells.max(0) + thick + 1, self._shape[::-1]).tolist()
        if x1 <= x0 or y1 <= y0:
            return
        bitmap = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.polylines(bitmap, [(cells - (x0, y0)).astype(np.int32)], False, 1, thick)
        new = R.from_bitmap(bitmap > 0, self._shape, (x0, y0))
        self._hovered = R.union([self._hovered, new])  # what is to be wiped away
        wanted = self.layer.data.reshape(self._shape)[y0:y1, x0:x1].copy()
        wanted[bitmap > 0] = HOVER if foreground else CARVES
        self._put([((x0, y0, x1, y1), wanted)])

    def _runs(self, seg: Segmentation, i: int) -> R.Runs:
        return sampled(seg.runs(i), seg.shape[0], self.step, self._shape[0])

    def _set(self, mask: R.Runs, value: int) -> None:
        x0, y0, x1, y1 = window = R.bounds(mask, self._shape[0])
        self._base[y0:y1, x0:x1][R.to_bitmap(mask, self._shape, window)] = value

    def _show(self, masks: Sequence[R.Runs]) -> None:
        """Bring the pixels around some masks up to date."""
        parts = []
        for mask in masks:
            x0, y0, x1, y1 = window = R.bounds(mask, self._shape[0])
            wanted = self._base[y0:y1, x0:x1].copy()
            if len(self._hovered):
                wanted[R.to_bitmap(self._hovered, self._shape, window)] = HOVER
            parts.append((window, wanted))
        self._put(parts)

    def _put(self, parts: Sequence[tuple[Window, NDArray[np.uint8]]]) -> None:
        """Show pixels of some windows, in one go."""
        pixels = self.layer.data.reshape(self._shape)
        changes = [wanted != pixels[y0:y1, x0:x1] for (x0, y0, x1, y1), wanted in parts]
        count = sum(int(np.count_nonzero(c)) for c in changes)
        if count > FEW:
            for (x0, y0, x1, y1), wanted in parts:
                pixels[y0:y1, x0:x1] = wanted
            self.layer.refresh()
        elif count:
            found = [np.nonzero(c) for c in changes]
            windows = [window for window, _ in parts]
            rows = np.concatenate([f[0] + w[1] for f, w in zip(found, windows, strict=True)])
            columns = np.concatenate([f[1] + w[0] for f, w in zip(found, windows, strict=True)])
            values = np.concatenate([v[c] for (_, v), c in zip(parts, changes, strict=True)])
            # Napari remembers the indices: small numbers take less memory.
            place: list[Any] = [np.zeros(len(rows), np.int16)] * self.layer.ndim
            place[self._rows] = rows.astype(np.int16)
            place[self._columns] = columns.astype(np.int16)
            self.layer.data_setitem(tuple(place), values)
