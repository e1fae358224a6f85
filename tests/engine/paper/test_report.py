"""The page: the paper's figures beside ours, and what is missing."""

from __future__ import annotations

import math

from fastsam_plugins.evaluation.published import BOUNDARIES
from fastsam_plugins.paper.report import Estimate, Finding, Item, Outcome, page

ITEM = Item("table 2", "edges", "needs maps", lambda _: None, BOUNDARIES)


def test_every_item_has_the_papers_figures_ours_and_what_is_missing():
    found = Finding(("ODS", "more"), [("ours", (61.25, None))], "9 images", ["A note."],
                    {"a.png": "A picture"})  # fmt: skip
    outcomes = [Outcome(ITEM, "fastsam one", found, "", 60), Outcome(ITEM, "two", None, "no data")]
    text = page(outcomes, "M", "CPU", "p")
    assert "`fastsam one`; needs maps." in text
    assert "| *FastSAM (the paper)* | *75.0* | *79.0* | *79.3* | *90.3* | *–* |" in text
    assert "| ours | 61.2 | – | – | – | – |" in text
    assert "![A picture](p/a.png)" in text
    assert "**Missing here:** no data." in text
    assert "Whole run: 1.0 minutes" in text
    assert "| |" not in text.replace("|  | ODS", "").replace("|  |\n", "")


def test_what_was_left_out_of_a_measurement_is_told_with_it():
    found = Finding(("ODS",), [("ours", (61.25,))], "8 images", missing=["1 of 9 images", "peers"])
    text = page([Outcome(ITEM, "c", found)], "M", "CPU", "p")
    assert "| table 2: edges | 8 images | 0 | 1 of 9 images; peers |" in text
    assert "**Missing here:** 1 of 9 images; peers." in text


def test_a_figure_without_an_interval_shows_none():
    rows = [("ours", (Estimate(13.8, math.nan, math.nan),)), ("b", (Estimate(5.0, 4.0, 6.0),))]
    text = page([Outcome(ITEM, "c", Finding(("ODS",), rows, "1"))], "M", "CPU", "p")
    assert "| ours | 13.8 |" in text
    assert "| b | 5.0 (4.0 to 6.0) |" in text
