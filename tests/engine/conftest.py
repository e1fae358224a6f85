"""The tiny network, and a checkpoint of it as ultralytics writes them."""

from __future__ import annotations

import pytest
import torch

from tests.tiny_network import build, content


@pytest.fixture(scope="module")
def net():
    return build()


@pytest.fixture(scope="module")
def checkpoint(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(content(net), path)
    return path
