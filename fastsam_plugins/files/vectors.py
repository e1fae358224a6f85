"""Instances as polygons: GeoJSON in pixels or in the raster's CRS, and GeoPackage."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.files.geo import Georeference
from fastsam_plugins.files.results import Segmented, columns
from fastsam_plugins.masks.outlines import Polygon, outlines

LEFT_OUT = ("x1", "y1", "x2", "y2")  # of a table's columns: polygons say where they are


def geojson(result: Segmented, object_type: str = "detection") -> dict[str, Any]:
    """Instances as a GeoJSON FeatureCollection of polygons along pixel edges.

    Without georeference, coordinates are pixels, y down, and properties are those that QuPath
    imports. With one, coordinates are those of the raster's CRS, which the member ``crs`` names
    (GeoJSON of 2008; GDAL, QGIS and geopandas read it, where RFC 7946 knows WGS84 alone), and
    properties are those of the table. A feature's id is the instance's number.

    Parameters
    ----------
    result : Segmented
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
    place = result.georeference
    features = []
    for number, polygons, values in _instances(result):
        rings = [[_ring(ring, place) for ring in polygon] for polygon in polygons]
        geometry: dict[str, Any] = {"type": "MultiPolygon", "coordinates": rings}
        if len(rings) == 1:
            geometry = {"type": "Polygon", "coordinates": rings[0]}
        if place is None and result.plane:
            geometry["plane"] = {"c": -1, "z": 0, "t": 0} | dict(result.plane)
        properties = values if place else _qupath(number, values, object_type)
        features.append(
            {"type": "Feature", "id": number, "geometry": geometry, "properties": properties}
        )
    content: dict[str, Any] = {"type": "FeatureCollection"}
    if place is not None:
        if place.name is None:
            raise ValueError("the CRS has no EPSG code for GeoJSON to name it by: write .gpkg")
        content["crs"] = {"type": "name", "properties": {"name": place.name}}
    return content | {"features": features}


def _instances(result: Segmented) -> Iterator[tuple[int, list[Polygon], dict[str, Any]]]:
    """Number, polygons and values of every instance that has pixels."""
    seg, found = result.segmentation, columns(result)
    for i, number in enumerate(result.numbers):
        polygons = outlines(seg.runs(i), seg.shape)
        if polygons:
            values = {name: _plain(v[i]) for name, v in found.items() if name not in LEFT_OUT}
            yield number, polygons, values


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
    if value is None or isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)


def _ring(ring: NDArray[np.int64], place: Georeference | None) -> list[list[float]]:
    if place is None:
        return ring.tolist()
    size = math.sqrt(abs(place.determinant))
    # A millionth of a pixel is exact, and half as long as all digits.
    return np.round(_mapped(ring, place), 6 - math.floor(math.log10(size))).tolist()


def _mapped(ring: NDArray[np.int64], place: Georeference) -> NDArray[np.float64]:
    """A ring in the CRS, outer ones counterclockwise there."""
    points = place.to_map(ring)
    return points[::-1] if place.determinant < 0 else points


def write_geopackage(results: list[Segmented], path: Path) -> None:
    """Write instances as a GeoPackage, one layer per image, named after it.

    Layers of other names that the file holds already stay.

    Raises
    ------
    ValueError
        If a result has no georeference.
    """
    import pyogrio.raw

    for result in results:
        place = result.georeference
        if place is None:
            raise ValueError(
                f"{result.path} has no CRS, which .gpkg needs: write .geojson, in pixels then"
            )
        shapes, rows = [], []
        for _, polygons, values in _instances(result):
            shapes.append(_wkb([[_mapped(r, place) for r in rings] for rings in polygons]))
            rows.append(values)
        names = [n for n in columns(result) if n not in LEFT_OUT]
        fields = {n: _typed([row[n] for row in rows]) for n in names}
        fields = {n: (v, m) for n, (v, m) in fields.items() if not m.all() or n == "score"}
        pyogrio.raw.write(
            path, driver="GPKG", layer=result.path.stem, crs=place.crs,
            geometry=np.array(shapes, object), geometry_type="MultiPolygon",
            fields=list(fields),
            field_data=[v for v, _ in fields.values()], field_mask=[m for _, m in fields.values()],
        )  # fmt: skip


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
