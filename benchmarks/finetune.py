"""Fine-tuning on a few labelled images: recall on the rest, before and after.

    python -m benchmarks.finetune ../shared/data/dev/anomaly [--model FastSAM-n]

Every other image (folders ``images`` and ``masks``) is trained on, the others are measured. The
commands that a person would type are run, and printed. Images whose mask falls into more than
``--most`` parts are left out: their masks are noise.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.common import row
from fastsam_plugins.datasets.sources import read

FIGURES = ("box AR@10", "box AR@100", "mask AR@10", "mask AR@100", "mask AR@1000")


def split(data: Path, folder: Path, most: int) -> dict[str, list[str]]:
    """Copy every other usable image to ``few``, the others to ``rest``; their names."""
    counts = {item.image: len(item.masks) for item in read(data)}
    parts: dict[str, list[str]] = {"few": [], "rest": []}
    for k, image in enumerate(sorted(counts)):
        part = "few" if k % 2 == 0 else "rest"
        if counts[image] > most:
            continue
        mask = next(m for m in (data / "masks").iterdir() if m.stem == image.stem)
        for source, kind in ((image, "images"), (mask, "masks")):
            (folder / part / kind).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / part / kind / source.name)
        parts[part].append(image.name)
    return parts


def fastsam(*words: str | Path) -> str:
    """Run the command; what it printed."""
    command = ["fastsam", *map(str, words)]
    print("$ " + " ".join(command), file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "fastsam_plugins", *command[1:]], check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--model", default="FastSAM-n", show_default=True, help="What training starts from.")
@click.option("--most", default=50, show_default=True, help="Parts that a mask has at most.")
def main(data: Path, model: str, most: int) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = split(data, folder, most)
        trained = fastsam("train", folder / "few", "-o", folder / "out", "--preset", "finetune",
                          "--weights", model, "--json")  # fmt: skip
        weights = json.loads(trained)["weights"]
        print(f"{len(parts['few'])} images trained on, {len(parts['rest'])} measured\n")
        row("", *FIGURES)
        row(*["---"] * (len(FIGURES) + 1))
        for title, network in (("before", model), ("after", weights)):
            found = json.loads(
                fastsam("evaluate", "everything", folder / "rest", "--model", network, "--json")
            )
            row(title, *(f"{found[figure]:.3f}" for figure in FIGURES))


if __name__ == "__main__":
    main()
