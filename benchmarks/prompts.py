"""Point and box prompts: ultralytics and this project, same instances, one run.

    python -m benchmarks.prompts

Both sides start from segmented images: ultralytics' predictor from its decoded bitmaps, ours from
prototypes and coefficients; *first* prompts include what makes these from the network's output.
Both end with the bitmap of what was selected. Ultralytics' box prompt takes the mask with the best
IoU to the box: ours in the mode ``mask_iou`` does the same. Looking boxes up by their own IoU
(``box_iou``) has no peer. What both give is checked equal in every row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.engine.results import Results
from ultralytics.models.fastsam import FastSAMPredictor
from ultralytics.utils.ops import process_mask_native

from benchmarks.common import Output, median_seconds, milliseconds, network_output, row
from benchmarks.fresh import measured
from fastsam_plugins import FastSAM, read_image
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.paths import SAMPLES
from fastsam_plugins.segmentation import Segmentation

Bitmap = NDArray[np.bool_]
SIZE = 1024
BOX = np.array([[200, 220, 480, 410]])  # of an image of this size


def ours(output: Output) -> Segmentation:
    boxes = output.boxes.numpy()
    source = PrototypeMasks(
        output.prototypes.numpy(), output.coefficients.numpy(), boxes, output.letterbox
    )
    return Segmentation.from_source(source, boxes, scores(output))


def ultralytics(output: Output) -> Results:
    masks = process_mask_native(output.prototypes, output.coefficients, output.boxes, output.shape)
    image = np.zeros((*output.shape, 3), np.uint8)
    score = torch.from_numpy(scores(output))[:, None]
    data = torch.cat([output.boxes, score, output.boxes[:, :1] * 0], 1)
    return Results(image, path="", names={0: "object"}, boxes=data, masks=masks)


def scores(output: Output) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(len(output.boxes)).astype(np.float32)


def selected(seg: Segmentation, **prompts: Any) -> Bitmap:
    """What ours selects, as a bitmap."""
    answer = seg.select(**prompts)
    assert len(answer) <= 1, "one box, or points that are merged"
    return answer.mask(0) if len(answer) else np.zeros(seg.shape, np.bool_)


def by_ultralytics(results: Results, **prompts: Any) -> Bitmap:
    """What ultralytics' predictor selects, as a bitmap."""
    predictor = FastSAMPredictor()
    predictor.device = torch.device("cpu")
    return np.asarray(predictor.prompt(results, **prompts)[0].masks.data.any(0))


def box_of(output: Output) -> NDArray[np.int64]:
    return BOX * output.shape[0] // SIZE


def our_box(output: Output) -> Bitmap:
    """A first box prompt, for its memory."""
    return selected(ours(output), boxes=box_of(output), boxes_mode="mask_iou")


def their_box(output: Output) -> Bitmap:
    """The same by ultralytics."""
    return by_ultralytics(ultralytics(output), bboxes=box_of(output))


def compare(
    name: str, theirs: Callable[[], Bitmap], mine: Callable[[], Bitmap], runs: tuple[int, int]
) -> None:
    """A row. Where a logit is 0 but for rounding, the order of additions decides a pixel."""
    off = int((theirs() != mine()).sum())
    assert off <= 3, (name, off)
    a, b = (median_seconds(w, n) for w, n in zip((theirs, mine), runs, strict=True))
    row(name, milliseconds(a), milliseconds(b), f"{a / b:.0f}×", f"{off} pixels differ")


def main() -> None:
    count = 300
    output = network_output(SIZE, count)
    seg, results = ours(output), ultralytics(output)
    # On objects: the middles of ten instances' boxes.
    rng = np.random.default_rng(0)
    chosen = output.boxes[torch.from_numpy(rng.permutation(count)[:10])].numpy()
    points = np.floor((chosen[:, :2] + chosen[:, 2:]) / 2).astype(np.float64)
    labels = [1] * 7 + [0] * 3
    print(f"{torch.get_num_threads()} CPU threads; {count} instances at {SIZE}²\n")
    row("work", "ultralytics", "fastsam-plugins", "ratio", "checked")
    row(*["---"] * 5)
    for n in (10, 1):
        asked = {"points": points[:n], "labels": labels[:n]}
        compare(
            f"{n} point{'s' * (n > 1)}",
            lambda a=asked: by_ultralytics(results, **a),
            lambda a=asked: selected(seg, **a),
            (5, 100),
        )
    compare(
        "1 box, mask IoU",
        lambda: by_ultralytics(results, bboxes=BOX),
        lambda: selected(seg, boxes=BOX, boxes_mode="mask_iou"),
        (5, 100),
    )
    compare("first box, mask IoU", lambda: their_box(output), lambda: our_box(output), (3, 5))
    (a, _, theirs), (b, _, mine) = (
        measured(f"benchmarks.prompts:{name}", output) for name in ("their_box", "our_box")
    )
    off = int((a != b).sum())
    row("first box, memory", f"{theirs:.0f} MB", f"{mine:.1f} MB", "", f"{off} pixels differ")
    alone("1 box, box IoU", seg, {"boxes": BOX})
    large = ours(network_output(4512, count))
    assert len(large.areas) == count  # measured once
    scale = 4512 / SIZE
    alone("10 points, 4512²", large, {"points": points * scale, "labels": labels})
    alone("1 box, mask IoU, 4512²", large, {"boxes": BOX * scale, "boxes_mode": "mask_iou"})
    alone("1 box, box IoU, 4512²", large, {"boxes": BOX * scale})


def alone(name: str, seg: Segmentation, prompt: dict[str, Any]) -> None:
    """A row of ours that has no peer, or none of that size that fits in memory twice."""
    seconds = median_seconds(lambda: selected(seg, **prompt), 100)
    row(name, "no peer", milliseconds(seconds), "", "")
    predictions()


def predictions() -> None:
    """What a click costs that predicts: every call has clicks that were not asked before."""
    model = FastSAM("FastSAM-n", device="cpu")
    print("\nPredicted, no peer:\n")
    row("image", "first click, best answer", "first click, three answers", "next click")
    row(*["---"] * 4)
    for size in (512, 2048, 8192):
        image = cv2.resize(read_image(SAMPLES / "coffee.jpg"), (size, size))
        seg, places = model.segment(image, conf=0.05), itertools.count()

        def click(size: int = size, places: Iterator[int] = places) -> tuple[float, float]:
            return 0.45 * size + next(places) % 97 * size / 1000, 0.3 * size

        first = [click()]
        seg.predict(first, multimask=False)
        times = [
            median_seconds(lambda seg=seg: seg.predict([click()], multimask=False).runs(0), 30),
            median_seconds(lambda seg=seg: seg.predict([click()]).runs(0), 30),
            median_seconds(
                lambda seg=seg, first=first: seg.predict(
                    [*first, click()], [1, 0], multimask=False
                ).runs(0), 30,
            ),
        ]  # fmt: skip
        row(f"{size}²", *(milliseconds(t) for t in times))


if __name__ == "__main__":
    main()
