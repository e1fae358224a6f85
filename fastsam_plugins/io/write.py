"""Results in the format that an output's ending names."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fastsam_plugins.io import atomic
from fastsam_plugins.io.georeferencing import check_installed, checked
from fastsam_plugins.io.image_result import COLUMNS, ImageResult, coco, table
from fastsam_plugins.io.label_tiff import sidecars, write_instances
from fastsam_plugins.io.png_writer import write_png
from fastsam_plugins.io.read import TIFF
from fastsam_plugins.io.vectors import Layer, features, geojson, write_geopackage

TOGETHER = (".json", ".csv", ".gpkg")  # one file holds all images
ENDINGS = (*TOGETHER, ".png", ".geojson", *TIFF)


def write_results(
    results: Iterable[ImageResult], output: str | Path, points: Any = None, boxes: Any = None
) -> list[Path]:
    """Write results in the format that the output's ending names.

    ``.json`` (COCO), ``.csv`` and ``.gpkg`` (GeoPackage) hold all images, unless the name has
    ``{stem}``; ``.png`` (overlay), ``.tif`` (labels) and ``.geojson`` are one file per image, and
    for several the name needs it.

    Parameters
    ----------
    results : iterable of ImageResult
        A sequence is checked before anything is written. Of an iterator each result is let go when
        it is written; :func:`check_output` tells beforehand what cannot be.
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
    OutputError
        If a file cannot be written; what was there stays.
    """
    output = Path(output)
    ending = output.suffix.lower()
    if isinstance(results, Sequence):
        check_output(output, [r.path for r in results])
        if ending == ".gpkg":
            for result in results:
                checked(result.georeference, result.path)
    if ending not in TOGETHER or "{stem}" in str(output):
        return [
            _write_one(result, target(output, result.path), points, boxes) for result in results
        ]
    if ending == ".gpkg":
        write_geopackage(output, [_layer(result) for result in results])
    elif ending == ".json":
        atomic.write_json(output, coco(results))
    else:
        _write_csv(table(results), output)
    return [output]


def _write_one(result: ImageResult, path: Path, points: Any, boxes: Any) -> Path:
    """A file of one image."""
    ending = path.suffix.lower()
    if ending in (".json", ".csv"):
        return write_results([result], path)[0]
    if ending == ".png" and result.image is None:
        raise ValueError(f"an overlay needs the pixels of {result.path}")
    if ending == ".gpkg":
        write_geopackage(path, [_layer(result)])
    elif ending == ".png":
        from fastsam_plugins.io.overlay import overlay_strips

        assert result.image is not None
        seg = result.segmentation
        with atomic.replacing(path) as part:
            strips = overlay_strips(result.image, seg, points, boxes, result.captions)
            write_png(part, seg.shape, strips)
    elif ending == ".geojson":
        atomic.write_json(path, geojson(features(result), result.georeference))
    else:
        write_instances(result.segmentation, path, result.numbers, result.georeference)
    return path


def _layer(result: ImageResult) -> Layer:
    return Layer(result.path.stem, features(result), checked(result.georeference, result.path))


def _write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    names = list(COLUMNS) + [name for row in rows for name in row if name not in COLUMNS]
    with (
        atomic.replacing(path) as part,
        # Names of files need not be UTF-8.
        open(part, "w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        writer = csv.DictWriter(stream, list(dict.fromkeys(names)))
        writer.writeheader()
        writer.writerows(rows)


def target(output: Path, image: Path) -> Path:
    """Where the result of an image goes: ``{stem}``, anywhere in it, is the image's name."""
    return Path(*(part.replace("{stem}", image.stem) for part in output.parts))


def check_stems(images: Sequence[Path]) -> None:
    """Refuse images of one name, whose results would have one as well.

    Raises
    ------
    ValueError
        Naming the two.
    """
    first: dict[str, Path] = {}
    for image in images:
        other = first.get(image.stem)
        first[image.stem] = image
        if other is not None:
            raise ValueError(
                f"{other} and {image} have the same name, and so would their results: write them "
                "one folder after another, or all into one .json or .csv, which keep folders"
            )


def check_output(output: Path, images: Sequence[Path]) -> None:
    """Refuse an output that :func:`write` could not write for these images.

    Raises
    ------
    ValueError
        If the ending is unknown or needs what is not installed, names would collide, or an image
        would be written over, under whatever name.
    OutputError
        If a file cannot be written where it is to lie.
    """
    ending = output.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(
            f"{output}: the ending says what to write: .png overlay, .json COCO, .tif labels, "
            ".csv table, .geojson or .gpkg polygons"
        )
    check_installed(output)
    apart = "{stem}" in str(output)
    if len(images) > 1 and not apart and ending not in TOGETHER:
        raise ValueError(
            f"{len(images)} images need {len(images)} files: put {{stem}} into the name, as in "
            f"{output.with_name('{stem}' + ending)}"
        )
    several = apart or ending not in (".json", ".csv")
    if several:
        check_stems(images)
    outputs = [target(output, image) for image in images] if apart else [output]
    gone = [s for o in outputs for s in sidecars(o)] if ending in (".tif", ".tiff") else []
    atomic.check_apart([*outputs, *gone], images)
    for one in outputs:
        atomic.check_writable(one)
