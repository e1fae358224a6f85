"""The tiny network and a checkpoint of it, photos in a folder, and a store that speaks S3."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from tests.tiny_network import build, content


@pytest.fixture(scope="module")
def net():
    return build()


@pytest.fixture(scope="module")
def checkpoint(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(content(net), path)
    return path


@pytest.fixture
def photos(tmp_path, coins):
    """A folder of seven images of several sizes, of which the fourth is cut short."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(7):
        Image.fromarray(coins[: 200 - 9 * k, 20 * k : 220 + 7 * k]).save(folder / f"{k}.png")
    bad = folder / "3.png"
    bad.write_bytes(bad.read_bytes()[:900])
    return folder


@pytest.fixture
def store(tmp_path, monkeypatch):
    """``s3://bucket``, on loopback."""
    pytest.importorskip("moto", reason="moto is not installed")
    from fastsam_plugins.scale import places
    from support.s3_server import Store

    made = Store(tmp_path / "store")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    places._store.cache_clear()
    yield made
    made.kill()
    places._store.cache_clear()
