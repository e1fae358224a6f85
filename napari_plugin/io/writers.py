"""Labels and Shapes layers out of napari, in the formats of :mod:`fastsam_plugins.io`.

Numbers stay: label 7 is 7 in every file. Rows of ``layer.features`` go with their labels, found as
napari does: by a column ``index``, else row i is label i. Where ``layer.metadata`` has a ``crs``
and a ``transform`` (as the reader of GeoTIFF leaves them), files lie on the map.
"""

from __future__ import annotations

import functools
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import io
from fastsam_plugins.io import atomic
from fastsam_plugins.io.georeferencing import check_installed, checked
from fastsam_plugins.io.vectors import Feature, Layer, features, geojson, write_geopackage
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.outlines import signed_area
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.blocks import Level
from napari_plugin.model.plane import CHANNEL_AXIS

ELLIPSE = 64  # corners that an ellipse is drawn with

About = Mapping[str, Any]
F = TypeVar("F", bound=Callable[..., Any])


class WriteError(RuntimeError):
    """A layer cannot be written; the message says what to do."""


def _write_errors(write: F) -> F:
    """Turn a writer's ValueError into a WriteError.

    napari takes any ValueError for "there is no such writer", and its message is lost.
    """

    @functools.wraps(write)
    def writer(*args: Any) -> Any:
        try:
            return write(*args)
        except ValueError as error:
            raise WriteError(str(error)) from error

    return cast(F, writer)


@_write_errors
def write_labels(path: str, data: Any, about: About) -> list[str]:
    """Write a Labels layer; the ending says how.

    ``.tif`` labels, ``.json`` COCO, ``.csv`` table, ``.geojson`` and ``.gpkg`` polygons. Stacks are
    written slice by slice, and as they are to ``.tif``.

    Parameters
    ----------
    path : str
    data : int array (..., H, W), or a list of such, the finest first
    about : mapping
        The layer's metadata, as npe2 hands it over.

    Raises
    ------
    WriteError
        If the layer lacks what the format needs.
    """
    output, place = Path(path), georeference(about)
    _check_apart(output, about)
    labels = data[0] if about.get("multiscale") else data
    over = _over_channels(about, len(labels.shape))
    if over is not None and labels.shape[over] == 1:
        labels = labels if isinstance(labels, Level) else np.asarray(labels)
        labels = labels[(slice(None),) * over + (0,)]
    ending = output.suffix.lower()
    if ending in io.TIFF:
        whole: Any = labels if isinstance(labels, Level) else np.asarray(labels)
        io.write_labels(whole, output, place)
        return [path]
    _check(output, place, about)
    planes = list(_planes(labels, about, place))
    if ending in (".json", ".csv"):
        io.write_results(planes, output)
        return [path]
    polygons = [feature for plane in planes for feature in features(plane)]
    _write_features(output, polygons, place, about, "detection")
    return [path]


@_write_errors
def write_shapes(path: str, data: Sequence[NDArray], about: About) -> list[str]:
    """Write polygons, rectangles and ellipses of a Shapes layer, as they were drawn.

    Shape i is number i + 1, unless the features have a column ``index``. Outlines that cross
    themselves become polygons that do not, of the same pixels. Lines and paths, which have no area,
    are left out with a warning.
    """
    output, place = Path(path), georeference(about)
    _check_apart(output, about)
    _check(output, place, about)
    table = _table(about)
    numbers = table.pop("index", None) or list(range(1, 1 + len(data)))
    ndim = data[0].shape[1] if len(data) else 2
    over = _over_channels(about, ndim)
    if over is not None:
        data, ndim = [np.delete(corners, over, axis=1) for corners in data], ndim - 1
    axes = _axes(about, ndim)
    kinds = about.get("shape_type", "polygon")
    kinds = [kinds] * len(data) if isinstance(kinds, str) else kinds
    outlines, flat, image = [], 0, _source(about).name
    for k, (corners, kind) in enumerate(zip(data, kinds, strict=True)):
        closed = kind in ("polygon", "rectangle", "ellipse")
        polygons = _polygons(_outline(corners, kind)) if closed else []
        if not polygons:
            flat += 1
            continue
        plane = dict(zip(axes, np.rint(corners[0, :-2]).astype(int).tolist(), strict=True))
        known = {n: v[k] for n, v in table.items()} | plane
        values = {"image": image, "instance": int(numbers[k]), **known}
        outlines.append(Feature(int(numbers[k]), polygons, values, plane))
    if flat:
        warnings.warn(
            f"{flat} of {len(data)} shapes are left out: they have no area, as lines and paths",
            stacklevel=2,
        )
    _write_features(output, outlines, place, about, "annotation")
    return [path]


def source_files(layers: Iterable[Any]) -> list[Path]:
    """The files that layers were read from, or were made over."""
    files = []
    for layer in layers:
        path = getattr(getattr(layer, "source", None), "path", None)
        kept = getattr(layer, "metadata", None) or {}
        files += [Path(str(p)) for p in (path, kept.get("path"), kept.get("image")) if p]
    return files


def _check_apart(output: Path, about: About) -> None:
    """Refuse to write over the file of an image, or of any layer that is open."""
    kept = about.get("metadata") or {}
    inputs = [Path(str(kept[n])) for n in ("path", "image") if kept.get(n)]
    napari = sys.modules.get("napari")
    viewer = None if napari is None else napari.current_viewer()
    if viewer is not None:
        inputs += source_files(viewer.layers)
    atomic.check_apart([output], inputs)


def georeference(about: About) -> io.Georeference | None:
    """Where a layer's pixels lie, by its metadata; None if they lie nowhere.

    Raises
    ------
    ValueError
        If the metadata are not what they should be.
    """
    kept = about.get("metadata") or {}
    crs, transform = kept.get("crs"), kept.get("transform")
    if crs is None or transform is None:
        return None
    try:
        a, b, c, d, e, f = (float(v) for v in tuple(transform)[:6])
    except (TypeError, ValueError):
        raise ValueError(
            f'metadata["transform"] of layer {about.get("name")} has to be six numbers, a to f'
        ) from None
    return io.Georeference(str(crs), (a, b, c, d, e, f))


def _check(output: Path, place: io.Georeference | None, about: About) -> None:
    """Refuse what cannot be written, before anything is computed."""
    if output.suffix.lower() == ".gpkg":
        check_installed(output)
        checked(place, f"layer {about.get('name', 'labels')}")


def _write_features(
    output: Path, outlines: list[Feature], place: io.Georeference | None, about: About, kind: str
) -> None:
    if output.suffix.lower() == ".gpkg":
        layer = Layer(_source(about).stem, outlines, checked(place, output))
        write_geopackage(output, [layer])
        return
    atomic.write_json(output, geojson(outlines, place, kind))


def _source(about: About) -> Path:
    """The file that a layer's image came from, or else a name: the image's, or the layer's."""
    kept = about.get("metadata") or {}
    names = (*(kept.get(n) for n in ("path", "image", "image_name")), about.get("name"))
    return Path(str(next((n for n in names if n), "labels")))


def _planes(labels: Any, about: About, place: io.Georeference | None) -> Iterator[io.ImageResult]:
    """Every (H, W) slice of labels, with the rows of its features."""
    table = _table(about)
    numbered = table.pop("index", None)
    rows = {int(n): k for k, n in enumerate(numbered)} if numbered is not None else None
    count = len(next(iter(table.values()), []))
    axes = _axes(about, len(labels.shape))
    pixel, unit = _pixel(about)
    for key in np.ndindex(*labels.shape[:-2]):
        if isinstance(labels, Level):
            masks = labels.masks(key)
        else:
            masks = R.from_labels(np.asarray(labels[key]))
        at = [rows.get(n) if rows is not None else n for n in masks]
        extra: dict[str, list[Any]] = {
            name: [None if k is None or k >= count else values[k] for k in at]
            for name, values in table.items()
        }
        if place is None and unit:
            extra[f"area_{unit}2"] = [R.area(m) * pixel for m in masks.values()]
        unknown = np.full(len(masks), np.nan)
        shape = (int(labels.shape[-2]), int(labels.shape[-1]))
        seg = Segmentation.from_runs(list(masks.values()), shape, unknown)
        slices = dict(zip(axes, key, strict=True))
        yield io.ImageResult(_source(about), None, seg, place, list(masks), slices, extra)


def _table(about: About) -> dict[str, list[Any]]:
    """Columns of a layer's features; None where there is no value."""
    import pandas as pd

    frame = pd.DataFrame(about.get("features", {}))
    known = frame.astype(object).where(frame.notna(), None)
    return {str(name): known[name].tolist() for name in known}


def _over_channels(about: About, ndim: int) -> int | None:
    """The axis on which a layer of the widget's lies over all channels of its image."""
    axis = (about.get("metadata") or {}).get(CHANNEL_AXIS)
    return axis if isinstance(axis, int) and 0 <= axis < ndim - 2 else None


_UNNAMED = re.compile(r"(axis )?-?\d+")  # what napari, or napari 0.5.0, calls an axis by itself


def _axes(about: About, ndim: int) -> list[str]:
    """Names of all axes but the last two: the layer's own, else t and z."""
    given = list(about.get("axis_labels") or ())
    over = _over_channels(about, len(given))
    if over is not None and len(given) == ndim + 1:
        del given[over]
    if len(given) != ndim or any(_UNNAMED.fullmatch(str(a)) for a in given):
        given = [*(f"axis_{k}" for k in range(ndim - 4)), "t", "z", "y", "x"][-ndim:]
    return [str(name) for name in given[: ndim - 2]]


def _pixel(about: About) -> tuple[float, str]:
    """Area of a pixel and its unit's name; an empty name if it is not known."""
    units = [str(u) for u in (about.get("units") or ())][-2:]
    if len(set(units)) != 1 or units[0] in ("pixel", "dimensionless", ""):
        return 1.0, ""
    scale = np.asarray(about.get("scale", (1, 1)), float)[-2:]
    affine = np.asarray(about.get("affine", np.eye(3)), float)[-3:-1, -3:-1]
    short = {"micrometer": "um", "millimeter": "mm", "nanometer": "nm", "meter": "m"}
    area = abs(float(np.prod(scale)) * float(np.linalg.det(affine)))
    return area, short.get(units[0], units[0])


def _polygons(ring: NDArray[np.float64]) -> list[list[NDArray[np.float64]]]:
    """What a closed ring encloses by the even-odd rule, as napari fills it: valid polygons."""
    import shapely

    parts = shapely.get_parts(shapely.make_valid(shapely.Polygon(ring)))
    parts = shapely.get_parts(parts)  # of a collection that holds a MultiPolygon
    polygons = []
    for part in parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]:
        part = shapely.geometry.polygon.orient(part)
        polygons.append([np.asarray(r.coords) for r in (part.exterior, *part.interiors)])
    return polygons


def _outline(corners: NDArray, kind: str) -> NDArray[np.float64]:
    """A closed ring (K + 1, 2) in pixels (x, y), its signed area positive.

    napari puts the middle of the first pixel at (0, 0), this project its corner.
    """
    ring = np.asarray(corners, np.float64)[:, :-3:-1] + 0.5
    if kind == "ellipse":
        centre, u, v = ring.mean(0), (ring[1] - ring[0]) / 2, (ring[3] - ring[0]) / 2
        angle = np.linspace(0, 2 * np.pi, ELLIPSE, endpoint=False)[:, None]
        ring = centre + u * np.cos(angle) + v * np.sin(angle)
    ring = np.concatenate([ring, ring[:1]])
    return ring if signed_area(ring) > 0 else ring[::-1]
