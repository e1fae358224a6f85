"""Strips and tiles of TIFF files unpacked: as far as their image goes, and no byte further.

tifffile inflates whatever is there, and takes the size of a picture inside a tile from that
picture. So what can be bounded is unpacked here, and the page is told that nothing is left to be
done; what tifffile has to do is looked at before.
"""

from __future__ import annotations

import lzma
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.io.image_errors import Unreadable
from fastsam_plugins.io.tiff_jpeg import decoded, jpeg_size

Shape = tuple[int, int, int]
Unpack = Callable[[bytes, Shape], bytes | NDArray]
"""From a segment's bytes and the shape (rows, columns, samples) that it has whole: what tifffile
makes values of, or values."""

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_CCITT = (2, 3, 4)  # which tifffile bounds by rows and columns
_JPEG = (6, 7, 33007, 34892)
_STEP = 1 << 16
_NEW_JPEG = (7, 33007)
JPEG2000 = (33003, 33004, 33005, 34712)
_LERC = 34887
_PICTURES = {34933: "png", 22610: "jpegxr", 34934: "jpegxr", 50001: "webp", 50002: "jpegxl",
             52546: "jpegxl"}  # fmt: skip


def unpacker(page: Any) -> Unpack | None:
    """What unpacks the segments of a page, which is changed so that tifffile does the rest.

    Raises
    ------
    Unreadable
        If nothing does.
    """
    import tifffile

    code = int(page.compression)
    if code in _CCITT:
        return None
    mixed = not isinstance(page.bitspersample, int)
    if code == 1:
        bits = 0 if mixed else page.bitspersample
        return lambda data, shape: _enough(data, _size(shape, bits))
    if code in _JPEG:
        return _jpeg(page)
    if code in JPEG2000:
        return lambda data, shape: _checked(data, jpeg2000(data)[0], shape)
    turned = page.fillorder == 2
    byteorder, dtype = page.parent.byteorder, np.dtype(page.dtype)
    if code == _LERC:
        within = int((page.tags.valueof(50674) or (0, 0))[1])
        done = lambda data, shape: _stored(_lerc(data, shape, dtype, within), byteorder)  # noqa: E731
    elif code in _PICTURES:
        kind, turned, samples = _PICTURES[code], False, page.samplesperpixel
        done = lambda data, shape: _stored(  # noqa: E731
            _picture(kind, data, shape, dtype, samples), byteorder
        )
    elif made := _streams().get(code):
        bits = 8 * dtype.itemsize if mixed else page.bitspersample

        def done(data: bytes, shape: Shape) -> bytes:
            size = _size(shape, bits)
            return _enough(made(data, size), 0 if mixed else size)
    else:
        known = code in [int(c) for c in tifffile.COMPRESSION]
        name = tifffile.COMPRESSION(code).name if known else f"method {code}"
        raise Unreadable(
            f"is compressed by {name}, which this cannot read: save it with LZW or deflate"
        )
    page.compression = page.fillorder = 1
    if code in _PICTURES:
        page.predictor = 1
    return lambda data, shape: done(data.translate(_REVERSED) if turned else data, shape)


def _jpeg(page: Any) -> Unpack:
    header = page.jpegheader or b""

    def checked(data: bytes, shape: Shape) -> bytes:
        return _checked(data, jpeg_size(header + data), shape)

    if header or int(page.compression) not in _NEW_JPEG:
        return checked
    return lambda data, shape: decoded(checked(data, shape), page, shape)


def _size(shape: Shape, bits: int) -> int:
    """Bytes of a segment: rows begin at whole bytes."""
    return shape[0] * math.ceil(shape[1] * shape[2] * bits / 8)


def _to_the_end(stream: Any, more: Callable[[], bytes], size: int) -> None:
    """Go on to the checksum, which the stream compares; not in one that is far longer."""
    beyond = 0
    while not stream.eof and beyond <= size:
        step = b"" if getattr(stream, "needs_input", False) else more()
        if not (step or stream.eof):
            raise Unreadable("is damaged or truncated: a piece of it has no end")
        beyond += len(step)


def _enough(data: bytes, size: int) -> bytes:
    """What tifffile would fill up with zeros."""
    if len(data) < size:
        raise Unreadable("is damaged or truncated: a piece of it has too few pixels")
    return data


def _streams() -> dict[int, Callable[[bytes, int], bytes]]:
    """Of compressions of bytes, by their number in TIFF: unpack so many bytes at most."""
    import imagecodecs

    def deflate(data: bytes, size: int) -> bytes:
        stream = zlib.decompressobj()
        out = stream.decompress(data, size)
        _to_the_end(stream, lambda: stream.decompress(stream.unconsumed_tail, _STEP), size)
        return out

    def xz(data: bytes, size: int) -> bytes:
        stream = lzma.LZMADecompressor()
        out = stream.decompress(data, size)
        _to_the_end(stream, lambda: stream.decompress(b"", _STEP), size)
        return out

    def zstd(data: bytes, size: int) -> bytes:
        return bytes(imagecodecs.zstd_decode(data, out=size))

    return {
        5: lambda data, size: bytes(imagecodecs.lzw_decode(data, out=size)),
        8: deflate,
        32946: deflate,
        50013: deflate,
        32773: _packbits,
        34925: xz,
        34926: zstd,
        50000: zstd,
    }


def _packbits(data: bytes, size: int) -> bytes:
    import imagecodecs

    # It grows at most 64-fold: no more of it than could be needed.
    return bytes(imagecodecs.packbits_decode(data[: 2 * size + 2]))[:size]


def _stored(array: NDArray, byteorder: Any) -> bytes:
    return array.astype(array.dtype.newbyteorder(byteorder), copy=False).tobytes()


def _shapes(shape: Shape) -> Iterator[tuple[int, ...]]:
    """The shapes that a decoder may give to a segment."""
    yield shape
    if shape[2] == 1:
        yield shape[:2]


def _picture(kind: str, data: bytes, shape: Shape, dtype: np.dtype, samples: int) -> NDArray:
    """A picture in a tile: decoders refuse one that has another shape before they decode it."""
    import imagecodecs

    decode = getattr(imagecodecs, f"{kind}_decode")
    if kind == "webp":
        # It has 3 or 4 samples. Of a band that lies apart libtiff fills as much as it needs.
        out = np.empty((*shape[:2], samples), dtype)
        values = np.asarray(decode(data, out=out, hasalpha=samples == 4))
        return values.reshape(-1)[: math.prod(shape)].reshape(shape)
    for tried in _shapes(shape):
        try:
            return np.asarray(decode(data, out=np.empty(tried, dtype)))
        except (ValueError, TypeError) as error:
            last = error
    raise last


def _lerc(data: bytes, shape: Shape, dtype: np.dtype, within: int) -> NDArray:
    """LERC as libtiff writes it: packed once more, NaN and fully opaque alpha as a mask."""
    import imagecodecs

    most = 2 * math.prod(shape) * dtype.itemsize + (1 << 16)
    if within == 1:
        data = zlib.decompressobj().decompress(data, most)
    elif within == 2:
        data = bytes(imagecodecs.zstd_decode(data, out=most))
    tries: list[tuple[int, ...]] = [*_shapes(shape)]
    if shape[2] in (2, 4):
        tries += _shapes((*shape[:2], shape[2] - 1))
    if shape[2] > 1:
        tries.append((shape[2], *shape[:2]))
    for tried in tries:
        try:
            values, masks = imagecodecs.lerc_decode(data, masks=True, out=np.empty(tried, dtype))
        except (ValueError, TypeError) as error:
            last = error
            continue
        break
    else:
        raise last
    if tried == (shape[2], *shape[:2]) and tried not in _shapes(shape):
        values = np.moveaxis(values, 0, -1)
        masks = masks if masks is None or masks.ndim == 2 else np.moveaxis(masks, 0, -1)
    values = values.reshape(*shape[:2], -1)
    if values.shape[2] < shape[2]:
        seen = np.ones(shape[:2], bool) if masks is None else masks.reshape(*shape[:2], -1)[..., 0]
        alpha = np.where(seen, 255, 0).astype(dtype)[..., None]
        return np.concatenate([values, alpha], axis=2)
    if masks is not None and dtype.kind == "f":
        masks = masks.reshape(*shape[:2], -1)
        values = np.where(masks, values, np.asarray(np.nan, dtype))
    return values


def _checked(data: bytes, size: tuple[int, int] | None, shape: Shape) -> bytes:
    """The data of a picture that is about as large as its segment."""
    if size is not None and math.prod(size) > 2 * math.prod(shape[:2]) + (1 << 16):
        raise Unreadable(
            f"is damaged: a piece of {shape[1]} x {shape[0]} pixels holds {size[1]} x {size[0]}"
        )
    return data


def jpeg2000(data: bytes) -> tuple[tuple[int, int] | None, list[int], bool]:
    """Rows and columns of a JPEG 2000, bits of its components, and whether one has a sign."""
    place = data.find(b"\xff\x4f\xff\x51")
    if place < 0 or len(data) < place + 42:
        return None, [], False
    x1, y1, x0, y0 = struct.unpack_from(">4I", data, place + 8)
    count = struct.unpack_from(">H", data, place + 40)[0]
    sizes = data[place + 42 : place + 42 + 3 * count : 3][:64]
    signed = any(b & 0x80 for b in sizes)
    return (max(y1 - y0, 0), max(x1 - x0, 0)), [(b & 0x7F) + 1 for b in sizes], signed
