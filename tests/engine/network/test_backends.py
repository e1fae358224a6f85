"""Every backend gives what PyTorch gives."""

from __future__ import annotations

import re

import pytest
import torch

from fastsam_plugins import FastSAM
from fastsam_plugins.messages import install
from fastsam_plugins.network import backends
from fastsam_plugins.network.shape_terms import TERMS

OTHERS = [("openvino", "openvino"), ("onnx", "onnxruntime")]


def logits(predictions, prototypes):
    """Of every seventh mask."""
    return torch.einsum("bca,bchw->bahw", predictions[:, 5:, ::7], prototypes)


@pytest.fixture(scope="module")
def networks():
    """FastSAM-n by each backend, made once."""
    made = {}

    def get(name):
        pytest.importorskip(dict(OTHERS)[name])
        if name not in made:
            made[name] = FastSAM("FastSAM-n", device="cpu", backend=name)
        return made[name]

    return get


@pytest.mark.parametrize("name", dict(OTHERS))
def test_outputs_are_those_of_torch_at_any_size(model, networks, name):
    run = networks(name)._run
    torch.manual_seed(0)
    for size in ((1, 3, 96, 160), (3, 3, 256, 224), (1, 3, 64, 64)):
        inputs = torch.rand(size)
        predictions, prototypes, features = run(inputs)
        *expected, wanted_features = model._run(inputs)
        assert [f.shape for f in features] == [f.shape for f in wanted_features]
        for own, other in zip(features, wanted_features, strict=True):
            assert torch.allclose(own, other, atol=1e-3)
        assert torch.allclose(predictions[:, :4], expected[0][:, :4], atol=0.01)
        assert torch.allclose(predictions[:, 4:-TERMS], expected[0][:, 4:-TERMS], atol=1e-3)
        # The last six, shape terms, are in the hundreds.
        assert torch.allclose(
            predictions[:, -TERMS:], expected[0][:, -TERMS:], rtol=1e-4, atol=1e-3
        )
        assert torch.allclose(prototypes, expected[1], atol=1e-3)
        found, wanted = logits(predictions, prototypes), logits(*expected)
        assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("name", dict(OTHERS))
def test_segmentations_are_those_of_torch(model, networks, coins, name):
    seg = networks(name).segment(coins, imgsz=320, conf=0.2)
    expected = model.segment(coins, imgsz=320, conf=0.2)
    assert len(seg) == len(expected) > 10
    assert seg.scores == pytest.approx(expected.scores, abs=1e-3)
    assert seg.boxes == pytest.approx(expected.boxes, abs=0.1)


def test_images_of_one_size_go_through_together_and_come_back_in_order(model, networks, coins):
    network = networks("openvino")
    images = [coins, coins[:150], coins[::-1], coins[150:300], coins[:, ::-1]]
    together = list(network.segment_many(images, imgsz=320, conf=0.2))
    for image, seg in zip(images, together, strict=True):
        expected = model.segment(image, imgsz=320, conf=0.2)
        assert seg.shape == image.shape[:2]
        assert len(seg) == len(expected) > 5
        assert seg.boxes == pytest.approx(expected.boxes, abs=0.1)


def test_making_a_backend_leaves_the_network_as_it_was(model):
    pytest.importorskip("onnxruntime")
    backends.make("onnx", model.network.module, torch.device("cpu"))
    assert not model.network.module.model[-1].export


def test_a_backend_that_is_not_installed_says_how_to_get_it(model, monkeypatch):
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=re.escape(install("openvino"))):
        backends.make("openvino", model.network.module, torch.device("cpu"))


def test_other_backends_run_on_the_processor(model):
    pytest.importorskip("openvino")
    with pytest.raises(ValueError, match="use device='cpu'"):
        backends.make("openvino", model.network.module, torch.device("cuda"))
