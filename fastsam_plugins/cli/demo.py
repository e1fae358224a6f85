"""``fastsam demo``: the bundled samples segmented, prompted, and written in every format."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastsam_plugins import io
from fastsam_plugins.model import FastSAM
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.paths import SAMPLES

CONF = 0.25  # the bundled model is small and unsure of itself


@dataclass(frozen=True)
class Sample:
    """A bundled image, with a point and a box that lie on something."""

    file: str
    point: tuple[float, float]
    box: tuple[float, float, float, float]

    @property
    def path(self) -> Path:
        """Where the installed image is."""
        return SAMPLES / self.file


DEMO = (
    Sample("coins.png", point=(50, 46), box=(131, 28, 179, 76)),
    Sample("coffee.jpg", point=(365, 285), box=(315, 225, 410, 333)),
    Sample("ihc.jpg", point=(89, 473), box=(0, 190, 158, 512)),
)


def run(output: Path, model: FastSAM, log: Callable[[str], None]) -> list[dict[str, Any]]:
    """Segment and prompt every sample; write overlays, label TIFF and COCO JSON into a folder.

    Returns
    -------
    list of dict
        What was done per sample, with times in milliseconds.
    """
    options = SegmentOptions(conf=CONF)
    report, results = [], []
    for sample in DEMO:
        image = io.read_image(sample.path)
        seg, segment_ms = _timed(model.segment, image, options)
        by_point, point_ms = _timed(seg.select, points=[sample.point], points_mode="best")
        by_box, box_ms = _timed(seg.select, boxes=[sample.box])
        result = io.ImageResult(sample.path, image, seg)
        results.append(result)
        stem = sample.path.stem
        written = io.write_results([result], output / f"{stem}.png")
        written += io.write_results([result], output / f"{stem}_labels.tif")
        shown = io.ImageResult(sample.path, image, by_point)
        written += io.write_results(
            [shown], output / f"{stem}_point.png", points=[(*sample.point, 1)]
        )
        shown = io.ImageResult(sample.path, image, by_box)
        written += io.write_results([shown], output / f"{stem}_box.png", boxes=[sample.box])
        report.append(
            {
                "image": sample.file,
                "instances": len(seg),
                "segment_ms": segment_ms,
                "point": len(by_point),
                "point_ms": point_ms,
                "box": len(by_box),
                "box_ms": box_ms,
                "files": [str(p) for p in written],
            }
        )
        log(
            f"{sample.file}: {len(seg)} instances in {segment_ms:.0f} ms; a point selects "
            f"{len(by_point)} in {point_ms:.2f} ms, a box {len(by_box)} in {box_ms:.2f} ms"
        )
    io.write_results(results, output / "coco.json")
    log(f"Overlays, label TIFFs and coco.json are in {output}")
    return report


def _timed(work: Callable[..., Any], *given: Any, **named: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    value = work(*given, **named)
    return value, (time.perf_counter() - start) * 1e3
