"""The table of a scene's instances: what the filters hide is hidden, a row chosen is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from magicgui.widgets import Container, Table
from qtpy.QtWidgets import QHeaderView

from napari_plugin.scene import Scene

COLUMNS = ("score", "area [px]", "stability")


class InstanceTable(Container):
    """Instances of the slice that is shown, one row each.

    Parameters
    ----------
    chosen : callable
        Called with the index (in ``scene.seg``) of the row that a person chose.
    """

    def __init__(self, chosen: Callable[[int], None]) -> None:
        self._table = Table(value={c: [] for c in COLUMNS})
        super().__init__(widgets=[self._table], labels=False, label="")
        self.margins = (0, 0, 0, 0)
        self.min_height = 160
        self._chosen = chosen
        self._seg: Any = None
        self._following = False
        # Magicgui has no signal of a table's selection: the native table's is used as it is.
        self._table.native.itemSelectionChanged.connect(self._selected)
        self._table.read_only = True
        self._table.native.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)

    def show_scene(self, scene: Scene | None) -> None:
        """Fill the table, or only hide other rows if the instances are the same."""
        seg = None if scene is None else scene.seg
        self._following = True
        try:
            if seg is not self._seg:
                self._fill(seg)
            if scene is not None:
                shown = np.isin(scene.seg.rows, scene.shown.rows)
                for i, visible in enumerate(shown.tolist()):
                    self._table.native.setRowHidden(i, not visible)
        finally:
            self._following = False

    def _fill(self, seg: Any) -> None:
        self._seg = seg
        self._table.native.setUpdatesEnabled(False)
        try:
            if seg is None:
                self._table.value = {c: [] for c in COLUMNS}
            else:
                columns = np.round(seg.scores, 3), seg.areas, np.round(seg.stability, 3)
                data = list(zip(*(c.tolist() for c in columns), strict=True))
                self._table.value = {
                    "data": data, "index": list(range(1, len(data) + 1)), "columns": COLUMNS,
                }  # fmt: skip
        finally:
            self._table.native.setUpdatesEnabled(True)

    def follow(self, index: int) -> None:
        """Show the row of an instance that was picked elsewhere."""
        self._following = True
        try:
            self._table.native.selectRow(index)
        finally:
            self._following = False

    def _selected(self) -> None:
        row = int(self._table.native.currentRow())
        if not self._following and row >= 0:
            self._chosen(row)
