"""The page: the paper's figures beside ours, and what is missing."""

from __future__ import annotations

from fastsam_plugins.evaluation.published import BOUNDARIES
from fastsam_plugins.paper.report import Finding, Item, Outcome, page


def test_every_item_has_the_papers_figures_ours_and_what_is_missing():
    item = Item("table 2", "edges", "needs maps", lambda _: None, BOUNDARIES)
    found = Finding(("ODS", "more"), [("ours", (61.25, None))], "9 images", ["A note."],
                    {"a.png": "A picture"})  # fmt: skip
    text = page([Outcome(item, found, "", 60), Outcome(item, None, "no data", 0)], "M", "CPU", "p")
    assert "| *FastSAM (the paper)* | *75.0* | *79.0* | *79.3* | *90.3* |  |" in text
    assert "| ours | 61.2 |  |  |  |  |" in text
    assert "![A picture](p/a.png)" in text
    assert "**Missing here:** no data." in text
    assert "Whole run: 1.0 minutes" in text
