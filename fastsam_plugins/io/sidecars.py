"""What lies beside the pixels of a TIFF: masks in it or in a file ``.msk``, GDAL's ``.aux.xml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.io.formats import is_tiff
from fastsam_plugins.io.image_errors import told
from fastsam_plugins.io.tiff import TiffPixels
from fastsam_plugins.limits import Clock
from fastsam_plugins.options import LimitOptions

REDUCED, MASK = 1, 4  # bits of a page's subfile type
_MOST = 1 << 23  # bytes of an .aux.xml: a palette of 65536 colours has 4 MB


def mask_of(
    path: Path, number: int, pixels: TiffPixels, limits: LimitOptions, clock: Clock
) -> TiffPixels | None:
    """The mask of a page, of its size: 0 hides a pixel."""
    page = pixels.page
    size, pages = (page.imagelength, page.imagewidth), page.parent.pages
    after = number + 1
    while after < len(pages):
        other = pages[after]
        kind = int(other.subfiletype)
        if kind & MASK and not kind & REDUCED and (other.imagelength, other.imagewidth) == size:
            return _prepared(path, after, limits, clock)
        if not kind & (MASK | REDUCED):
            return None  # the next image: its masks are behind it
        after += 1
    beside = path.with_name(f"{path.name}.msk")
    if number or not is_tiff(beside):
        return None
    with told(beside):
        mask = _prepared(beside, 0, limits, clock)
    return mask if mask.shape[:2] == size else None


def _prepared(path: Path, number: int, limits: LimitOptions, clock: Clock) -> TiffPixels:
    mask = TiffPixels(path, number, limits, clock)
    mask.prepare()
    return mask


@dataclass(frozen=True)
class Beside:
    """What an ``.aux.xml`` says of the first band.

    Attributes
    ----------
    palette : uint8 array (n, 3) or None
    nodata : float or None
    """

    palette: NDArray[np.uint8] | None = None
    nodata: float | None = None


def aux_xml(path: Path) -> Beside:
    """What the ``.aux.xml`` beside an image says, which is how GDAL notes what it cannot write."""
    aux = path.with_name(f"{path.name}.aux.xml")
    if not aux.is_file() or aux.stat().st_size > _MOST:
        return Beside()
    text = aux.read_bytes()
    try:
        root = ElementTree.Element("") if b"<!ENTITY" in text else ElementTree.fromstring(text)
        band = next((b for b in root.iter("PAMRasterBand") if b.get("band") == "1"), None)
        if band is None:
            return Beside()
        listed = band.findall("ColorTable/Entry")
        entries = [[int(e.get(f"c{i}", 0)) for i in (1, 2, 3)] for e in listed]
        value = band.findtext("NoDataValue")
        nodata = None if value is None else float(value)
        shown = band.findtext("ColorInterp", "Palette") == "Palette"
    except (ElementTree.ParseError, ValueError):  # as GDAL, which goes without
        return Beside()
    colors = np.clip(np.array(entries), 0, 255).astype(np.uint8) if entries and shown else None
    return Beside(colors, nodata)
