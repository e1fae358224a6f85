"""No prompt vanishes: how many were answered, and why not the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fastsam_plugins import Segmentation, answers
from fastsam_plugins.cli.main import main
from fastsam_plugins.options import PromptOptions
from tests.conftest import disks

SHAPE = (60, 80)


@pytest.fixture
def seg():
    """A large disk with a small one in it, and another."""
    return Segmentation.from_masks(disks(SHAPE, [(20, 20, 15), (20, 20, 5), (60, 40, 10)]))


def asked(seg, points=None, labels=None, boxes=None, **changes):
    options = PromptOptions(**changes)
    found = seg.select(points, labels, boxes, options)
    return answers.to_prompts(seg, found, points, labels, boxes, options)


@pytest.mark.parametrize("mode", ["union", "smallest", "best", "each"])
def test_points_say_why_they_were_not_answered(seg, mode):
    points = [(20, 20), (75, 5), (60, 40), (-3, 5)]
    got = asked(seg, points, [1, 1, 0, 1], points_mode=mode)
    assert (got.asked, got.answered) == (3, 1)
    assert got.why_not == {
        "point 2 (75, 5)": answers.NONE_THERE,
        "point 4 (-3, 5)": answers.OUTSIDE,
    }
    got = asked(seg, [(60, 40), (61, 41)], [1, 0], points_mode=mode)
    assert got.why_not == {"point 1 (60, 40)": answers.EXCLUDED}
    assert not asked(seg, [(20, 20), (60, 40)], points_mode="each").why_not


def test_an_object_that_does_not_hold_a_point_does_not_answer_it(seg):
    got = asked(seg, [(20, 20), (20, 30), (60, 40)], points_mode="smallest")
    assert got.why_not == {"point 3 (60, 40)": answers.ANOTHER}


@pytest.mark.parametrize("mode", ["box_iou", "mask_iou"])
def test_boxes_say_why_they_were_not_answered(seg, mode):
    boxes = [(5, 5, 35, 35), (70, 0, 80, 10), (-9, -9, -2, -2), (0, 0, 80, 60)]
    got = asked(seg, boxes=boxes, boxes_mode=mode, min_iou=0.5)
    assert got.answered == 1
    assert list(got.why_not.values()) == [
        "no instance overlaps it by an IoU of 0.5, lower conf",
        "empty, or outside the image",
        "no instance overlaps it by an IoU of 0.5, lower conf",
    ]
    assert str(got).startswith("1 of 4 prompts answered (box 2 (70, 0, 80, 10): no instance")


def test_where_nothing_was_found_that_is_said():
    got = asked(Segmentation.empty(SHAPE), [(5, 5)])
    assert str(got) == "0 of 1 prompts answered (point 1 (5, 5): " + answers.NOTHING + ")"


def test_the_command_counts_answers(tmp_path, coins):
    Image.fromarray(coins).save(tmp_path / "coins.png")
    words = ["segment", str(tmp_path / "coins.png"), "-o", str(tmp_path / "o.json")]
    high, width = coins.shape[:2]
    prompts = ["--box", f"0,0,{width},{high}", "--box", f"{width + 5},0,{width + 9},9"]
    result = CliRunner().invoke(main, [*words, *prompts, "--min-iou", "0.9"])
    assert result.exit_code == 0, result.stderr
    assert "0 of 2 prompts answered (box 1 (" in result.stdout
    assert "outside the image" in result.stdout
    result = CliRunner().invoke(main, [*words, *prompts, "--conf", "0.99", "--json"])
    (image,) = json.loads(result.stdout)["images"]
    assert (image["instances"], image["prompts"], len(image["unanswered"])) == (0, 2, 2)
    assert answers.NOTHING in image["unanswered"].values()
    seg = Segmentation.from_masks(np.ones((1, 5, 5), bool))
    assert not asked(seg, [(2, 2)]).why_not
