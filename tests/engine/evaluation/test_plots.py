"""Pictures of curves: whole or not at all, and the same numbers as data."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.evaluation import plots
from fastsam_plugins.evaluation.boundaries import BoundaryScores, at_thresholds, count
from fastsam_plugins.evaluation.proposals import ProposalRecall
from fastsam_plugins.evaluation.regions import Regions


@pytest.fixture(scope="module")
def recall():
    """Two small objects, of which one is found first and the other by the third proposal."""
    truth = Regions(np.array([[0, 0, 10, 10], [20, 20, 10, 10]], float))
    found = Regions(np.array([[0, 0, 10, 10], [50, 50, 9, 9], [20, 20, 10, 10]], float))
    recall = ProposalRecall()
    recall.add(truth, np.array([100.0, 100.0]), found, np.array([0.9, 0.8, 0.7]))
    return recall


def test_data_are_the_curve(recall):
    data = plots.recall_data(recall)
    assert [data["AR"][k] for k in ("1", "2", "3", "1000")] == [0.5, 0.5, 1.0, 1.0]
    assert len(data["AR"]) == 1000
    assert data["AR@1000"]["small"] == 1
    assert np.isnan(data["AR@1000"]["large"])


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_recall_is_drawn(recall, ending, tmp_path):
    plots.draw_recall({"masks": recall}, tmp_path / f"a.{ending}")
    assert [p.name for p in tmp_path.iterdir()] == [f"a.{ending}"]
    if ending == "png":
        with Image.open(tmp_path / "a.png") as picture:
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


def test_boxes_and_masks_are_told_apart(recall, tmp_path):
    plots.draw_recall({"boxes": recall, "masks": recall}, tmp_path / "a.svg")
    words = re.findall("<!-- (.*) -->", (tmp_path / "a.svg").read_text())
    assert {"boxes, all", "boxes, small", "masks, all", "masks, small", "boxes", "masks"} <= {
        *words
    }


def test_boundaries_are_drawn(tmp_path):
    line = np.zeros((20, 24), bool)
    line[10] = True
    values, bitmaps = at_thresholds(line.astype(float), 9)
    scores = BoundaryScores(values)
    scores.add(count(bitmaps, [line], 0.0075, True))
    plots.draw_boundaries(scores, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_an_ending_that_is_no_picture_is_one_line_and_leaves_what_was_there(recall, tmp_path):
    picture = tmp_path / "a.what"
    picture.write_text("mine")
    with pytest.raises(ValueError, match=r"a\.what: ") as caught:
        plots.draw_recall({"masks": recall}, picture)
    assert "\n" not in str(caught.value)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["mine"]
