"""What is asked: points and scribbles in their order, and what survives a file."""

from __future__ import annotations

import json

from napari_plugin.model.prompts import NOTHING_THERE, Answer, Prompts, Scribble

LINE = ((1.0, 2.0), (3.0, 4.5))


def test_points_and_scribbles_come_in_the_order_they_were_given():
    prompts = Prompts().with_scribbles([LINE]).with_point((5.0, 5.0), foreground=False)
    prompts = prompts.with_point((6.0, 6.0)).with_scribbles([LINE, LINE[:1]], foreground=False)
    assert prompts.strokes == [
        (LINE, 1), (((5.0, 5.0),), 0), (((6.0, 6.0),), 1), (LINE, 0), (LINE[:1], 0),
    ]  # fmt: skip


def test_a_scribble_stays_where_it_was_when_points_are_deleted():
    prompts = Prompts(((5.0, 5.0),), (1,), scribbles=(Scribble(LINE, 0, 7),))
    assert prompts.strokes == [(((5.0, 5.0),), 1), (LINE, 0)]


def test_the_candidate_that_was_chosen_is_kept_when_more_is_said():
    chosen = Prompts(((5.0, 5.0),), (1,), step=-1)
    more = chosen.with_point((6.0, 6.0), foreground=False).with_scribbles([LINE])
    assert (chosen.first_step, more.first_step, more.step) == (-1, -1, 0)
    drawn = Prompts(scribbles=(Scribble(LINE),), step=2).with_point((6.0, 6.0))
    assert drawn.first_step == 2


def test_scribbles_and_masks_survive_json():
    prompts = Prompts(
        ((1.5, 2.0),), (1,), scribbles=(Scribble(LINE, 0, 1),), masks=((3, 9, 12, 14),), first=-1
    )
    assert prompts
    assert Prompts.from_json(json.loads(json.dumps(prompts.to_json()))) == prompts
    assert Prompts(scribbles=(Scribble(LINE),))
    assert Prompts(masks=((0, 1),))


def test_what_picks_nothing_is_counted_and_stays_open():
    scribbles = Scribble(LINE), Scribble(LINE, 0)
    prompts = Prompts(scribbles=scribbles, masks=((0, 1), (4, 6)))
    answer = Answer(None, prompts, scribbles={0: NOTHING_THERE}, masks={1: NOTHING_THERE})
    assert answer.summary == f"1 of 3 prompts answered: 2 × {NOTHING_THERE}"
    assert answer.unanswered == Prompts(scribbles=scribbles[:1], masks=((4, 6),))
