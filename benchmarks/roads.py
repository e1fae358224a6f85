"""The same images by every road: the same masks, whoever finds them.

    python -m benchmarks.roads FOLDER [--backend torch] [--imgsz 512]

`fastsam segment` is what the others are compared with, image by image and mask by mask as RLE:
`fastsam batch` here, on a Ray cluster of three nodes, and on that cluster from and to a store that
speaks S3 (as a process); FiftyOne's *Segment everything* in this process, and handed over to
the cluster. A database and a folder of files of its own are made, and deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before FiftyOne is imported.
os.environ |= dict.fromkeys(
    ("FIFTYONE_DATABASE_DIR", "FIFTYONE_DEFAULT_DATASET_DIR"), tempfile.mkdtemp()
)
os.environ |= {"FIFTYONE_DO_NOT_TRACK": "true", "FIFTYONE_SHOW_PROGRESS_BARS": "false",
               "FIFTYONE_DATABASE_NAME": f"roads-{os.getpid()}"}  # fmt: skip

import click
import fiftyone as fo

from benchmarks.batch import Nodes
from benchmarks.common import row
from fastsam_plugins.masks import rle
from fastsam_plugins.scale import places
from fiftyone_plugin import labels
from fiftyone_plugin.operators import SegmentEverything
from support.s3_server import Store

Masks = dict[str, list[str]]
"""By name of an image, the RLE of each of its masks, in their order."""


def fastsam(*words: object) -> None:
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "fastsam_plugins", *(str(w) for w in words)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def of_coco(file: Path) -> Masks:
    """What is in a COCO file."""
    coco = json.loads(file.read_text())
    names = {image["id"]: Path(image["file_name"]).name for image in coco["images"]}
    found: Masks = {name: [] for name in names.values()}
    for annotation in coco["annotations"]:
        found[names[annotation["image_id"]]].append(annotation["segmentation"]["counts"])
    return found


def of_field(dataset: fo.Dataset, field: str) -> Masks:
    """What is in a field of a dataset."""
    found: Masks = {}
    for sample in dataset:
        shape = sample.metadata.height, sample.metadata.width
        masks = list(labels.masks(sample[field], shape))
        found[Path(sample.filepath).name] = [r["counts"] for r in rle.encode(masks, shape)]
    return found


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """The address of three nodes on this machine."""
    nodes = Nodes()
    try:
        yield nodes.address
    finally:
        nodes.cluster.shutdown()


@contextlib.contextmanager
def store(folder: Path) -> Iterator[str]:
    """A bucket in a store on this machine, which the environment then names."""
    server = Store(folder)
    os.environ |= server.environment
    try:
        yield server.address
    finally:
        server.kill()


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--backend", default="torch")
@click.option("--imgsz", default=512)
def main(folder: Path, backend: str, imgsz: int) -> None:
    """Print a table."""
    images = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".png"))
    how = {"imgsz": imgsz, "backend": backend, "device": "cpu"}
    flags = [word for name, value in how.items() for word in (f"--{name}", value)]
    dataset = fo.Dataset()
    dataset.add_samples([fo.Sample(str(path)) for path in images])
    dataset.compute_metadata()
    work = Path(tempfile.mkdtemp())

    def exported(out: str | Path) -> Masks:
        fastsam("batch", "export", out, "-o", work / "coco.json")
        return of_coco(work / "coco.json")

    def by_segment() -> Masks:
        fastsam("segment", *images, "-o", work / "segment.json", *flags)
        return of_coco(work / "segment.json")

    def by_batch(source: str | Path, out: str | Path, *more: str) -> Masks:
        fastsam("batch", source, "-o", out, "--shard", 5, *flags, *more)
        return exported(out)

    def by_fiftyone(field: str, **more: Any) -> Masks:
        SegmentEverything()(dataset, field=field, imgsz=imgsz, backend=backend, **more)
        dataset.reload()
        return of_field(dataset, field)

    row("road", "images", "masks", "other than by segment", "seconds")
    row(*["---"] * 5)
    first: Masks = {}

    def compare(name: str, road: Callable[[], Masks]) -> None:
        start = time.perf_counter()
        found = road()
        passed = time.perf_counter() - start
        expected = first or found
        first.update(expected)
        pairs = [(expected.get(k, []), found.get(k, [])) for k in expected.keys() | found.keys()]
        other = sum(sum(a != b for a, b in zip(*p, strict=False)) + abs(len(p[0]) - len(p[1]))
                    for p in pairs)  # fmt: skip
        row(name, len(found), sum(map(len, found.values())), other, round(passed))

    compare("`fastsam segment`", by_segment)
    compare("`fastsam batch`", lambda: by_batch(folder, work / "local"))
    compare("FiftyOne, *Segment everything*", lambda: by_fiftyone("here", keep=False))
    with cluster() as address:
        ray = "--engine", "ray", "--address", address
        compare("`fastsam batch --engine ray`", lambda: by_batch(folder, work / "ray", *ray))
        compare(
            "FiftyOne, handed over",
            lambda: by_fiftyone("there", cluster=address, results=str(work / "handed")),
        )
    with store(work / "store") as bucket, cluster() as address:
        for path in images:
            places.write_bytes(f"{bucket}/in/{path.name}", path.read_bytes())
        ray = "--engine", "ray", "--address", address
        compare(
            "`fastsam batch --engine ray`, S3 in and out",
            lambda: by_batch(f"{bucket}/in/", f"{bucket}/out", *ray),
        )
    dataset.delete()


if __name__ == "__main__":
    main()
