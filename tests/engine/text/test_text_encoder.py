"""Texts read to their end give what open_clip gives for all of the 77 tokens."""

from __future__ import annotations

import open_clip
import pytest
import torch

from fastsam_plugins.text import text_encoder
from fastsam_plugins.text.clip import Clip

TEXTS = ["a cup", "", "two small brown birds, one of which sits on the back of a cow", "x " * 200]
VISION = {"layers": 1, "width": 16, "head_width": 16, "patch_size": 16, "image_size": 32}
SMALL = {"width": 32, "heads": 2, "layers": 2}


def model_of(custom=False, **text):
    torch.manual_seed(0)
    kind = open_clip.model.CustomTextCLIP if custom else open_clip.model.CLIP
    model = kind(embed_dim=16, vision_cfg=VISION, text_cfg={**SMALL, **text})
    open_clip.model.set_model_preprocess_cfg(
        model, {**open_clip.transform.PreprocessCfg().__dict__, "size": (32, 32)}
    )
    for p in model.parameters():  # so that every token counts
        torch.nn.init.normal_(p, std=0.3)
    return model.eval().requires_grad_(False)


class Lengths:
    """How many tokens every pass through a text tower had."""

    def __init__(self, model):
        self.seen = []
        tower = getattr(model, "text", model)
        tower.transformer.register_forward_pre_hook(lambda _, x: self.seen.append(x[0].shape[1]))


@pytest.mark.parametrize("custom", [False, True])
@pytest.mark.parametrize("pool", [{}, {"pool_type": "eos", "eos_id": 49407}])
def test_only_as_far_as_the_end_and_the_same(custom, pool) -> None:
    model = model_of(custom, **pool)
    tokenizer = open_clip.SimpleTokenizer()
    clip = Clip(model, tokenizer)
    expected = model.encode_text(tokenizer(TEXTS), normalize=True).numpy()
    seen = Lengths(model).seen
    assert clip.text_features(TEXTS) == pytest.approx(expected, abs=1e-5)
    assert clip.text_features(["a dog"]).shape == (1, 16)
    assert seen == [77, 4]  # one of the texts is longer than a CLIP reads
    for i, text in enumerate(TEXTS):  # one by one, each as far as it goes
        found = text_encoder.encode(model, tokenizer([text]))
        found = torch.nn.functional.normalize(found, dim=-1)
        assert found[0].numpy() == pytest.approx(expected[i], abs=1e-5)
    assert seen[2:] == [4, 2, 17, 77]
    assert len(model.state_dict()) == len(model_of(custom, **pool).state_dict())
    assert model.encode_text(tokenizer(TEXTS)).shape == (4, 16)  # left as it was


@pytest.mark.parametrize(
    ("custom", "text"),
    [
        (True, {"no_causal_mask": True, "pool_type": "last"}),  # SigLIP
        (True, {"no_causal_mask": True}),
        (True, {"embed_cls": True}),  # CoCa: its class token stands at the end
        (False, {"pool_type": "last"}),
    ],
)
def test_towers_that_look_at_all_of_it_are_shown_all(custom, text) -> None:
    model = model_of(custom, **text)
    tokens = open_clip.SimpleTokenizer()(["a cup"])
    expected = model.encode_text(tokens)
    seen = Lengths(model).seen
    assert torch.equal(text_encoder.encode(model, tokens), expected)
    assert seen[0] >= 77
