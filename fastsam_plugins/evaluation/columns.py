"""Large results files of masks, read without a dictionary for every record.

msgspec (extra ``evaluation``) takes the few fields that recall needs out of the file, and leaves
the masks as they are written until they are decoded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.evaluation.files import Records, decode
from fastsam_plugins.evaluation.proposals import FlatMasks
from fastsam_plugins.masks import runs as R


class _Mask(msgspec.Struct, gc=False):
    size: tuple[int, int]
    counts: msgspec.Raw


class _Result(msgspec.Struct, gc=False):
    image_id: int
    segmentation: _Mask
    score: float
    category_id: int = 0


_decoder = msgspec.json.Decoder(list[_Result])


def read(path: Path) -> Records | None:
    """The records of a results file; None if one is not of the plain form."""
    try:
        return Columns(_decoder.decode(path.read_bytes()), path)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError):
        return None  # the long way reads it, or says what is wrong


class Columns(Records):
    """Results with compressed masks, by image.

    Parameters
    ----------
    found : list of _Result
    path : path
    """

    def __init__(self, found: list[_Result], path: Path) -> None:
        self._found, self.path = found, path
        self._masks = [r.segmentation for r in found]
        self._scores = np.array([r.score for r in found], np.float64)
        image = np.array([r.image_id for r in found], np.int64)
        order = np.lexsort((np.array([r.category_id for r in found], np.int64), image))
        images, first = np.unique(image[order], return_index=True)
        parts = np.split(order, first[1:]) if len(found) else []
        self.images = {i: p.tolist() for i, p in zip(images.tolist(), parts, strict=True)}

    def __len__(self) -> int:
        return len(self._found)

    def field(self, i: int, name: str) -> Any:
        """A field of a record, as it is in the file."""
        if name == "segmentation":
            mask = self._masks[i]
            return {"size": list(mask.size), "counts": json.loads(bytes(mask.counts))}
        return getattr(self._found[i], name)

    def numbers(self, places: list[int], name: str) -> NDArray[np.float64]:
        """The scores of some records (N,)."""
        assert name == "score"
        return self._scores[places]

    def _compressed(self, places: list[int], shape: R.Shape) -> FlatMasks | None:
        masks = [self._masks[i] for i in places]
        if not all(m.size == shape for m in masks):
            return None
        texts = [bytes(m.counts) for m in masks]
        if not all(t.startswith(b'"') for t in texts):  # numbers: counts that are not compressed
            return None
        return decode(b"".join(texts), [len(t) for t in texts], shape, quoted=True)
