"""options.py, and that of training: every parameter once, validated on construction."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from fastsam_plugins import options
from fastsam_plugins.options import PromptOptions, SegmentOptions
from fastsam_plugins.parameters import parameters
from fastsam_plugins.training import options as of_training

ALL = [
    value
    for module in (options, of_training)
    for value in vars(module).values()
    if isinstance(value, type) and value.__module__ == module.__name__
]
EVERY = [pytest.param(c, p, id=f"{c.__name__}.{p.name}") for c in ALL for p in parameters(c)]
NUMBERS = [e for e in EVERY if e.values[1].type in (int, float)]


def refused(options, name, value):
    with pytest.raises(ValueError, match=f"^{name} must be ") as caught:
        options(**{name: value})
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_options_are_known_to_these_tests():
    assert {c.__name__ for c in ALL} >= {
        "SegmentOptions", "PromptOptions", "CleanOptions", "ReadOptions", "EdgeOptions",
        "BoundaryOptions", "TrainOptions",
    }  # fmt: skip


@pytest.mark.parametrize("options", ALL)
def test_every_field_is_a_parameter_in_order(options):
    fields = dataclasses.fields(options)
    assert [p.name for p in parameters(options)] == [f.name for f in fields]
    assert [p.default for p in parameters(options)] == [f.default for f in fields]


@pytest.mark.parametrize(("options", "p"), EVERY)
def test_a_parameter_has_all_that_a_form_shows(options, p):
    assert len(p.help) > 10
    assert not p.help.endswith(".")
    assert p.type in (bool, int, float, str)
    assert p.optional == (p.default is None)
    if p.choices and not p.optional:
        assert p.default in p.choices


@pytest.mark.parametrize(("options", "p"), NUMBERS)
def test_bounds_hold_and_are_named(options, p):
    for bound, beyond in ((p.ge, -1), (p.le, 1)):
        if bound is None:
            continue
        given = p.type(bound)
        assert getattr(options(**{p.name: given}), p.name) == bound
        step = beyond if p.type is int else beyond * 1e-6
        refused(options, p.name, given + step)
        with pytest.raises(ValueError, match=f"{bound:g}"):
            options(**{p.name: given + step})


@pytest.mark.parametrize(("options", "p"), NUMBERS)
@pytest.mark.parametrize("value", ["1", True, math.nan, math.inf, [1], np.bool_(True), np.ones(2)])
def test_what_is_no_number_is_refused(options, p, value):
    refused(options, p.name, value)


@pytest.mark.parametrize(("options", "p"), [e for e in NUMBERS if e.values[1].type is int])
def test_a_fraction_is_no_whole_number(options, p):
    refused(options, p.name, 64.5)


@pytest.mark.parametrize(("options", "p"), NUMBERS)
def test_numbers_of_numpy_are_numbers(options, p):
    value = next(v for v in (p.default, p.ge, 1) if v is not None)
    for scalar in (np.int64, np.int32) if p.type is int else (np.float64, np.float32):
        assert getattr(options(**{p.name: scalar(value)}), p.name) == scalar(value)


@pytest.mark.parametrize(("options", "p"), [e for e in EVERY if e.values[1].type is bool])
@pytest.mark.parametrize("value", [1, 0, "yes"])
def test_numbers_and_words_are_not_true_or_false(options, p, value):
    refused(options, p.name, value)


@pytest.mark.parametrize(("options", "p"), [e for e in EVERY if e.values[1].type is str])
@pytest.mark.parametrize("value", [7, b"a", ["a"]])
def test_what_is_no_text_is_refused(options, p, value):
    refused(options, p.name, value)


@pytest.mark.parametrize(("options", "p"), [e for e in EVERY if e.values[1].choices])
def test_only_choices_are_chosen(options, p):
    for choice in p.choices:
        assert getattr(options(**{p.name: choice}), p.name) == choice
    refused(options, p.name, p.choices[0].upper())


@pytest.mark.parametrize(("options", "p"), EVERY)
def test_nothing_is_allowed_only_where_it_is_the_default(options, p):
    if p.optional:
        assert getattr(options(**{p.name: None}), p.name) is None
    else:
        refused(options, p.name, None)


def test_replace_validates_and_leaves_the_original():
    options = SegmentOptions()
    assert options.replace(conf=0.1) == SegmentOptions(conf=0.1)
    assert options == SegmentOptions()
    with pytest.raises(ValueError, match="conf must be between 0 and 1, got 7"):
        options.replace(conf=7)
    with pytest.raises(ValueError, match="there is no parameter no_such"):
        options.replace(no_such=1)


def test_options_are_immutable_and_hashable():
    options = PromptOptions()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.min_iou = 0.5
    assert len({options, PromptOptions(), PromptOptions(min_iou=0.5)}) == 2
