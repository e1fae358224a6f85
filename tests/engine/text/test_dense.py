"""Oracles: bitmaps averaged cell by cell, and each network's own pooled features."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastsam_plugins.masks import runs as R
from fastsam_plugins.text import dense
from fastsam_plugins.text.clip import pooled

VIT = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32}
RESNET = {"layers": [1, 1, 1, 1], "width": 4, "head_width": 16, "image_size": 64}


@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    grid=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 999),
)
def test_coverage_is_the_masks_area_in_every_cell(shape, grid, seed) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < rng.uniform(0, 1)
    # Every pixel as grid[0] x grid[1] smaller ones: then no cell ends within one.
    fine = np.repeat(np.repeat(mask, grid[0], 0), grid[1], 1)
    cells = fine.reshape(grid[0], shape[0], grid[1], shape[1]).sum((1, 3))
    found = dense.coverage(R.from_bitmap(mask), shape, grid)
    assert np.allclose(found, cells / (grid[0] * grid[1]))
    assert np.isclose(found.sum(), mask.sum())


def test_pooling_is_the_mean_of_tokens_by_area() -> None:
    tokens = np.zeros((2, 2, 3), np.float32)
    tokens[0, 0, 0], tokens[1, 0, 1], tokens[0, 1, 2] = 1, 1, -1
    mask = np.zeros((20, 30), bool)
    mask[0:10, 5:12] = True  # 50 pixels in the first cell, 20 in the second
    found = pooled(tokens, [R.from_bitmap(mask)], mask.shape)
    assert np.allclose(found, [np.array([50, 20]) / np.hypot(50, 20)])
    assert pooled(tokens, [], mask.shape).shape == (0, 2)


def test_a_transformers_tokens_are_its_own_pooled_by_its_own_norm_and_projection(
    random_model,
) -> None:
    model = random_model(**VIT, pool_type="avg")
    batch = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        found = dense.tokens(model.visual, batch)
        assert found.shape == (2, 16, 4, 4)
        # This network's feature of an image is the mean of exactly these tokens.
        assert torch.allclose(found.mean((2, 3)), model.encode_image(batch), atol=1e-5)


def test_a_transformer_sees_a_larger_image_with_positions_interpolated(random_model) -> None:
    model = random_model(**VIT, pool_type="avg")
    before = model.visual.positional_embedding.clone()
    larger = open_clip.model.CLIP(
        embed_dim=16, vision_cfg={**VIT, "pool_type": "avg", "image_size": [48, 80]},
        text_cfg={"context_length": 8, "width": 16, "heads": 1, "layers": 1},
    ).eval()  # fmt: skip
    state = model.state_dict()
    open_clip.model.resize_pos_embed(state, larger)
    larger.load_state_dict(state)
    batch = torch.randn(1, 3, 48, 80)
    with torch.inference_mode():
        found = dense.tokens(model.visual, batch)
        assert found.shape == (1, 16, 6, 10)
        assert torch.allclose(found.mean((2, 3)), larger.encode_image(batch), atol=1e-5)
        # The network itself is as it was.
        assert torch.equal(model.visual.positional_embedding, before)
        assert model.encode_image(torch.randn(1, 3, 32, 32)).shape == (1, 16)


def test_a_resnets_tokens_are_what_its_attention_mixes(random_model) -> None:
    model = random_model(**RESNET)
    pool = model.visual.attnpool
    with torch.no_grad():  # attention that mixes all cells alike, and no positions
        pool.positional_embedding.zero_()
        pool.q_proj.weight.zero_()
        pool.q_proj.bias.zero_()
    batch = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        found = dense.tokens(model.visual, batch)
        assert found.shape == (1, 16, 2, 2)
        # The mean is one of the things mixed, and is the mean of the others.
        assert torch.allclose(found.mean((2, 3)), model.encode_image(batch), atol=1e-5)
        assert dense.tokens(model.visual, torch.randn(1, 3, 96, 160)).shape == (1, 16, 3, 5)


@pytest.mark.parametrize(
    ("name", "pool", "proj"),
    [
        ("vit_tiny_patch16_224", "avg", "linear"),
        ("vit_tiny_patch16_224", "token", "linear"),
        ("vit_tiny_patch16_224", "map", "none"),
        ("resnet18", "avg", "linear"),
        ("convnext_atto", "avg", "linear"),
        ("convnext_atto", "avg", "mlp"),
    ],
)
def test_timms_heads_serve_every_cell(random_model, name, pool, proj) -> None:
    dim = timm.create_model(name).num_features if proj == "none" else 16
    model = random_model(
        embed_dim=dim, timm_model_name=name, timm_pool=pool, timm_proj=proj, image_size=224
    )
    with torch.inference_mode():
        found = dense.tokens(model.visual, torch.randn(1, 3, 224, 224))
        assert found.shape[1] == dim
        assert torch.isfinite(found).all()
        # Where all cells are alike, so are all tokens, and the image's feature is that token.
        cells = torch.randn(1, 1, 1, model.visual.trunk.num_features).expand(1, 7, 7, -1)
        every = dense._timm_head(model.visual, cells)
        sequence = cells.flatten(1, 2)
        prefix = getattr(model.visual.trunk, "num_prefix_tokens", None)
        whole = cells.permute(0, 3, 1, 2) if prefix is None else torch.cat(
            [sequence[:, :prefix], sequence], 1
        )  # fmt: skip
        image = model.visual.head(model.visual.trunk.forward_head(whole))
        assert torch.allclose(every[0, 3, 4], image[0], atol=1e-5)


def test_tokens_that_are_pooled_by_attention_are_refused(random_model) -> None:
    model = random_model(**VIT, attentional_pool=True, attn_pooler_heads=2)
    with pytest.raises(ValueError, match="use features=crops"):
        dense.tokens(model.visual, torch.randn(1, 3, 32, 32))


def test_the_size_at_which_an_image_is_seen(random_model) -> None:
    vit, resnet = random_model(**VIT).visual, random_model(**RESNET).visual
    assert dense.input_size(vit, (300, 600), None) == (32, 64)
    assert dense.input_size(vit, (300, 600), 100) == (48, 96)
    assert dense.input_size(vit, (2, 900), 64) == (8, 64)
    assert dense.input_size(resnet, (100, 200), None) == (64, 128)
    timms = random_model(timm_model_name="resnet18", image_size=224).visual
    assert dense.input_size(timms, (300, 600), 448) == (224, 224)


def test_sizes_that_take_more_memory_than_they_may_are_refused_beforehand(random_model) -> None:
    vit = random_model(**VIT).visual
    side = 8 * 200  # 40,000 tokens: 6.4 GB for each head
    with pytest.raises(ValueError, match=r"dense_size: .* MB of memory.* lower it"):
        dense.input_size(vit, (side, side), side)
    resnet = random_model(**RESNET).visual
    assert dense.input_size(resnet, (side, side), 8192) == (8192, 8192)  # no attention there
