"""``fastsam benchmark``: how fast segmenting is here, stage by stage."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastsam_plugins.cli.common import (
    Command,
    Written,
    as_json,
    check_model,
    flags,
    load,
    network,
    pick,
    print_result,
)
from fastsam_plugins.options import LimitOptions, SegmentOptions

if TYPE_CHECKING:
    from fastsam_plugins.speed import Stage


@click.command(cls=Command)
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@network()
@flags(SegmentOptions, names=("imgsz", "conf", "max_det"))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1),
              help="How often each image is looked at.")  # fmt: skip
@click.option("--compare", type=click.Choice(["ultralytics"]),
              help="The same work by ultralytics, on the same network.")  # fmt: skip
@click.option("--picture", type=Written(dir_okay=False),
              help="Draw the stages here.")  # fmt: skip
@as_json
def benchmark(images: tuple[Path, ...], rounds: int, compare: str | None, picture: Path | None,
              as_json: bool, **values: Any) -> None:  # fmt: skip
    """Measure how long IMAGES take, or the sample images: each stage, and many side by side."""
    from fastsam_plugins import io, speed
    from fastsam_plugins.io import overlay
    from fastsam_plugins.paths import samples

    check_model(values)
    if picture:
        if picture.suffix.lower() != ".png":
            raise ValueError(f"--picture draws a .png, not {picture}")
        io.check_output(picture, images)
        overlay.figure(1)  # before anything is measured: whether it can be drawn
    shown = {name: values.pop(name) for name in ("imgsz", "conf", "max_det")}
    options, limits = SegmentOptions(**shown), pick(LimitOptions, dict(values))
    paths = images or samples()
    pixels = [io.read_image(path, limits=limits) for path in paths]
    start = time.perf_counter()
    model = load(values)
    ready = time.perf_counter() - start
    stages = speed.stages(model, pixels, options, rounds)
    many, bare = speed.throughput(model, [*pixels] * max(16 // len(pixels), 1), options, rounds)
    report: dict[str, Any] = {
        "network": str(model),
        "imgsz": options.imgsz or model.imgsz,
        "images": len(pixels),
        "start_seconds": ready,
        "stages": {s.name: {"median": s.median, "p95": s.late} for s in stages},
        "images_per_second": {"segment_many": many, "network alone": bare},
    }
    if compare:
        peer, ious = speed.ultralytics(model, pixels, options, rounds)
        stages = [*stages, peer]
        report["ultralytics"] = {
            "median": peer.median,
            "p95": peer.late,
            "times_as_long": peer.median / stages[-2].median,
            "mean_iou_of_its_masks_with_ours": sum(ious) / len(ious) if ious else None,
        }
    report["peak_megabytes"] = _peak_megabytes()
    if picture:
        _draw(stages, str(model), picture)
    if as_json:
        print_result(json.dumps(report))
        return
    print_result(f"{len(pixels)} images, {rounds} times each; ready after {ready:.2f} s\n")
    print_result(f"{'':14}  {'median':>9}  {'95 %':>9}")
    for s in stages:
        print_result(f"{s.name:14}  {s.median * 1e3:6.1f} ms  {s.late * 1e3:6.1f} ms")
    print_result(
        f"\n{many:.1f} images per second side by side, {bare:.1f} by the network alone "
        f"({many / bare:.0%}); at most {report['peak_megabytes']:.0f} MB of memory"
    )
    if compare:
        against = report["ultralytics"]
        iou = against["mean_iou_of_its_masks_with_ours"]
        print_result(
            f"ultralytics takes {against['times_as_long']:.1f} times as long; "
            + ("it finds no masks" if iou is None else f"its masks have a mean IoU of {iou:.4f}")
            + (" to compare" if iou is None else " with ours")
        )


def _peak_megabytes() -> float:
    import sys

    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def _draw(stages: list[Stage], title: str, picture: Path) -> None:
    from fastsam_plugins.io import atomic, overlay

    figure, (plot,) = overlay.figure(1, 7, 0.5 * len(stages) + 1.2)
    plot.grid(False)
    names = [s.name for s in stages]
    bars = plot.barh(names, [s.median * 1e3 for s in stages])
    plot.bar_label(bars, fmt="%.1f", padding=3)
    plot.margins(x=0.12)  # for the number of the longest
    plot.invert_yaxis()
    plot.set(xlabel="ms per image (median)", title=title)
    with atomic.replacing(picture) as part:
        figure.savefig(part, format="png", dpi=120)
