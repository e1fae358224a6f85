"""Proposals out of FiftyOne as COCO JSON with RLE masks, and back in."""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo

from fastsam_plugins.evaluation.files import Records, load_truth
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from fiftyone_plugin import labels
from fiftyone_plugin.segmenting import Existing, Found, Job, Report, images
from fiftyone_plugin.storage import StoreOptions


def export(view: fo.Dataset | fo.DatasetView, field: str, path: str | Path) -> Iterator[Report]:
    """Write a field as a COCO file: ``fastsam evaluate proposals`` and any COCO program read it.

    Images have their place in the view as id, so that ground truth and proposals exported from one
    view fit together; ``sample_id`` names the sample. Crowd regions stay such.

    Raises
    ------
    ValueError
        If the field holds no detections or polylines, or the file cannot be written.
    """
    view, path = images(view), Path(path)
    labels.check_fields(view._dataset, field)
    if path.suffix.lower() != ".json":
        raise ValueError(f"{path} has to end in .json")
    return _export(view, field, path)


def _export(view: Any, field: str, path: Path) -> Iterator[Report]:
    view.compute_metadata(overwrite=False, progress=False)
    report = Report(total=len(view))
    yield report
    content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
    numbers: dict[str, int] = {}
    for number, sample in enumerate(view.select_fields(field).iter_samples(), 1):
        report.done += 1
        shape = labels.shape_of(sample)
        if shape is None:
            report.failed[sample.filepath] = f"{sample.filepath} cannot be read"
            continue
        height, width = shape
        name = Path(sample.filepath).name
        content["images"].append(
            {"id": number, "file_name": name, "sample_id": sample.id, "width": width,
             "height": height}
        )  # fmt: skip
        objects = labels.objects(sample[field])
        masks = [labels.mask(o, shape) for o in objects]
        for one, mask, text in zip(objects, masks, rle.encode(masks, shape), strict=True):
            category = numbers.setdefault(one.label or labels.OBJECT, len(numbers) + 1)
            annotation = {
                "id": len(content["annotations"]) + 1, "image_id": number,
                "category_id": category, "iscrowd": int(labels.is_crowd(one)),
                "bbox": labels.box(one, mask, shape), "area": R.area(mask), "segmentation": text,
            }  # fmt: skip
            if one.confidence is not None:
                annotation["score"] = one.confidence
            content["annotations"].append(annotation)
            report.instances += 1
        yield report
    content["categories"] = [{"id": number, "name": name} for name, number in numbers.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content))
    os.replace(part, path)
    yield report


def import_(
    view: fo.Dataset | fo.DatasetView,
    field: str,
    path: str | Path,
    storing: StoreOptions | None = None,
    existing: Existing = "refuse",
    batch: int = 16,
) -> Iterator[Report]:
    """Read a COCO file of instances into a field, by ``sample_id`` or by file name.

    Samples that the file does not have are left as they are.

    Raises
    ------
    ValueError
        If the file is none, a record in it cannot be used, two of its images have one name, or
        none of them is among the samples.
    """
    path = Path(path)
    content = _content(path, path.stat().st_mtime_ns if path.is_file() else 0)
    records = Records(content["annotations"], path)
    names = {c["id"]: str(c["name"]) for c in content.get("categories") or []}
    view = images(view)
    matched = _match(content["images"], dict(zip(*view.values(["id", "filepath"]), strict=True)))
    if not matched:
        raise ValueError(f"{path} has none of these samples, neither by id nor by file name")
    storing = (storing or StoreOptions()).replace(keep=False)
    job = Job(view.select(list(matched)), field, storing, existing)
    job.report.skipped += len(view) - len(matched)

    def read() -> Iterator[Found]:
        for sample, file in job.items():
            image = matched[sample]
            shape = (int(image["height"]), int(image["width"]))
            places = records.of(image["id"])
            masks = [records.mask(i, shape) for i in places]
            scores = [records.records[i].get("score", 1.0) for i in places]
            seg = labels.numbered(masks, shape, scores)
            categories = [records.records[i].get("category_id") for i in places]
            labelled = [names.get(c, labels.OBJECT) for c in categories]
            yield Found(sample, file, seg, names=labelled)

    return job.save(read(), batch)


@functools.lru_cache(maxsize=1)
def _content(path: Path, changed: int) -> dict[str, Any]:
    """What a COCO file holds; a form asks again with every key that is pressed."""
    return load_truth(path)


def _match(images: list[dict[str, Any]], samples: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The image of each sample (id and file) that has one, by ``sample_id`` or by file name."""
    by_id = {i["sample_id"]: i for i in images if "sample_id" in i}
    names = [Path(str(i.get("file_name"))).name for i in images]
    by_name = dict(zip(names, images, strict=True))
    files = Counter(Path(f).name for f in samples.values())
    several = {n for n, c in (Counter(names) | files).items() if c > 1}
    matched = {}
    for sample, file in samples.items():
        name = Path(file).name
        if sample in by_id:
            matched[sample] = by_id[sample]
        elif name in by_name and name in several:
            raise ValueError(f"there are two images named {name}, and no sample_id tells which")
        elif name in by_name:
            matched[sample] = by_name[name]
    return matched
