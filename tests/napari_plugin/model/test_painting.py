"""Painting part by part: as if the whole slice were painted at once."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.masks import runs as R
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model import painting
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.painting import POLICIES, Instance, finished, paint
from napari_plugin.model.session import Session, SessionError
from napari_plugin.model.slice_instances import SliceInstances
from tests.conftest import disks

SHAPE = 130, 170


def random_masks(rng, count):
    x, y, r = rng.integers(0, 170, count), rng.integers(0, 130, count), rng.integers(1, 40, count)
    return [m for m in disks(SHAPE, np.stack([x, y, r], axis=1).tolist()) if m.any()]


def expected(plane, masks, policy, ids, erase):
    """What the rules say, with whole planes."""
    plane = plane.copy()
    if erase is not None:
        plane[plane == erase] = 0
    labels, counts = np.unique(plane, return_counts=True)
    areas = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    order = sorted(range(len(masks)), key=lambda k: masks[k].sum())
    for k in order if policy == "keep" else reversed(order):
        mask = masks[k].copy()
        if policy == "keep":
            mask &= plane == 0
        elif policy == "small on top":
            smaller = [n for n, area in areas.items() if n and area < masks[k].sum()]
            mask &= ~np.isin(plane, smaller)
        plane[mask] = ids[k]
    return plane


@pytest.mark.parametrize("part", [1024, 64, 17])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("erase", [None, 3])
def test_parts_make_no_difference(monkeypatch, part, policy, erase):
    monkeypatch.setattr(painting, "PART", part)
    rng = np.random.default_rng(part)
    for _ in range(6):
        plane = np.zeros(SHAPE, np.int32)
        for n, mask in enumerate(random_masks(rng, 8), 1):
            plane[mask] = n
        if erase is not None and not (plane == erase).any():
            continue
        masks = random_masks(rng, 6)
        ids = [erase] * len(masks) if erase else [50 + k for k in range(len(masks))]
        wanted = expected(plane, masks, policy, ids, erase)
        canvas = ArrayCanvas(plane.copy())
        instances = [Instance(R.from_bitmap(m), 0.5, 0.5) for m in masks]
        edits, seen = finished(paint(canvas, (), instances, policy, ids, erase))
        assert seen == np.flatnonzero(np.isin(ids, wanted)).tolist()
        for edit in edits:
            edit.apply(canvas, forward=True)
        np.testing.assert_array_equal(canvas.array, wanted)
        for edit in reversed(edits):
            edit.apply(canvas, forward=False)
        np.testing.assert_array_equal(canvas.array, plane)


def session_of(masks):
    session = Session(ArrayCanvas(np.zeros(SHAPE, np.int32)))
    show(session, masks)
    return session


def show(session, masks):
    seg = Segmentation.from_masks(np.array(masks), scores=[0.9] * len(masks))
    session.add_instances((), SliceInstances(seg, (0, 0, SHAPE[1], SHAPE[0]), SHAPE, "digest"))


@pytest.mark.parametrize("policy", POLICIES)
def test_an_object_is_not_emptied_by_its_equal(policy):
    big, inside, aside = disks(SHAPE, [(60, 60, 30), (60, 60, 10), (130, 60, 20)])
    session = session_of([aside])
    (first,) = session.commit_all([()])
    show(session, [big, inside, aside])
    made = session.commit_all([()], policy)
    plane = session.objects.there.array
    assert first not in made
    np.testing.assert_array_equal(plane == first, aside)
    assert len(made) == 2
    before = plane.copy()
    known = dict(session.objects.known)
    with pytest.raises(SessionError, match="or are the same"):
        session.commit_all([()], policy)
    np.testing.assert_array_equal(plane, before)
    assert session.objects.known == known
    session.history.undo()
    np.testing.assert_array_equal(plane > 0, aside)


def test_what_is_a_pixel_larger_is_another_object():
    mask = disks(SHAPE, [(60, 60, 20)])[0]
    session = session_of([mask])
    session.commit_all([()])
    more = mask.copy()
    more[0, 0] = True
    show(session, [more])
    assert session.commit_all([()], "overwrite") == [2]
    assert set(np.unique(session.objects.there.array)) == {0, 2}


def test_the_same_is_told_of_a_click_on_an_object():
    mask = disks(SHAPE, [(60, 60, 20)])[0]
    session = session_of([mask])
    for _ in range(2):
        session.prompt((), session.prompts(()).with_point((60, 60)))
        if session.objects.known:
            with pytest.raises(SessionError, match="are the same"):
                session.commit(())
        else:
            session.commit(())
    assert set(np.unique(session.objects.there.array)) == {0, 1}
