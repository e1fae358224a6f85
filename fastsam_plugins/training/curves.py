"""Losses and recall of a training as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

from fastsam_plugins.io import atomic
from fastsam_plugins.io.overlay import figure

LOSSES = {
    "box_loss": "boxes", "seg_loss": "masks", "cls_loss": "objectness", "dfl_loss": "edges",
    "l1_loss": "edges",
}  # fmt: skip
"""By ultralytics' names; a network has one of the last two."""


def read(table: Path) -> dict[str, list[float]]:
    """Ultralytics' ``results.csv`` by column; an epoch that was run again counts once."""
    with open(table, newline="") as stream:
        rows = {int(float(row["epoch"])): row for row in csv.DictReader(stream)}
    ordered = [rows[epoch] for epoch in sorted(rows)]
    return {name: [float(row[name]) for row in ordered] for name in (ordered or [{}])[0]}


def draw(table: Path, picture: Path) -> None:
    """Draw ``results.csv``: the training losses, and recall on the images held out if any were."""
    columns = read(table)
    epochs = columns["epoch"]
    recalls = [name for name in columns if name.startswith("recall/")]
    drawn, (losses, *recall) = figure(2 if recalls else 1)
    for name, label in LOSSES.items():
        if values := columns.get(f"train/{name}"):
            losses.plot(epochs, values, marker=".", label=label)
    losses.set(title="Training loss", xlabel="epoch", yscale="log")
    losses.legend()
    for plot in recall:
        for name in recalls:
            plot.plot(epochs, columns[name], marker=".", label=name.removeprefix("recall/"))
        plot.set(title="Recall on the images held out", xlabel="epoch", ylim=(0, 1))
        plot.legend()
    with atomic.replacing(picture) as part:
        drawn.savefig(part, dpi=100)
