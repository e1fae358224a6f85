"""A network four times narrower than YOLOv8n-seg, made on the spot by ultralytics' own classes."""

from __future__ import annotations

import copy

import pytest
import torch
from ultralytics.nn.tasks import SegmentationModel, yaml_model_load

from fastsam_plugins.network import weights
from fastsam_plugins.network.checkpoints import WeightsError

INPUT = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def describe(name="yolov8n-seg.yaml", **changes):
    """Ultralytics' description of the network."""
    return {**yaml_model_load(name), "scales": {"n": [0.33, 0.0625, 256]}, **changes}


def build(**changes):
    net = SegmentationModel(describe(**changes), nc=1, verbose=False)
    for layer in net.modules():  # as if trained: else fusing would change nothing
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    return net.half().eval()


def answer(net):
    with torch.inference_mode():
        predictions, prototypes = copy.deepcopy(net).float()(INPUT)[0]
    return torch.cat([predictions.flatten(), prototypes.flatten()])


def content(net, **more):
    return {"epoch": -1, "model": net, "train_args": {"imgsz": 320}, **more}


def error_of(path):
    with pytest.raises(WeightsError) as caught:
        weights.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)
