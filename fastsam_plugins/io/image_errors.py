"""What can be wrong with an image file, in one line that names it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.messages import one_line


class Unreadable(ValueError):
    """Why a file cannot be read; its name goes before."""


_KNOWN = {  # beginnings of images, of which some or all are read by nobody here
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "a kind of JPEG 2000",
    b"\xff\x4f\xff\x51": "a kind of JPEG 2000",
    b"PF\n": "a PFM of colours",
}


def _unread(path: Path) -> str:
    """What a file is that is not read, and what can be done."""
    with path.open("rb") as file:
        beginning = file.read(12)
    for start, name in _KNOWN.items():
        if beginning.startswith(start):
            return f"{name}, which this cannot read: save it as TIFF or PNG"
    return "not an image this can read"


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Errors of reading a file as :class:`ImageError`.

    Raises
    ------
    ImageError
        In the place of any other.
    """
    import tifffile
    from PIL import Image, UnidentifiedImageError

    from fastsam_plugins.io.formats import is_tiff

    try:
        yield
    except Unreadable as error:
        raise ImageError(f"{path} {error}") from None
    except (ImageError, TimeoutError) as error:
        text = str(error)
        raise ImageError(text if str(path) in text else f"{path}: {text}") from None
    except (UnidentifiedImageError, tifffile.TiffFileError) as error:
        if isinstance(error, UnidentifiedImageError) or not is_tiff(path):
            raise ImageError(f"{path} is {_unread(path)}") from None
        raise ImageError(f"{path} is damaged or truncated ({one_line(error)})") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} has parts that are too large ({error})") from None
    except MemoryError:
        raise ImageError(f"{path} takes more memory than there is") from None
    except Exception as error:  # damaged bytes break a decoder in any way
        if isinstance(error, OSError) and error.strerror:  # the system's word, no decoder's
            raise ImageError(f"{path} cannot be read ({error.strerror})") from None
        raise ImageError(f"{path} is damaged or truncated ({one_line(error)})") from None


def check_there(path: Path) -> None:
    """Refuse what is no file, or holds nothing.

    Raises
    ------
    ImageError
    """
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not an image")
    if not path.is_file():
        if path.exists():
            raise ImageError(f"{path} is a pipe or a device: save the image to a file first")
        raise ImageError(f"there is no file {path}")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty")
