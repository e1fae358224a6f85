"""Large results files of masks, read without an object that stays for every record.

What recall needs of them becomes columns; masks stay as they are written, until they are decoded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct
from numpy.typing import NDArray

from fastsam_plugins.datasets import coco
from fastsam_plugins.evaluation.files import Records, decode
from fastsam_plugins.evaluation.proposals import FlatMasks
from fastsam_plugins.io import typed_json
from fastsam_plugins.masks import runs as R

AT_ONCE = 20_000  # records whose objects are let go together
QUOTE = ord('"')

_Number = Annotated[int, Meta(ge=-(2**62), le=2**62)]


class _Rle(Struct, gc=False):
    size: Raw
    counts: Raw


class _Record(Struct, gc=False):
    image_id: _Number
    score: float
    segmentation: _Rle
    category_id: _Number = 0


def read(path: Path) -> Records | None:
    """The records of a results file; None if one is not of the plain form.

    That is a list of objects whose ``image_id`` and ``category_id`` are whole numbers and whose
    ``segmentation`` has a ``size`` and compressed ``counts``.
    """
    content = typed_json.content(path)
    try:
        records: list[Any] = msgspec.json.decode(content, type=list[_Record])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None  # the long way knows more forms, and says what is wrong
    return _columns(records, path)


def _columns(records: list[Any], path: Path) -> Columns | None:
    count = len(records)
    numbers = np.empty((4, count), np.int64)  # image, category, size, length of the counts
    scores = np.empty(count)
    sizes: dict[bytes, int] = {}
    texts = []
    for k in range(0, count, AT_ONCE):
        part = records[k : k + AT_ONCE]
        records[k : k + AT_ONCE] = [None] * len(part)
        masks = [r.segmentation for r in part]
        columns = (
            (r.image_id for r in part),
            (r.category_id for r in part),
            (sizes.setdefault(bytes(m.size), len(sizes)) for m in masks),
            (memoryview(m.counts).nbytes for m in masks),
        )
        for row, values in zip(numbers, columns, strict=True):
            row[k : k + AT_ONCE] = np.fromiter(values, np.int64, len(part))
        scores[k : k + AT_ONCE] = np.fromiter((r.score for r in part), np.float64, len(part))
        texts.append(b"".join([m.counts for m in masks]))
        del part, masks, columns
    text = np.frombuffer(b"".join(texts), np.uint8)
    stops = np.cumsum(numbers[3])
    quoted = (text[stops - numbers[3]] == QUOTE) & (text[stops - 1] == QUOTE)
    try:
        shapes = np.array(
            [msgspec.json.decode(s, type=tuple[_Number, _Number]) for s in sizes], np.int64
        )
    except msgspec.MsgspecError:
        return None
    if not quoted.all():  # counts that are not compressed
        return None
    return Columns(text, stops - numbers[3] + 1, stops - 1, numbers, shapes, scores, path)


class Columns(Records):
    """Results with compressed masks, by image.

    Parameters
    ----------
    text : uint8 array
        That holds the counts as they are in the file.
    starts, stops : int64 arrays (N,)
        Where the counts of each begin and end, quotes left out.
    numbers : int64 array (3 or more, N)
        Image, category and row in ``shapes`` of each.
    shapes : int64 array (S, 2)
        The sizes there are, (H, W).
    scores : float64 array (N,)
    path : path
    """

    def __init__(
        self,
        text: NDArray[np.uint8],
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
        numbers: NDArray[np.int64],
        shapes: NDArray[np.int64],
        scores: NDArray[np.float64],
        path: Path,
    ) -> None:
        self._text, self._starts, self._stops = text, starts, stops
        self._size, self._shapes, self._scores = numbers[2], shapes, scores
        self.path, self.place = path, "record {}"
        order = np.lexsort((numbers[1], numbers[0]))
        images, first = np.unique(numbers[0][order], return_index=True)
        parts: list[Any] = np.split(order, first[1:]) if len(scores) else []
        self.images = dict(zip(images.tolist(), parts, strict=True))

    def __len__(self) -> int:
        return len(self._scores)

    def segmentation(self, i: int) -> coco.Rle:
        """The mask of a record, as it is in the file."""
        height, width = self._shapes[self._size[i]].tolist()
        quoted = self._text[self._starts[i] - 1 : self._stops[i] + 1].tobytes()
        return coco.Rle((height, width), msgspec.json.decode(quoted, type=str))

    def mask(self, i: int, shape: R.Shape) -> R.Runs:
        """The mask of a record."""
        try:
            return coco.Region(segmentation=self.segmentation(i)).mask(shape)
        except (ValueError, msgspec.MsgspecError) as error:
            raise ValueError(f"{self._at(i)}: {error}") from None

    def numbers(self, places: Any, name: str) -> NDArray[np.float64]:
        """The scores of some records (N,)."""
        assert name == "score"
        return self._scores[places]

    def _compressed(self, places: Any, shape: R.Shape) -> FlatMasks | None:
        if (self._shapes[self._size[places]] != shape).any():
            return None
        return decode(self._text, self._starts[places], self._stops[places], shape, escaped=True)
