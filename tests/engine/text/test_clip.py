"""CLIP's features are those of open_clip."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins import Segmentation, TextOptions
from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import Scene, scene

SEED = 7  # not the one trained on


def options(features="crops", **changes) -> TextOptions:
    return TextOptions(
        clip=str(FOLDER), features=features, dense_size=448, precision="full", **changes
    )


def instances(drawn: Scene) -> Segmentation:
    return Segmentation.from_masks(drawn.masks).with_image(drawn.image, "cpu")


@pytest.fixture(scope="module")
def drawn() -> Scene:
    """Two red objects, two circles; and others."""

    def fits(s: Scene) -> bool:
        colors, shapes = zip(*s.names, strict=True)
        return colors.count("red") == 2 and shapes.count("circle") == 2 and len(colors) >= 6

    return next(s for s in (scene(SEED, k) for k in range(20_000, 30_000)) if fits(s))


def test_similarity_is_the_cosine_of_open_clips_own_features(tiny, drawn) -> None:
    import open_clip
    import torch
    from PIL import Image

    from fastsam_plugins.masks import runs as R
    from fastsam_plugins.text.crops import cut_out

    config = open_clip.transform.PreprocessCfg(**tiny.model.visual.preprocess_cfg)
    transform = open_clip.transform.image_transform_v2(config, is_train=False)
    seg = instances(drawn)
    crops = [
        transform(Image.fromarray(cut_out(drawn.image, R.from_bitmap(m), "gray", tiny.pixels.gray)))
        for m in drawn.masks
    ]
    with torch.inference_mode():
        looks = tiny.model.encode_image(torch.stack(crops), normalize=True)
        words = tiny.model.encode_text(tiny._tokenizer(drawn.captions), normalize=True)
    found = seg.similarity(drawn.captions, options(), tiny)
    assert found.dtype == np.float32
    assert np.allclose(found, looks @ words.T, atol=0.02)
    one = seg.similarity(drawn.captions[2], options(), tiny)
    assert np.allclose(one, found[:, 2], atol=1e-6)
