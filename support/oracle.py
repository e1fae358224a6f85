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
