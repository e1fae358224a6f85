"""Results in the format that an output's ending names."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_plugins.files.geo import checked
from fastsam_plugins.files.labels import write_labels
from fastsam_plugins.files.reading import TIFF
from fastsam_plugins.files.results import COLUMNS, Segmented, coco, table
from fastsam_plugins.files.vectors import features, geojson, write_geopackage

TOGETHER = (".json", ".csv", ".gpkg")  # one file holds all images
ENDINGS = (*TOGETHER, ".png", ".geojson", *TIFF)


def write(
    results: Sequence[Segmented], output: str | Path, points: Any = None, boxes: Any = None
) -> list[Path]:
    """Write results in the format that the output's ending names.

    ``.json`` (COCO), ``.csv`` and ``.gpkg`` (GeoPackage) hold all images, unless the name has
    ``{stem}``; ``.png`` (overlay), ``.tif`` (labels) and ``.geojson`` are one file per image, and
    for several the name needs it.

    Returns
    -------
    list of path
        The files written.

    Raises
    ------
    ValueError
        If the ending is unknown, names would collide, or a CRS is needed and not there.
    """
    output = Path(output)
    ending = output.suffix.lower()
    check_output(output, [r.path for r in results])
    output.parent.mkdir(parents=True, exist_ok=True)
    if ending in TOGETHER and "{stem}" in output.name:
        return [p for r in results for p in write([r], target(output, r.path), points, boxes)]
    if ending == ".json":
        output.write_text(json.dumps(coco(results)))
        return [output]
    if ending == ".csv":
        _write_csv(table(results), output)
        return [output]
    if ending == ".gpkg":
        places = {r.path: checked(r.georeference, r.path) for r in results}
        for result in results:
            layer = result.path.stem
            write_geopackage(output, layer, features(result), places[result.path])
        return [output]
    written = []
    for result in results:
        path = target(output, result.path)
        if ending == ".png":
            from PIL import Image

            from fastsam_plugins.draw import overlay

            if result.image is None:
                raise ValueError(f"an overlay needs the pixels of {result.path}")
            drawn = overlay(result.image, result.segmentation, points, boxes, result.captions)
            Image.fromarray(drawn).save(path)
        elif ending == ".geojson":
            content = geojson(features(result), result.georeference)
            path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        else:
            numbers = np.array([0, *result.numbers])
            write_labels(numbers[result.segmentation.labels()], path, result.georeference)
        written.append(path)
    return written


def _write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    names = list(COLUMNS) + [name for row in rows for name in row if name not in COLUMNS]
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(names)))
        writer.writeheader()
        writer.writerows(rows)


def target(output: Path, image: Path) -> Path:
    """Where the result of an image goes: ``{stem}`` of the output's name is the image's name."""
    return output.with_name(output.name.replace("{stem}", image.stem))


def check_output(output: Path, images: Sequence[Path]) -> None:
    """Refuse an output that :func:`write` could not write for these images."""
    ending = output.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(
            f"{output}: the ending says what to write: .png overlay, .json COCO, .tif labels, "
            ".csv table, .geojson or .gpkg polygons"
        )
    apart = "{stem}" in output.name
    if ending in (".json", ".csv") and not apart:
        return
    if len(images) > 1 and not apart and ending not in TOGETHER:
        raise ValueError(
            f"{len(images)} images need {len(images)} files: put {{stem}} into the name, as in "
            f"{output.with_name('{stem}' + ending)}"
        )
    if len({i.stem for i in images}) < len(images):
        raise ValueError("two of the images have the same name: their results would collide")
    for image in images:
        if target(output, image).resolve() == image.resolve():
            raise ValueError(f"{output} would overwrite the image {image}: choose another name")
