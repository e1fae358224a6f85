"""The table of a slice's instances: rows that the filters let through, sorted, picked, dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from magicgui.widgets import Container
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QEvent, QModelIndex, QObject, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_plugin.model.slice_instances import SliceInstances

COLUMNS = ("score", "area [px]", "stability")


class _Rows(QAbstractTableModel):
    """Instances as rows: a model, since a widget for every cell holds the window up."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[NDArray] = [np.empty(0)] * len(COLUMNS)
        self.order: NDArray[np.int64] = np.empty(0, np.int64)  # by row: index in ``instances.seg``
        self.by: tuple[int, bool] | None = None  # column, and whether the largest comes first

    def show(self, columns: list[NDArray], shown: NDArray[np.int64]) -> None:
        self.beginResetModel()
        self.columns, self.order = columns, shown
        if self.by is not None:
            column, down = self.by
            values = np.nan_to_num(np.asarray(columns[column], float), nan=-np.inf)[shown]
            self.order = shown[np.argsort(-values if down else values, kind="stable")]
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.order)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        value = self.columns[index.column()][self.order[index.row()]]
        return str(int(value)) if index.column() == 1 else f"{value:.3f}"

    def headerData(
        self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        across = orientation == Qt.Orientation.Horizontal
        return COLUMNS[section] if across else str(int(self.order[section]) + 1)


class InstanceTable(Container):
    """Instances of the slice that is shown, one row each; a click on a column's name sorts them.

    Parameters
    ----------
    chosen : callable
        Called with the indices (in ``instances.seg``) of the rows that a person selected.
    dropped : callable
        Called with those that a person dropped, with the key Delete.
    """

    def __init__(
        self, chosen: Callable[[list[int]], None], dropped: Callable[[list[int]], None]
    ) -> None:
        super().__init__(labels=False, label="")
        self.margins = (0, 0, 0, 0)
        self._chosen, self._dropped = chosen, dropped
        self._instances: SliceInstances | None = None
        self._seg: Any = None
        self._following = False
        self.rows = _Rows()
        view: Any = QTableView()
        self.view = view
        view.setModel(self.rows)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setToolTip("A row picks its instance, several with Ctrl or Shift; Delete drops them")
        view.setMinimumHeight(140)
        header = view.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionsClickable(True)
        header.sectionClicked.connect(self._sort)
        view.verticalHeader().setDefaultSectionSize(22)
        view.selectionModel().selectionChanged.connect(self._selected)
        self._keys = _DeleteKey(view, lambda: self._dropped(self.selected))
        view.installEventFilter(self._keys)
        self.native.layout().addWidget(view)

    @property
    def selected(self) -> list[int]:
        """Indices of the instances whose rows are selected."""
        rows = sorted(i.row() for i in self.view.selectionModel().selectedRows())
        return [int(self.rows.order[r]) for r in rows]

    def show_instances(self, instances: SliceInstances | None) -> None:
        """Show the instances of a slice that the filters let through."""
        self._instances, self._following = instances, True
        try:
            if instances is None:
                self._seg = None
                self.rows.show([np.empty(0)] * len(COLUMNS), np.empty(0, np.int64))
                return
            seg = instances.seg
            if seg is not self._seg:
                self._seg = seg
                self.rows.columns = [seg.scores, seg.areas, seg.stability]
            visible = np.flatnonzero(np.isin(seg.rows, instances.visible.rows))
            self.rows.show(self.rows.columns, visible)
        finally:
            self._following = False

    def follow(self, index: int) -> None:
        """Show the row of an instance that was picked elsewhere."""
        rows = np.flatnonzero(self.rows.order == index)
        if not len(rows) or index in self.selected:
            return
        self._following = True
        try:
            self.view.selectRow(int(rows[0]))
        finally:
            self._following = False

    def _sort(self, column: int) -> None:
        before = self.rows.by
        self.rows.by = (column, not (before and before[0] == column and before[1]))
        header = self.view.horizontalHeader()
        header.setSortIndicatorShown(True)
        order = Qt.SortOrder
        header.setSortIndicator(
            column, order.DescendingOrder if self.rows.by[1] else order.AscendingOrder
        )
        self.show_instances(self._instances)

    def _selected(self, *_: Any) -> None:
        if not self._following and self.selected:
            self._chosen(self.selected)


class _DeleteKey(QObject):
    """Tells of the key Delete on a widget."""

    def __init__(self, widget: Any, pressed: Callable[[], None]) -> None:
        super().__init__(widget)
        self._pressed = pressed

    def eventFilter(self, watched: Any, event: Any) -> bool:
        keys = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
        if event.type() == QEvent.Type.KeyPress and event.key() in keys:
            self._pressed()
            return True
        return False
