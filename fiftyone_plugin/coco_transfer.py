"""Proposals out of FiftyOne as COCO JSON with RLE masks, and back in."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo

from fastsam_plugins.datasets.coco_writer import CocoWriter
from fastsam_plugins.evaluation.files import Records, load_truth
from fastsam_plugins.evaluation.names import parts, shared_ending
from fastsam_plugins.io import atomic, image_result
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from fiftyone_plugin import documents, labels
from fiftyone_plugin.fiftyone_private import dataset_of
from fiftyone_plugin.parameters import Existing, ExportOptions, ImportOptions
from fiftyone_plugin.save_job import Job, Report, Result
from fiftyone_plugin.storage import StoreOptions
from fiftyone_plugin.views import images


def export(
    view: fo.Dataset | fo.DatasetView, field: str, path: str | Path, overwrite: bool = False
) -> Iterator[Report]:
    """Write a field as a COCO file: ``fastsam evaluate proposals`` and any COCO program read it.

    Images have their place in the view as id, so that ground truth and proposals exported from one
    view fit together; ``sample_id`` names the sample. Files of one name in several folders are
    named with these. Crowd regions stay such.

    Parameters
    ----------
    view : dataset or view
    field : str
        Of detections or polylines.
    path : path
        Ends in ``.json``; ``~`` is the home folder. The report says where it lies (``written``).
    overwrite : bool
        Whether a file that is there is replaced.

    Raises
    ------
    ValueError
        If the field holds no detections or polylines, there is such a file, or it is one of the
        dataset's images.
    OSError
        If the file cannot be written.
    """
    ExportOptions(field, os.fspath(path), overwrite)
    view, path = images(view), absolute(path)
    labels.check_fields(dataset_of(view), field)
    _check_target(view, path, overwrite)
    return _export(view, field, path)


def absolute(path: str | Path) -> Path:
    """A path as it is meant: ``~`` is the home folder, the working folder is where it starts."""
    try:
        return Path(os.path.abspath(Path(path).expanduser()))
    except RuntimeError as error:  # nobody's home folder
        raise ValueError(f"path cannot be {str(path)!r}: {error}") from None


def _check_target(view: Any, path: Path, overwrite: bool) -> None:
    if path.suffix.lower() != ".json":
        raise ValueError(f"{path} has to end in .json")
    atomic.check_writable(path)
    if os.path.lexists(path):
        if not overwrite:
            raise ValueError(f"there is a file {path} already: overwrite it (overwrite=True), or "
                             "name another")  # fmt: skip
        atomic.check_apart([path], map(Path, dataset_of(view).values("filepath")))


def _export(view: Any, field: str, path: Path) -> Iterator[Report]:
    view.compute_metadata(overwrite=False, progress=False)
    report = Report(total=documents.count(view))
    yield report
    writer = CocoWriter()
    names = _file_names(view.values("filepath"))
    for sample in view.select_fields(field).iter_samples():
        report.check_stop()
        report.done += 1
        try:
            annotations = _annotations(sample, field)
        except (ValueError, OSError) as error:  # no image, or a mask that is gone or damaged
            report.fail(sample.filepath, sample.id, str(error))
            continue
        shape = labels.shape_of(sample) or (0, 0)
        name = names.get(sample.filepath, Path(sample.filepath).name)
        image = writer.add_image(name, shape, sample_id=sample.id)
        for annotation in annotations:
            writer.add_annotation(image, **annotation)
        report.instances += len(annotations)
        yield report
    atomic.write_json(path, writer.content())
    report.written = str(path)
    yield report


def _file_names(files: list[str]) -> dict[str, str]:
    """How a file of labels names images: by file, or from their common folder on if these agree."""
    paths = {file: Path(file) for file in files}
    if len({path.name for path in paths.values()}) == len(paths):
        return {file: path.name for file, path in paths.items()}
    return dict(zip(paths, image_result.names(list(paths.values())), strict=True))


def _annotations(sample: fo.Sample, field: str) -> list[dict[str, Any]]:
    """The objects of a sample, as the writer takes them.

    Raises
    ------
    ValueError, OSError
        If its image, or a mask, cannot be read.
    """
    shape = labels.shape_of(sample)
    if shape is None:
        raise ValueError(f"{sample.filepath} cannot be read")
    objects = labels.objects(sample[field])
    masks = [labels.mask(o, shape) for o in objects]
    annotations = []
    for one, mask, text in zip(objects, masks, rle.encode(masks, shape), strict=True):
        annotations.append(
            {"segmentation": text, "area": R.area(mask), "box": labels.box(one, mask, shape),
             "category": one.label or labels.OBJECT, "crowd": labels.is_crowd(one),
             "score": one.confidence}
        )  # fmt: skip
    return annotations


def import_(
    view: fo.Dataset | fo.DatasetView,
    field: str,
    path: str | Path,
    storing: StoreOptions | None = None,
    existing: Existing = "refuse",
    batch: int = 16,
) -> Iterator[Report]:
    """Read a COCO file of instances into a field, by ``sample_id`` or by file name.

    Samples that the file does not have are left as they are. All labels are written, or none: the
    whole file is checked before the first, and an error or a stop takes back what was written.

    Raises
    ------
    ValueError
        If the file is none, a record in it cannot be used, two of its images have one name, or
        none of them is among the samples.
    """
    ImportOptions(os.fspath(path))
    path = absolute(path)
    content = _content(path, path.stat().st_mtime_ns if path.is_file() else 0)
    records = Records(content["annotations"], path)
    names = _names(content.get("categories") or [], path)
    view = images(view)
    matched = _match(
        _images(content["images"], path), dict(zip(*view.values(["id", "filepath"]), strict=True))
    )
    if not matched:
        raise ValueError(f"{path} has none of these samples, neither by id nor by file name")
    storing = (storing or StoreOptions()).replace(keep=False)
    job = Job(view.select(list(matched)), field, storing, existing, batch)
    job.with_crowds = True
    job.report.skipped += documents.count(view) - len(matched)

    def instances(sample: str, file: str) -> Result:
        image = matched[sample]
        shape = (int(image["height"]), int(image["width"]))
        places = records.of(image["id"])
        masks = [records.mask(i, shape) for i in places]
        scores = [_score(records, i) for i in places]
        seg = labels.numbered(masks, shape, scores)
        categories = [records.records[i].get("category_id") for i in places]
        labelled = [names.get(c, labels.OBJECT) for c in categories]
        crowds = [bool(records.records[i].get("iscrowd")) for i in places]
        return Result(sample, file, seg, names=labelled, crowds=crowds)

    def checked() -> Iterator[Report]:
        items = job.items
        for item in items:
            instances(*item)
        yield from job.save_whole(instances(*item) for item in items)

    return checked()


def _images(images: Any, path: Path) -> list[dict[str, Any]]:
    """The images of a file, as far as they are used here."""
    if not isinstance(images, list):
        raise ValueError(f"{path}: images must be a list")
    for place, image in enumerate(images):
        known = isinstance(image, dict) and isinstance(image.get("id"), int | str)
        sizes = [image.get(n) for n in ("height", "width")] if known else []
        texts = [image.get(n, "") for n in ("sample_id", "file_name")] if known else []
        if not known or not all(_is_size(v) for v in sizes):
            raise ValueError(f"{path}: image {place} has no id, height or width")
        if not all(isinstance(t, str) for t in texts) or not any(texts):
            raise ValueError(f"{path}: image {place} has no sample_id or file_name")
    return list(images)


def _is_size(value: Any) -> bool:
    return type(value) in (int, float) and 1 <= value < 2**31 and value == int(value)


def _names(categories: Any, path: Path) -> dict[Any, str]:
    try:
        return {c["id"]: str(c["name"]) for c in categories}
    except (KeyError, TypeError):
        raise ValueError(f"{path}: categories must be a list, each with id and name") from None


def _score(records: Records, place: int) -> float:
    """The score of a record; 1 if it has none."""
    if records.records[place].get("score") is None:
        return 1.0
    return float(records.numbers([place], "score")[0])


@functools.lru_cache(maxsize=1)
def _content(path: Path, changed: int) -> dict[str, Any]:
    """What a COCO file holds; a form asks again with every key that is pressed."""
    return load_truth(path)


_UNCLEAR = (
    "there are two images named {}, and neither a sample_id nor a folder tells which is meant"
)


def _match(images: list[dict[str, Any]], samples: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The image of each sample (id and file) that has one, by ``sample_id`` or by file name.

    Where names are not enough to tell them apart, the folders before them are looked at too.

    Raises
    ------
    ValueError
        If they do not tell either.
    """
    by_id = {i["sample_id"]: i for i in images if "sample_id" in i}
    named: dict[str, list[dict[str, Any]]] = {}
    for image in images:
        named.setdefault(parts(image.get("file_name", ""))[-1], []).append(image)
    matched = {s: by_id[s] for s in samples if s in by_id}
    rest = {s: file for s, file in samples.items() if s not in by_id}
    taken: dict[int, list[str]] = {}
    for sample, file in rest.items():
        there = named.get(parts(file)[-1], [])
        shared = [shared_ending(file, i.get("file_name", "")) for i in there]
        best = [i for i, n in zip(there, shared, strict=True) if n == max(shared)]
        if len(best) > 1:
            raise ValueError(_UNCLEAR.format(parts(file)[-1]))
        if best:
            matched[sample] = best[0]
            taken.setdefault(id(best[0]), []).append(sample)
    for several in taken.values():
        if len(several) > 1:
            _keep_best(matched, several, rest)
    return matched


def _keep_best(
    matched: dict[str, dict[str, Any]], several: list[str], files: dict[str, str]
) -> None:
    """Of samples that one image was found for, keep the one whose folders fit best."""
    image = matched[several[0]].get("file_name", "")
    shared = {sample: shared_ending(files[sample], image) for sample in several}
    best = [sample for sample in several if shared[sample] == max(shared.values())]
    if len(best) > 1:
        raise ValueError(_UNCLEAR.format(parts(image)[-1]))
    for sample in several:
        if sample not in best:
            del matched[sample]
