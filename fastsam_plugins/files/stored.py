"""The values of image files as they are stored: no stretching, no colours made of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import limits as L
from fastsam_plugins.files import geo
from fastsam_plugins.files.reading import _damage, open_image
from fastsam_plugins.files.rows import TiffRows, Unreadable, check_pixels
from fastsam_plugins.images import ImageError
from fastsam_plugins.options import LimitOptions

_ORIENTATION, _NODATA = 0x0112, 42113
_UNPACKED = {"L;2": 85, "L;4": 17}  # what Pillow multiplies the values of small gray PNG by
_MISSING = ("imagecodecs", "compression")  # modules without which tifffile has no decoder


@dataclass(frozen=True)
class Stored:
    """What an image file holds, upright.

    Attributes
    ----------
    values : array (H, W) or (H, W, C)
        Of a palette image the numbers of its entries.
    nodata : float, optional
        The value that stands for no data, if the file names one.
    hidden : bool array (H, W), optional
        Pixels that the file's mask or alpha channel hides.
    palette : uint8 array (K, 3), optional
    lossy : bool
        Whether the values need not be those that were saved, as in JPEG.
    """

    values: NDArray
    nodata: float | None = None
    hidden: NDArray[np.bool_] | None = None
    palette: NDArray[np.uint8] | None = None
    lossy: bool = False


def read(path: str | Path, limits: LimitOptions | None = None) -> Stored:
    """The values of a file: any image format, or ``.npy``.

    What a file is, its bytes say and not its name.

    Raises
    ------
    ImageError
        If it is missing, damaged or no image, has several pages, or asks for more than
        :class:`LimitOptions` allow; one line that says which.
    """
    path, limits = Path(path), limits or L.DEFAULT
    kind = _kind(path)
    clock = L.Clock(limits)
    try:
        if kind == "npy":
            return _numpy(path, limits)
        return (_tiff if kind == "tiff" else _pillow)(path, limits, clock)
    except Unreadable as error:
        raise ImageError(f"{path} {error}") from None
    except TimeoutError as error:
        raise ImageError(f"{path}: {error}") from None


def shape_of(path: Path) -> tuple[int, int]:
    """Height and width of an image file, upright; its pixels are not decoded.

    Raises
    ------
    ImageError
        If it is no image.
    """
    if _kind(path) == "tiff":
        import tifffile

        with _damage(path), tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            height, width = int(page.imagelength), int(page.imagewidth)
            turned = _orientation(page)
    else:
        with _damage(path), open_image(path) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION, 1)
    return (width, height) if turned in (5, 6, 7, 8) else (height, width)


def upright(array: NDArray, orientation: int) -> NDArray:
    """An array (H, W, ...) turned as an EXIF or TIFF orientation (1 to 8) says."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _kind(path: Path) -> str:
    with _damage_of_opening(path) as stream:
        start = stream.read(6)
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    magic = start[:2], start[2:4]
    versions = {b"II": (b"*\0", b"+\0"), b"MM": (b"\0*", b"\0+")}
    return "tiff" if magic[1] in versions.get(magic[0], ()) else "other"


def _damage_of_opening(path: Path) -> Any:
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not an image")
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise ImageError(f"there is no file {path}") from None
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from None


def _numpy(path: Path, limits: LimitOptions) -> Stored:
    with _damage(path):
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        values = values.squeeze() if values.ndim > 2 and 1 in values.shape else values
        if values.ndim < 2:
            raise ImageError(f"{path} is no image: it has the shape {values.shape}")
        check_pixels(values.shape, limits)
        return Stored(np.array(values))


# --- TIFF ---------------------------------------------------------------------------------------


def _tiff(path: Path, limits: LimitOptions, clock: L.Clock) -> Stored:
    import tifffile

    with _damage(path), tifffile.TiffFile(path) as tiff:
        page, mask = _pages(tiff, path)
        check_pixels((page.imagelength, page.imagewidth), limits)
        try:
            values = TiffRows(page, limits, clock)[:]
        except (ValueError, ImportError) as error:
            if not any(name in str(error) for name in _MISSING):
                raise
            values = _by_others(path, limits, clock)
        hidden = None if mask is None else TiffRows(mask, limits, clock)[:] == 0
        inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        # tifffile says so of the masks of bits that it writes, and does not invert them.
        if inverted and values.dtype == np.bool_ and not page.software.startswith("tifffile"):
            values = ~values
        palette = None
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
            palette = (page.colormap.T >> 8).astype(np.uint8)
        color = page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
        alpha = {1, 2}.intersection(int(s) for s in page.extrasamples)
        if alpha and values.ndim == 3 and values.shape[2] == (4 if color else 2):
            clear = values[..., -1] == 0
            hidden = clear if hidden is None else hidden | clear
            values = values[..., :-1] if color else values[..., 0]
        turned = _orientation(page)
        return Stored(
            upright(values, turned),
            float(page.tags[_NODATA].value) if _NODATA in page.tags else None,
            None if hidden is None else upright(hidden, turned),
            palette,
            page.compression in (6, 7) or page.photometric == tifffile.PHOTOMETRIC.YCBCR,
        )


def _pages(tiff: Any, path: Path) -> tuple[Any, Any]:
    """The one page that is an image, and the one that masks it; smaller copies are passed over."""
    images, masks = [], []
    for page in tiff.pages:
        if page.is_mask if hasattr(page, "is_mask") else int(page.subfiletype) & 4:
            masks.append(page)
        elif not int(page.subfiletype) & 1:
            images.append(page)
        if len(images) > 1:
            raise ImageError(f"{path} has {len(tiff.pages)} pages, and one is needed")
    if not images:
        raise ImageError(f"{path} is damaged or truncated (it has no page)")
    page = images[0]
    same = [
        m for m in masks if (m.imagelength, m.imagewidth) == (page.imagelength, page.imagewidth)
    ]
    return page, same[0] if same else None


def _orientation(page: Any) -> int:
    tag = page.tags.get("Orientation")
    return int(tag.value) if tag else 1


def _by_others(path: Path, limits: LimitOptions, clock: L.Clock) -> NDArray:
    """Values of a compression that tifffile has no decoder for."""
    if geo.available():
        raster = geo.Raster(path)
        values = raster[:, :]
        return values[..., 0] if values.shape[2] == 1 else values
    with open_image(path, limits, clock) as image:
        return np.asarray(image)


# --- everything else ----------------------------------------------------------------------------


def _pillow(path: Path, limits: LimitOptions, clock: L.Clock) -> Stored:
    with _damage(path), open_image(path, limits, clock) as image:
        raw = str(image.tile)  # which loading empties, and looking for EXIF in a PNG loads
        turned = image.getexif().get(_ORIENTATION, 1)
        lossy = image.format in ("JPEG", "MPO", "JPEG2000") or (
            image.format == "WEBP" and b"VP8 " in path.open("rb").read(40)
        )
        palette = None
        if image.mode in ("RGB", "RGBA", "LA") and "16" in raw:
            values = _sixteen_bit(path)  # of which Pillow keeps eight
        else:
            image.load()
            if image.mode == "P" and image.palette is not None:
                colors = image.palette.getdata()[1] if image.palette.mode == "RGB" else b""
                palette = np.frombuffer(colors, np.uint8)[: len(colors) // 3 * 3].reshape(-1, 3)
            elif image.mode == "PA":
                image = image.convert("RGBA")
            elif image.mode not in ("1", "L", "LA", "RGB", "RGBA", "F") and image.mode[0] != "I":
                image = image.convert("RGB")
            values = np.asarray(image)
            for packed, factor in _UNPACKED.items():
                if f"'{packed}'" in raw:
                    values = values // np.uint8(factor)
        hidden = None
        if values.ndim == 3 and values.shape[2] in (2, 4):
            hidden = values[..., -1] == 0
            values = values[..., 0] if values.shape[2] == 2 else values[..., :3]
        hidden = None if hidden is None else upright(hidden, turned)
        return Stored(upright(values, turned), None, hidden, palette, lossy)


def _sixteen_bit(path: Path) -> NDArray:
    import cv2

    found = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise ImageError(f"{path} is damaged or truncated")
    if found.ndim == 3 and found.shape[2] in (3, 4):
        found = found[..., [2, 1, 0, 3][: found.shape[2]]]
    return np.asarray(found)
