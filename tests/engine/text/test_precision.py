from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsam_plugins import Segmentation, TextOptions
from fastsam_plugins.masks import runs as R
from fastsam_plugins.text import precision
from fastsam_plugins.text.clip import Clip
from support.tiny_clip.scenes import scene

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ENCODERS = pytest.mark.parametrize("features", ["crops", "dense"])
FULL = TextOptions(clip_precision="full", dense_size=448)
HALF = FULL.replace(clip_precision="half")

TOWERS = {
    "transformer": {
        "layers": 2, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32,
    },
    "resnet": {"layers": [1, 1, 1, 1], "width": 4, "head_width": 16, "image_size": 64},
    "timm": {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "avg", "image_size": 224},
}  # fmt: skip


def instances(s) -> Segmentation:
    return Segmentation.from_masks(s.masks).with_image(s.image, "cpu")


@ENCODERS
def test_half_precision_picks_the_same_objects(tiny, features) -> None:
    # 200 scenes: benchmarks/text.py.
    for k in range(10):
        s = scene(7, k)
        full = instances(s).similarity(s.captions, FULL.replace(features=features), tiny)
        half = instances(s).similarity(s.captions, HALF.replace(features=features), tiny)
        assert half.dtype == np.float32
        assert 0 < np.abs(full - half).max() < 0.05
        assert np.array_equal(full.argmax(0), half.argmax(0))


@pytest.mark.parametrize("tower", TOWERS)
@ENCODERS
def test_every_kind_of_tower_sees_nearly_the_same(random_model, tower, features) -> None:
    clip = Clip(random_model(**TOWERS[tower]), tokenizer=None)
    s = scene(7, 0)
    masks = [R.from_bitmap(m) for m in s.masks]

    def look(options):
        if features == "crops":
            return clip.crop_features(s.image, masks, options)
        return clip.image_tokens(s.image, 224, options.clip_precision).reshape(16, -1).T

    full, half = look(FULL), look(HALF)
    assert not np.array_equal(full, half)
    cosine = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert cosine.min() > 0.999


def test_the_network_itself_stays_as_it_was(tiny) -> None:
    s = scene(7, 0)
    tiny._texts.clear()
    words = tiny.text_features(["a red star"])
    before = {k: v.clone() for k, v in tiny.model.state_dict().items()}
    instances(s).similarity(s.captions, HALF, tiny)
    after = tiny.model.state_dict()
    assert all(v.dtype == after[k].dtype and v.equal(after[k]) for k, v in before.items())
    tiny._texts.clear()
    assert np.array_equal(tiny.text_features(["a red star"]), words)


def test_the_copy_is_made_once_and_shares_what_reads_texts(tiny) -> None:
    first, kind = tiny._looking("half")
    assert kind is torch.bfloat16
    assert tiny._looking("half")[0] is first
    assert first.transformer is tiny.model.transformer
    assert tiny._looking("full") == (tiny.model, torch.float32)


@ENCODERS
def test_each_precision_has_features_of_its_own(tiny, features, monkeypatch) -> None:
    s = scene(7, 0)
    seg = instances(s)
    ask = {p: TextOptions(features=features, clip_precision=p) for p in ("auto", "full", "half")}
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: False)
    full = seg.similarity(s.captions, ask["full"], tiny)
    half = seg.similarity(s.captions, ask["half"], tiny)
    assert not np.array_equal(full, half)
    assert np.array_equal(seg.similarity(s.captions, ask["auto"], tiny), full)
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: True)
    assert np.array_equal(seg.similarity(s.captions, ask["auto"], tiny), half)


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({}, False),
        (None, False),  # a PyTorch that cannot say
    ],
)
def test_by_itself_only_where_the_processor_has_instructions(
    monkeypatch, instructions, expected
) -> None:
    if instructions is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
    assert precision.is_half("auto", CPU) is expected
    assert precision.is_half("auto", CUDA) is False
    for device in (CPU, CUDA):
        assert precision.is_half("half", device)
        assert not precision.is_half("full", device)


def test_accelerators_have_the_half_that_all_of_them_know(random_model) -> None:
    model = random_model(**TOWERS["transformer"])
    assert {p.dtype for p in precision.halved(model, CUDA).visual.parameters()} == {torch.float16}


def test_a_network_loaded_in_half_precision_is_taken_as_it_is(random_model) -> None:
    model = random_model(**TOWERS["transformer"]).bfloat16()
    s = scene(7, 0)
    masks = [R.from_bitmap(m) for m in s.masks]
    found = Clip(model, tokenizer=None).crop_features(s.image, masks, FULL)
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_other_words_are_refused() -> None:
    with pytest.raises(ValueError, match="clip_precision must be one of auto, full, half"):
        TextOptions(clip_precision="double")
