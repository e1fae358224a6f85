"""prompts.py: prompts as values, and the one way to read them from text."""

from __future__ import annotations

import dataclasses
import doctest

import numpy as np
import pytest

from fastsam_plugins import Segmentation, prompts
from fastsam_plugins.prompts import BoxPrompt, PointPrompt, TextPrompt
from tests.conftest import disks


@pytest.fixture
def seg():
    return Segmentation.from_masks(disks((80, 100), [(40, 40, 30), (40, 40, 15), (85, 60, 10)]))


def test_examples_in_the_docs_are_so():
    assert doctest.testmod(prompts).failed == 0


def test_values_select_as_arrays_do(seg):
    points = PointPrompt.parse(["40,40", "40,65,0"])
    boxes = BoxPrompt.parse(["75,50,95,70", "25,25,55,55"])
    for prompt, alone in (
        (points, seg.select([(40, 40), (40, 65)], [1, 0])),
        (boxes, seg.select(boxes=[(75, 50, 95, 70), (25, 25, 55, 55)])),
        (
            dataclasses.replace(boxes, points=points),
            seg.select([(40, 40), (40, 65)], [1, 0], [(75, 50, 95, 70), (25, 25, 55, 55)]),
        ),
    ):
        selected = prompt.select(seg)
        assert selected.rows.tolist() == alone.rows.tolist()
        assert selected.prompts.tolist() == alone.prompts.tolist()
        assert selected.rles() == alone.rles()


def test_values_are_equal_hashable_and_cannot_be_changed():
    one, two = PointPrompt(((1, 2),)), PointPrompt(np.array([[1.0, 2.0]]), np.array([1]))
    assert one == two
    assert len({one, two, BoxPrompt(((0, 0, 1, 1),))}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.labels = (0,)


def test_flags_and_forms_are_read_alike():
    assert prompts.parse() is None
    assert prompts.parse(points=["3,4"]) == PointPrompt(((3, 4),), (1,))
    both = prompts.parse(points=["3,4,0"], boxes=["1,2,3,4"])
    assert both == BoxPrompt(((1, 2, 3, 4),), PointPrompt(((3, 4),), (0,)))
    for spelled in (["a dog; a cat"], ["a dog", "a cat"], ["a dog;", " a cat ;"], "a dog;a cat"):
        assert prompts.parse(texts=spelled) == TextPrompt(("a dog", "a cat"))
    assert TextPrompt.parse("") is TextPrompt.parse(None) is TextPrompt.parse([]) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"points": ["3"]}, "'3' is not of the form X,Y"),
        ({"points": ["3,x"]}, "'3,x' is not of the form X,Y"),
        ({"points": ["3,4,2"]}, "labels must be 1"),
        ({"points": ["nan,4"]}, "points must be finite"),
        ({"boxes": ["1,2,3"]}, "'1,2,3' is not of the form X1,Y1,X2,Y2"),
        ({"boxes": ["9,2,3,4"]}, "upside down"),
        ({"texts": [""]}, r"text\[0\] is empty"),
        ({"texts": ["a dog", " ;"]}, r"text\[1\] is empty"),
        ({"texts": [5]}, "text must be text, or a list of texts"),
        ({"texts": 5}, "text must be text, or a list of texts"),
        ({"negatives": ["grass"]}, "negatives need a text"),
        ({"texts": ["a dog"], "boxes": ["1,2,3,4"]}, "a text goes alone"),
    ],
)
def test_what_is_no_prompt_is_told_in_a_line(given, said):
    with pytest.raises(ValueError, match=said) as told:
        prompts.parse(**given)
    assert "\n" not in str(told.value)


def test_marks_are_what_is_drawn():
    both = prompts.parse(points=["3,4,0"], boxes=["1,2,3,4"])
    assert prompts.marks(both) == ([(3, 4, 0)], [(1, 2, 3, 4)])
    assert prompts.marks(prompts.parse(texts=["a dog"])) == ([], [])
    assert prompts.marks(None) == ([], [])
