"""Forms show every parameter of options, and give back what is filled in."""

from __future__ import annotations

import dataclasses

import pytest

from fastsam_plugins import options as O
from fastsam_plugins.parameters import Options, parameters

pytest.importorskip("magicgui")


@pytest.fixture
def form(window):
    """Make a form; napari's window has made Qt ready."""
    from napari_plugin.view.forms import Form

    return Form


KINDS = [v for v in vars(O).values() if isinstance(v, type) and issubclass(v, Options)]
KINDS = [v for v in KINDS if v is not Options and dataclasses.fields(v)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_a_form_begins_with_the_defaults_and_gives_them_back(form, kind):
    made = form(kind)
    assert made.names == [p.name for p in parameters(kind)]
    assert made.read() == kind()
    for p in parameters(kind):
        assert made[p.name].tooltip == p.help


def test_what_is_filled_in_is_read_and_what_is_wrong_is_named(form):
    made = form(O.SegmentOptions, leave_out=["imgsz"], start=O.SegmentOptions(conf=0.75))
    assert "imgsz" not in made.names
    assert made.read() == O.SegmentOptions(conf=0.75)
    made.show_values(O.SegmentOptions(conf=0.1, max_det=7))
    assert made.read() == O.SegmentOptions(conf=0.1, max_det=7)
    reading = form(O.ReadOptions)
    reading["nan"].value = " 7.5 "
    assert reading.read() == O.ReadOptions(nan=7.5)
    reading["nan"].value = ""
    assert reading.read().nan is None
    reading["nan"].value = "seven"
    with pytest.raises(ValueError, match="nan must be a number or empty, got 'seven'"):
        reading.read()
