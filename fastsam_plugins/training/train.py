"""Training from labelled images to weights, and going on after an interruption."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastsam_plugins.io import atomic, typed_json
from fastsam_plugins.network import weights
from fastsam_plugins.options import DataOptions, WeightsOptions
from fastsam_plugins.training import data as training_data
from fastsam_plugins.training.data import DATA, RUN
from fastsam_plugins.training.options import TrainOptions

RECIPE = "recipe.json"
SCRATCH = 640  # input size in pixels of a network that starts from nothing


def train(
    data: Sequence[str | Path],
    output: Path,
    options: TrainOptions,
    device: str = "auto",
    trusted: WeightsOptions | None = None,
    reading: DataOptions | None = None,
    partial: Sequence[str | Path] = (),
) -> Path:
    """Train a one-class YOLOv8-seg network on labelled images.

    Parameters
    ----------
    data : paths or names
        COCO JSON files, folders, or what other programs hold; see
        :func:`fastsam_plugins.datasets.sources.read`.
    output : path
        Folder for the converted data, the recipe, the curves and the weights.
    options : TrainOptions
    device : str
        ``auto``, ``cpu``, ``cuda:0``, ...
    trusted : WeightsOptions, optional
        About the weights to start from.
    reading : DataOptions, optional
        How the data are read.
    partial : paths or names
        More data, in whose images not every object is labelled: what is not is unknown.

    Returns
    -------
    path
        The trained network: ``OUTPUT/run/weights/best.safetensors``, the one with the best recall
        on the images held out, or ``last.safetensors`` if none were. Both lie there, beside
        ultralytics' own ``last.pt``.

    Raises
    ------
    ValueError
        If the data cannot be used, several devices are named, or the folder already holds a
        training, or things of the person's own where a training would write.
    BlockingIOError
        If another training is at work in the folder.
    WeightsError
        If the weights to start from cannot be read.
    """
    _check_device(device)
    _check_ours(output)
    training_data.check_outside([*data, *partial], output)
    imgsz = SCRATCH
    if options.weights:
        imgsz = weights.read_checked(options.weights, trusted)[0].imgsz
    options = options.replace(imgsz=options.imgsz or imgsz)
    with atomic.making(output), atomic.alone(output, wait=False):
        report = training_data.convert(data, output / DATA, options, reading, output, partial)
        print(f"Training on {report}.", file=sys.stderr)
        atomic.write_text(output / RECIPE, json.dumps(dataclasses.asdict(options), indent=2))
        return _run(output, options, device, False, trusted)


def _check_device(name: str) -> None:
    """Refuse several devices: ultralytics would start processes that know nothing of all this."""
    if "," in name:
        raise ValueError(f"a training runs on one device, got {name}: name one, such as cuda:0")


def _check_ours(output: Path) -> None:
    """Refuse a folder with a training to go on with, or with what no training put there."""
    if _checkpoint(output).exists():
        raise ValueError(
            f"{output} already holds a training: go on with --resume, or name another folder"
        )
    training_data.check_ours(output / DATA)
    begun = (output / DATA).exists()
    for name in (RUN, RECIPE):
        if os.path.lexists(output / name) and not begun:
            raise ValueError(f"{output / name} is there and of no training: name another folder")


def resume(output: Path, device: str = "auto", trusted: WeightsOptions | None = None) -> Path:
    """Go on with an interrupted training after its last complete epoch.

    Unlike everything else here this reads a pickle, ``OUTPUT/run/weights/last.pt``, with the
    optimizer's state: go on only with trainings of your own.

    Raises
    ------
    ValueError
        If the folder holds no training, or a complete one.
    BlockingIOError
        If another training is at work in the folder.
    """
    recipe = output / RECIPE
    if not recipe.is_file():
        raise ValueError(f"{output} holds no training to resume: there is no {RECIPE}")
    options = read_recipe(recipe)
    _check_device(device)
    with atomic.alone(output, wait=False):
        return _go_on(output, options, device, trusted)


def _go_on(
    output: Path, options: TrainOptions, device: str, trusted: WeightsOptions | None
) -> Path:
    if not _checkpoint(output).exists():  # interrupted in its first epoch
        return _run(output, options, device, False, trusted)
    import torch

    from fastsam_plugins.network import shape_terms

    sys.modules.setdefault("fastsam_plugins.shape", shape_terms)  # its name in older checkpoints
    epoch = torch.load(_checkpoint(output), map_location="cpu", weights_only=False)["epoch"]
    if epoch < 0:
        raise ValueError(f"the training in {output} is complete: nothing is left to resume")
    print(f"Going on after epoch {epoch + 1}.", file=sys.stderr)
    return _run(output, options, device, True, trusted)


def read_recipe(path: Path) -> TrainOptions:
    """The options that a training was started with.

    Raises
    ------
    ValueError
        If the file holds no such options: one line that names it and the option.
    """
    content = typed_json.read(path, dict[str, Any], "a training recipe")
    unknown = sorted(content.keys() - {f.name for f in dataclasses.fields(TrainOptions)})
    if unknown:
        raise ValueError(f"{path}: there is no option {typed_json.shown(unknown[0])}")
    return typed_json.convert(content, TrainOptions, path, "a training recipe")


def _checkpoint(output: Path) -> Path:
    return output / RUN / "weights" / "last.pt"


def _run(
    output: Path, options: TrainOptions, device: str, resume: bool, trusted: WeightsOptions | None
) -> Path:
    from fastsam_plugins.training import trainer

    running = trainer.Trainer(output, options, device, resume, trusted)
    with trainer.bfloat16_on_cpu(running.device.type):
        running.train()
    name = "best" if running.truth.is_file() else "last"
    return Path(running.wdir) / f"{name}.safetensors"
