"""Peak memory of whole commands' work on one large image: bytes per pixel, beside the network's.

    python -m benchmarks.memory                                  # some minutes
    python -m benchmarks.memory --width 12000 --height 8000      # the figures of docs/limits.md

Every row is a process of its own, which loads FastSAM-n, segments a small image, and then does the
work once. What the kernel counts as its largest resident size (``ru_maxrss``), less that before the
work, is divided by the pixels. The network's share does not grow with the image: it is measured by
itself, in the row "a small image".
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

# Nothing large is imported here: a process counts the size of the one that started it as its own.

KINDS = ("uint8.tif", "uint16.tif", "uint8.png", "uint16.png", "uint8.jpg")
WORKS = ("read", "segment", "overlay.png", "labels.tif", "coco.json", "tiled.json")


def picture(height: int, width: int, dtype: str) -> np.ndarray:
    """The sample, enlarged: an RGB image with something to find."""
    import cv2

    from fastsam_plugins import read_image
    from fastsam_plugins.paths import SAMPLES

    pixels = cv2.resize(read_image(SAMPLES / "coffee.jpg"), (width, height))
    return pixels.astype(np.uint16) * 200 if dtype == "uint16" else pixels


def write(path: Path, height: int, width: int) -> None:
    """An image file whose name says what it is."""
    import tifffile
    from PIL import Image

    dtype, _, ending = path.name.rpartition(".")
    pixels = picture(height, width, dtype)
    if ending == "tif":
        tifffile.imwrite(path, pixels, photometric="rgb", rowsperstrip=64, compression="zlib")
    elif dtype == "uint16":  # Pillow writes 16 bit in gray alone
        Image.fromarray(pixels[:, :, 0]).save(path)
    else:
        Image.fromarray(pixels).save(path)


def measure(path: Path, work: str, imgsz: int) -> None:
    """Do the work in this process, and print what it took as JSON."""
    from fastsam_plugins import FastSAM, io
    from fastsam_plugins.paths import SAMPLES

    network = FastSAM("FastSAM-n", device="cpu")
    folder = Path(tempfile.mkdtemp())

    def go(image: Path, imgsz: int) -> int:
        read = io.open_raster if work.startswith("tiled") else io.read_image
        pixels = read(image)
        if work == "read":
            return 0
        if work.startswith("tiled"):
            seg = network.segment_tiled(pixels, conf=0.1, imgsz=imgsz, batch=1)
        else:
            seg = next(network.segment_many([pixels], conf=0.1, imgsz=imgsz))
        if work != "segment":
            shown = pixels if work.endswith(".png") else None
            io.write_results(
                [io.ImageResult(image, shown, seg)], folder / f"out{Path(work).suffix}"
            )
        return len(seg)

    go(SAMPLES / "coins.png", 64)  # imports, and loops that are compiled when they are first used
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = go(path, imgsz)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"bytes": (peak - before) * 1024, "instances": found}))


def measured(path: Path, work: str, imgsz: int) -> dict[str, int]:
    """What a process that does the work says."""
    said = _again("--measure", str(path), work, "--imgsz", str(imgsz))
    answer: dict[str, int] = json.loads(said.splitlines()[-1])
    return answer


def _again(*arguments: str) -> str:
    """What this script prints in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def row(*cells: str) -> None:
    """Print one row of a Markdown table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=3000)
    parser.add_argument("--height", type=int, default=2000)
    parser.add_argument("--imgsz", type=int, default=1024)
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--works", nargs="+", default=WORKS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        write(args.write, args.height, args.width)
        return
    if args.measure:
        measure(Path(args.measure[0]), args.measure[1], args.imgsz)
        return
    pixels = args.width * args.height
    print(f"{args.width} x {args.height} pixels, imgsz {args.imgsz}: bytes per pixel (MB)\n")
    row("file", *args.works)
    row(*["---"] * (len(args.works) + 1))
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "uint8.png"
        write(small, 64, 96)
        least = [measured(small, work, args.imgsz)["bytes"] for work in args.works]
        row("a small image", *(f"{b / 1e6:.0f} MB" for b in least))
        for kind in args.kinds:
            path = Path(folder) / kind
            _again("--write", str(path), "--width", str(args.width), "--height", str(args.height))
            taken = [measured(path, work, args.imgsz)["bytes"] for work in args.works]
            row(kind, *(f"{b / pixels:.1f} ({b / 1e6:.0f} MB)" for b in taken))


if __name__ == "__main__":
    main()
