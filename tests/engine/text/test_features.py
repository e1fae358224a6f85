"""What CLIP saw is kept with the image."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest

from fastsam_plugins import Segmentation
from fastsam_plugins.text import text_encoder
from tests.engine.text.drawn import instances, options

ENCODERS = pytest.mark.parametrize("features", ["crops", "dense"])


@pytest.fixture
def calls(tiny, monkeypatch):
    """How often each tower of the tiny CLIP is asked."""
    counts = {"encode_image": 0, "encode_text": 0, "visual.forward_intermediates": 0}

    def count(name, owner, method):
        real = getattr(owner, method)

        def ask(*args, **kwargs):
            counts[name] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, method, ask)

    count("encode_image", tiny.model, "encode_image")
    count("encode_text", text_encoder, "encode")
    count("visual.forward_intermediates", tiny.model.visual, "forward_intermediates")
    tiny._texts.clear()
    return counts


@ENCODERS
def test_instances_are_looked_at_once(drawn, features, calls, tiny) -> None:
    seg = instances(drawn)
    ask = {"options": options(features), "clip": tiny}
    first = seg.similarity(drawn.captions, **ask)
    tower = "encode_image" if features == "crops" else "visual.forward_intermediates"
    assert (calls[tower], calls["encode_text"]) == (1, 1)
    # Another text: only the text tower. The same one: nothing.
    seg.similarity("a green cross", **ask)
    assert (calls[tower], calls["encode_text"]) == (1, 2)
    seg.select(text="a green cross", negatives=drawn.captions[0], **ask)
    # Views share what is known, whatever their order.
    order = np.random.default_rng(0).permutation(len(seg))
    assert np.allclose(seg[order].similarity(drawn.captions, **ask), first[order], atol=1e-5)
    largest = seg.sort("areas")[:3].filter(min_area=1)
    found = largest.similarity(drawn.captions, **ask)
    assert np.allclose(found, first[largest.rows], atol=1e-5)
    selected = seg.select(text=drawn.captions[::-1], **ask)
    found = selected.similarity(drawn.captions, **ask)
    assert np.allclose(found, first[selected.rows], atol=1e-5)
    assert (calls[tower], calls["encode_text"]) == (1, 2)


def test_only_new_instances_are_looked_at(drawn, tiny, monkeypatch) -> None:
    seen = []
    real = tiny.model.encode_image
    monkeypatch.setattr(tiny.model, "encode_image", lambda x: seen.append(len(x)) or real(x))
    seg, ask = instances(drawn), {"options": options(chunk=2), "clip": tiny}
    few = seg[[3, 1, 3]].similarity("a star", **ask)
    assert seen == [2]
    every = seg.similarity("a star", **ask)
    assert sum(seen) == len(seg)
    assert max(seen) == 2  # never more than a chunk
    assert np.allclose(few, every[[3, 1, 3]], atol=1e-5)


def test_dense_looks_at_the_image_once_for_merged_and_cleaned_masks_too(drawn, calls, tiny) -> None:
    seg, ask = instances(drawn), {"options": options("dense"), "clip": tiny}
    alone = seg.similarity("a star", **ask)
    merged = seg.merge([0, 1])
    assert merged.similarity("a star", **ask).shape == (1,)
    cleaned = seg.clean(max_hole=5)
    assert np.allclose(cleaned.similarity("a star", **ask), alone, atol=1e-5)
    both = Segmentation.concatenate([seg[:2], merged])
    assert np.allclose(both.similarity("a star", **ask)[:2], alone[:2], atol=1e-5)
    assert calls["visual.forward_intermediates"] == 1


@ENCODERS
def test_other_options_are_other_features(drawn, features, tiny) -> None:
    seg = instances(drawn)
    first = seg.similarity("a star", options(features), tiny)
    changes = {"background": "black"} if features == "crops" else {"dense_size": 192}
    other = seg.similarity("a star", options(features).replace(**changes), tiny)
    assert not np.allclose(first, other)
    assert np.allclose(seg.similarity("a star", options(features), tiny), first, atol=1e-5)


def test_features_end_with_their_masks(drawn, tiny) -> None:
    seg = instances(drawn)
    seg.clean(max_hole=5).similarity("a star", options(), tiny)
    gc.collect()
    assert len(seg.image_features._tables) == 0
    seg.similarity("a star", options(), tiny)
    assert len(seg.image_features._tables) == 1


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_answer_too(drawn, tiny, clone) -> None:
    seg = instances(drawn)
    first = seg.similarity(drawn.captions, options(), tiny)
    assert np.allclose(clone(seg).similarity(drawn.captions, options(), tiny), first, atol=1e-5)
