"""``fastsam evaluate``: results against ground truth."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from fastsam_plugins.console import Command, as_json, say, tell


@click.group()
def evaluate() -> None:
    """Measure results against ground truth."""


evaluate.command_class = Command


def report(summary: dict[str, Any], as_json: bool) -> None:
    """Print figures: a line each, or JSON, where null is what was not measured."""
    if as_json:
        # NaN is not JSON.
        tell(json.dumps({k: None if v != v else v for k, v in summary.items()}))
        return
    width = max(map(len, summary)) + 1
    for name, value in summary.items():
        tell(
            f"{name:<{width}} {value:.4f}"
            if isinstance(value, float)
            else f"{name:<{width}} {value}"
        )


@evaluate.command()
@click.argument("truth", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--iou-type", type=click.Choice(["bbox", "segm"]), default="segm", show_default=True,
    help="Compare boxes or masks.",
)  # fmt: skip
@as_json
def proposals(truth: Path, results: Path, iou_type: Any, as_json: bool) -> None:
    """Class-agnostic average recall of RESULTS (COCO results) against TRUTH (COCO instances)."""
    from fastsam_plugins.evaluation.files import evaluate_proposals

    report(evaluate_proposals(truth, results, iou_type).summary() | {"iou_type": iou_type}, as_json)


@evaluate.command()
@click.argument("truth", type=click.Path(path_type=Path))
@click.argument("maps", type=click.Path(path_type=Path))
@click.option("--thresholds", default=99, show_default=True, help="Levels of an edge map compared.",
              type=click.IntRange(2))  # fmt: skip
@click.option("--max-distance", default=0.0075, show_default=True, type=click.FloatRange(0, 1),
              help="Between matched pixels, as a share of the image's diagonal.")  # fmt: skip
@click.option("--thin/--no-thin", default=True, show_default=True,
              help="Thin boundaries to one pixel first.")  # fmt: skip
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@as_json
def boundaries(truth: Path, maps: Path, thresholds: int, max_distance: float, thin: bool,
               workers: int, as_json: bool) -> None:  # fmt: skip
    """ODS, OIS, AP and R50 of edge MAPS against TRUTH, two folders as BSDS500 has them.

    TRUTH holds .mat files; MAPS a PNG (or .mat) of the same name for each, for example from
    `fastsam edges`.
    """
    from fastsam_plugins.evaluation.edge_files import evaluate_boundaries

    def progress(items: Any) -> Any:
        with click.progressbar(
            items, length=len(list(truth.glob("*.mat"))), label="Comparing", file=sys.stderr
        ) as bar:
            yield from bar

    scores = evaluate_boundaries(truth, maps, thresholds, max_distance, thin, workers, progress)
    say("")
    report(scores.summary(), as_json)
