"""How well prompts are answered: ``predict`` beside ``select`` and the filled box.

    python -m benchmarks.answers FOLDER [--model NAME] [--plot docs/prompts.png] [--keep FILE.json]

FOLDER holds any of ``nuclei``, ``coco``, ``buildings``, ``saliency``, ``anomaly``; of the last
three, masks of many specks, objects of at least 1024 px count. Also printed: what a user without a
decoder gets, in closed form. See :mod:`fastsam_plugins.evaluation.prompt_iou` for the protocol.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from benchmarks.common import row
from fastsam_plugins import FastSAM, SegmentOptions
from fastsam_plugins.datasets.sources import read
from fastsam_plugins.evaluation.prompt_iou import POINTS, evaluate_prompts

DATA = {"nuclei": 1, "coco": 1, "buildings": 1024, "saliency": 1024, "anomaly": 1024}
OPTIONS = SegmentOptions(conf=0.05, iou=0.9, max_det=300)
WAYS = ("predict", "closed form", "best", "smallest", "union")


def measured(model: FastSAM, folder: Path, smallest: int) -> dict[str, float]:
    """All figures of one folder; those in closed form are named so."""
    labelled, decoder = list(read(folder)), model.decoder
    figures: dict[str, float] = dict(
        evaluate_prompts(model, labelled, OPTIONS, min_area=smallest).summary()
    )
    if decoder is not None:
        model.decoder = None
        again = evaluate_prompts(model, labelled, OPTIONS, min_area=smallest).summary()
        model.decoder = decoder
        figures |= {k.replace("predict", "closed form"): v for k, v in again.items()
                    if "predict" in k}  # fmt: skip
    return figures


def draw(figures: dict[str, dict[str, float]], path: Path) -> None:
    """IoU against clicks."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    sheet, axes = plt.subplots(
        1, len(figures), figsize=(3.1 * len(figures), 3), sharey=True, squeeze=False
    )
    for place, (data, values) in zip(axes[0], figures.items(), strict=True):
        for way in WAYS[:3]:
            if f"1 points, {way}" in values:
                ious = [values[f"{n} points, {way}"] for n in POINTS]
                name = {"best": "select (best)"}.get(way, way)
                place.plot(POINTS, ious, marker="o", markersize=3, label=name)
        place.axhline(values["box, filled"], color="gray", linestyle=":", label="filled box")
        place.set_title(f"{data} ({values['instances']:.0f})", fontsize=9)
        place.set_xlabel("clicks")
        place.set_ylim(0, 1)
    sheet.axes[0].set_ylabel("mean IoU")
    sheet.axes[0].legend(fontsize=7, loc="lower right")
    sheet.tight_layout()
    sheet.savefig(path, dpi=110)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--model", default="FastSAM-n")
@click.option("--plot", type=click.Path(path_type=Path))
@click.option("--keep", type=click.Path(path_type=Path), help="Figures already measured, and new.")
@click.option("--only", multiple=True, type=click.Choice(list(DATA)))
def main(
    folder: Path, model: str, plot: Path | None, keep: Path | None, only: tuple[str, ...]
) -> None:
    """Print Markdown tables."""
    network = FastSAM(model)
    figures = json.loads(keep.read_text()) if keep and keep.is_file() else {}
    for data, smallest in DATA.items():
        if data not in figures and (folder / data).is_dir() and data in (only or DATA):
            figures[data] = measured(network, folder / data, smallest)
    figures = {data: figures[data] for data in DATA if data in figures}
    if keep:
        keep.write_text(json.dumps(figures))
    header = ["data", "objects", "way", *(f"{n} points" for n in POINTS), "worse clicks",
              "no answer", "best of 3", "stroke"]  # fmt: skip
    row(*header)
    row(*["---"] * len(header))
    for data, values in figures.items():
        for way in WAYS:
            if f"1 points, {way}" not in values:
                continue
            more = [values.get(f"1 points, best of {way}"), values.get(f"stroke, {way}")]
            row(data, f"{values['instances']:.0f}", way,
                *(f"{values[f'{n} points, {way}']:.3f}" for n in POINTS),
                f"{values[f'clicks that made it worse, {way}']:.1%}",
                f"{values[f'no answer to 1 point, {way}']:.1%}",
                *("" if v is None else f"{v:.3f}" for v in more))  # fmt: skip
    print()
    kinds = ("predict", "closed form", "box_iou", "mask_iou", "filled")
    row("data", "objects", "box", *kinds)
    row(*["---"] * (len(kinds) + 3))
    for data, values in figures.items():
        for box in ("box", "noisy box"):
            told = [values.get(f"{box}, {k}") for k in kinds]
            row(data, f"{values['instances']:.0f}", box,
                *("" if v is None else f"{v:.3f}" for v in told))  # fmt: skip
    if plot:
        draw(figures, plot)


if __name__ == "__main__":
    main()
