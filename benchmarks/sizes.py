"""Networks of the sizes of FastSAM-s and FastSAM-x against ultralytics, on the same numbers.

    python -m benchmarks.sizes [s|x …] [--imgsz N] [--rounds N]

Time does not depend on what a network has learned: the weights are random, so nearly nothing is
found, and masks cannot be compared here (``benchmarks.speed`` does, for FastSAM-n). The gate that
``auto`` has for half precision cannot judge such weights either: backend and precision are named.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import torch

from benchmarks.common import row
from fastsam_plugins.paths import SAMPLES


def checkpoint(size: str, imgsz: int, path: Path) -> Path:
    """A file as ultralytics writes it, of a network that has learned nothing."""
    from ultralytics.nn.tasks import SegmentationModel

    torch.manual_seed(0)
    network = SegmentationModel(f"yolov8{size}-seg.yaml", nc=1, verbose=False).half()
    network.names = {0: "object"}
    settings = {"task": "segment", "imgsz": imgsz}
    network.args = settings
    torch.save({"model": network, "train_args": settings, "epoch": -1}, path)
    return path


@click.command()
@click.argument("sizes", nargs=-1)
@click.option("--imgsz", default=1024)
@click.option("--rounds", default=3)
@click.option("--backend", default="openvino")
@click.option("--precision", default="bf16")
def main(sizes: tuple[str, ...], imgsz: int, rounds: int, backend: str, precision: str) -> None:
    """Print a table."""
    fastsam = Path(sys.executable).with_name("fastsam")
    row("size", "fastsam-plugins", "ultralytics", "ratio", "share of the network alone")
    row(*["---"] * 5)
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes or ("s", "x"):
            file = checkpoint(size, imgsz, Path(folder) / f"random-{size}.pt")
            done = subprocess.run(
                [fastsam, "benchmark", SAMPLES / "coins.png", "--model", file, "--imgsz",
                 str(imgsz), "--conf", "0.001", "--rounds", str(rounds), "--backend", backend,
                 "--precision", precision, "--compare", "ultralytics", "--json"],
                stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            found = json.loads(done.stdout)
            ours = found["stages"]["image to RLE"]["median"]
            theirs = found["ultralytics"]["median"]
            rate = found["images_per_second"]
            row(size, f"{ours * 1e3:.0f} ms", f"{theirs * 1e3:.0f} ms", f"{theirs / ours:.1f}×",
                f"{rate['segment_many'] / rate['network alone']:.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
