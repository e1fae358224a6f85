"""CLIP's features are those of open_clip."""

from __future__ import annotations

import numpy as np

from tests.engine.text.drawn import instances, options


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
