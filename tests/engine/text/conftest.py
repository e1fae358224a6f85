"""The tiny CLIP, and networks of random weights."""

from __future__ import annotations

import pytest

from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import Scene, scene
from tests.engine.text.drawn import SEED


@pytest.fixture(scope="session")
def tiny():
    """The tiny CLIP that is shipped with the tests."""
    from fastsam_plugins.text.loading import load

    return load(FOLDER, device="cpu")


@pytest.fixture(scope="session")
def random_model():
    """Make a CLIP of random weights: ``random_model(layers=2, width=64, ...)`` is its vision."""
    import open_clip
    import torch

    def make(embed_dim=16, **vision):
        torch.manual_seed(0)
        text = {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}
        model = open_clip.model.CLIP(embed_dim=embed_dim, vision_cfg=vision, text_cfg=text)
        config = {**open_clip.transform.PreprocessCfg().__dict__, "size": model.visual.image_size}
        open_clip.model.set_model_preprocess_cfg(model, config)
        return model.eval()

    return make


@pytest.fixture(scope="module")
def drawn() -> Scene:
    """Two red objects, two circles; and others."""

    def fits(s: Scene) -> bool:
        colors, shapes = zip(*s.names, strict=True)
        return colors.count("red") == 2 and shapes.count("circle") == 2 and len(colors) >= 6

    return next(s for s in (scene(SEED, k) for k in range(20_000, 30_000)) if fits(s))
