"""Answers, one after another."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.decoder.answer import Answer
from fastsam_plugins.decoder.prompter import ALTERNATIVES, CORRECTED, Prompter, kept
from fastsam_plugins.decoder.windows import GRID
from fastsam_plugins.prompts import to_pixels


@pytest.fixture(scope="module")
def prompter(model, coins):
    return Prompter(model.segment(coins, conf=0.25).encoding, coins)


def test_what_was_answered_is_not_answered_again(prompter):
    steps = [((77.0, 105.0, 1),), ((60.0, 60.0, 0),)]
    first = prompter.answers(steps)
    assert prompter.answers(steps) is first
    before = prompter.answers(steps[:1])
    assert prompter.answers([*steps[:1]]) is before
    assert len(before) <= ALTERNATIVES
    assert len(first) == 1


def test_proposals_with_a_click_of_the_other_kind_are_no_candidates(prompter):
    click, other = (77.0, 105.0, 1), (78.0, 106.0, 0)
    rows, worth = prompter.candidates([click], click)
    assert (np.diff(worth) <= 0).all()
    left, _ = prompter.candidates([click, other], click)
    held = prompter.encoding.proposals.source.contains(left, to_pixels(np.array([other[:2]])))
    assert not held.any()
    assert len(left) < len(rows)


def test_a_window_follows_the_answer_and_the_clicks(prompter):
    (answer, *_) = prompter.answers([((77.0, 105.0, 1),)])
    x0, y0, x1, y1 = prompter.window_about(answer, None, [(77, 105, 1), (300, 200, 1)], None)
    assert x0 < 77 < 300 < x1
    assert y0 < 105 < 200 < y1
    far = prompter.window_about(None, None, [(300, 200, 1)], None)
    assert far[0] < 300 < far[2]


def test_no_more_than_some_answers_are_kept(prompter):
    for k in range(80):
        prompter.answers([((50.0 + k, 100.0, 1),)], most=1)
    assert len(prompter._known) <= 64


def test_an_image_that_is_not_known_is_gray(model, coins):
    encoding = model.segment(coins, conf=0.25).encoding
    blind = Prompter(encoding, None)
    view = blind.view((0, 0, 100, 100), [], None, None, None, None)
    assert np.allclose(view.fine[:3], (114 / 255 - 0.45) * 3, atol=1e-5)
    assert blind.answers([((77.0, 105.0, 1),)])


def test_what_a_click_is_not_about_stays_as_it_was():
    """Of two changes, that under the click is taken, and the far one is not."""
    window = (0, 0, GRID, GRID)
    old = np.full((GRID, GRID), -2, np.float32)
    old[20:40, 20:40] = 2
    new = old.copy()
    new[20:40, 40:50] = 3  # grows to the right, where the click is
    new[0:6, 0:6] = 3
    made = kept(Answer(new, window, 0.8), Answer(old, window, 0.5), [(45.5, 30.5, 1)])
    assert (made.map[20:40, 40:50] == 3).all()
    assert (made.map[0:6, 0:6] == -2).all()
    assert made.iou == 0.8


def test_a_first_answer_is_mostly_the_proposal(prompter):
    (row, *_), _ = prompter.candidates([(77.0, 105.0, 1)], (77.0, 105.0, 1))
    window = prompter.window_about(None, None, [(77, 105, 1)], int(row))
    nothing = Answer(np.full((GRID, GRID), -6, np.float32), window, 0.2)
    mixed = prompter._first(nothing, int(row), {int(row): 0.8})
    shown = 2 * np.arctanh(np.clip(prompter._shown(int(row), window), -0.9999, 0.9999))
    assert np.allclose(mixed.map, (1 - CORRECTED) * shown - 6 * CORRECTED, atol=0.05)
    assert mixed.iou == pytest.approx(0.5)
    assert prompter._first(nothing, None, {}) is nothing
