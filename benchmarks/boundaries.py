"""BSDS500's own result for gPb-owt-ucm, and ours from the same maps.

    python -m benchmarks.boundaries ../shared/data/oracle/bsds_test [--workers 2]

The folder holds groundTruth, test (the maps) and test_eval/eval_bdry.txt, as the benchmark's
authors publish them. An hour on one core.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from benchmarks.common import row
from fastsam_plugins.cli.common import progress
from fastsam_plugins.evaluation.edge_files import evaluate_boundaries

COLUMNS = {"ODS": 3, "OIS": 6, "AP": 7}  # of eval_bdry.txt


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--workers", default=1)
def main(data: Path, workers: int) -> None:
    """Print a table."""
    official = np.loadtxt(data / "test_eval" / "eval_bdry.txt").ravel()
    count = len(list((data / "groundTruth").glob("*.mat")))
    bar = progress("Comparing", count)
    ours = evaluate_boundaries(data / "groundTruth", data / "test", workers=workers, progress=bar)
    found = ours.summary()
    print(f"{count} images\n")
    row("", "ours", "published", "difference")
    row(*["---"] * 4)
    for name, column in COLUMNS.items():
        difference = f"{found[name] - official[column]:+.5f}"
        row(name, f"{found[name]:.5f}", f"{official[column]:.5f}", difference)


if __name__ == "__main__":
    main()
