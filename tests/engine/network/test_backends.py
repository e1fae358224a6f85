"""Every backend gives what PyTorch gives."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from fastsam_plugins import FastSAM
from fastsam_plugins.messages import install
from fastsam_plugins.network import backends
from fastsam_plugins.network.shape_terms import TERMS

OTHERS = [("openvino", "openvino"), ("onnx", "onnxruntime")]


def logits(output):
    """Of every seventh mask."""
    return np.einsum("ac,chw->ahw", output.coefficients[::7], output.prototypes)


@pytest.fixture(scope="module")
def networks():
    """FastSAM-n by each backend, made once."""
    made = {}

    def get(name):
        pytest.importorskip(dict(OTHERS)[name])
        if name not in made:
            made[name] = FastSAM("FastSAM-n", device="cpu", backend=name, precision="f32")
        return made[name]

    return get


@pytest.mark.parametrize("name", dict(OTHERS))
def test_outputs_are_those_of_torch_at_any_size(model, networks, name):
    run = networks(name).backend.run
    rng = np.random.default_rng(0)
    for size in ((1, 96, 160, 3), (3, 256, 224, 3), (1, 64, 64, 3)):
        canvases = rng.integers(0, 256, size, np.uint8)
        for own, other in zip(run(canvases, -1.0), model.backend.run(canvases, -1.0), strict=True):
            assert [f.shape for f in own.features] == [f.shape for f in other.features]
            for mine, plain in zip(own.features, other.features, strict=True):
                assert np.allclose(mine, plain, atol=1e-3)
            assert np.allclose(own.corners, other.corners, atol=0.015)
            assert np.allclose(own.scores, other.scores, atol=1e-3)
            mine, plain = own.coefficients, other.coefficients
            assert np.allclose(mine[:, :-TERMS], plain[:, :-TERMS], atol=1e-3)
            # The last six, shape terms, are in the hundreds.
            assert np.allclose(mine[:, -TERMS:], plain[:, -TERMS:], rtol=1e-4, atol=1e-3)
            assert np.allclose(own.prototypes, other.prototypes, atol=1e-3)
            assert np.allclose(logits(own), logits(other), rtol=1e-3, atol=1e-2)


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
    backends.make("onnx", "f32", model.network, "cpu")
    assert not model.network.module.model[-1].export


def test_a_backend_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=re.escape(install("openvino"))):
        backends.possible("openvino", "auto", "cpu")


def test_other_backends_run_on_the_processor():
    pytest.importorskip("openvino")
    with pytest.raises(ValueError, match="use device='cpu'"):
        backends.possible("openvino", "auto", "cuda")


def test_where_openvino_is_broken_pytorch_runs_it_and_a_line_says_why(tmp_path):
    """As where the system's libraries are too old for it."""
    broken = tmp_path / "openvino"
    broken.mkdir()
    (broken / "__init__.py").write_text('raise ImportError("libopenvino.so: no such file")')
    script = "from fastsam_plugins import FastSAM; print(FastSAM(device='cpu', backend='auto'))"
    environment = {k: v for k, v in os.environ.items() if k != "FASTSAM_BACKEND"}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment | {"PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert ended.stdout == "FastSAM-n by PyTorch f32 on cpu\n"
    assert "OpenVINO cannot be used here: libopenvino.so: no such file" in ended.stderr
