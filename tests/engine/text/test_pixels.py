"""Oracle: open_clip's own image transform, which is Pillow's and torchvision's."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from fastsam_plugins.text.pixels import Pixels

CONFIG = {"size": 64, "mean": (0.48, 0.46, 0.41), "std": (0.27, 0.26, 0.28),
          "interpolation": "bicubic", "resize_mode": "shortest"}  # fmt: skip
LEVEL = 1 / 255 / 0.26  # one step of 8 bits after normalisation


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("side", [7, 31, 64, 65, 300, 517])
def test_a_square_comes_out_as_by_open_clips_transform(coins, side, mode, interpolation) -> None:
    config = {**CONFIG, "interpolation": interpolation, "resize_mode": mode}
    rng = np.random.default_rng(side)
    image = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
    image[: coins.shape[0] // 2, : coins.shape[1] // 2] = coins[:side, :side][
        : coins.shape[0] // 2, : coins.shape[1] // 2
    ]
    theirs = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**config), is_train=False
    )(Image.fromarray(image))
    pixels = Pixels.of(config)
    mine = pixels.normalize(pixels.resize(image)[None])[0]
    off = (mine - theirs).abs()
    assert off.max() <= 1.01 * LEVEL
    assert off.mean() < 0.05 * LEVEL


def test_a_network_that_is_not_square_is_met() -> None:
    pixels = Pixels.of({**CONFIG, "size": (32, 48)})
    stack = pixels.resize(np.zeros((10, 15, 3), np.uint8))[None]
    assert stack.shape == (1, 3, 32, 48)
    expected = -torch.tensor(CONFIG["mean"]) / torch.tensor(CONFIG["std"])
    assert torch.allclose(pixels.normalize(stack)[0, :, 5, 5], expected)


def test_gray_says_nothing_to_the_network() -> None:
    pixels = Pixels.of(CONFIG)
    image = np.full((5, 5, 3), pixels.gray, np.uint8)
    assert pixels.normalize(pixels.resize(image)[None]).abs().max() <= LEVEL
