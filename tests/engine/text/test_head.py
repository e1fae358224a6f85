"""A head says of instances what CLIP would say of their crops, and only where it was made to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastsam_plugins import Segmentation, TextOptions
from fastsam_plugins.io import npz
from fastsam_plugins.text import head, text_encoder
from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import scene

pytestmark = pytest.mark.usefixtures("one_thread")
WORDS = ["a red circle", "a blue star"]


@pytest.fixture(scope="module")
def seg(model):
    return model.segment(scene(7, 1).image, conf=0.2)


@pytest.fixture
def made(model, seg, tiny, tmp_path):
    """Write a head of random layers; options that name it."""

    def make(decoder=model.decoder.sha256, clip=tiny.fingerprint, **changes):
        path = tmp_path / f"{decoder[:4]}-{clip[:4]}{head.ENDING}"
        head.write(path, arrays(head.told(seg).shape[1], tiny) | changes, decoder, clip)
        return TextOptions(features="head", head=str(path), clip=str(FOLDER))

    return make


def arrays(size, clip):
    rng = np.random.default_rng(0)
    sizes = [size, 8, 8, clip.text_features(["a"]).shape[1]]
    found = {"mean": np.zeros(size), "scale": np.ones(size)}
    for k in range(3):
        found[f"{k}.weight"] = rng.normal(size=(sizes[k + 1], sizes[k]))
        found[f"{k}.bias"] = rng.normal(size=sizes[k + 1])
    return found


def test_layers_are_those_of_torch(made, seg, model) -> None:
    import torch
    from torch.nn import functional as F

    a = {k: torch.from_numpy(v) for k, v in head.named(made()).arrays.items()}
    x = torch.from_numpy(head.told(seg)).clamp(-6, 6)
    x = F.linear(x, a["0.weight"], a["0.bias"]).relu()
    x = F.linear(x, a["1.weight"], a["1.bias"]).relu()
    expected = F.normalize(F.linear(x, a["2.weight"], a["2.bias"]), dim=1)
    assert np.allclose(head.named(made())(head.told(seg)), expected.numpy(), atol=1e-5)


def test_colours_and_form_are_those_of_the_pixels(seg) -> None:
    told = head.told(seg)[:, seg.embeddings.shape[1] :]
    for i in range(len(seg)):
        pixels = seg.image[seg.mask(i)] / 255
        assert np.allclose(told[i, :3], pixels.mean(0), atol=1e-5)
        assert np.allclose(told[i, 3:6], pixels.std(0), atol=1e-5)
        x0, y0, x1, y1 = seg[i].tight_boxes()[0]
        assert told[i, 6:].mean() == pytest.approx(
            seg.areas[i] / max(x1 - x0, y1 - y0) ** 2, abs=1e-4
        )


def test_clip_looks_at_nothing_and_a_second_text_costs_its_text_alone(
    made, seg, tiny, monkeypatch
) -> None:
    calls = []
    real = text_encoder.encode
    options, seg = made(), seg.with_image(seg.image)  # of which nothing is known yet

    def refuse(*_):
        raise AssertionError("CLIP looked at pixels")

    monkeypatch.setattr(tiny.model, "encode_image", refuse)
    monkeypatch.setattr(text_encoder, "encode", lambda *a: calls.append(a) or real(*a))
    tiny._texts.clear()
    first = seg.similarity(WORDS, options, tiny)
    expected = head.named(options)(head.told(seg)) @ tiny.text_features(WORDS).T
    assert np.allclose(first, expected, atol=1e-5)
    monkeypatch.setattr(head, "told", refuse)
    order = np.arange(len(seg))[::-1]
    again = seg[order].similarity([*WORDS, "a green cross"], options, tiny)
    assert np.allclose(again[:, :2], first[order], atol=1e-6)
    assert len(calls) == 2


def test_a_kept_segmentation_answers_without_its_image(made, seg, tiny, tmp_path) -> None:
    options, seg = made(), seg.with_image(seg.image)  # of which nothing is known yet
    npz.write(seg, tmp_path / "before.npz")
    first = seg[::2].similarity(WORDS, options, tiny)
    npz.write(seg[::2], tmp_path / "a.npz")
    again = npz.read(tmp_path / "a.npz")
    assert again.image is None
    assert np.allclose(again.similarity(WORDS, options, tiny), first, atol=1e-6)
    npz.write(again[:2], tmp_path / "b.npz")  # and what was read is kept again
    last = npz.read(tmp_path / "b.npz")
    assert np.allclose(last.similarity(WORDS, options, tiny), first[:2], atol=1e-6)
    assert np.isnan(last.similarity(WORDS, options, tiny, min_pixels=10**6)).all()
    with pytest.raises(ValueError, match="with_image"):
        npz.read(tmp_path / "before.npz").similarity(WORDS, options, tiny)


def test_small_masks_are_not_looked_at(made, seg, tiny) -> None:
    options = made().replace(min_pixels=int(np.median(seg.areas)))
    cosines = seg.similarity("a star", options, tiny)
    assert (np.isnan(cosines) == (seg.areas < options.min_pixels)).all()
    assert np.isfinite(cosines).any()


def test_merged_masks_are_looked_at_too(made, seg, tiny) -> None:
    merged = seg.merge([0, 1])
    found = merged.similarity(WORDS, made(), tiny)
    expected = head.named(made())(head.told(merged)) @ tiny.text_features(WORDS).T
    assert np.allclose(found, expected, atol=1e-5)


def test_what_does_not_fit_is_told_in_one_line(made, seg, tiny, drawn, tmp_path) -> None:
    cases = [
        (seg, TextOptions(features="head"), "train-text-head"),
        (seg, made(decoder="0" * 64), "another network"),
        (seg, made(clip="0" * 64), "another CLIP"),
        (Segmentation.from_masks(drawn.masks).with_image(drawn.image), made(), "features=crops"),
        (seg, made().replace(head=str(tmp_path / "none")), "there is no head"),
    ]
    for asked, options, words in cases:
        with pytest.raises(ValueError, match=words) as error:
            asked.similarity("a", options, tiny)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"1.weight": np.zeros((8, 7))}, "layer 1"),
        ({"scale": np.ones(3)}, "scale"),
        ({"2.bias": np.full(64, np.nan)}, "finite"),
    ],
)
def test_a_damaged_file_is_told(made, change, words) -> None:
    with pytest.raises(ValueError, match=words):
        head.named(made(**change))
    path = FOLDER / "open_clip_model.safetensors"
    with pytest.raises(ValueError, match="no head"):
        head.read(path if path.is_file() else next(FOLDER.glob("*.safetensors")))


def test_a_clip_with_other_weights_has_another_fingerprint(tiny, random_model) -> None:
    from fastsam_plugins.text.clip import Clip

    one = Clip(random_model(layers=1, width=64, patch_size=16, image_size=32), None)
    same = Clip(random_model(layers=1, width=64, patch_size=16, image_size=32), None)
    assert one.fingerprint == same.fingerprint != tiny.fingerprint
    other = random_model(layers=1, width=64, patch_size=16, image_size=32)
    other.visual.conv1.weight.data[0, 0, 0, 0] += 1
    assert Clip(other, None).fingerprint != one.fingerprint


def test_the_network_says_nothing_of_another_decoder(made, seg, tiny) -> None:
    without = dataclasses.replace(seg, encoding=dataclasses.replace(seg.encoding, decoder=None))
    with pytest.raises(ValueError, match="another network"):
        without.similarity("a", made(), tiny)
