"""NMS and network output -> RLE masks: ultralytics and this project, same input, one run.

    python -m benchmarks.masks [--quick]

Ultralytics decodes N bitmaps (``process_mask_native``, what ``retina_masks=True`` does) and
pycocotools encodes them; ours goes from prototypes to RLE. Results are checked equal first. At
4512 x 4512 ultralytics' bitmaps take several GB; ``--quick`` leaves that size to ours alone.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torchvision  # noqa: F401  ultralytics uses its compiled NMS only where it is imported
from pycocotools import mask as coco
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import process_mask_native

from benchmarks.common import (
    Output,
    median_seconds,
    milliseconds,
    network_output,
    peak_extra_megabytes,
    raw_output,
    row,
)
from fastsam_plugins.masks import rle
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.network.nms import nms


def ours(output: Output) -> list[dict]:
    source = PrototypeMasks(
        output.prototypes.numpy(),
        output.coefficients.numpy(),
        output.boxes.numpy(),
        output.letterbox,
    )
    return rle.encode([source.runs(i) for i in range(len(source))], output.shape)


def ultralytics(output: Output) -> list[dict]:
    masks = process_mask_native(
        output.prototypes, output.coefficients, output.boxes, output.shape
    ).numpy()
    return [coco.encode(np.asfortranarray(m)) for m in masks]


def check_equal(output: Output) -> None:
    """Raise unless both sides give the same masks."""
    mine, theirs = ours(output), ultralytics(output)
    ious = np.array(
        [
            coco.iou([a], [b], [0])[0, 0]
            for a, b in zip(mine, theirs, strict=True)
            if coco.area(b) > 0
        ]
    )
    same = sum(a["counts"] == b["counts"].decode() for a, b in zip(mine, theirs, strict=True))
    assert ious.min() >= 0.999, ious.min()
    print(f"checked: {same} of {len(mine)} RLEs identical, lowest IoU {ious.min():.5f}\n")


def compare_masks(size: int, count: int, with_peer: bool) -> None:
    output = network_output(size, count)
    mine, memory = median_seconds(lambda: ours(output)), peak_extra_megabytes(lambda: ours(output))
    if not with_peer:
        row(f"{size}²", count, "", f"{milliseconds(mine)}, {memory:.0f} MB", "")
        return
    runs = 3 if size < 2000 else 1
    theirs = median_seconds(lambda: ultralytics(output), runs)
    their_memory = peak_extra_megabytes(lambda: ultralytics(output))
    row(
        f"{size}²",
        count,
        f"{milliseconds(theirs)}, {their_memory:.0f} MB",
        f"{milliseconds(mine)}, {memory:.0f} MB",
        f"{theirs / mine:.0f}×",
    )


def compare_nms() -> None:
    output = raw_output()[0][None]
    half = output[0, 2:4] / 2
    corners = torch.cat([output[0, :2] - half, output[0, :2] + half]).T.contiguous()
    for max_det in (300, 1000):

        def theirs(max_det: int = max_det) -> torch.Tensor:
            return non_max_suppression(output, 0.001, 0.9, max_det=max_det, nc=1, return_idxs=True)[
                1
            ][0]

        def mine(max_det: int = max_det) -> torch.Tensor:
            return nms(corners, output[0, 4], iou=0.9, conf=0.001, max_det=max_det)

        assert torch.equal(theirs().long(), mine())
        a, b = median_seconds(theirs, 7), median_seconds(mine, 15)
        candidates = int((output[0, 4] > 0.001).sum())
        row(f"NMS, {candidates} boxes", max_det, milliseconds(a), milliseconds(b), f"{a / b:.0f}×")


def main() -> None:
    quick = "--quick" in sys.argv
    print(f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}")
    check_equal(network_output(1024, 300))
    row("work", "instances", "ultralytics", "fastsam-plugins", "ratio")
    row(*["---"] * 5)
    compare_nms()
    compare_masks(1024, 300, with_peer=True)
    compare_masks(4512, 300, with_peer=not quick)
    compare_masks(4512, 1000, with_peer=False)


if __name__ == "__main__":
    main()
