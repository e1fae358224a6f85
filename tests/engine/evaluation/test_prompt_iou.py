"""Prompts measured on instances that are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fastsam_plugins import Segmentation
from fastsam_plugins.cli.main import main
from fastsam_plugins.evaluation import prompt_iou
from fastsam_plugins.masks import runs as R
from tests.conftest import disks

SHAPE = (60, 80)


def seg_of(*masks):
    return Segmentation.from_masks(np.stack(masks), np.linspace(0.9, 0.5, len(masks)))


def test_what_is_found_exactly_is_selected_exactly():
    masks = disks(SHAPE, [(20, 30, 12), (58, 30, 12)])
    found = prompt_iou.prompt_for(seg_of(*masks), [R.from_bitmap(m) for m in masks])
    assert set(found) == {
        "everything",
        *(f"{n} points, {m}" for n in (1, 3, 5) for m in ("union", "smallest", "best")),
        *(f"box, {m}" for m in ("box_iou", "mask_iou")),
    }
    assert all(values == [1.0, 1.0] for values in found.values())


def test_nothing_found_scores_zero():
    (disk,) = disks(SHAPE, [(20, 30, 12)])
    found = prompt_iou.prompt_for(Segmentation.empty(SHAPE), [R.from_bitmap(disk)])
    assert all(values == [0.0] for values in found.values())


def test_a_background_point_corrects_what_was_taken_too_much():
    """One point hits the whole and its part; a second one outside the part removes the whole."""
    whole, part = disks(SHAPE, [(40, 30, 25), (40, 30, 10)])
    found = prompt_iou.prompt_for(seg_of(whole, part), [R.from_bitmap(part)])
    assert found["1 points, union"][0] == pytest.approx(part.sum() / whole.sum())
    assert found["3 points, union"] == [1.0]
    assert found["1 points, smallest"] == [1.0]


def test_points_lie_deepest_inside_the_larger_error():
    left, right = disks(SHAPE, [(20, 30, 12), (60, 30, 8)])
    nothing = np.zeros_like(left)
    for missed, extra, foreground in ((left | right, nothing, True), (right, left, False)):
        place, label = prompt_iou._deepest(missed, extra)
        assert place == pytest.approx((20, 30), abs=1)
        assert label is foreground


def test_a_mask_that_touches_the_border_has_its_point_inside():
    """Beyond the image there is nothing of the object: the border counts as its edge."""
    corner = np.zeros(SHAPE, bool)
    corner[:11, :11] = True
    assert prompt_iou._deepest(corner, np.zeros_like(corner)) == ((5.5, 5.5), True)


def test_the_command_prints_mean_ious(tmp_path, coins):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.fromarray(coins).save(tmp_path / "images" / "coins.png")
    disk = disks(coins.shape[:2], [(58, 43, 24)])[0]
    Image.fromarray((disk * 255).astype(np.uint8)).save(tmp_path / "masks" / "coins.png")
    result = CliRunner().invoke(main, ["evaluate", "prompts", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["images"], found["instances"]) == (1, 1)
    assert 0 <= found["1 points, union"] <= 1
    assert found["everything"] >= max(found["box, box_iou"], found["1 points, smallest"])


def test_unlabelled_data_is_one_line(tmp_path, coins):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        Image.fromarray(coins * (kind == "images")).convert("L").save(tmp_path / kind / "a.png")
    result = CliRunner().invoke(main, ["evaluate", "prompts", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1] == "Error: no image has a labelled instance"
