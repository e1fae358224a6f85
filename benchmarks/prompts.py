"""Point and box prompts: ultralytics and this project, same instances, one run.

    python -m benchmarks.prompts

Both sides start from segmented images: ultralytics' predictor from its decoded bitmaps, ours from
prototypes and coefficients with the areas known. What both select is checked equal first.
"""

from __future__ import annotations

import numpy as np
import torch
from ultralytics.engine.results import Results
from ultralytics.models.fastsam import FastSAMPredictor
from ultralytics.utils.ops import process_mask_native

from benchmarks.common import (
    Output,
    median_seconds,
    milliseconds,
    network_output,
    peak_extra_megabytes,
    row,
)
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.segmentation import Segmentation


def ours(output: Output, scores: np.ndarray) -> Segmentation:
    boxes = output.boxes.numpy()
    source = PrototypeMasks(
        output.prototypes.numpy(), output.coefficients.numpy(), boxes, output.letterbox
    )
    return Segmentation.from_source(source, boxes, scores)


def ultralytics(output: Output, scores: np.ndarray) -> Results:
    masks = process_mask_native(output.prototypes, output.coefficients, output.boxes, output.shape)
    image = np.zeros((*output.shape, 3), np.uint8)
    data = torch.cat([output.boxes, torch.from_numpy(scores)[:, None], output.boxes[:, :1] * 0], 1)
    return Results(image, path="", names={0: "object"}, boxes=data, masks=masks)


def main() -> None:
    size, count = 1024, 300
    rng = np.random.default_rng(0)
    output = network_output(size, count)
    scores = rng.random(count).astype(np.float32)
    seg, results = ours(output, scores), ultralytics(output, scores)
    predictor = FastSAMPredictor()
    predictor.device = torch.device("cpu")

    # On objects: the middles of ten instances' boxes.
    chosen = output.boxes[torch.from_numpy(rng.permutation(count)[:10])].numpy()
    points = np.floor((chosen[:, :2] + chosen[:, 2:]) / 2).astype(np.float64)
    labels = [1] * 7 + [0] * 3
    box = np.array([[200, 220, 480, 410]])

    def their_points(n: int) -> Results:
        return predictor.prompt(results, points=points[:n], labels=labels[:n])[0]

    def their_box() -> Results:
        return predictor.prompt(results, bboxes=box)[0]

    start = median_seconds(lambda: ours(output, scores).areas, 3)
    # Where a logit is 0 but for rounding, the order of additions decides: a pixel here and there.
    off = np.abs(seg.areas - results.masks.data.sum((1, 2)).numpy())
    assert off.sum() <= 3, off.sum()
    merged = their_points(10).masks.data.any(0).numpy()
    assert (seg.select(points, labels).mask(0) == merged).mean() > 0.99999
    found = seg.select(boxes=box, boxes_mode="mask_iou")
    assert np.array_equal(found.mask(0), their_box().masks.data[0].numpy().astype(bool))
    print(
        f"{torch.get_num_threads()} CPU threads; {count} instances at {size}²; "
        f"selections equal, {off.sum():.0f} pixels of all masks differ."
    )
    print(f"(Ours measures all areas once, in {milliseconds(start)}, when first asked.)\n")

    row("work", "ultralytics", "fastsam-plugins", "ratio")
    row(*["---"] * 4)
    cases = (
        ("10 points", lambda: their_points(10), lambda: seg.select(points, labels)),
        ("1 point", lambda: their_points(1), lambda: seg.select(points[:1], labels[:1])),
        ("1 box, box IoU", their_box, lambda: seg.select(boxes=box)),
        ("1 box, mask IoU", their_box, lambda: seg.select(boxes=box, boxes_mode="mask_iou")),
    )
    for name, theirs, mine in cases:
        a, b = median_seconds(theirs, 5), median_seconds(mine, 200)
        row(name, milliseconds(a), milliseconds(b), f"{a / b:.0f}×")
    memory = peak_extra_megabytes(their_box), peak_extra_megabytes(cases[3][2])
    row("1 box, extra memory", f"{memory[0]:.0f} MB", f"{memory[1]:.0f} MB", "")

    large = ours(network_output(4512, count), scores)
    assert len(large.areas) == count
    wide = box * (4512 / size)
    for name, settings in (
        ("10 points, 4512²", {"points": points * 4, "labels": labels}),
        ("1 box, box IoU, 4512²", {"boxes": wide}),
        ("1 box, mask IoU, 4512²", {"boxes": wide, "boxes_mode": "mask_iou"}),
    ):
        row(name, "", milliseconds(median_seconds(lambda s=settings: large.select(**s), 200)), "")


if __name__ == "__main__":
    main()
