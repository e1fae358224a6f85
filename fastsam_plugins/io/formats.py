"""Which format a file is in, by what is in it: names are often wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

GEO_KEYS = 34735  # the TIFF tag that makes a GeoTIFF
PLACES = (GEO_KEYS, 33550, 34264)  # and those that place it, with a CRS or without


def is_geotiff(path: str | Path) -> bool:
    """Whether a file is a TIFF with the tags of a GeoTIFF; needs no rasterio."""
    return has_tags(path, (GEO_KEYS,))


def has_tags(path: str | Path, tags: Sequence[int]) -> bool:
    """Whether the first page of a TIFF has one of some tags."""
    import tifffile

    try:
        if not is_tiff(path):
            return False
        with tifffile.TiffFile(path) as tiff:
            return any(tag in tiff.pages[0].tags for tag in tags)
    except Exception:  # damaged bytes break the parser in any way: who reads it says how
        return False


def is_tiff(path: str | Path) -> bool:
    """Whether a file is a TIFF, by its beginning: names are often wrong."""
    if not Path(path).is_file():  # opening a pipe waits for someone who writes
        return False
    try:
        with open(path, "rb") as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError:
        return False
