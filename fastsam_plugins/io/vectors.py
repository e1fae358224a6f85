"""Instances as polygons: GeoJSON in pixels or in the raster's CRS, and GeoPackage."""

from __future__ import annotations

import contextlib
import math
import re
import sqlite3
import struct
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.io import atomic
from fastsam_plugins.io.image_result import ImageResult, columns
from fastsam_plugins.io.raster import Georeference
from fastsam_plugins.masks.outlines import outlines

LEFT_OUT = ("x1", "y1", "x2", "y2")  # of a table's columns: polygons say where they are


@dataclass(frozen=True)
class Feature:
    """An instance as polygons.

    Attributes
    ----------
    number : int
        Of the instance.
    polygons : list of polygons
        Each a list of closed rings (K + 1, 2) in pixels, as :func:`outlines` has them.
    values : mapping
        What is known of it, by name.
    plane : mapping of str to int
        Where it lies in a stack.
    """

    number: int
    polygons: Sequence[Sequence[NDArray[Any]]]
    values: Mapping[str, Any]
    plane: Mapping[str, int] = field(default_factory=dict)


def features(result: ImageResult) -> list[Feature]:
    """The instances that have pixels, with the values of their table rows."""
    seg, table = result.segmentation, columns(result)
    made = []
    for i, number in enumerate(result.numbers):
        polygons = outlines(seg.runs(i), seg.shape)
        if polygons:
            values = {name: v[i] for name, v in table.items() if name not in LEFT_OUT}
            made.append(Feature(number, polygons, values, result.plane))
    return made


def geojson(
    features: Sequence[Feature], place: Georeference | None = None, object_type: str = "detection"
) -> dict[str, Any]:
    """Features as a GeoJSON FeatureCollection. A feature's id is the instance's number.

    Without georeference, coordinates are pixels, y down, and properties are those that QuPath
    imports. With one, coordinates are those of the raster's CRS, which the member ``crs`` names
    (GeoJSON of 2008; GDAL, QGIS and geopandas read it, where RFC 7946 knows WGS84 alone), and
    properties are the values by name.

    Parameters
    ----------
    found : sequence of Feature
    place : Georeference, optional
    object_type : str
        What QuPath shall make of it: ``detection`` or ``annotation``.

    Raises
    ------
    ValueError
        If the CRS has no name that a GeoJSON file could hold.

    References
    ----------
    https://datatracker.ietf.org/doc/html/rfc7946, and
    https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
    """
    content: dict[str, Any] = {"type": "FeatureCollection", "features": []}
    letters = _letters(features) if place is None else {}
    if place is not None:
        if place.name is None:
            raise ValueError("the CRS has no EPSG code for GeoJSON to name it by: write .gpkg")
        content["crs"] = {"type": "name", "properties": {"name": place.name}}
    for one in features:
        rings = [[_ring(ring, place) for ring in polygon] for polygon in one.polygons]
        geometry: dict[str, Any] = {"type": "MultiPolygon", "coordinates": rings}
        if len(rings) == 1:
            geometry = {"type": "Polygon", "coordinates": rings[0]}
        properties = {name: _plain(value) for name, value in one.values.items()}
        if place is None:
            properties = _qupath(one.number, properties, object_type)
            if one.plane:
                at = {letter: one.plane.get(axis, 0) for axis, letter in letters.items()}
                geometry["plane"] = {"c": -1, "z": 0, "t": 0} | at
        content["features"].append(
            {"type": "Feature", "id": one.number, "geometry": geometry, "properties": properties}
        )
    return content


_AXES = {
    "z": ("z", "depth", "slice", "plane", "section"),
    "t": ("t", "time", "frame"),
    "c": ("c", "ch", "channel", "band"),
}


def _letters(features: Sequence[Feature]) -> dict[str, str]:
    """By axis of a stack: which of QuPath's z, t and c it is.

    Names are those of the field, however they are written (``T``, ``time``, ``Z (um)``). An axis
    of another name is the first of z and t that there is not, the last axis first: objects of
    different slices never fall onto one plane.

    Raises
    ------
    ValueError
        If slices lie along more axes than QuPath knows.
    """
    axes = dict.fromkeys(axis for one in features for axis in one.plane)
    letters: dict[str, str] = {}
    for axis in axes:
        words = re.findall(r"[a-z]+", axis.lower()) or [""]
        for letter, names in _AXES.items():
            long = tuple(name for name in names if len(name) > 2)  # frames, timepoint
            known = words[0] in names or words[0].startswith(long)
            if known and letter not in letters.values():
                letters[axis] = letter
                break
    for axis in reversed([a for a in axes if a not in letters]):
        free = [letter for letter in "zt" if letter not in letters.values()]
        if free:
            letters[axis] = free[0]
        elif len({one.plane.get(axis, 0) for one in features}) > 1:
            raise ValueError(
                f"QuPath knows planes of z, t and c alone, and axis {axis!r} is one more: write "
                "one place along it at a time"
            )
    return letters


def _qupath(number: int, values: dict[str, Any], object_type: str) -> dict[str, Any]:
    """Properties of a QuPath object: numbers are measurements, other values are metadata."""
    numeric = {k: v for k, v in values.items() if isinstance(v, int | float)}
    texts = {k: v for k, v in values.items() if isinstance(v, str)}
    return {
        "objectType": object_type,
        "name": str(number),
        "measurements": numeric,
        "metadata": texts,
    }


def _plain(value: Any) -> Any:
    """A value as JSON knows it."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)


def _ring(ring: NDArray[Any], place: Georeference | None) -> list[list[float]]:
    if place is None:
        return ring.tolist()
    size = math.sqrt(abs(place.determinant))
    # A millionth of a pixel is exact, and half as long as all digits.
    return np.round(_mapped(ring, place), 6 - math.floor(math.log10(size))).tolist()


def _mapped(ring: NDArray[Any], place: Georeference) -> NDArray[np.float64]:
    """A ring in the CRS, outer ones counterclockwise there."""
    points = place.to_map(ring)
    return points[::-1] if place.determinant < 0 else points


@dataclass(frozen=True)
class Layer:
    """What a GeoPackage holds of one image.

    Attributes
    ----------
    name : str
    features : sequence of Feature
    place : Georeference
    """

    name: str
    features: Sequence[Feature]
    place: Georeference


def write_geopackage(path: Path, layers: Sequence[Layer]) -> None:
    """Write layers of a GeoPackage; layers of other names that it holds stay.

    The file is copied, the layers are added, and the copy takes its place: two programs that write
    layers of their own to one file at once both find theirs in it.

    Raises
    ------
    OutputError
        If it cannot be written, what is there is no GeoPackage, or another program has it open and
        has not written all of it yet; what was there stays.
    """
    folder = path.parent
    with atomic.making(folder, path), atomic.alone(folder), atomic.replacing(path) as part:
        if path.is_file() and path.stat().st_size:
            _copy_database(path, part)
        for layer in layers:
            _write_layer(part, layer)
        _check_database(part, layers)


def _copy_database(path: Path, part: Path) -> None:
    log = path.with_name(path.name + "-wal")
    if log.is_file() and log.stat().st_size:  # it would be applied to the file that replaces this
        raise OSError("another program has it open: close it there, or name another file")
    with (
        contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as old,
        contextlib.closing(sqlite3.connect(part)) as new,
    ):
        try:
            old.backup(new)
        except sqlite3.Error as error:
            foreign = error.sqlite_errorcode in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
            problem = "is no GeoPackage that can be added to" if foreign else "cannot be copied"
            raise OSError(f"what is there {problem} ({error})") from None


def _check_database(part: Path, layers: Sequence[Layer]) -> None:
    """Refuse a file in which not all layers arrived."""
    with contextlib.closing(sqlite3.connect(part)) as database:
        try:
            ((sound,),) = database.execute("pragma quick_check(1)").fetchall()
            counts = [
                database.execute(f"select count(*) from {_quoted(layer.name)}").fetchone()[0]
                for layer in layers
            ]
        except sqlite3.Error as error:
            raise OSError(f"GDAL wrote only a part of it ({error})") from None
    if sound != "ok" or counts != [len(layer.features) for layer in layers]:
        raise OSError("GDAL wrote only a part of it: is the disk full?")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _write_layer(part: Path, layer: Layer) -> None:
    import pyogrio.raw

    features, place = layer.features, layer.place
    shapes = [
        _wkb([[_mapped(r, place) for r in polygon] for polygon in one.polygons]) for one in features
    ]
    names = dict.fromkeys(name for one in features for name in one.values)
    fields = {n: _typed([_plain(one.values.get(n)) for one in features]) for n in names}
    fields = {n: (values, mask) for n, (values, mask) in fields.items() if not mask.all()}
    try:
        pyogrio.raw.write(
            part,
            driver="GPKG",
            layer=layer.name,
            crs=place.crs,
            geometry=np.array(shapes, object),
            geometry_type="MultiPolygon",
            fields=list(fields),
            field_data=[values for values, _ in fields.values()],
            field_mask=[mask for _, mask in fields.values()],
        )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise OSError(textwrap.shorten(str(error), 200, placeholder=" ...")) from error


def _typed(values: list[Any]) -> tuple[NDArray, NDArray[np.bool_]]:
    """A column of one type, whole numbers staying so, and where it has no value."""
    mask = np.array([v is None for v in values], np.bool_)
    known = [v for v in values if v is not None]
    for kind, dtype in ((bool, np.bool_), (int, np.int64), (int | float, np.float64)):
        if all(isinstance(v, kind) for v in known):
            return np.array([dtype(0) if v is None else v for v in values], dtype), mask
    return np.array([None if v is None else str(v) for v in values], object), mask


def _wkb(polygons: list[list[NDArray[np.float64]]]) -> bytes:
    """A MultiPolygon as well-known binary, little-endian."""
    parts = [struct.pack("<BII", 1, 6, len(polygons))]
    for rings in polygons:
        parts.append(struct.pack("<BII", 1, 3, len(rings)))
        for ring in rings:
            parts += [struct.pack("<I", len(ring)), ring.astype("<f8").tobytes()]
    return b"".join(parts)
