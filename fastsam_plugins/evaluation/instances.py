"""Instance segmentation from box prompts: a detector's boxes, FastSAM's masks (table 6)."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_plugins.evaluation.files import (
    FREQUENCIES,
    IouType,
    Records,
    check_categories,
    check_listed,
    check_objects,
    image_name,
    read_sized,
)
from fastsam_plugins.messages import install

if TYPE_CHECKING:
    from fastsam_plugins.model import FastSAM
    from fastsam_plugins.options import PromptOptions, SegmentOptions

NAMES = (
    "AP", "AP50", "AP75", "AP/small", "AP/medium", "AP/large",
    "AR@1", "AR@10", "AR@100", "AR/small", "AR/medium", "AR/large",
)  # fmt: skip
NAMELESS = Path("the ground truth"), Path("the results")


def prompt_with_boxes(
    model: FastSAM,
    truth: dict[str, Any],
    detections: list[dict[str, Any]],
    images: Path,
    segmenting: SegmentOptions,
    prompting: PromptOptions,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    failed: dict[str, str] | None = None,
    names: tuple[Path, Path] = NAMELESS,
) -> list[dict[str, Any]]:
    """COCO results with a mask for every detected box that is answered.

    Parameters
    ----------
    model : FastSAM
    truth : dict
        COCO ground truth, for names and numbers of images.
    detections : list of dict
        COCO results with ``bbox``; score and category are kept.
    images : path
        Folder of the images.
    segmenting, prompting : options
    progress : callable
        Wraps the iteration over images.
    failed : dict, optional
        Filled with the images that cannot be read, or have another size than the ground truth says,
        and why: their boxes have no masks. See :func:`fastsam_plugins.evaluation.files.without`.
    names : (path, path)
        Of the files of the ground truth and of the detections, for errors.

    Raises
    ------
    ValueError
        If no image can be read, or a record lacks what is needed.
    """
    from fastsam_plugins.batch import Skipped, segment_images
    from fastsam_plugins.prompts import BoxPrompt

    boxes = checked_boxes(truth, detections, names)
    failed = {} if failed is None else failed
    results, skipped, done = [], Skipped(), 0

    def path_of(image: dict[str, Any]) -> Path:
        return images / image_name(image)

    def opened(image: dict[str, Any]) -> Any:
        shape = int(image["height"]), int(image["width"])
        return read_sized(path_of(image), shape, model.limits)

    asked = progress([image for image in truth["images"] if boxes.of(image["id"])])
    outcomes = segment_images(model, asked, opened, segmenting)
    for image, seg in skipped.passing(outcomes, path_of):
        done += 1
        places = boxes.of(image["id"])
        corners = boxes.boxes(places)
        corners[:, 2:] += corners[:, :2]
        answers = BoxPrompt(tuple(map(tuple, corners.tolist()))).answer(seg, prompting)
        for prompt, mask in zip(answers.prompts.tolist(), answers.rles(), strict=True):
            results.append({**detections[places[prompt]], "segmentation": mask})
    skipped.measured(done, failed)
    return results


def checked_boxes(
    truth: dict[str, Any], detections: list[dict[str, Any]], names: tuple[Path, Path] = NAMELESS
) -> Records:
    """A detector's boxes, if all of them can prompt; see :func:`prompt_with_boxes`."""
    boxes = Records(detections, names[1])
    check_listed((image["id"] for image in truth["images"]), names[0], boxes)
    for place in range(len(boxes)):
        for name in ("category_id", "bbox", "score"):
            boxes.field(place, name)
    boxes.boxes(range(len(boxes)))
    check_categories(_categories(truth), names[0], boxes)
    return boxes


def _categories(truth: dict[str, Any]) -> list[Any]:
    return [category["id"] for category in truth.get("categories") or []]


def average_precision(
    truth: dict[str, Any],
    results: list[dict[str, Any]],
    iou_type: IouType,
    lvis: bool = False,
    names: tuple[Path, Path] = NAMELESS,
) -> dict[str, float]:
    """COCO's twelve figures, or LVIS's AP by size and frequency, by ``faster_coco_eval``.

    NaN is what there is no object for, such as large ones. ``names`` of the files are for errors.

    Raises
    ------
    ValueError
        If the package is missing, or the records cannot be used.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise ValueError(
            f"average precision needs faster-coco-eval: {install('evaluation')}"
        ) from None
    _check(truth, results, iou_type, names)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            # It adds fields to the records it is given.
            reference = COCO(copy.deepcopy(truth))
            if results:
                answers = reference.loadRes(copy.deepcopy(results))
            else:  # which it refuses to load
                answers = COCO(copy.deepcopy({**truth, "annotations": []}))
            evaluation = COCOeval_faster(reference, answers, iou_type, lvis_style=lvis)
            if lvis:
                evaluation.params.maxDets = [300]
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        except (AssertionError, LookupError, TypeError) as error:
            raise ValueError(f"{names[1]} does not fit {names[0]}: {error!r}") from None
    if lvis:
        return _lvis(evaluation, truth)
    figures = (float(v) if v >= 0 else np.nan for v in evaluation.stats[:12])
    return dict(zip(NAMES, figures, strict=True))


def _check(
    truth: dict[str, Any],
    results: list[dict[str, Any]],
    iou_type: IouType,
    names: tuple[Path, Path],
) -> None:
    """Refuse what the evaluator's own code would read beyond, or fail on without a name."""
    shapes = {i["id"]: (int(i["height"]), int(i["width"])) for i in truth["images"]}
    annotations = Records(truth["annotations"], names[0], "annotations[{}]")
    answers = Records(results, names[1])
    check_listed(shapes, names[0], annotations, answers)
    check_categories(_categories(truth), names[0], annotations, answers)
    check_objects(annotations)
    annotations.areas(range(len(annotations)))
    answers.numbers(range(len(answers)), "score")
    for records, needed in ((annotations, ("id", "category_id")), (answers, ("category_id",))):
        for image, places in records.images.items():
            for i in places:
                for name in needed:
                    records.field(i, name)
                if iou_type != "bbox":
                    records.mask(i, shapes[image])
            if iou_type == "bbox":
                records.boxes(places)


def _lvis(evaluation: Any, truth: dict[str, Any]) -> dict[str, float]:
    """AP over thresholds, sizes and frequencies of categories, from the precision array."""
    precision = evaluation.eval["precision"]  # thresholds, recalls, categories, areas, limits
    frequency = {c["id"]: c.get("frequency") for c in truth["categories"]}
    kinds = np.array([frequency[c] for c in evaluation.params.catIds])

    def mean(values: Any) -> float:
        known = values[values > -1]
        return float(known.mean()) if known.size else float("nan")

    figures = {"AP": mean(precision[..., 0, -1])}
    figures |= {"AP50": mean(precision[0, ..., 0, -1]), "AP75": mean(precision[5, ..., 0, -1])}
    for a, size in enumerate(("small", "medium", "large"), 1):
        figures[f"AP/{size}"] = mean(precision[..., a, -1])
    for letter, name in FREQUENCIES.items():
        figures[f"AP/{name}"] = mean(precision[:, :, kinds == letter, 0, -1])
    return figures
