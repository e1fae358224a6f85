"""Training through ultralytics' own trainer."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from fastsam_plugins import checkpoints, weights
from fastsam_plugins.options import TrainOptions
from fastsam_plugins.training import data as training_data
from fastsam_plugins.training.mixing import Mixed


def train(data: Sequence[Path], output: Path, options: TrainOptions, device: str = "auto") -> Path:
    """Train a one-class YOLOv8-seg network on labelled images.

    Parameters
    ----------
    data : paths
        COCO JSON files or folders; see :func:`fastsam_plugins.training.sources.read`.
    output : path
        Folder for the converted data, the curves and the weights.
    options : TrainOptions
    device : str
        ``auto``, ``cpu``, ``cuda:0``, ...

    Returns
    -------
    path
        The trained network, ``OUTPUT/run/weights/last.safetensors``: the moving average of the
        weights at the last step. Ultralytics' own ``last.pt`` lies beside it.
    """
    start = checkpoints.read(weights.resolve(options.weights)) if options.weights else None
    report = training_data.convert(data, output / "data", options.balance)
    print(f"Training on {report}.", file=sys.stderr)

    import torch
    from ultralytics.models.yolo.segment import SegmentationTrainer
    from ultralytics.utils.torch_utils import strip_optimizer

    overrides = {
        "model": f"{options.architecture}.yaml",
        "pretrained": False,
        "data": str(report.yaml),
        "project": str(output.resolve()),
        "name": "run",
        "exist_ok": True,
        "imgsz": options.imgsz,
        "epochs": options.epochs,
        "time": options.hours or None,
        "batch": options.batch,
        "workers": options.workers,
        "seed": options.seed,
        "device": None if device == "auto" else device,
        "single_cls": True,
        "overlap_mask": False,  # nested and overlapping instances keep their own masks
        "val": False,  # recall is measured by this project's own evaluation
        "plots": False,
        "nbs": options.batch,  # one optimizer step a batch: short runs need many steps
        "warmup_epochs": 1.0,
        "close_mosaic": max(1, options.epochs // 10),
        # Half precision "fp16" would first download another network to check itself with.
        "amp": "bf16" if device != "cpu" and torch.cuda.is_available() else False,
        "cache": "ram",
        "cos_lr": True,
        "flipud": 0.5,
        "max_det": 1000,
    }
    if options.lr0:
        overrides |= {"optimizer": "AdamW", "lr0": options.lr0}

    class Trainer(SegmentationTrainer):
        """Starts from weights read without running pickled code; mixes in synthetic scenes."""

        def build_dataset(self, img_path: str, mode: str = "train", batch: Any = None) -> Any:
            dataset = super().build_dataset(img_path, mode, batch)
            if mode == "train" and options.synthetic:
                dataset.get_image_and_label = Mixed(dataset, options.synthetic, options.seed)
            return dataset

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            if start is None:
                return super().get_model(cfg, weights, verbose)
            model = super().get_model(start.architecture, None, verbose)
            model.load_state_dict(start.state, strict=False)
            return model

        def final_eval(self) -> None:
            """Shrink the weights; ultralytics would also measure them on the training images."""
            for path in (self.last, self.best):
                if path.exists():
                    strip_optimizer(path)

    trainer = Trainer(overrides=overrides)
    with _bfloat16_on_cpu(trainer.device.type):
        trainer.train()
    last = Path(trainer.last)
    output_weights = last.with_suffix(".safetensors")
    checkpoints.save(checkpoints.read(last), output_weights)
    return output_weights


@contextlib.contextmanager
def _bfloat16_on_cpu(device: str) -> Iterator[None]:
    """Train in mixed precision on processors: ultralytics allows it on CUDA only."""
    import torch
    from ultralytics.engine import trainer

    if device != "cpu":
        yield
        return

    def bfloat16(*_: object, **__: object) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    with mock.patch.object(trainer, "autocast", bfloat16):
        yield
