"""A head learns what CLIP sees, from unlabelled images."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins import TextOptions
from fastsam_plugins.text import head, head_training
from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import scene

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = {"steps": 200, "width": 64}


@pytest.fixture(scope="module")
def trained(model, tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("head") / f"a{head.ENDING}"
    images = [scene(11, k).image for k in range(24)]
    found = head_training.train_text_head(
        model, tiny, images, path, wording=TextOptions(clip_precision="full"),
        say=lambda line: None, **QUICK,
    )  # fmt: skip
    return path, {agreement.way: agreement for agreement in found}


def test_it_is_nearer_to_crops_than_what_is_without_one(trained) -> None:
    _, found = trained
    assert found["the head"].cosine > 0.7
    for control in ("nearest known instance", "the mean of all"):
        assert found["the head"].cosine > found[control].cosine
        assert found["the head"].own > found[control].own


def test_words_find_their_objects_in_scenes_it_did_not_see(trained, model, tiny) -> None:
    path, _ = trained
    options = TextOptions(features="head", head=str(path), clip=str(FOLDER))
    right = []
    for k in range(6):
        s = scene(2024, k)
        seg = model.segment(s.image, conf=0.1)
        chosen = seg.select(text=s.captions, options=options, clip=tiny)
        for i, mask in zip(chosen.prompts, chosen.masks(), strict=True):
            right.append((mask & s.masks[i]).sum() / (mask | s.masks[i]).sum() > 0.5)
    assert np.mean(right) > 0.6  # of 15 masks each; any one is right in about one of ten


def test_the_same_seed_gives_the_same_head(model, tiny, tmp_path) -> None:
    images = [scene(11, k).image for k in range(8)]
    paths = [tmp_path / f"{n}{head.ENDING}" for n in "ab"]
    for path in paths:
        head_training.train_text_head(
            model, tiny, images, path, say=lambda line: None, steps=5, width=8
        )
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_file_that_is_no_image_costs_only_itself(model, tiny, tmp_path) -> None:
    (tmp_path / "no.png").write_text("no image")
    lines: list[str] = []
    images = [tmp_path / "no.png", *(scene(11, k).image for k in range(8))]
    head_training.train_text_head(
        model, tiny, images, tmp_path / f"a{head.ENDING}", say=lines.append, steps=1, width=8
    )
    assert any("no.png is left out" in line for line in lines)
    assert lines[-1].startswith("8 images")


def test_too_little_to_learn_from_is_told(model, tiny, tmp_path) -> None:
    path = tmp_path / f"a{head.ENDING}"
    blank = np.zeros((64, 64, 3), np.uint8)
    for images, words in (([blank] * 3, "two are needed"),
                          ([scene(11, k).image for k in range(2)], "50 are needed")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            head_training.train_text_head(model, tiny, images, path, say=lambda line: None)
    assert not path.exists()


def test_a_network_without_a_decoder_is_told(model, tiny, tmp_path) -> None:
    class Without:
        network, decoder = model.network, None

    with pytest.raises(ValueError, match="train-decoder"):
        head_training.train_text_head(Without(), tiny, [], tmp_path / "a")
