"""How well ``iou_pred`` orders instances by how well they fit, beside the score; and its weights.

    python -m benchmarks.iou_pred TRAINING_FOLDER FOLDER...

Weights are fitted (least squares) to the images of TRAINING_FOLDER, every kind of image (COCO field
``images.source``, up to its first ``-`` and digit) counting alike, and Spearman correlations with
the IoU of the best fitting true object printed for each FOLDER: over all instances, and the mean
over images. Instances are those at conf 0.05.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.common import row
from fastsam_plugins import FastSAM, read_image
from fastsam_plugins.datasets.sources import Labelled, read
from fastsam_plugins.decoder import worth
from fastsam_plugins.masks import runs as R

CONF = 0.05
EACH = 120  # images of a kind that weights are fitted to


def looked(model: FastSAM, images: Iterable[Labelled]) -> list[tuple[NDArray[Any], ...]]:
    """Of each image: what is known of its instances, their scores, stability and true IoU."""
    found = []
    for labelled in images:
        seg = model.segment(read_image(labelled.image), conf=CONF)
        if not len(seg) or seg.encoding is None:
            continue
        true = [R.ious(seg.runs(i), labelled.masks).max(initial=0) for i in range(len(seg))]
        source: Any = seg.source
        told = worth.evidence(seg.encoding, source, seg.rows, seg.scores)
        found.append((told, seg.scores, seg.stability, np.array(true)))
    return found


def fitted(kinds: dict[str, list[tuple[NDArray[Any], ...]]]) -> NDArray[Any]:
    """Weights, each kind of image counting alike."""
    left, right = [], []
    for images in kinds.values():
        told = np.concatenate([i[0] for i in images])
        share = np.sqrt(1 / len(told))
        left.append(np.column_stack([np.ones(len(told)), told]) * share)
        right.append(np.concatenate([i[3] for i in images]) * share)
    return np.linalg.lstsq(np.concatenate(left), np.concatenate(right), rcond=None)[0]


def correlation(values: list[NDArray[Any]], true: list[NDArray[Any]]) -> str:
    """Over all instances, and the mean over images."""
    whole = spearmanr(np.concatenate(values), np.concatenate(true))[0]
    each = [spearmanr(v, t)[0] for v, t in zip(values, true, strict=True) if len(v) > 4]
    return f"{whole:.3f} ({np.nanmean(each):.3f})"


@click.command()
@click.argument("training", type=click.Path(path_type=Path, exists=True))
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def main(training: Path, folders: tuple[Path, ...]) -> None:
    """Print the weights, and a Markdown table."""
    model = FastSAM()
    kinds = defaultdict(list)
    for labelled in read(training):
        kinds[labelled.kind.split("-")[0]].append(labelled)
    chosen = {kind: images[:: max(len(images) // EACH, 1)] for kind, images in kinds.items()}
    weights = fitted({kind: looked(model, images) for kind, images in chosen.items()})
    print("WEIGHTS =", weights.round(3).tolist(), "\n")
    row("data", "instances", "score", "stability", "iou_pred")
    row(*["---"] * 5)
    for folder in folders:
        images = looked(model, read(folder))
        true = [i[3] for i in images]
        predicted = [weights[0] + i[0] @ weights[1:] for i in images]
        row(folder.name, sum(map(len, true)),
            *(correlation([i[k] for i in images], true) for k in (1, 2)),
            correlation(predicted, true))  # fmt: skip


if __name__ == "__main__":
    main()
