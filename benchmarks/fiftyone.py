"""FiftyOne: stored masks, throughput and recall, ours and what FiftyOne has, in one run.

    python -m benchmarks.fiftyone ../shared/data/dev/coco_instances [--images 54] [--imgsz N]

1. Masks that `segment_everything` stored, read back, against the engine's own.
2. Seconds per image of `segment_everything`, of the bare network on the same images in memory,
   alone and side by side, and of FiftyOne's own path for ultralytics models with the same weights.
   Both sides keep as many proposals, of the same scores.
3. `evaluate_proposals` and `evaluate_detections(use_masks=True)` on the same view.

A database and a folder of files of its own are made, and deleted.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before FiftyOne is imported.
os.environ |= dict.fromkeys(
    ("FIFTYONE_DATABASE_DIR", "FIFTYONE_DEFAULT_DATASET_DIR"), tempfile.mkdtemp()
)
os.environ |= {"FIFTYONE_DO_NOT_TRACK": "true", "FIFTYONE_SHOW_PROGRESS_BARS": "false"}

import click
import fiftyone as fo
import numpy as np

from benchmarks.common import row
from fastsam_plugins import FastSAM, read_image
from fastsam_plugins.datasets.sources import Labelled, read
from fastsam_plugins.masks import runs as R
from fastsam_plugins.network.weights import BUNDLED
from fastsam_plugins.options import SegmentOptions
from fiftyone_plugin import labels, recall, segment_job
from fiftyone_plugin.storage import StoreOptions
from support.oracle import as_ultralytics_checkpoint

PROPOSALS = SegmentOptions(conf=0.001, max_det=100)
GROUPS = ((0, 32**2), (32**2, 96**2), (96**2, 10**9))


def seconds(work: Callable[[], Any]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def dataset_of(items: list[Labelled]) -> fo.Dataset:
    """Labelled images as a dataset with the field ``truth``."""
    made = fo.Dataset()
    for item in items:
        height, width = item.shape
        found = []
        for mask in item.masks:
            x0, y0, x1, y1 = box = R.bounds(mask, height)
            place = [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
            found.append(
                fo.Detection(
                    label="object", bounding_box=place, mask=R.to_bitmap(mask, item.shape, box)
                )
            )
        sample = fo.Sample(filepath=str(item.image), truth=fo.Detections(detections=found))
        made.add_sample(sample)
    return made


def ultralytics(made: fo.Dataset, imgsz: int) -> None:
    """FiftyOne's own path for ultralytics' FastSAM, with the same weights and settings."""
    from ultralytics import FastSAM as Peer

    peer = Peer(str(as_ultralytics_checkpoint(BUNDLED, Path(tempfile.mkdtemp()) / "FastSAM.pt")))
    peer.overrides |= {"conf": PROPOSALS.conf, "iou": PROPOSALS.iou, "imgsz": imgsz,
                       "max_det": PROPOSALS.max_det, "device": "cpu", "verbose": False}  # fmt: skip
    made.apply_model(peer, label_field="peer", confidence_thresh=PROPOSALS.conf)


def stored(made: fo.Dataset, model: FastSAM, options: SegmentOptions, field: str) -> None:
    """Lowest IoU between stored masks and the engine's, by size."""
    lowest = dict.fromkeys(GROUPS, 1.0)
    for sample in made:
        seg = model.segment(read_image(sample.filepath), options)
        masks = list(labels.masks(sample[field], seg.shape))
        assert len(masks) == len(seg), (len(masks), len(seg))
        for i, mask in enumerate(masks):
            own = seg.runs(i)
            iou = float(R.ious(own, [mask])[0])
            group = next(g for g in GROUPS if g[0] <= R.area(own) < g[1])
            lowest[group] = min(lowest[group], iou)
    print("lowest IoU of a stored mask with the engine's, small, medium, large: "
          + ", ".join(f"{v:.4f}" for v in lowest.values()) + "\n")  # fmt: skip


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--images", default=54)
@click.option("--imgsz", type=int, help="By default the network's own.")
def main(data: Path, images: int, imgsz: int | None) -> None:
    """Print tables."""
    items = list(read(data))[:images]
    made, model = dataset_of(items), FastSAM("FastSAM-n", "cpu")
    options = PROPOSALS.replace(imgsz=imgsz or model.imgsz)
    count = len(made)
    pixels = [read_image(f) for f in made.values("filepath")]
    list(model.segment_many(pixels[:8], options))  # the first forward pass is slow

    def ours(field: str, storing: StoreOptions) -> None:
        for _ in segment_job.everything(made, field, model, options, storing=storing):
            pass

    one = seconds(lambda: [model.segment(p, options) for p in pixels])
    bare = seconds(lambda: list(model.segment_many(pixels, options)))
    plain = seconds(lambda: ours("plain", StoreOptions(keep=False)))
    kept = seconds(lambda: ours("proposals", StoreOptions()))
    peer = seconds(lambda: ultralytics(made, options.imgsz))
    counts = made.count("plain.detections"), made.count("peer.detections")
    assert 0.97 < counts[1] / counts[0] < 1.03, counts  # its NMS and border rule differ a little
    kept_count = made.count("proposals.detections")
    print(f"{count} images, imgsz {options.imgsz}, {kept_count} proposals\n")
    row("segmenting", "per image", "share of the bare network's speed", "one image at a time")
    row(*["---"] * 4)
    for name, value in (
        ("bare network, one image at a time", one),
        ("bare network, images side by side", bare),
        ("segment_everything", plain),
        ("segment_everything, kept for prompts", kept),
        ("apply_model(ultralytics.FastSAM)", peer),
    ):
        row(name, f"{value / count * 1e3:.0f} ms", f"{bare / value:.0%}", f"{one / value:.0%}")
    print()
    stored(made, model, options, "proposals")

    made.compute_metadata()  # either needs it
    own = seconds(lambda: list(recall.run(made, "proposals", "truth", "own")))
    theirs = seconds(
        lambda: made.evaluate_detections(
            "proposals", gt_field="truth", eval_key="theirs", use_masks=True, classwise=False,
            compute_mAP=True,
        )
    )  # fmt: skip
    ar = made.load_evaluation_results("own").summary["mask AR@1000"]
    row("evaluation", "time", "ratio", "mask AR@1000")
    row(*["---"] * 4)
    row("evaluate_proposals", f"{own:.2f} s", "", f"{ar:.4f}")
    row("evaluate_detections", f"{theirs:.2f} s", f"{theirs / own:.0f}×", "")
    assert np.isfinite(ar)
    made.delete()


if __name__ == "__main__":
    main()
