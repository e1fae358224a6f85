"""PNG files written strip by strip: an image library holds the whole picture, twice."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_LEFT = 1  # PNG's filter that stores each byte as its difference to that of the pixel before
_CHANNELS = 3


def write_png(path: Path, size: tuple[int, int], strips: Iterable[NDArray[np.uint8]]) -> None:
    """Write an 8-bit RGB image.

    Parameters
    ----------
    path : path
    size : (H, W)
    strips : iterable of uint8 array (h, W, 3)
        From the top down; their heights add up to H.
    """
    height, width = size
    packer = zlib.compressobj(6)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        written = 0
        for strip in strips:
            rows = np.empty((len(strip), 1 + _CHANNELS * width), np.uint8)
            rows[:, 0] = _LEFT
            pixels = rows[:, 1:].reshape(strip.shape)
            pixels[:, 0] = strip[:, 0]
            np.subtract(strip[:, 1:], strip[:, :-1], out=pixels[:, 1:])
            if packed := packer.compress(rows.data):
                _chunk(file, b"IDAT", packed)
            written += len(strip)
        if written != height:
            raise ValueError(f"{written} rows are not the {height} of the image")
        _chunk(file, b"IDAT", packer.flush())
        _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
