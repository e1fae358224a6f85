"""``fastsam evaluate``: results against ground truth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastsam_plugins.cli.common import (
    Group,
    Written,
    as_json,
    check_model,
    flags,
    load,
    log,
    network,
    pick,
    print_result,
    progress,
)
from fastsam_plugins.evaluation import bootstrap
from fastsam_plugins.evaluation.bootstrap import Interval
from fastsam_plugins.evaluation.published import Table, compare
from fastsam_plugins.options import BoundaryOptions, DataOptions, PromptOptions, SegmentOptions

if TYPE_CHECKING:
    from fastsam_plugins.datasets.sources import Labelled


KINDS = {"bbox": "boxes", "segm": "masks", "boundary": "boundaries"}
"""What is compared, in words."""


@click.group(cls=Group)
def evaluate() -> None:
    """Measure results against ground truth."""


against = click.option(
    "--against", type=click.Choice(["paper"]), help="Show the paper's figures as well.",
)  # fmt: skip
plot = click.option(
    "--plot", type=Written(dir_okay=False), help="Picture of curves to write.",
)  # fmt: skip
pq = click.option(
    "--pq", type=float, metavar="SCORE",
    help="Panoptic quality as well, of instances of at least this score (segment: 0.4).",
)  # fmt: skip


def report(
    summary: dict[str, Any],
    as_json: bool,
    table: Table | None = None,
    intervals: Mapping[str, Interval] | None = None,
) -> None:
    """Print figures: a line each, or JSON, where null is what was not measured.

    With a table of the paper, what it has of them stands beside them; with intervals, those do.
    """
    ranges = {k: v for k, v in (intervals or {}).items() if v[0] == v[0]}
    beside = compare(summary, table) if table else []
    if as_json:
        content = dict(_without_nan(summary))
        if intervals:
            content["intervals"] = {k: ranges.get(k) for k in intervals}
        if table:
            content["paper"] = {"table": table.number, "protocol": table.protocol, "rows": beside}
        print_result(json.dumps(content))
        return
    width = max(map(len, summary)) + 1
    for name, value in summary.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        if name in ranges:
            shown += "  {:.4f} to {:.4f}".format(*ranges[name])
        print_result(f"{name:<{width}} {shown}")
    if ranges:
        print_result(f"\n{bootstrap.TOLD}")
    if table:
        print_result(f"\nTable {table.number} of the paper: {table.title} ({table.protocol})")
        print_result(f"{'':<{width}} {'measured':>9} {'published':>9} {'difference':>10}")
        for row in beside:
            print_result(
                f"{row['name']:<{width}} {row['measured']:9.1f} {row['published']:9.1f} "
                f"{row['difference']:+10.1f}"
            )


def _without_nan(value: Any) -> Any:
    """The same with None for NaN, which is not JSON."""
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    return None if value != value else value


def check_plot(plot: Path | None, *inputs: Path) -> None:
    """Refuse a picture that would replace what is read, or cannot be written."""
    if plot:
        from fastsam_plugins.io import atomic, overlay

        atomic.check_apart([plot], inputs)
        atomic.check_writable(plot)
        overlay.figure(1)


def warn_of(failed: dict[str, str]) -> None:
    """Name the images that were left out, and why, on standard error."""
    for image, why in failed.items():
        log(f"Left out: {why if image in why else f'{image}: {why}'}")


def read_all(data: Sequence[str], values: dict[str, Any]) -> list[Labelled]:
    """Labelled images; says on standard error what was read, and what cannot be used and why."""
    from fastsam_plugins.datasets import sources

    reading = pick(DataOptions, values)
    labelled = [item for source in data for item in sources.read(source, reading)]
    count = sum(len(item.masks) for item in labelled)
    more = sources.told(labelled)
    log(f"{count} instances of {len(labelled)} images" + (f"; {more}" if more else ""))
    if not count:
        raise ValueError("no image has a labelled instance")
    return labelled


@evaluate.command()
@click.argument("truth", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--iou-type", type=click.Choice(["bbox", "segm", "boundary"]), default="segm",
    show_default=True, help="Compare boxes, masks, or masks along their borders (boundary IoU).",
)  # fmt: skip
@pq
@against
@plot
@as_json
def proposals(truth: Path, results: Path, iou_type: Any, pq: float | None, against: str | None,
              plot: Path | None, as_json: bool) -> None:  # fmt: skip
    """Class-agnostic average recall of RESULTS (COCO results) against TRUTH (COCO or LVIS).

    Of LVIS, frequent, common and rare categories are counted apart as well. The paper measures
    boxes on COCO, boxes and masks on LVIS.
    """
    from fastsam_plugins.evaluation import published
    from fastsam_plugins.evaluation.panoptic import PanopticQuality
    from fastsam_plugins.evaluation.proposal_files import evaluate_proposals

    check_plot(plot, truth, results)
    quality = None if pq is None else PanopticQuality(pq)
    if quality and iou_type == "bbox":
        raise ValueError("--pq compares masks: use --iou-type segm or boundary")
    recall = evaluate_proposals(truth, results, iou_type, quality)
    table = None
    if against:
        tables = {
            ("bbox", False): published.COCO_PROPOSALS,
            ("bbox", True): published.LVIS_BOXES,
            ("segm", True): published.LVIS_MASKS,
        }
        table = tables.get((iou_type, "frequent" in recall.ranks or "rare" in recall.ranks))
        if table is None:
            raise ValueError("the paper measures no such proposals: use --iou-type bbox")
    if plot:
        from fastsam_plugins.evaluation import plots

        plots.draw_recall({KINDS[iou_type]: recall}, plot)
    summary = recall.summary() | {"iou_type": iou_type}
    intervals = recall.intervals()
    if quality:
        summary, intervals = summary | quality.summary(), intervals | quality.intervals()
    if plot and as_json:
        summary["curves"] = plots.recall_data(recall)
    report(summary, as_json, table, intervals)


@evaluate.command()
@click.argument("truth", type=click.Path(path_type=Path))
@click.argument("maps", type=click.Path(path_type=Path))
@flags(BoundaryOptions)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@against
@plot
@as_json
def boundaries(
    truth: Path,
    maps: Path,
    workers: int,
    against: str | None,
    plot: Path | None,
    as_json: bool,
    **values: Any,
) -> None:
    """ODS, OIS, AP and R50 of edge MAPS against TRUTH, two folders as BSDS500 has them.

    TRUTH holds .mat files; MAPS a PNG (or .mat) of the same name for each, for example from
    `fastsam edges`.
    """
    from fastsam_plugins.evaluation import published
    from fastsam_plugins.evaluation.edge_files import evaluate_boundaries

    check_plot(plot, *(f for folder in (truth, maps) if folder.is_dir() for f in folder.iterdir()))
    count = len(list(truth.glob("*.mat")))
    comparing = pick(BoundaryOptions, values)
    scores = evaluate_boundaries(truth, maps, comparing, workers, progress("Comparing", count))
    if plot:
        from fastsam_plugins.evaluation.plots import draw_boundaries

        draw_boundaries(scores, plot)
    summary: dict[str, Any] = scores.summary()
    if plot and as_json:
        recall, precision = scores.curve()
        summary["curves"] = {
            "thresholds": scores.thresholds.tolist(),
            "recall": recall.tolist(),
            "precision": precision.tolist(),
        }
    report(summary, as_json, published.BOUNDARIES if against else None)


@evaluate.command()
@click.argument("truth", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--images", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the images: prompt with the boxes of RESULTS instead of taking its masks.",
)  # fmt: skip
@click.option("-o", "--output", type=Written(dir_okay=False),
              help="COCO results file for the masks that answer the boxes.")  # fmt: skip
@click.option(
    "--iou-type", type=click.Choice(["segm", "boundary"]), default="segm", show_default=True,
    help="Compare masks, or masks along their borders (boundary AP).",
)  # fmt: skip
@network()
@flags(SegmentOptions)
@flags(PromptOptions)
@against
@as_json
def instances(truth: Path, results: Path, images: Path | None, output: Path | None,
              iou_type: Any, against: str | None, as_json: bool,
              **values: Any) -> None:  # fmt: skip
    """Average precision of RESULTS (COCO results) against TRUTH (COCO or LVIS).

    With --images, RESULTS are a detector's boxes: each is a prompt, and the mask of the instance
    that answers it is measured under the box's own score and category. A box that nothing answers
    has no mask.
    """
    from fastsam_plugins.evaluation import files, published
    from fastsam_plugins.evaluation.instances import average_precision, prompt_with_boxes
    from fastsam_plugins.io import atomic

    content = files.load_truth(truth)
    records = files.load_results(results, content, truth)
    lvis = files.is_lvis(content, truth)
    given, failed = len(records), dict[str, str]()
    if output:
        pictures = images.iterdir() if images else ()
        atomic.check_apart([output], [truth, results, *pictures])
        atomic.check_writable(output)
    if images:
        segmenting, prompting = pick(SegmentOptions, values), pick(PromptOptions, values)
        network = load(values)
        records = prompt_with_boxes(
            network, content, records, images, segmenting, prompting, progress("Prompting"),
            failed, (truth, results),
        )  # fmt: skip
        warn_of(failed)
        content = files.without(content, images, set(map(Path, failed)))
        if output:
            atomic.write_json(output, records)
    elif output:
        raise ValueError("--output goes with --images: without them no masks are made")
    elif not all("segmentation" in r for r in records):
        raise ValueError(f"{results} has boxes without masks: name their --images to prompt with")
    summary: dict[str, Any] = average_precision(content, records, iou_type, lvis, (truth, results))
    summary |= {"detections": given, "masks": len(records), "failed": len(failed)}
    table = published.LVIS_INSTANCES if lvis else published.COCO_INSTANCES
    report(summary, as_json, table if against else None)


@evaluate.command()
@click.argument("data", nargs=-1, required=True)
@network()
@flags(SegmentOptions, names=("imgsz", "diverse"))
@flags(DataOptions)
@pq
@plot
@as_json
def everything(data: tuple[str, ...], imgsz: int | None, diverse: float, pq: float | None,
               plot: Path | None, as_json: bool, **values: Any) -> None:  # fmt: skip
    """Recall of a model's everything mode on DATA, as `fastsam train` takes it.

    Class-agnostic average recall of boxes and masks at the paper's settings for proposals (conf
    0.001, iou 0.9, 1000 of an image at most).
    """
    from fastsam_plugins.evaluation.everything import PROPOSALS, measure
    from fastsam_plugins.evaluation.panoptic import PanopticQuality

    check_plot(plot)
    check_model(values)
    quality = None if pq is None else PanopticQuality(pq)
    labelled = read_all(data, values)
    check_plot(plot, *map(Path, data), *(file for item in labelled for file in item.files))
    options = PROPOSALS.replace(imgsz=imgsz, diverse=diverse)
    recall = measure(load(values), labelled, options, progress("Segmenting"), quality)
    warn_of(recall.failed)
    summary: dict[str, Any] = recall.summary()
    if plot:
        from fastsam_plugins.evaluation import plots

        both = {"boxes": recall.boxes, "masks": recall.masks}
        plots.draw_recall(both, plot)
        if as_json:
            summary["curves"] = {kind: plots.recall_data(part) for kind, part in both.items()}
    report(summary, as_json, intervals=recall.intervals())


@evaluate.command()
@click.argument("data", nargs=-1, required=True)
@network("decoder")
@flags(SegmentOptions)
@flags(DataOptions)
@click.option(
    "--min-instance",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Smallest labelled instance that counts [px]",
)
@as_json
def prompts(data: tuple[str, ...], min_instance: int, as_json: bool, **values: Any) -> None:
    """Mean IoU of what prompts select and predict, for every labelled instance of DATA.

    DATA is what `fastsam train` takes: COCO instances, or folders of images and masks. Prompts
    are one to eight points, a box, a box drawn by hand and a stroke; `everything` is the best
    instance there is to select, `filled` the box itself.
    """
    from fastsam_plugins.evaluation.prompt_iou import evaluate_prompts

    segmenting = pick(SegmentOptions, values)
    check_model(values)
    labelled = read_all(data, values)
    network = load(values)
    scores = evaluate_prompts(network, labelled, segmenting, progress("Prompting"), min_instance)
    warn_of(scores.failed)
    report(scores.summary(), as_json)
