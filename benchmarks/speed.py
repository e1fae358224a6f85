"""Whole commands against ultralytics' on the same weights: one image, and many photos.

    python -m benchmarks.speed [FOLDER_OF_PHOTOS] [--imgsz N] [--count N]

1. ``fastsam segment`` of one image, the first time on a machine and later, beside ``yolo predict``.
2. ``fastsam segment`` of many photos to COCO JSON, beside ``yolo predict save_txt``, which writes
   outlines: both from files to a file, with the masks at the size of the image.
3. Each way to run the network, and what ``auto`` takes.

What both find is compared first. Without a folder the photos are copies of the sample images.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from benchmarks.common import row
from fastsam_plugins import fastest, paths
from fastsam_plugins.network import weights
from fastsam_plugins.paths import BUNDLED, SAMPLES
from support.oracle import as_ultralytics_checkpoint

SETTINGS = {"conf": 0.4, "iou": 0.9, "max_det": 300}


def run(*words: object) -> float:
    """Seconds that a command takes."""
    start = time.perf_counter()
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{words[0]} failed: {done.stderr.strip()[-500:]}")
    return time.perf_counter() - start


def fastsam(images: list[Path], output: Path, imgsz: int, *more: str) -> float:
    """Ours."""
    command = Path(sys.executable).with_name("fastsam")
    settings = [x for k, v in SETTINGS.items() for x in (f"--{k.replace('_', '-')}", str(v))]
    return run(command, "segment", *images, "-o", output, "--imgsz", imgsz, *settings, *more)


def yolo(checkpoint: Path, source: Path, output: Path, imgsz: int) -> float:
    """Ultralytics'."""
    command = Path(sys.executable).with_name("yolo")
    settings = [f"{k}={v}" for k, v in SETTINGS.items()]
    return run(
        command, "segment", "predict", f"model={checkpoint}", f"source={source}", "save=False",
        "save_txt=True", "retina_masks=True", "device=cpu", f"project={output}", "name=run",
        "exist_ok=True", f"imgsz={imgsz}", *settings,
    )  # fmt: skip


@click.command()
@click.argument("photos", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--imgsz", default=512)
@click.option("--count", default=200)
@click.option("--rounds", default=3)
def main(photos: Path | None, imgsz: int, count: int, rounds: int) -> None:
    """Print tables."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ[paths.CACHE_VARIABLE] = str(place / "cache")
        os.environ["YOLO_CONFIG_DIR"] = str(place / "yolo")
        checkpoint = as_ultralytics_checkpoint(BUNDLED, place / "FastSAM-n.pt")
        source = sorted((photos or SAMPLES).iterdir())
        source = [p for p in source if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
        if not source:
            sys.exit(f"{photos} has no JPEG or PNG: name the folder they are in")
        (place / "photos").mkdir()
        copies = [
            place / "photos" / f"{k:04}{source[k % len(source)].suffix}" for k in range(count)
        ]
        for k, copy in enumerate(copies):
            shutil.copy(source[k % len(source)], copy)

        one = SAMPLES / "coins.png"
        first = fastsam([one], place / "one.json", imgsz)
        later = [fastsam([one], place / "one.json", imgsz) for _ in range(rounds)]
        plain = [fastsam([one], place / "one.json", imgsz, "--backend", "torch")
                 for _ in range(rounds)]  # fmt: skip
        theirs = [yolo(checkpoint, one, place / "one", imgsz) for _ in range(rounds + 1)][1:]
        print("Seconds from command to file, one image\n")
        row("", "fastsam, first time", "fastsam, later", "fastsam --backend torch", "yolo", "ratio")
        row(*["---"] * 6)
        row("median", *(f"{np.median(t):.1f}" for t in (first, later, plain, theirs)),
            f"{np.median(theirs) / np.median(later):.1f}×")  # fmt: skip

        ours, theirs = [], []
        for _ in range(max(rounds - 1, 1)):
            ours.append(fastsam(copies, place / "many.json", imgsz))
            theirs.append(yolo(checkpoint, place / "photos", place / "many", imgsz))
        found = len(json.loads((place / "many.json").read_text())["annotations"])
        lines = sum(
            len(p.read_text().splitlines()) for p in (place / "many" / "run" / "labels").glob("*")
        )
        assert abs(found - lines) <= 0.03 * lines, (found, lines)
        print(f"\nSeconds for {count} photos, imgsz {imgsz}; {found} and {lines} instances\n")
        row("fastsam segment", "yolo segment predict", "ratio")
        row(*["---"] * 3)
        row(*(f"{np.median(t):.1f}" for t in (ours, theirs)),
            f"{np.median(theirs) / np.median(ours):.1f}×")  # fmt: skip

        print("\nWays to run FastSAM-n here, one input of its own size\n")
        row("backend", "precision", "ms", "mean IoU of masks", "change of AR@1000")
        row(*["---"] * 5)
        fitting = fastest.possible("auto", "auto", "cpu")
        for t in fastest.known(weights.load("FastSAM-n"), "cpu", fitting) or []:
            row(t.backend, t.precision, f"{t.seconds * 1000:.0f}", f"{t.mean_iou:.4f}",
                f"{t.recall_change:+.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
