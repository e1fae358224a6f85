"""Operator forms and what they give back."""

from __future__ import annotations

import pytest
from fiftyone.operators import types

from fastsam_plugins.options import CleanOptions, PromptOptions, ReadOptions, SegmentOptions
from fastsam_plugins.parameters import parameters
from fiftyone_plugin import forms

ALL = [SegmentOptions, PromptOptions, CleanOptions, ReadOptions]


@pytest.mark.parametrize("options", ALL)
def test_every_parameter_has_a_field_with_its_range_default_and_help(options):
    form = types.Object()
    forms.add(form, options)
    assert list(form.properties) == [p.name for p in parameters(options)]
    for p in parameters(options):
        shown = form.properties[p.name]
        assert shown.default == p.default
        assert shown.view.description == p.help
        assert p.unit in shown.view.label
        assert shown.required is False
        if p.choices:
            assert shown.type.values == list(p.choices)
        elif p.type in (int, float):
            assert (shown.type.min, shown.type.max) == (p.ge, p.le)


@pytest.mark.parametrize("options", ALL)
def test_an_empty_form_gives_the_defaults(options):
    form = types.Object()
    forms.add(form, options)
    filled = {name: p.default for name, p in form.properties.items()}
    assert forms.read(filled, options) == forms.read({}, options) == options()


def test_what_the_operator_sets_itself_is_left_out():
    form = types.Object()
    forms.add(form, SegmentOptions, leave_out={"conf"})
    assert "conf" not in form.properties


def test_numbers_of_a_browser_are_understood():
    found = forms.read({"conf": 1, "max_det": 20.0, "imgsz": ""}, SegmentOptions)
    assert (found.conf, found.max_det, found.imgsz) == (1.0, 20, None)
    assert isinstance(found.max_det, int)


def test_what_is_out_of_range_is_named():
    with pytest.raises(ValueError, match="conf must be between 0 and 1, got 3"):
        forms.read({"conf": 3}, SegmentOptions)
    with pytest.raises(ValueError, match=r"max_det must be a whole number, got 2\.5"):
        forms.read({"max_det": 2.5}, SegmentOptions)
