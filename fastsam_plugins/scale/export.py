"""Results as a COCO file, written as they are read: memory does not grow with them."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from fastsam_plugins.datasets.coco_writer import (
    OBJECT,
    annotation_record,
    category_records,
    image_record,
)
from fastsam_plugins.io import atomic
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from fastsam_plugins.scale import rows
from fastsam_plugins.scale.results import Results


def coco(results: Results, path: Path) -> tuple[int, int]:
    """Write what was found, as ``fastsam segment -o coco.json`` does; without images that failed.

    Parameters
    ----------
    results : Results
    path : path

    Returns
    -------
    images, annotations : int
        How many were written.

    Raises
    ------
    ValueError
        If the results are not done, or damaged.
    OutputError
        If the file cannot be written; what was there stays.
    """
    if path.suffix.lower() != ".json":
        raise ValueError(f"{path} has to end in .json")
    results.check_done()
    atomic.check_writable(path)
    atomic.check_apart([path], results.files())
    start = _shared(results)
    categories: dict[str, int] = {}
    with atomic.replacing(path) as part, open(part, "w", encoding="utf-8") as stream:
        stream.write('{"images": ')
        images = _list(stream, _images(results, start))
        stream.write(', "annotations": ')
        annotations = _list(stream, _annotations(results, categories))
        stream.write(', "categories": ')
        stream.write(json.dumps(category_records(categories), ensure_ascii=False))
        stream.write("}")
    return images, annotations


def _list(stream: TextIO, records: Iterable[dict[str, Any]]) -> int:
    """Write records as a JSON list, one after another; how many there were."""
    count = 0
    for count, record in enumerate(records, 1):
        stream.write("[" if count == 1 else ", ")
        stream.write(json.dumps(record, ensure_ascii=False))
    stream.write("]" if count else "[]")
    return count


def _shared(results: Results) -> str:
    """The folder that all images have in common: their names go on from there."""
    shared: str | None = None
    for chunk in results.plan["image"].iterchunks():
        for image in chunk:
            folder = posixpath.dirname(_slashed(image.as_py()))
            if shared is None:
                shared = folder
            while not f"{folder}/".startswith(f"{shared}/") and shared:
                shared = posixpath.dirname(shared)
    return shared or ""


def _slashed(image: str) -> str:
    """A path as COCO files have it; elsewhere than on Windows a backslash is part of a name."""
    return image.replace("\\", "/") if os.name == "nt" else image


def _images(results: Results, start: str) -> Iterator[dict[str, Any]]:
    number = 0
    for row in results.rows(("image", "width", "height", "error")):
        if row["error"] is None:
            number += 1
            name = _slashed(row["image"]).removeprefix(start).lstrip("/")
            yield image_record(number, name, (row["height"], row["width"]))


def _annotations(results: Results, categories: dict[str, int]) -> Iterator[dict[str, Any]]:
    image = number = 0
    for row in results.rows():
        if row["error"] is not None:
            continue
        image += 1
        texts = row["texts"] or [OBJECT] * len(row["rles"])
        for i, mask in enumerate(rows.masks(row)):
            number += 1
            runs, (height, _) = rle.decode(mask)
            x0, y0, x1, y1 = map(float, R.bounds(runs, height))
            more = (
                {} if row["similarity"] is None else {"similarity": round(row["similarity"][i], 6)}
            )
            yield annotation_record(
                number, image, categories.setdefault(texts[i], len(categories) + 1), mask,
                row["areas"][i], (x0, y0, x1 - x0, y1 - y0), score=row["scores"][i],
                instance=i + 1, **more,
            )  # fmt: skip
