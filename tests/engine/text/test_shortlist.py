"""Which instances are cut out, when a look at the whole image says what is promising."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins import Segmentation
from fastsam_plugins.text import dense
from fastsam_plugins.text.shortlist import CHECKS, shortlist
from support.tiny_clip.crowds import crowd
from tests.engine.text.drawn import instances, options

NONE = np.empty((60, 0), np.float32)


@pytest.fixture(scope="module")
def crowded():
    """A scene of a generator that the tiny CLIP was not trained on, of small objects."""
    return crowd(7, 0, (480, 640), (40, 44), (0.03, 0.1))


@pytest.fixture
def seen(tiny, monkeypatch):
    """How many crops the tiny CLIP is given, batch by batch."""
    seen: list[int] = []
    real = tiny.model.encode_image
    monkeypatch.setattr(tiny.model, "encode_image", lambda x: seen.append(len(x)) or real(x))
    return seen


def true(rng):
    return rng.normal(size=(60, 2)).astype(np.float32)


def test_a_look_that_agrees_leaves_most_out() -> None:
    rng = np.random.default_rng(0)
    fits = true(rng)
    rough = (fits + rng.normal(0, 0.2, fits.shape)).astype(np.float32)
    chosen = shortlist(rough, NONE, lambda some: fits[some], 10)
    assert len(chosen) <= 2 * (10 + CHECKS)
    assert set(fits.argmax(0)) <= set(chosen)
    assert (np.diff(chosen) > 0).all()


@pytest.mark.parametrize("sign", [0, -1])
def test_a_look_that_does_not_agree_leaves_nothing_out(sign) -> None:
    rng = np.random.default_rng(1)
    fits = true(rng)
    fits[:, 0] = np.linspace(1, 0, 60)
    rough = sign * fits + rng.normal(0, 1e-3, fits.shape)
    rough[:, 1] = fits[:, 1]  # one text that is in doubt is enough
    chosen = shortlist(rough.astype(np.float32), NONE, lambda some: fits[some], 10)
    assert np.array_equal(chosen, np.arange(60))


def test_what_is_like_a_negative_or_not_looked_at_comes_last() -> None:
    fits = np.linspace(1, 0, 60, dtype=np.float32)[:, None]
    rough = fits.copy()
    rough[3] = np.nan
    unwanted = np.where(np.arange(60) < 3, 2, -1).astype(np.float32)[:, None]
    chosen = shortlist(rough, unwanted, lambda some: fits[some], 10)
    assert set(range(4, 14)) <= set(chosen)
    assert not {0, 1, 2} & set(chosen[:10])


def test_auto_picks_what_crops_pick_and_cuts_out_fewer(tiny, crowded, seen) -> None:
    seg = instances(crowded)
    every = seg.select(text=crowded.captions, options=options("crops"), clip=tiny)
    assert sum(seen) == len(seg)
    fewer, same = [], []
    for k, caption in enumerate(crowded.captions[:8]):
        seen.clear()
        ask = options("auto").replace(dense_size=None)
        found = instances(crowded).select(text=caption, options=ask, clip=tiny)
        fewer.append(sum(seen))
        same.append(found.rows.tolist() == every.rows[every.prompts == k].tolist())
    assert np.mean(same) >= 0.8
    assert np.mean(fewer) < 0.6 * len(seg)


def test_similarities_of_auto_are_those_of_crops(tiny, crowded) -> None:
    seg = instances(crowded)
    auto, crops = options("auto"), options("crops")
    texts = crowded.captions[:2]
    found = seg.select(text=texts, options=auto, clip=tiny)
    assert np.array_equal(found.similarity(texts, auto, tiny), found.similarity(texts, crops, tiny))
    assert np.array_equal(seg.similarity(texts, auto, tiny), seg.similarity(texts, crops, tiny))


def test_few_instances_or_all_that_fit_are_cut_out(tiny, crowded, seen) -> None:
    seg = instances(crowded)
    seg[:20].select(text=crowded.captions[0], options=options("auto"), clip=tiny)
    assert sum(seen) == 20
    every = seg.select(text=crowded.captions[0], options=options("auto", top_k=0), clip=tiny)
    assert sum(seen) == len(seg) == len(every)


def test_a_network_without_tokens_is_shown_all(tiny, crowded, seen, monkeypatch) -> None:
    def refuse(*_):
        raise dense.NoTokensError("use features=crops")

    monkeypatch.setattr(dense, "tokens", refuse)
    instances(crowded).select(text=crowded.captions[0], options=options("auto"), clip=tiny)
    assert sum(seen) == len(crowded.masks)


def test_the_whole_image_is_seen_larger_where_masks_are_small(tiny, crowded) -> None:
    visual = tiny.model.visual
    assert dense.fitting_size(visual, (480, 640), 300) == 2 * 96
    assert dense.fitting_size(visual, (480, 640), 100) == 409  # 100 px are then two cells of 32
    assert dense.fitting_size(visual, (480, 640), 3) == 24 * 32
    # One size for all views of the same masks.
    seg, ask = instances(crowded), options("dense").replace(dense_size=None)
    few = seg[:3].similarity("a star", ask, tiny)
    assert np.allclose(seg.similarity("a star", ask, tiny)[:3], few, atol=1e-5)
    assert len(seg.image_features._tokens) == 1
    large = Segmentation.from_masks(np.ones((1, 64, 64), bool)).with_image(crowded.image[:64, :64])
    large.similarity("a star", ask, tiny)
    assert [key[-1] for key in large.image_features._tokens] == [2 * 96]
