"""Words pick the right objects of drawn scenes: real pixels, real words, a real (tiny) CLIP."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins import Segmentation, TextOptions
from fastsam_plugins.masks.sources import RunMasks
from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import COLORS, SHAPES, scene
from tests.engine.text.drawn import SEED, instances, options

ENCODERS = pytest.mark.parametrize("features", ["crops", "dense"])


@ENCODERS
def test_words_pick_the_right_object_in_fresh_scenes(tiny, features) -> None:
    # The full proof, 200 scenes, is printed by benchmarks/text.py.
    right = []
    for k in range(30):
        s = scene(SEED, k)
        found = instances(s).select(text=s.captions, clip=tiny, options=options(features))
        assert found.prompts.tolist() == list(range(len(s.captions)))
        right += (found.rows == np.arange(len(s.captions))).tolist()
    assert np.mean(right) >= 0.95


@ENCODERS
def test_top_k_comes_most_similar_first(tiny, drawn, features) -> None:
    seg = instances(drawn)
    red = {i for i, n in enumerate(drawn.names) if n[0] == "red"}
    circles = {i for i, n in enumerate(drawn.names) if n[1] == "circle"}
    texts = ["a red object", "a circle"]
    found = seg.select(text=texts, options=options(features, top_k=2), clip=tiny)
    assert found.prompts.tolist() == [0, 0, 1, 1]
    assert set(found.rows[:2].tolist()) == red
    assert set(found.rows[2:].tolist()) == circles
    every = seg.select(text=texts, options=options(features, top_k=0), clip=tiny)
    similar = seg.similarity(texts, options(features), tiny)
    for t in range(2):
        order = every.rows[every.prompts == t]
        assert sorted(order.tolist()) == list(range(len(seg)))
        assert (np.diff(similar[order, t]) <= 0).all()


def test_confidence_has_no_part_in_it(tiny, drawn) -> None:
    seg = instances(drawn)
    for scores in (np.linspace(0, 1, len(seg)), np.linspace(1, 0, len(seg))):
        other = Segmentation.from_masks(drawn.masks, scores).with_image(drawn.image)
        found = other.select(text=drawn.captions, options=options(), clip=tiny)
        assert np.array_equal(found.rows, np.arange(len(seg)))
        assert np.array_equal(found.scores, other.scores)


@ENCODERS
def test_threshold_keeps_what_is_at_least_as_similar(tiny, drawn, features) -> None:
    seg = instances(drawn)
    similar = seg.similarity("a circle", options(features), tiny)
    for level in (float(np.sort(similar)[-3]), float(similar.max())):
        found = seg.select(
            text="a circle", options=options(features, top_k=0, threshold=level), clip=tiny
        )
        assert sorted(found.rows) == np.flatnonzero(similar >= level).tolist()
    above = float(np.nextafter(similar.max(), np.float32(2)))
    none = seg.select(text="a circle", options=options(features, threshold=above), clip=tiny)
    assert len(none) == 0


@ENCODERS
def test_negatives_keep_off_what_resembles_them_more(tiny, drawn, features) -> None:
    seg = instances(drawn)
    at = next(i for i, n in enumerate(drawn.names) if n[1] == "circle")
    ask = {"options": options(features, top_k=0), "clip": tiny}
    both = seg.similarity(["a circle", "a square", drawn.captions[at]], options(features), tiny)
    found = seg.select(text="a circle", negatives=["a square", drawn.captions[at]], **ask)
    expected = np.flatnonzero((both[:, 0] > both[:, 1]) & (both[:, 0] > both[:, 2]))
    assert at not in expected
    assert len(expected)
    assert sorted(found.rows) == expected.tolist()
    # One negative is a list of one; without any, everything is kept.
    one = seg.select(text="a circle", negatives=drawn.captions[at], **ask)
    assert sorted(one.rows) == np.flatnonzero(both[:, 0] > both[:, 2]).tolist()
    assert len(seg.select(text="a circle", negatives=[], **ask)) == len(seg)
    # A negative concerns what resembles it, not what is wanted elsewhere.
    colors = seg.select(
        text=drawn.captions, negatives="an orange ring", clip=tiny, options=options(features)
    )
    assert set(colors.rows) >= set(range(len(seg))) - {
        i for i, n in enumerate(drawn.names) if n[0] == "orange" or n[1] == "ring"
    }


@ENCODERS
def test_masks_too_small_to_look_at_do_not_shift_the_others(tiny, drawn, features) -> None:
    speck = np.zeros((1, *drawn.masks.shape[1:]), bool)
    empty = speck.copy()
    speck[0, 3, 3:6] = True
    masks = np.concatenate([speck, drawn.masks[:2], empty, drawn.masks[2:], speck])
    seg = Segmentation.from_masks(masks).with_image(drawn.image)
    chosen = options(features, min_pixels=4)
    similar = seg.similarity(drawn.captions, chosen, tiny)
    alone = instances(drawn).similarity(drawn.captions, options(features), tiny)
    seen = [1, 2, *range(4, len(seg) - 1)]
    assert np.allclose(similar[seen], alone, atol=1e-5)
    assert np.isnan(similar[[0, 3, len(seg) - 1]]).all()
    found = seg.select(text=drawn.captions, clip=tiny, options=chosen)
    assert found.rows.tolist() == seen
    assert set(seg.select(text="a ring", clip=tiny, options=chosen, top_k=0).rows) == set(seen)
    # Looked at after all, when the options say so; an empty mask never is.
    again = seg.similarity(drawn.captions, options(features), tiny)
    assert np.isfinite(again[[0, len(seg) - 1]]).all()
    assert np.isnan(again[3]).all()


def test_network_results_have_their_image(model, tiny) -> None:
    s = scene(SEED, 1, (240, 320))
    seg = model.segment(s.image, conf=0.1)
    assert np.shares_memory(seg.image_features.image, s.image)  # kept, not copied
    found = seg.select(text=s.captions[0], options=options(), clip=tiny)
    inside = s.masks[0] & found.mask(0)
    assert inside.sum() / (s.masks[0] | found.mask(0)).sum() > 0.5


def test_by_name_the_clip_is_loaded(drawn) -> None:
    seg = instances(drawn)
    by_options = seg.similarity("a star", clip=str(FOLDER), clip_precision="full")
    assert np.allclose(by_options, seg.similarity("a star", options()), atol=1e-5)
    assert len(seg.select(text="a star", clip=str(FOLDER), top_k=2)) == 2


def test_no_instances_no_network() -> None:
    empty = Segmentation.empty((20, 30)).with_image(np.zeros((20, 30, 3), np.uint8))
    assert empty.similarity("a dog").shape == (0,)
    assert empty.similarity(["a dog", "a cat"]).shape == (0, 2)
    assert len(empty.select(text="a dog")) == 0
    speck = Segmentation.from_masks(np.zeros((1, 20, 30), bool)).with_image(np.zeros((20, 30)))
    assert np.isnan(speck.similarity(["a dog", "a cat"], options())).all()
    assert len(speck.select(text="a dog", options=options())) == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"text": ""}, r"text\[0\] is empty"),
        ({"text": ["a dog", " "]}, r"text\[1\] is empty"),
        ({"text": ["a dog", 3]}, r"text\[1\] must be text, got 3"),
        ({"text": []}, "text names nothing to look for"),
        ({"text": "a dog", "negatives": ["", "a cat"]}, r"negatives\[0\] is empty"),
        ({"negatives": "a dog"}, "negatives need a text"),
        ({"text": "a dog", "points": [(1, 1)]}, "a text goes alone"),
        ({"text": "a dog", "boxes": [(1, 1, 2, 2)]}, "a text goes alone"),
        ({"text": "a dog", "top_k": -1}, "top_k must be at least 0"),
        ({"text": "a dog", "threshold": 2.0}, "threshold must be between -1 and 1"),
        ({"text": "a dog", "clip": "ViT-B-32"}, "names no weights"),
    ],
)
def test_bad_texts_are_told_in_a_line(drawn, wrong, said) -> None:
    with pytest.raises((ValueError, RuntimeError), match=said) as error:
        instances(drawn).select(**wrong)
    assert "\n" not in str(error.value)


def test_options_of_another_kind_are_refused(drawn) -> None:
    from fastsam_plugins import PromptOptions

    with pytest.raises(ValueError, match="a text needs TextOptions, got PromptOptions"):
        instances(drawn).select(text="a dog", options=PromptOptions())
    with pytest.raises(ValueError, match="points and boxes need PromptOptions, got TextOptions"):
        instances(drawn).select(points=[(1, 1)], options=TextOptions())


def test_without_an_image_a_line_says_how_to_give_one(drawn) -> None:
    seg = Segmentation.from_masks(drawn.masks)
    with pytest.raises(ValueError, match=r"use seg\.with_image\(image\)"):
        seg.select(text="a dog")
    with pytest.raises(ValueError, match="the image is \\(256, 255\\), that of the instances"):
        seg.with_image(drawn.image[:, 1:])


def test_words_of_the_whole_vocabulary_are_read(tiny) -> None:
    texts = [f"a {c} {s}" for c in COLORS for s in SHAPES] + ["ein größeres Wort, 42!"]
    found = tiny.text_features(texts)
    assert found.shape == (len(texts), 64)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert len(np.unique(found.round(4), axis=0)) == len(texts)


def test_a_table_of_rows_belongs_to_one_source(drawn, tiny) -> None:
    looks = instances(drawn).image_features
    a = Segmentation.from_masks(drawn.masks)
    b = Segmentation.from_masks(drawn.masks[::-1])
    assert isinstance(b.source, RunMasks)
    first = looks.of(a.source, a.rows, tiny, options())
    assert np.allclose(looks.of(b.source, b.rows, tiny, options()), first[::-1], atol=1e-5)
