"""The form fits into a narrow dock."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(600)


def test_nothing_is_wider_than_a_narrow_dock(plain):
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtWidgets import QScrollArea, QWidget

    long = "2026-11-28_experiment_0042_plate_B_well_C07_field_0013_channel_DAPI"
    plain.image.name = long
    dock = plain.widget.native.parent()
    while not hasattr(dock, "setFloating"):
        dock = dock.parent()
    main = plain.viewer.window._qt_window
    main.resizeDocks([dock], [350], Qt.Orientation.Horizontal)
    for title in plain.widget.panel.folds:
        plain.widget.panel.unfold(title)
    plain.wait(least=0.3)
    assert dock.width() <= 350
    (scroll,) = plain.widget.native.findChildren(QScrollArea)
    inside = scroll.widget()
    assert inside.width() <= scroll.viewport().width()
    for child in inside.findChildren(QWidget):
        if child.isVisible() and not child.findChildren(QWidget):
            right = child.mapTo(inside, QPoint(child.width(), 0)).x()
            assert right <= inside.width() + 1, child
    assert plain.widget.panel.image.current_choice.startswith("2026-11-28_e")
    assert plain.widget.panel.image.current_choice.endswith("channel_DAPI")
    assert len(plain.widget.panel.image.current_choice) <= 28
    assert plain.widget.panel.image.tooltip == long


def test_long_names_that_are_shortened_alike_stay_apart():
    from napari_plugin.view.panel import LONGEST, shortened

    names = ["a" * 40 + middle + "b" * 40 for middle in "xy"]
    assert shortened(names) == names
    assert [len(n) for n in shortened([names[0], "short"])] == [LONGEST, 5]
