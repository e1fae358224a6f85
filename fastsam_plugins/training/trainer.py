"""Ultralytics' segmentation trainer, with this project's data, loss and measure of success."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import functools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from fastsam_plugins.datasets import sources
from fastsam_plugins.evaluation.everything import measure
from fastsam_plugins.io import atomic
from fastsam_plugins.model import FastSAM
from fastsam_plugins.network import (
    checkpoints,
    efficientnet,
    families,
    shape_terms,
    ultralytics_guard,
)
from fastsam_plugins.network.checkpoints import SHAPE_TERMS, Checkpoint, WeightsError
from fastsam_plugins.network.ultralytics_guard import (
    E2ELoss,
    SegmentationTrainer,
    get_flops,
    strip_optimizer,
    unwrap_model,
    yaml_model_load,
)
from fastsam_plugins.network.weights import describe, read_checked
from fastsam_plugins.options import WeightsOptions
from fastsam_plugins.training import curves
from fastsam_plugins.training.augmented_dataset import Mixed
from fastsam_plugins.training.data import DATA, PARTIAL, RUN
from fastsam_plugins.training.loss import MaskLoss
from fastsam_plugins.training.options import TrainOptions

SUCCESS = "mask AR@1000"  # what makes weights the best
MEASURED = ("box AR@1000", "mask AR@100", SUCCESS)


class Trainer(SegmentationTrainer):
    """Trains in ``OUTPUT/run`` on the dataset in ``OUTPUT/data``.

    After every epoch it writes ``weights/last.safetensors`` (the moving average of the weights),
    measures recall of exactly that file on the images held out, keeps the best as
    ``weights/best.safetensors``, and draws ``curves.png``.

    Parameters
    ----------
    output : path
    options : TrainOptions
    device : str
    resume : bool
        Go on after the last epoch that ``weights/last.pt`` holds.
    trusted : WeightsOptions, optional
        About the weights to start from.
    """

    best_fitness: float | None
    last: Path
    best: Path

    def __init__(
        self,
        output: Path,
        options: TrainOptions,
        device: str = "auto",
        resume: bool = False,
        trusted: WeightsOptions | None = None,
    ) -> None:
        self.options, self.trusted = options, trusted
        self.mask_loss = _mask_loss(options)
        self.truth = output / DATA / "held_out.json"
        settings = _settings(output, options, device)
        if resume:
            settings["resume"] = str(output / RUN / "weights" / "last.pt")
        with ultralytics_guard.alone():
            super().__init__(overrides=settings)
        if self.device.type == "cpu":
            self.args.workers = options.workers  # ultralytics then loads in the training process
        self.add_callback("on_train_start", _prepare)
        self.add_callback("on_train_epoch_end", _trim)

    def check_resume(self, overrides: dict[str, Any]) -> None:
        """Go on in the folder that was named, wherever the training was begun."""
        super().check_resume(overrides)
        self.args.data = overrides["data"]
        self.args.save_dir = str(Path(overrides["project"]) / overrides["name"])

    def train(self) -> None:
        """Train, and tell nobody."""
        with ultralytics_guard.alone():
            super().train()

    def build_dataset(self, img_path: str, mode: str = "train", batch: Any = None) -> Any:
        """Training images with scenes and pasted objects among them."""
        dataset = super().build_dataset(img_path, mode, batch)
        if mode == "train":
            options = self.options
            Mixed(dataset, options.synthetic, options.paste, options.seed, self._partial())
        return dataset

    def _partial(self) -> list[str]:
        """Names of the images in which not every object is labelled."""
        listed = self.truth.parent / PARTIAL  # a training of an older version has none
        return listed.read_text().splitlines() if listed.is_file() else []

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """A network from scratch, from a file read without running code in it, or to go on with."""
        if weights is not None:
            model = super().get_model(cfg, weights, verbose)
            families.complete(model)
            return model
        start = None
        if self.options.weights:
            start, path, _ = read_checked(self.options.weights, self.trusted)
        architecture = describe(start, path) if start else _architecture(self.options)
        if self.options.backbone:
            architecture = efficientnet.under(architecture, self.options.backbone)
        began = bool(architecture.get(SHAPE_TERMS))
        if self.options.shape_terms:
            architecture = {**architecture, SHAPE_TERMS: shape_terms.TERMS}
        model = super().get_model(architecture, None, verbose)
        families.complete(model)
        if start:
            _begin_with(model, start, path, bool(self.options.backbone))
        if self.options.backbone:
            efficientnet.begin(model)
        if self.options.shape_terms and not began:
            shape_terms.begin(model)
        print(_size(model, self.args.imgsz), file=sys.stderr)
        return model

    def validate(self) -> tuple[dict[str, float], float]:
        """Write the weights, measure their recall, keep the best; ultralytics would measure mAP."""
        last = self.wdir / "last.safetensors"
        _write(self.ema.ema, self.args.imgsz, last)
        recall = {}
        if self.truth.is_file():
            model = FastSAM(last, str(self.device))
            measured = measure(model, sources.read(self.truth)).summary()
            recall = {name: float(measured[name]) for name in MEASURED}
        fitness = recall.get(SUCCESS, 0.0)
        if self.best_fitness is None or self.best_fitness <= fitness:
            self.best_fitness = fitness
            atomic.write_bytes(self.wdir / "best.safetensors", last.read_bytes())
        return {f"recall/{name}": value for name, value in recall.items()}, fitness

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """Write the epoch's figures, and draw them."""
        super().save_metrics(metrics)
        curves.draw(self.csv, self.save_dir / "curves.png")

    def save_model(self) -> bool:
        """Write the checkpoints in one move each: a kill leaves those before them whole."""
        last, best = self.last, self.best
        try:
            # Ultralytics would note the git repository of the current folder, and its origin.
            unknown = SimpleNamespace(
                root=None, branch=None, commit=None, message=None, origin=None
            )
            engine = ultralytics_guard.module("engine.trainer")
            with atomic.replacing(last) as self.last, mock.patch.object(engine, "GIT", unknown):
                self.best = self.last.with_name(best.name)
                saved: bool = super().save_model()
                if self.best.exists():
                    atomic.write_bytes(best, self.best.read_bytes())
        finally:
            self.last, self.best = last, best
        return saved

    def final_eval(self) -> None:
        """Take what only training needs out of ultralytics' files."""
        for path in (self.last, self.best):
            if path.exists():
                strip_optimizer(path)


def averaging(updates: int) -> float:
    """How much of the average of weights stays at an update: it spans the last eighth of them all.

    Ultralytics' average spans two thousand updates only after as many, and in a short training
    hardly more than the last weights. This one fits a training of any length; at the end of a long
    one they are alike. Karras et al. 2024, "Analyzing and Improving the Training Dynamics of
    Diffusion Models" (arXiv:2312.02696), section 3.
    """
    return float((1 - 1 / max(updates, 1)) ** 8)


def _prepare(trainer: Trainer) -> None:
    # Only now: a network that gets saved must not carry a class that ultralytics does not know.
    model = unwrap_model(trainer.model)
    options = trainer.options
    loss = functools.partial(
        trainer.mask_loss, dice=options.dice, gain=options.mask_gain, per_image=options.per_image
    )

    two_heads = getattr(model.model[-1], "one2one_cv2", None) is not None  # YOLO26
    model.criterion = E2ELoss(model, loss) if two_heads else loss(model)
    trainer.ema.decay = averaging
    trainer.model.to(memory_format=torch.channels_last)  # a tenth faster
    if trainer.device.type == "cpu":  # ultralytics leaves one processor idle
        torch.set_num_threads(os.cpu_count() or 1)


def _trim(_: Trainer) -> None:
    """Give free memory back to the system.

    glibc keeps it in pieces, left between tensors of every size that come and go: without this, a
    training at 512 px grew from three gigabytes to seven in half an hour.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _mask_loss(options: TrainOptions) -> type[MaskLoss]:
    if not options.mask_scores:
        return MaskLoss
    try:
        from fastsam_plugins.training.mask_score_loss import RankedByMask
    except ImportError:
        raise ValueError("mask scores need ultralytics 8.4.190 or newer: upgrade it") from None
    return RankedByMask


def _settings(output: Path, options: TrainOptions, device: str) -> dict[str, Any]:
    """The options in ultralytics' words, and what is the same in every recipe."""
    settings: dict[str, Any] = {
        "model": f"{options.architecture}.yaml",
        "pretrained": False,
        "data": str(output / DATA / "data.yaml"),
        "project": str(output.resolve()),
        "name": RUN,
        "exist_ok": True,
        "device": None if device == "auto" else device,
        "single_cls": True,
        "overlap_mask": False,  # nested and overlapping instances keep their own masks
        "plots": False,
        "patience": 0,  # the learning rate has to come down: no stop before that
        # Half precision "fp16" would first download another network to check itself with.
        "amp": "bf16" if device != "cpu" and torch.cuda.is_available() else False,
        "cache": "ram",
        "warmup_epochs": 1.0,
        "close_mosaic": max(1, options.epochs // 10),
        "max_det": 1000,
        "imgsz": options.imgsz,
        "epochs": options.epochs,
        "time": options.hours or None,
        "batch": options.batch,
        "nbs": max(options.step, options.batch),
        "mosaic": options.mosaic,
        "flipud": options.flipud,
        "cos_lr": options.cosine,
        "freeze": options.freeze or None,
        "workers": options.workers,
        "seed": options.seed,
    }
    if options.lr0:
        # Ultralytics begins biases at a rate of 0.1 unless it chooses the optimizer: by AdamW each
        # step moves all of them by that much, and what the weights knew is lost.
        settings |= {"optimizer": "AdamW", "lr0": options.lr0, "warmup_bias_lr": 0.0}
    return settings


def _architecture(options: TrainOptions) -> dict[str, Any]:
    """Ultralytics' description of the network to train from scratch, with our reg_max.

    YOLO26's own says that it has no bins.
    """
    architecture: dict[str, Any] = yaml_model_load(f"{options.architecture}.yaml")
    return {"reg_max": options.reg_max, **architecture}


def _write(model: torch.nn.Module, imgsz: int, path: Path) -> None:
    """Write a network as it is now."""
    architecture = dict(model.yaml)
    checkpoint = checkpoints.Checkpoint(dict(model.state_dict()), architecture, imgsz, classes=1)
    checkpoints.save(checkpoint, path)


def _size(model: torch.nn.Module, imgsz: int) -> str:
    """How large a network is, in a line."""
    parameters = sum(p.numel() for p in model.parameters())
    text = f"The network has {parameters / 1e6:.1f} M parameters"
    # Of a copy: counting leaves its marks on a network.
    flops = get_flops(copy.deepcopy(model), imgsz)
    return text + (f", {flops:.0f} GFLOPs for an image of {imgsz} x {imgsz} px." if flops else ".")


def _begin_with(
    model: torch.nn.Module, start: Checkpoint, path: Path, other_backbone: bool
) -> None:
    """Give a one-class network the parameters of a file, but those that tell many classes apart.

    Of a network with another backbone those of neck and head.
    """
    own = model.state_dict()
    given = start.state
    if other_backbone:
        first = efficientnet.LAYERS
        kept = {k: v for k, v in own.items() if int(k.split(".")[1]) < first}
        given = kept | efficientnet.moved(given)
    fitting = {k: v for k, v in given.items() if k in own and v.shape == own[k].shape}
    left = [k for k in own if k not in fitting and not k.endswith("num_batches_tracked")]
    classes = re.compile(rf"model\.{len(model.model) - 1}\.((one2one_)?cv3|proto\.semseg)\.")
    strange = [k for k in left if start.classes == 1 or not classes.match(k)]
    if strange:
        raise WeightsError(
            f"{path}: parameters and architecture do not fit ({strange[0]} is missing or of "
            "another shape)"
        )
    if start.classes != 1:
        print(
            f"{path.name} knows {start.classes} classes: what tells an object is learned anew.",
            file=sys.stderr,
        )
    model.load_state_dict(fitting, strict=False)


@contextlib.contextmanager
def bfloat16_on_cpu(device: str) -> Iterator[None]:
    """Train in mixed precision on processors: ultralytics allows it on CUDA only."""
    if device != "cpu":
        yield
        return

    def bfloat16(*_: object, **__: object) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    with mock.patch.object(ultralytics_guard.module("engine.trainer"), "autocast", bfloat16):
        yield
