"""Where an image lies on the map, as far as a format needs it."""

from __future__ import annotations

import warnings
from pathlib import Path

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import raster
from fastsam_plugins.io.formats import PLACES, has_tags, is_geotiff
from fastsam_plugins.io.raster import INSTALL, Georeference, Raster
from fastsam_plugins.io.read import image_size, orientation


def check_installed(output: Path) -> None:
    """Refuse a format that needs what is not installed."""
    if output.suffix.lower() == ".gpkg" and not raster.available():
        raise ValueError(f"{output}: writing GeoPackage needs pyogrio: {INSTALL}")


def georeference(output: Path, image: Path, page: int = 0) -> Georeference | None:
    """Where an image lies, as far as a format needs it, before it is segmented.

    Parameters
    ----------
    output : path
        Its ending is the format.
    image : path
    page : int
        The page read; only the first of a GeoTIFF is georeferenced.

    Raises
    ------
    ImageError
        If the format needs what the image lacks.
    ValueError
        If it needs what the installation lacks.
    """
    ending = output.suffix.lower()
    vector = ending in (".geojson", ".gpkg")
    if not vector and ending not in (".tif", ".tiff", ".csv"):
        return None
    place = None if page else _georeference(image, vector)
    if place is None and not page and ending in (".tif", ".tiff"):
        place = _placed(image)
    if place is not None:
        place = _upright(place, image)
    if ending == ".gpkg":
        checked(place, image)
    if ending == ".geojson" and place is not None and place.name is None:
        raise ImageError(
            f"the CRS of {image} has no EPSG code for GeoJSON to name it by: write .gpkg"
        )
    return place


def checked(place: Georeference | None, image: Path | str) -> Georeference:
    """A georeference that a format cannot do without."""
    if place is None:
        raise ImageError(f"{image} has no CRS, which .gpkg needs: write .geojson, in pixels then")
    return place


def _georeference(image: Path, needed: bool) -> Georeference | None:
    if not is_geotiff(image):
        return None
    if raster.available():
        return Raster(image).georeference
    problem = f"{image} is georeferenced, which only rasterio reads: {INSTALL}"
    if needed:
        raise ValueError(problem)
    warnings.warn(problem, stacklevel=2)
    return None


def _placed(image: Path) -> Georeference | None:
    """Where an image lies that has a transform, its own or of a world file, but no CRS."""
    ending = image.suffix.lower()
    worlds = [f"{ending}w", f".{ending[1]}{ending[-1]}w", ".wld"] if len(ending) > 2 else []
    beside = any(image.with_suffix(world).is_file() for world in worlds)
    if not raster.available() or not (beside or has_tags(image, PLACES)):
        return None
    transform = Raster(image).transform
    return None if transform is None else Georeference("", transform)


def _upright(place: Georeference, image: Path) -> Georeference:
    """Where the pixels of an image lie that is turned when it is read.

    Files say where pixels lie as they are stored, whatever the orientation of EXIF or TIFF.
    """
    turn = orientation(image)
    if turn == 1:
        return place
    height, width = image_size(image)
    a, b, c, d, e, f = place.transform
    across, right = (-1, width) if turn in (2, 3, 6, 7) else (1, 0)
    down, bottom = (-1, height) if turn in (3, 4, 7, 8) else (1, 0)
    if turn in (5, 6, 7, 8):  # the stored x runs down, and the stored y across
        first = b * across, a * down, a * bottom + b * right + c
        second = e * across, d * down, d * bottom + e * right + f
    else:
        first = a * across, b * down, a * right + b * bottom + c
        second = d * across, e * down, d * right + e * bottom + f
    return Georeference(place.crs, (*first, *second))
