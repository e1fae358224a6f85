"""NMS and network output -> RLE masks: ultralytics and this project, same input, one run.

    python -m benchmarks.masks [--quick]

NMS goes from the network's output to boxes, scores and coefficients of what is kept: boxes are
decoded inside the timer on both sides. For masks, ultralytics decodes N bitmaps
(``process_mask_native``, what ``retina_masks=True`` does) and pycocotools encodes them; ours goes
from prototypes to RLE. What both give is checked equal in every row. Memory is that of a fresh
process (``benchmarks/fresh.py``). At 4512 x 4512 ultralytics' bitmaps take several GB; ``--quick``
leaves that size to ours alone.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torchvision  # noqa: F401  ultralytics uses its compiled NMS only where it is imported
from pycocotools import mask as coco
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import process_mask_native

from benchmarks.common import Output, median_seconds, milliseconds, network_output, raw_output, row
from benchmarks.fresh import measured
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


def check_equal(mine: list[dict], theirs: list[dict]) -> str:
    """Raise unless both sides give the same masks; how many are so to the last pixel."""
    pairs = list(zip(mine, theirs, strict=True))
    lowest = min(coco.iou([a], [b], [0])[0, 0] for a, b in pairs if coco.area(b) > 0)
    assert lowest >= 0.999, lowest
    same = sum(a["counts"] == b["counts"].decode() for a, b in pairs)
    return f"{same} of {len(pairs)} identical, lowest IoU {lowest:.5f}"


def compare_masks(size: int, count: int, with_peer: bool) -> None:
    output = network_output(size, count)
    mine, _, memory = measured("benchmarks.masks:ours", output)
    seconds = median_seconds(lambda: ours(output))
    cell = f"{milliseconds(seconds)}, {memory:.1f} MB"
    if not with_peer:
        row(f"{size}²", count, "", cell, "", "")
        return
    theirs, their_seconds, their_memory = measured("benchmarks.masks:ultralytics", output)
    equal = check_equal(mine, theirs)
    if size < 2000:
        their_seconds = median_seconds(lambda: ultralytics(output), 3)
    row(
        f"{size}²",
        count,
        f"{milliseconds(their_seconds)}, {their_memory:.0f} MB",
        cell,
        f"{their_seconds / seconds:.0f}×",
        equal,
    )


def compare_nms() -> None:
    output = raw_output()[0][None]

    def theirs(max_det: int) -> torch.Tensor:
        (found,) = non_max_suppression(output, 0.001, 0.9, max_det=max_det, nc=1)
        return found  # xyxy, score, class, coefficients

    def mine(max_det: int) -> tuple[torch.Tensor, ...]:
        centre, half = output[0, :2], output[0, 2:4] / 2
        corners = torch.cat([centre - half, centre + half]).T
        kept = nms(corners.numpy(), output[0, 4].numpy(), iou=0.9, conf=0.001, max_det=max_det)
        return corners[kept], output[0, 4, kept], output[0, 5:, kept].T

    for max_det in (300, 1000):
        rows = theirs(max_det)
        for a, b in zip(mine(max_det), (rows[:, :4], rows[:, 4], rows[:, 6:]), strict=True):
            assert torch.equal(a, b)
        a = median_seconds(lambda m=max_det: theirs(m), 7)
        b = median_seconds(lambda m=max_det: mine(m), 15)
        candidates = int((output[0, 4] > 0.001).sum())
        work = f"NMS, {candidates} boxes"
        row(work, max_det, milliseconds(a), milliseconds(b), f"{a / b:.0f}×", "identical")


def main() -> None:
    quick = "--quick" in sys.argv
    print(f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}\n")
    row("work", "instances", "ultralytics", "fastsam-plugins", "ratio", "checked")
    row(*["---"] * 6)
    compare_nms()
    compare_masks(1024, 300, with_peer=True)
    compare_masks(4512, 300, with_peer=not quick)
    compare_masks(4512, 1000, with_peer=False)


if __name__ == "__main__":
    main()
