"""Synthetic scenes: seeded, exact, nested."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.datasets import synthetic
from fastsam_plugins.datasets.synthetic import KINDS, scene
from fastsam_plugins.masks import runs as R


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_are_decided_by_seed_and_index(kind):
    a, b, other = scene(3, 7, 96, kind), scene(3, 7, 96, kind), scene(3, 8, 96, kind)
    assert np.array_equal(a.image, b.image)
    assert all(np.array_equal(m, n) for m, n in zip(a.masks, b.masks, strict=True))
    assert not np.array_equal(a.image, other.image)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", range(4))
def test_masks_are_those_of_the_owners_painted(kind, index, monkeypatch):
    canvases = []
    real = synthetic._Canvas.masks
    monkeypatch.setattr(synthetic._Canvas, "masks", lambda c: canvases.append(c) or real(c))
    drawn = scene(0, index, 160, kind)
    (canvas,) = canvases
    expected = []
    assert canvas.ground_counts == (kind == "leaves")
    for number in range(0 if canvas.ground_counts else 1, len(canvas.parents)):
        family = {number}
        for child in range(number + 1, len(canvas.parents)):
            if canvas.parents[child] in family - {0}:
                family.add(child)
        bitmap = np.isin(canvas.owner, list(family))
        if bitmap.sum() >= synthetic.MIN_VISIBLE:
            expected.append(bitmap)
    assert len(drawn.masks) == len(expected) > 0
    for runs, bitmap in zip(drawn.masks, expected, strict=True):
        assert np.array_equal(R.to_bitmap(runs, bitmap.shape), bitmap)


def test_leaves_hold_parts_within_wholes():
    nested = 0
    for index in range(6):
        masks = scene(1, index, 200, "leaves").masks
        for m in masks:
            inside = R.intersection_areas(m, masks)
            nested += sum(a == R.area(o) < R.area(m) for a, o in zip(inside, masks, strict=True))
    assert nested >= 3


def test_nuclei_and_roofs_never_overlap():
    for kind in ("nuclei", "roofs"):
        masks = scene(2, 5, 160, kind).masks
        assert R.area(R.union(masks)) == sum(map(R.area, masks))


def test_objects_differ_from_their_surroundings():
    """A mask that has nothing to do with the image would teach nothing."""
    drawn = scene(0, 1, 200, "nuclei")
    inside = R.to_bitmap(R.union(drawn.masks), (200, 200))
    gray = drawn.image.mean(-1)
    assert abs(gray[inside].mean() - gray[~inside].mean()) > 20


def test_real_images_serve_as_textures(coins):
    plain, textured = scene(0, 0, 96, "leaves"), scene(0, 0, 96, "leaves", crops=[coins])
    assert not np.array_equal(plain.image, textured.image)
