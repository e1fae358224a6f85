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
    ious, worse = prompt_iou.prompt_for(seg_of(*masks), [R.from_bitmap(m) for m in masks])
    assert set(ious) == {
        "everything",
        *(f"{n} points, {m}" for n in (1, 2, 3, 5, 8) for m in ("union", "smallest", "best")),
        *(f"{b}, {m}" for b in ("box", "noisy box") for m in ("box_iou", "mask_iou", "filled")),
    }
    selected = [v for k, v in ious.items() if "filled" not in k]
    assert all(values == [1.0, 1.0] for values in selected)
    assert all(0.7 < v < 0.85 for v in ious["box, filled"])  # a disk in its square: pi / 4
    assert not any(any(clicks) for clicks in worse.values())


def test_nothing_found_scores_zero():
    (disk,) = disks(SHAPE, [(20, 30, 12)])
    ious, _ = prompt_iou.prompt_for(Segmentation.empty(SHAPE), [R.from_bitmap(disk)])
    assert all(values == [0.0] for name, values in ious.items() if "filled" not in name)


def test_a_background_point_corrects_what_was_taken_too_much():
    """One point hits the whole and its part; a second one outside the part removes the whole."""
    whole, part = disks(SHAPE, [(40, 30, 25), (40, 30, 10)])
    found, _ = prompt_iou.prompt_for(seg_of(whole, part), [R.from_bitmap(part)])
    assert found["1 points, union"][0] == pytest.approx(part.sum() / whole.sum())
    assert found["3 points, union"] == [1.0]
    assert found["1 points, smallest"] == [1.0]


def test_clicks_that_made_it_worse_are_counted():
    """The second point, on what is missing, has the smaller part of two chosen."""
    left, right = disks(SHAPE, [(20, 30, 14), (58, 30, 12)])
    whole = left | right
    ious, worse = prompt_iou.prompt_for(seg_of(left, right), [R.from_bitmap(whole)])
    assert len(worse["best"]) == 7
    drops = np.diff([ious[f"{n} points, best"][0] for n in (1, 2)])
    assert (drops[0] < -0.02) == worse["best"][0]


def test_what_is_predicted_is_measured_beside_what_is_selected(model, coins):
    seg = model.segment(coins, conf=0.25)
    ious, worse = prompt_iou.prompt_for(seg, [seg.runs(0)])
    ways = ("predict", "union", "smallest", "best")
    assert {f"{n} points, {w}" for n in (1, 2, 3, 5, 8) for w in ways} < ious.keys()
    assert {"box, predict", "noisy box, predict", "stroke, predict"} < ious.keys()
    assert set(worse) == set(ways)
    # The object is one of the network's own masks: corrections lead to it.
    assert ious["8 points, predict"][0] > 0.85
    assert ious["1 points, best of predict"][0] >= ious["1 points, predict"][0] - 1e-9


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
