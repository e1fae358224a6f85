"""Ultralytics' own FastSAM on the weights of ours, as the oracle for parity."""

from __future__ import annotations

from pathlib import Path

import torch


def as_ultralytics_checkpoint(weights: Path, path: Path) -> Path:
    """Write weights as the .pt that ultralytics would have written."""
    from ultralytics.nn.tasks import SegmentationModel

    from fastsam_plugins.network import checkpoints, shape_terms

    checkpoint = checkpoints.read(weights)
    network = SegmentationModel({**checkpoint.architecture, "nc": 1}, nc=1, verbose=False)
    shape_terms.give(network)
    network.load_state_dict(checkpoint.state, strict=False)
    network.names = {0: "object"}
    network.args = {"task": "segment", "imgsz": checkpoint.imgsz}
    train_args = {"task": "segment", "imgsz": checkpoint.imgsz}
    torch.save({"model": network, "train_args": train_args, "epoch": -1}, path)
    return path


def predict(path: Path, image, **settings):
    """Ultralytics' results for an RGB image, with masks at its own resolution."""
    from ultralytics import FastSAM

    (result,) = FastSAM(str(path))(
        image[:, :, ::-1].copy(), retina_masks=True, device="cpu", verbose=False, **settings
    )
    return result


def predict_as_yolo(path: Path, image, **settings):
    """The same by ultralytics' YOLO, which takes networks of any family and of many classes."""
    from ultralytics import YOLO

    (result,) = YOLO(str(path), task="segment")(
        image[:, :, ::-1].copy(), retina_masks=True, device="cpu", verbose=False,
        agnostic_nms=True, **settings,
    )  # fmt: skip
    return result


def untrained(name: str, classes: int, path: Path, imgsz: int = 640) -> Path:
    """A checkpoint of ultralytics' own of a network of random parameters, which finds something.

    Parameters
    ----------
    name : str
        Of ultralytics' description: ``yolo26n-seg``.
    """
    from ultralytics import YOLO

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yolo = YOLO(f"{name}.yaml", task="segment")
        described = {**yolo.model.yaml, "nc": classes}
        yolo.model = network = type(yolo.model)(described, nc=classes, verbose=False)
        norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.bias.data.normal_(std=0.5)
            norm.momentum = 1.0
        for branches in network.model[-1].children():  # its last layers begin with next to nothing
            for branch in branches if isinstance(branches, torch.nn.ModuleList) else ():
                last = branch[-1]
                if isinstance(last, torch.nn.Conv2d):
                    lengths = last.out_channels == 4  # YOLO26's sides of boxes: not below zero
                    last.weight.data.normal_(std=(0.3 if lengths else 1) / last.in_channels**0.5)
                    last.bias.data.normal_(3.0 if lengths else 0.0, 0.3 if lengths else 1.0)
        with torch.no_grad():  # numbers of a usual size in every layer
            network.train()(torch.rand(2, 3, 192, 192))
        for norm in norms:
            norm.momentum = 0.03
        network.eval()
        network.names = {i: str(i) for i in range(classes)}
        network.args = {"task": "segment", "imgsz": imgsz}
    yolo.ckpt = {"train_args": {"task": "segment", "imgsz": imgsz}}
    yolo.save(path)
    return path
