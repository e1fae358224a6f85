"""Results in the format that an output's ending names."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fastsam_plugins.files.atomic import replacing
from fastsam_plugins.files.geo import checked
from fastsam_plugins.files.labels import write_instances
from fastsam_plugins.files.png import write_png
from fastsam_plugins.files.reading import TIFF
from fastsam_plugins.files.results import COLUMNS, Segmented, coco, table
from fastsam_plugins.files.vectors import features, geojson, write_geopackage

TOGETHER = (".json", ".csv", ".gpkg")  # one file holds all images
ENDINGS = (*TOGETHER, ".png", ".geojson", *TIFF)


def write(
    results: Iterable[Segmented], output: str | Path, points: Any = None, boxes: Any = None
) -> list[Path]:
    """Write results in the format that the output's ending names.

    ``.json`` (COCO), ``.csv`` and ``.gpkg`` (GeoPackage) hold all images, unless the name has
    ``{stem}``; ``.png`` (overlay), ``.tif`` (labels) and ``.geojson`` are one file per image, and
    for several the name needs it.

    Parameters
    ----------
    results : iterable of Segmented
        A sequence is checked before anything is written. Of an iterator each result is let go when
        it is written; :func:`check_output` and :func:`fastsam_plugins.files.georeferences` tell
        beforehand what cannot be.
    output : path
    points, boxes : sequences
        Prompts to draw on overlays.

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
    if isinstance(results, Sequence):
        check_output(output, [r.path for r in results])
        if ending == ".gpkg":
            for result in results:
                checked(result.georeference, result.path)
    if ending not in TOGETHER or "{stem}" in output.name:
        return [
            _write_one(result, target(output, result.path), points, boxes) for result in results
        ]
    if ending == ".gpkg":
        for result in results:
            _write_layer(result, output)
        return [output]
    found = json.dumps(coco(results)) if ending == ".json" else table(results)
    output.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(found, str):
        output.write_text(found)
    else:
        _write_csv(found, output)
    return [output]


def _write_one(result: Segmented, path: Path, points: Any, boxes: Any) -> Path:
    """A file of one image."""
    ending = path.suffix.lower()
    if ending in (".json", ".csv"):
        return write([result], path)[0]
    if ending == ".png" and result.image is None:
        raise ValueError(f"an overlay needs the pixels of {result.path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".gpkg":
        _write_layer(result, path)
    elif ending == ".png":
        from fastsam_plugins.draw import overlay_strips

        assert result.image is not None
        seg = result.segmentation
        with replacing(path) as part:
            strips = overlay_strips(result.image, seg, points, boxes, result.captions)
            write_png(part, seg.shape, strips)
    elif ending == ".geojson":
        content = geojson(features(result), result.georeference)
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    else:
        with replacing(path) as part:
            write_instances(result.segmentation, part, result.numbers, result.georeference)
    return path


def _write_layer(result: Segmented, path: Path) -> None:
    place = checked(result.georeference, result.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_geopackage(path, result.path.stem, features(result), place)


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
