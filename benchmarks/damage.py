"""Damages files of every format that is read: what comes of them?

    python -m benchmarks.damage [--count 500] [--seed 0]

Each file is valid first; then bytes are flipped, cut out, doubled or set to extremes. It must
be read, or refused by a ValueError of one line that names it: any other exception is counted. The
control is what the libraries underneath (Pillow, tifffile, json, numpy) do with the same files.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from fastsam_plugins import FastSAM
from fastsam_plugins.datasets import label_images, sources
from fastsam_plugins.evaluation import proposal_files
from fastsam_plugins.io import ImageResult, npz, open_raster, read_image, write_results
from fastsam_plugins.options import LimitOptions
from fastsam_plugins.paths import SAMPLES

LIMITS = LimitOptions(max_pixels=4_000_000, max_memory=200, max_seconds=20)
SIZE = (72, 96)
Use = Callable[[Path], Any]


def picture(kind: str = "uint8") -> np.ndarray:
    """A piece of a sample image."""
    image = read_image(SAMPLES / "ihc.jpg")[: SIZE[0], : SIZE[1]]
    return image if kind == "uint8" else image.astype(np.uint16) * 16


def saved(ending: str, **how: Any) -> bytes:
    """The picture in a format of Pillow."""
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, ending, **how)
    return stream.getvalue()


def tiff(kind: str = "uint8", **how: Any) -> bytes:
    """The picture as TIFF."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, picture(kind), photometric="rgb", metadata=None, **how)
    return stream.getvalue()


def labels() -> np.ndarray:
    """A label image of twelve squares."""
    return np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((24, 24), np.uint8))


def label_file(ending: str) -> bytes:
    """That as a file."""
    stream = io.BytesIO()
    if ending == "tif":
        tifffile.imwrite(stream, labels(), compression="lzw")
    elif ending == "npy":
        np.save(stream, labels())
    else:
        Image.fromarray(labels()).save(stream, ending)
    return stream.getvalue()


def read(path: Path) -> None:
    """An image, at once and in windows."""
    read_image(path, limits=LIMITS)
    open_raster(path, limits=LIMITS)[0:40, 0:40]


def plain_image(path: Path) -> None:
    """The control of images."""
    np.asarray(tifffile.imread(path) if path.suffix == ".tif" else Image.open(path))


def plain_numbers(path: Path) -> None:
    """The control of kept segmentations."""
    with np.load(path) as content:
        dict(content)


def uses(folder: Path) -> Iterator[tuple[str, str, bytes, Use, Use]]:
    """(what, ending, a valid file, its reader, the control) of every format."""
    for ending in ("png", "jpeg", "webp", "gif", "bmp"):
        yield ending, ending, saved(ending), read, plain_image
    for how in ({}, {"compression": "zlib", "predictor": True, "tile": (32, 32)},
                {"compression": "lzw", "rowsperstrip": 8}, {"compression": "jpeg"},
                {"kind": "uint16", "compression": "zstd", "planarconfig": "contig"}):  # fmt: skip
        name = "tiff " + str(how.get("compression", "plain"))
        yield name, "tif", tiff(**how), read, plain_image
    for ending in ("png", "tif", "npy"):
        plain = plain_image if ending != "npy" else lambda path: np.load(path)
        yield (f"labels {ending}", ending, label_file(ending),
               lambda p: label_images.read(p, limits=LIMITS), plain)  # fmt: skip
    segmentation = FastSAM("FastSAM-n", "cpu").segment(picture(), imgsz=96, conf=0.01)[:20]
    npz.write(segmentation, folder / "kept.npz")
    good = (folder / "kept.npz").read_bytes()
    yield "kept", "npz", good, lambda p: npz.read(p, LIMITS), plain_numbers
    results = folder / "results.json"
    write_results([ImageResult(Path("i.png"), None, segmentation, None)], results)
    truth = results.read_bytes()

    def plain_json(path: Path) -> None:
        json.loads(path.read_bytes())

    yield ("COCO ground truth", "json", truth,
           lambda p: proposal_files.evaluate_proposals(p, results, "segm"), plain_json)  # fmt: skip
    yield ("COCO results", "json", truth,
           lambda p: proposal_files.evaluate_proposals(results, p, "segm"), plain_json)  # fmt: skip
    yield "COCO for training", "json", truth, lambda p: list(sources.read(p)), plain_json


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """The same bytes, less so."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at, to = sorted(rng.integers(0, len(data), 2).tolist())
        head = rng.random() < 0.5  # where most of what counts stands
        at = at % 200 if head else at
        match int(rng.integers(6)):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                del data[max(at, 12) :]
            case 2:
                del data[max(at, 12) : min(to, at + 40)]
            case 3:
                data[at:at] = data[at : at + int(rng.integers(1, 60))]
            case 4:
                size = int(rng.choice([1, 2, 4, 8]))
                data[at : at + size] = rng.choice([b"\xff", b"\0", b"\x7f", b"9"]) * size
            case 5:
                data[at : at + 12] = rng.bytes(12)
    return bytes(data)


def outcome(use: Use, path: Path) -> str:
    """What became of a file: read, refused, or the name of an exception that says less."""
    try:
        use(path)
    except ValueError as error:
        told = str(error)
        own = path.name in told and "\n" not in told and len(told) < 600
        return "refused" if own else type(error).__name__
    except Exception as error:
        return type(error).__name__
    return "read"


def too_long(*_: Any) -> None:
    """End a control that does not come to an end: tifffile walked through 75 s of broken tags."""
    raise TimeoutError


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    signal.signal(signal.SIGALRM, too_long)
    rng = np.random.default_rng(given.seed)
    total: Counter[str] = Counter()
    print(f"{'format':<20}{'read':>6}{'refused':>9}{'else':>6}{'longest':>10}  control, else")
    with tempfile.TemporaryDirectory() as folder:
        for what, ending, content, use, control in uses(Path(folder)):
            path = Path(folder) / f"damaged.{ending}"
            path.write_bytes(content)
            assert outcome(use, path) == "read", what
            seen: Counter[str] = Counter()
            plain: Counter[str] = Counter()
            longest = 0.0
            for _ in range(given.count):
                path.write_bytes(damaged(content, rng))
                begun = time.perf_counter()
                found = outcome(use, path)
                longest = max(longest, time.perf_counter() - begun)
                seen[found if found in ("read", "refused") else "else"] += 1
                if found not in ("read", "refused"):
                    print("!", what, found)
                signal.alarm(5)
                plain[outcome(control, path)] += 1
                signal.alarm(0)
            other = {k: v for k, v in plain.items() if k not in ("read", "refused")}
            print(f"{what:<20}{seen['read']:>6}{seen['refused']:>9}{seen['else']:>6}"
                  f"{longest:>8.2f} s  {other}", flush=True)  # fmt: skip
            total += seen
    print(f"{'all':<20}{total['read']:>6}{total['refused']:>9}{total['else']:>6}")


if __name__ == "__main__":
    main()
