"""Georeferenced rasters: where their pixels lie on the Earth, and windows of them."""

from __future__ import annotations

import functools
import importlib.util
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins.messages import install

INSTALL = install("geo")

Transform = tuple[float, float, float, float, float, float]


def available() -> bool:
    """Whether the extra ``geo`` is installed."""
    return all(importlib.util.find_spec(name) for name in ("rasterio", "pyogrio"))


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of a raster lie.

    Attributes
    ----------
    crs : str
        Coordinate reference system: ``EPSG:32616``, or WKT where it has no code; empty where only
        the transform is known, which label images keep.
    transform : tuple of 6 floats
        ``(a, b, c, d, e, f)``: the point (x, y) in pixels lies at X = a x + b y + c,
        Y = d x + e y + f, in units of the CRS. Pixel (0, 0) covers [0, 1) x [0, 1).
    """

    crs: str
    transform: Transform

    def to_map(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (N, 2), (x, y) in pixels, in units of the CRS (X, Y)."""
        a, b, c, d, e, f = self.transform
        x, y = np.asarray(points, np.float64).T
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)

    @property
    def determinant(self) -> float:
        """Area of a pixel in squared units of the CRS; negative where y points the other way."""
        a, b, _, d, e, _ = self.transform
        return a * e - b * d

    @property
    def pixel_m2(self) -> float | None:
        """Area of a pixel in square metres on the map; None unless the CRS is projected."""
        metres = _metres(self.crs) if self.crs else None
        return None if metres is None else abs(self.determinant) * metres**2

    @property
    def name(self) -> str | None:
        """The CRS as GeoJSON files name it; None if it has no code.

        Longitude comes before latitude there, whatever order the EPSG defines.
        """
        authority, _, code = self.crs.partition(":")
        if self.crs == "EPSG:4326":
            return "urn:ogc:def:crs:OGC:1.3:CRS84"
        return f"urn:ogc:def:crs:{authority}::{code}" if code.isalnum() else None


@functools.lru_cache
def _metres(crs: str) -> float | None:
    """Metres per unit of a projected CRS."""
    from rasterio.crs import CRS

    parsed = CRS.from_user_input(crs)
    return float(parsed.linear_units_factor[1]) if parsed.is_projected else None


class Raster:
    """A raster file as an array (H, W, C) that is read window by window.

    The file is opened for every window, so that any thread or process may read. Alpha bands are no
    bands here: they say where there is data.

    Parameters
    ----------
    path : path
    level : int, optional
        An overview (a smaller copy in the file), counted from 0; by default the raster itself.

    Attributes
    ----------
    shape : (H, W, C)
    dtype : numpy dtype
    nodata : float or None
        The value of pixels without data.
    bands : tuple of str
        Names, ``band 1`` and so on where the file has none.
    georeference : Georeference or None
        None without a CRS.
    transform : tuple of 6 floats or None
    colors : tuple of int or None
        The bands that are marked red, green and blue, where they are marked.
    bits : int
        Of a value.
    overviews : int
        How many there are.
    block : (int, int)
        Rows and columns of what the file stores together.

    Raises
    ------
    ValueError
        If rasterio is not installed.
    OSError
        If the file cannot be read.
    """

    ndim = 3

    def __init__(self, path: str | Path, level: int | None = None) -> None:
        if not available():
            raise ValueError(f"{path}: reading a raster needs rasterio: {INSTALL}")
        self.path, self._level = Path(path), level
        with self._open() as file:
            interpretation = [c.name for c in file.colorinterp]
            self._indexes = [i for i in file.indexes if interpretation[i - 1] != "alpha"]
            self.shape = (file.height, file.width, len(self._indexes))
            self.dtype = np.dtype(np.result_type(*(file.dtypes[i - 1] for i in self._indexes)))
            self.nodata: float | None = file.nodata
            self.bands = tuple(file.descriptions[i - 1] or f"band {i}" for i in self._indexes)
            self.colors = marked([interpretation[i - 1] for i in self._indexes])
            structure = file.tags(self._indexes[0], ns="IMAGE_STRUCTURE") if self._indexes else {}
            self.bits = int(structure.get("NBITS", 8 * self.dtype.itemsize))
            self.overviews = len(file.overviews(1)) if level is None else 0
            self.block: tuple[int, int] = file.block_shapes[0]
            self.georeference: Georeference | None = None
            self.transform: Transform | None = None
            if not file.transform.is_identity:
                transform: Any = tuple(file.transform)[:6]
                self.transform = transform
                if file.crs is not None:
                    self.georeference = Georeference(file.crs.to_string(), transform)

    def _open(self) -> Any:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning

        how = {} if self._level is None else {"overview_level": self._level}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # georeference is None
            return rasterio.open(self.path, **how)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray:
        """Pixels of a window: ``raster[y0:y1, x0:x1]``, or any other basic index."""
        full = index if isinstance(index, tuple) else (index,)
        if any(i is None or i is Ellipsis for i in full):
            raise IndexError("a raster is indexed by rows, columns and bands")
        rows, columns, bands = full + (slice(None),) * (3 - len(full))
        y, rest_y = _span(rows, self.shape[0])
        x, rest_x = _span(columns, self.shape[1])
        chosen = np.array(self._indexes)[bands]
        if y.stop == y.start or x.stop == x.start or not chosen.size:
            return np.empty(self.shape, self.dtype)[index]
        with self._open() as file:
            window = ((y.start, y.stop), (x.start, x.stop))
            pixels = np.moveaxis(file.read(chosen.ravel().tolist(), window=window), 0, -1)
        return pixels[rest_y][..., rest_x, :][..., 0 if chosen.ndim == 0 else slice(None)]

    def read(self, window: tuple[int, int, int, int] | None = None) -> np.ma.MaskedArray:
        """Pixels (H, W, C) of a window ``(x0, y0, x1, y1)``; those without data are masked."""
        x0, y0, x1, y1 = window or (0, 0, self.shape[1], self.shape[0])
        with self._open() as file:
            read = {"window": ((y0, y1), (x0, x1))}
            pixels = np.moveaxis(file.read(self._indexes, **read), 0, -1)
            hidden = file.dataset_mask(**read) == 0
        return np.ma.masked_array(pixels, np.repeat(hidden[:, :, None], pixels.shape[2], 2))


def marked(roles: list[str]) -> tuple[int, int, int] | None:
    """The places of red, green and blue among bands; None unless each is there once."""
    wanted = ("red", "green", "blue")
    if any(roles.count(color) != 1 for color in wanted):
        return None
    red, green, blue = (roles.index(color) for color in wanted)
    return red, green, blue


def _span(index: Any, length: int) -> tuple[slice, Any]:
    """What of an axis has to be read, and how to index what was read."""
    if isinstance(index, slice):
        wanted = range(length)[index]
        if not wanted:
            return slice(0, 0), slice(None)
        low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
        return slice(low, high + 1), slice(None, None, wanted.step)
    place = range(length)[index]
    return slice(place, place + 1), 0


def same(array: NDArray, nodata: float) -> NDArray[np.bool_]:
    """The pixels (H, W) of (H, W) or (H, W, C) whose every band has the value of no data."""
    equal = np.isnan(array) if math.isnan(nodata) else array == nodata
    return equal if array.ndim == 2 else equal.all(axis=2)
