"""The table follows filters and canvas, and the canvas the table."""

from __future__ import annotations

import numpy as np
import pytest

from tests.napari_plugin.conftest import labels

pytestmark = pytest.mark.timeout(600)


def test_filters_are_live_and_the_table_follows(plain):
    rows = plain.widget.panel.table.rows
    assert rows.order.tolist() == [0, 1, 2, 3]
    plain.widget.panel.filters.max_area.value = "1000"
    assert rows.order.tolist() == [1, 2, 3]
    plain.wait(lambda: not plain.widget.pictures.busy)
    assert set(np.unique(plain.workspace.view.instances.picture.data)) == {0, 2, 3, 4}
    plain.move(plain.image, (30, 15))
    assert not plain.workspace.view.instances.preview.layer.data.any()
    plain.widget.panel.filters.max_area.value = "many"
    assert "max_area must be a number" in plain.widget.panel.status.value
    plain.widget.panel.filters.max_area.value = ""
    plain.widget.panel.filters.nested.value = "inner"
    assert rows.order.tolist() == [1, 2, 3]


def test_table_and_canvas_show_each_other_what_is_chosen(plain):
    table = plain.widget.panel.table
    plain.click(plain.image, (30, 60))
    assert table.selected == [2]
    table.view.selectRow(3)
    areas = plain.workspace.instances.seg.areas
    assert np.count_nonzero(plain.workspace.view.instances.preview.layer.data) == areas[3]
    assert plain.viewer.camera.center[1:] == pytest.approx((20, 80), abs=1.5)
    plain.key("N")
    assert np.count_nonzero(labels(plain)) == areas[3], "a row picks what a commit takes"


def test_a_click_on_a_column_sorts_and_rows_stay_their_instances(plain):
    table = plain.widget.panel.table
    areas = plain.workspace.instances.seg.areas
    header = table.view.horizontalHeader()
    header.sectionClicked.emit(1)
    assert areas[table.rows.order].tolist() == sorted(areas.tolist(), reverse=True)
    header.sectionClicked.emit(1)
    assert areas[table.rows.order].tolist() == sorted(areas.tolist())
    table.view.selectRow(0)
    assert np.count_nonzero(plain.workspace.view.instances.preview.layer.data) == areas.min()
    shown = table.rows.data(table.rows.index(0, 1))
    assert int(shown) == areas.min()


def test_dropped_rows_are_picked_and_committed_no_more_until_undone(plain):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    table = plain.widget.panel.table
    table.view.selectRow(0)
    QTest.keyClick(table.view, Qt.Key.Key_Delete)
    plain.wait(lambda: not plain.widget.pictures.busy)
    assert table.rows.order.tolist() == [1, 2, 3]
    assert set(np.unique(plain.workspace.view.instances.picture.data)) == {0, 2, 3, 4}
    plain.widget.commit_all()
    assert len(np.unique(labels(plain))) == 4
    plain.key("U")
    plain.key("U")
    plain.wait(lambda: not plain.widget.pictures.busy)
    assert table.rows.order.tolist() == [0, 1, 2, 3]
    plain.key("Shift-U")
    assert table.rows.order.tolist() == [1, 2, 3]
