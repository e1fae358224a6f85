"""Curves of an evaluation, as pictures; the same numbers as data come from the evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_plugins.evaluation.boundaries import BoundaryScores
from fastsam_plugins.evaluation.proposals import SIZES, ProposalRecall
from fastsam_plugins.io import atomic, overlay

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def recall_data(recall: ProposalRecall) -> dict[str, Any]:
    """AR by number of proposals (1, 2, ... ) and AR@1000 by size and group."""
    summary = recall.summary()
    return {
        "AR": {str(k): float(v) for k, v in enumerate(recall.curve(), 1)},
        "AR@1000": {
            name.removeprefix("AR@1000/"): value
            for name, value in summary.items()
            if name.startswith("AR@1000/")
        },
    }


def draw_recall(recalls: Mapping[str, ProposalRecall], picture: Path) -> None:
    """Recall against the number of proposals, for each size, and AR@1000 by size.

    Parameters
    ----------
    recalls : mapping
        One or two, over the same images, by what they are of: "boxes", "masks".
    picture : path
    """
    figure, (curves, bars) = overlay.figure(2)
    wide = 0.8 / len(recalls)
    for k, (kind, recall) in enumerate(recalls.items()):
        for c, size in enumerate(SIZES):
            curve = recall.curve(size)
            if not np.isnan(curve).any():
                curves.plot(
                    np.arange(1, len(curve) + 1), curve, f"C{c}", linestyle=("-", "--")[k],
                    label=f"{kind}, {size}",
                )  # fmt: skip
        by_size = {name: v for name, v in recall_data(recall)["AR@1000"].items() if v == v}
        middles = np.arange(len(by_size))
        places = middles + (k - (len(recalls) - 1) / 2) * wide
        bars.bar(places, list(by_size.values()), wide, label=kind)
        bars.set_xticks(middles, list(by_size))
    curves.set(xscale="log", xlabel="proposals per image", ylabel="average recall", ylim=(0, 1))
    bars.set(ylabel="AR@1000", ylim=(0, 1))
    for plot in (curves, bars):
        plot.legend()
    _save(figure, picture)


def draw_boundaries(scores: BoundaryScores, picture: Path) -> None:
    """Precision against recall of boundaries, over lines of equal F."""
    figure, (plot,) = overlay.figure(1)
    grid = np.linspace(0.01, 1, 200)
    for f in np.arange(0.1, 1, 0.1):
        beyond = grid[grid > f / 2]
        plot.plot(beyond, f * beyond / (2 * beyond - f), color="0.85", linewidth=0.8)
    recall, precision = scores.curve()
    best: Mapping[str, float] = scores.summary()
    plot.plot(recall, precision, label=f"F = {best['ODS']:.3f}")
    plot.plot(best["recall"], best["precision"], "o", color="C0")
    plot.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    plot.legend()
    _save(figure, picture)


def _save(figure: Figure, picture: Path) -> None:
    try:
        with atomic.replacing(picture) as part:
            figure.savefig(part, dpi=120)
    except ValueError as error:  # an ending it does not know
        raise ValueError(f"{picture}: {error}") from None
