"""What it gives to tell a training that images are labelled in part.

    python -m benchmarks.partial TRAIN MEASURED [--share 0.6] [--epochs 4] [--imgsz 320] [--seeds 1]

TRAIN and MEASURED are COCO files, or folders of one, in which every object is labelled. A share of
the objects of TRAIN is hidden, each by itself, and a network is fine-tuned four times in the same
steps: what is hidden taken for background, and for unknown (``--partial``); the same images with
every object; and none of it. Prints recall on MEASURED.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click
import numpy as np

from benchmarks.common import row
from benchmarks.finetune import FIGURES, fastsam


def hide(source: Path, target: Path, share: float, kind: str, seed: int) -> None:
    """Write a COCO file in which a share of the objects is missing; images stay where they are."""
    content = json.loads(source.read_text())
    if kind:
        content["images"] = [i for i in content["images"] if i.get("source") == kind]
    listed = {image["id"] for image in content["images"]}
    objects = [a for a in content["annotations"] if a["image_id"] in listed]
    shown = np.random.default_rng(seed).random(len(objects)) >= share
    content["annotations"] = [a for a, kept in zip(objects, shown, strict=True) if kept]
    target.write_text(json.dumps(content))


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("measured", type=click.Path(path_type=Path, exists=True))
@click.option("--kind", default="", help="Only images of this images.source.")
@click.option("--model", default="FastSAM-n", show_default=True, help="What training starts from.")
@click.option("--share", default=0.6, show_default=True, help="Of the objects that are hidden.")
@click.option("--epochs", default=4, show_default=True)
@click.option("--imgsz", default=320, show_default=True)
@click.option("--seeds", default=1, show_default=True, help="Trainings of each way.")
def main(
    data: Path, measured: Path, kind: str, model: str, share: float, epochs: int, imgsz: int,
    seeds: int,
) -> None:  # fmt: skip
    """Print a table."""
    file = data / "instances.json" if data.is_dir() else data
    places = [file.parent / "images", file.parent]
    images = next(place for place in places if place.is_dir())
    row("labels", "seed", *FIGURES)
    row(*["---"] * (len(FIGURES) + 2))
    _measure("none: no training", "", measured, model, imgsz)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hide(file, folder / "all.json", 0.0, kind, 0)
        for seed in range(seeds):
            hide(file, folder / "some.json", share, kind, seed)
            for title, given in (
                ("hidden is background", [folder / "some.json"]),
                ("hidden is unknown", ["--partial", folder / "some.json"]),
                ("nothing hidden", [folder / "all.json"]),
            ):
                out = folder / f"{title} {seed}"
                trained = fastsam(
                    "train", *given, "--images", images, "-o", out, "--weights", model,
                    "--imgsz", str(imgsz), "--epochs", str(epochs), "--held-out", "0",
                    "--seed", str(seed), "--json",
                )  # fmt: skip
                _measure(title, str(seed), measured, json.loads(trained)["weights"], imgsz)


def _measure(title: str, seed: str, measured: Path, model: str, imgsz: int) -> None:
    how = ("--model", model, "--imgsz", str(imgsz), "--json")
    found = json.loads(fastsam("evaluate", "everything", measured, *how))
    row(title, seed, *(f"{found[figure]:.3f}" for figure in FIGURES))


if __name__ == "__main__":
    main()
