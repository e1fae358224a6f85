"""Image files byte by byte, whatever they promise."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import read_image
from fastsam_plugins.options import ReadOptions

COLOR = np.kron(
    np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8),
    np.ones((8, 8, 1), np.uint8),
)


DEEP = COLOR[..., 0].astype(np.uint16) * 200


MOST = 60e6  # bytes that any refused or damaged small file may take


def refused(path, limits=None, read=read_image, **options):
    """The one line that is said of a file, for which little memory was taken."""
    tracemalloc.start()
    try:
        with pytest.raises(ImageError) as caught:
            read(path, ReadOptions(**options), limits)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    said = str(caught.value)
    assert "\n" not in said
    assert str(path) in said
    assert peak < MOST
    return said


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", zlib.crc32(kind + content)
    )  # fmt: skip


def png(width, height, bits=1, color=0, content=b""):
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")
    )


def tiff(width, height, data=b"", compression=1, rows=None, bits=8, order=1, tags=()):
    """A gray TIFF of one strip (or one of that many rows), whatever its data are."""
    strips = -(-height // (rows or height))
    fields = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression),
        (262, 3, 1, 1), (266, 3, 1, order), (273, 4, strips, 200), (277, 3, 1, 1),
        (278, 4, 1, rows or height), (279, 4, strips, len(data)), *tags,
    ]  # fmt: skip
    head = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(fields))
    head += b"".join(struct.pack("<HHII", *f) for f in sorted(fields)) + struct.pack("<I", 0)
    return head.ljust(200, b"\0") + data


def zeros(count, pack):
    """So many zero bytes, packed, without having them all."""
    packed = pack.compress(bytes(1 << 20))
    return (
        packed + b"".join(pack.compress(bytes(1 << 20)) for _ in range(count >> 20)) + pack.flush()
    )
