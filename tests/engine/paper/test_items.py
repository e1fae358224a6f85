"""The list of what the paper shows."""

from __future__ import annotations

import pytest

from fastsam_plugins.evaluation.published import TABLES
from fastsam_plugins.paper.items import ITEMS, chosen, run
from fastsam_plugins.paper.setting import Setting


def test_every_table_of_the_paper_is_there():
    keys = [item.key for item in ITEMS]
    assert {f"table {t.number}" for t in TABLES} <= set(keys)
    assert {f"figure {n}" for n in (6, 7, 8, 9, 10)} <= set(keys)


def test_figures_that_show_a_table_are_that_table():
    assert [i.key for i in chosen([6], [4, 11])] == ["table 2", "table 6", "figure 10"]
    assert chosen([], []) == list(ITEMS)
    with pytest.raises(ValueError, match="there is no figure 2 to measure: there are table 1"):
        chosen([], [2])


def test_what_cannot_be_measured_says_why(model, tmp_path):
    outcomes = list(run(chosen([2, 3, 4, 5, 6], [6, 7, 8, 9, 10]), Setting(model, None, tmp_path)))
    assert all(o.finding is None and o.missing for o in outcomes)
