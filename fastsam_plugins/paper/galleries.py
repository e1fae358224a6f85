"""Section 5 and figures 7 to 9: anomalies, salient objects and buildings, by every prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastsam_plugins.datasets.sources import Labelled
from fastsam_plugins.decoder.simulation import deepest
from fastsam_plugins.evaluation.prompt_iou import evaluate_prompts
from fastsam_plugins.io import overlay, read_image
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.paper import pictures
from fastsam_plugins.paper.pictures import SHOWN, Image
from fastsam_plugins.paper.report import Finding
from fastsam_plugins.paper.setting import SPECK, Data, Missing, Setting, without_specks
from fastsam_plugins.segmentation import Segmentation

OPTIONS = SegmentOptions(conf=0.05, iou=0.9, max_det=300)
_COLUMNS = {
    "best there is to select": "everything", "point": "1 points, best",
    "3 points": "3 points, best", "box": "box, box_iou", "point, predicted": "1 points, predict",
    "3 points, predicted": "3 points, predict", "box, predicted": "box, predict",
    "box, filled": "box, filled",
}  # fmt: skip

HEADINGS = ("image", "everything", "point, predicted", "box, predicted", "truth")


def anomalies(setting: Setting) -> Finding:
    """Figure 7."""
    return _gallery(setting, _objects(setting, "anomaly", "mvtec"))


def salient(setting: Setting) -> Finding:
    """Figure 8."""
    return _gallery(setting, _objects(setting, "saliency", "redweb_s"))


def buildings(setting: Setting) -> Finding:
    """Figure 9, and what the paper says of points on shadows."""
    data = _objects(setting, "buildings", "whu")
    found = _gallery(setting, data)
    dark, light = _on_shadows(setting, data.labelled)
    found.notes.append(
        "The paper says that points on shadows still find the building. A point in the middle of "
        f"the darkest tenth of a building's pixels selects (`best`) a mean IoU of {dark:.1f} with "
        f"the building, one in the middle of the others {light:.1f}."
    )
    return found


def _objects(setting: Setting, *names: str) -> Data:
    """A folder of data, its images with their objects."""
    data = setting.labelled(*names)
    labelled = without_specks(data.labelled)
    if not any(item.masks for item in labelled):
        raise Missing(f"`{data.name}/` has no labelled object of {SPECK} pixels")
    return data._replace(labelled=labelled)


def _gallery(setting: Setting, data: Data) -> Finding:
    name, labelled, missing = data
    count = sum(len(item.masks) for item in labelled)
    scores = evaluate_prompts(
        setting.model, labelled, OPTIONS, setting.progress("Prompting", len(labelled))
    ).summary()
    columns = {k: v for k, v in _COLUMNS.items() if v in scores}
    row = tuple(100 * float(scores[v]) for v in columns.values())
    picture = f"{name}.png"
    shown = [item for item in labelled if item.masks][:SHOWN]
    drawn = [_pictures(setting, item) for item in shown]
    pictures.write(drawn, HEADINGS, setting.pictures / picture)
    return Finding(
        tuple(columns), [(f"{setting.model.network.name}, mean IoU", row)],
        f"{len(labelled)} images of `{name}/`",
        [f"{count} objects (connected parts of at least 20 px) at {setting.model.imgsz} px, conf "
         f"{OPTIONS.conf}. The paper shows pictures only."],
        {picture: "The image; everything; what a point in the middle of the largest object "
                  "predicts, and what its box does; the truth"},
        missing,
    )  # fmt: skip


def _pictures(setting: Setting, item: Labelled) -> list[Image]:
    """Of one image, side by side."""
    image = read_image(item.image)
    seg = setting.model.segment(image, OPTIONS)
    largest = max(item.masks, key=R.area)
    x, y = deepest(R.to_bitmap(largest, item.shape))
    box = R.bounds(largest, item.shape[0])
    truth = Segmentation.from_runs(item.masks, item.shape)
    return [
        image,
        overlay.overlay(image, seg),
        overlay.overlay(image, seg.predict([(x, y)], multimask=False), points=[(x, y, 1)]),
        overlay.overlay(image, seg.predict(boxes=[box]), boxes=[box]),
        overlay.overlay(image, truth),
    ]


def _on_shadows(setting: Setting, labelled: Sequence[Labelled]) -> tuple[float, float]:
    """Mean IoU (percent) for points on dark and on other pixels of objects."""
    ious: tuple[list[float], list[float]] = [], []
    for item in labelled:
        image = read_image(item.image)
        gray = image.mean(2)
        seg = setting.model.segment(image, OPTIONS)
        for mask in item.masks:
            if R.area(mask) < 1024:
                continue
            bitmap = R.to_bitmap(mask, item.shape)
            dark = bitmap & (gray <= np.quantile(gray[bitmap], 0.1))
            for kind, part in zip(ious, (dark, bitmap & ~dark), strict=True):
                x, y = deepest(part)
                chosen = seg.select(points=[(x, y)], points_mode="best")
                kind.append(float(R.ious(mask, [chosen.runs(0)])[0]) if len(chosen) else 0.0)
    dark_mean, other = (100 * float(np.mean(v)) if v else float("nan") for v in ious)
    return dark_mean, other
