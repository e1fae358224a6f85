"""ONNX Runtime: its outputs are compared with PyTorch's in test_backends."""

from __future__ import annotations

import pytest

from fastsam_plugins.network import backends


def test_tensorrt_is_for_cuda_and_says_what_is_missing():
    if backends.installed("tensorrt"):
        with pytest.raises(ValueError, match="needs an NVIDIA graphics processor"):
            backends.possible("tensorrt", "auto", "cpu")
    else:
        with pytest.raises(ValueError, match="backend tensorrt is not installed: pip install"):
            backends.possible("tensorrt", "auto", "cuda")


def test_onnx_is_float32_only():
    pytest.importorskip("onnxruntime")
    assert backends.possible("onnx", "auto", "cpu") == [("onnx", "f32")]
