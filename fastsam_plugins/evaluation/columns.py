"""Large results files of masks, read without an object for every record.

Machine code finds the few fields that recall needs; masks stay in the text, as they are written,
until they are decoded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.evaluation import scanning
from fastsam_plugins.evaluation.files import Records, decode, parse
from fastsam_plugins.evaluation.proposals import FlatMasks
from fastsam_plugins.masks import runs as R


def read(path: Path) -> Records | None:
    """The records of a results file; None if one is not of the plain form."""
    try:
        content = path.read_bytes()
    except OSError:
        return None  # the long way says what is wrong
    text = np.frombuffer(content, np.uint8)
    found, plain = scanning.scan(text)
    if not plain:
        return None
    starts, stops = found[:, scanning.SCORE_START], found[:, scanning.SCORE_STOP]
    try:
        scores = np.array(parse(scanning.joined(text, starts, stops).tobytes()), np.float64)
    except ValueError:
        return None
    return Columns(text, found, scores, path) if np.isfinite(scores).all() else None


class Columns(Records):
    """Results with compressed masks, by image.

    Parameters
    ----------
    text : uint8 array
        The file.
    found : int64 array (N, 8)
        See :func:`scanning.scan`.
    scores : float64 array (N,)
    path : path
    """

    def __init__(
        self,
        text: NDArray[np.uint8],
        found: NDArray[np.int64],
        scores: NDArray[np.float64],
        path: Path,
    ) -> None:
        self._text, self._found, self._scores, self.path = text, found, scores, path
        image = found[:, scanning.IMAGE]
        order = np.lexsort((found[:, scanning.CATEGORY], image))
        images, first = np.unique(image[order], return_index=True)
        parts: list[Any] = np.split(order, first[1:]) if len(found) else []
        self.images = dict(zip(images.tolist(), parts, strict=True))

    def __len__(self) -> int:
        return len(self._found)

    def field(self, i: int, name: str) -> Any:
        """A field of a record, as it is in the file."""
        if name != "segmentation":
            raise KeyError(name)
        size = self._found[i, scanning.HEIGHT : scanning.WIDTH + 1].tolist()
        # With the quotes around them.
        begin, end = self._found[i, scanning.COUNTS_START :].tolist()
        return {"size": size, "counts": json.loads(self._text[begin - 1 : end + 1].tobytes())}

    def numbers(self, places: Any, name: str) -> NDArray[np.float64]:
        """The scores of some records (N,)."""
        assert name == "score"
        return self._scores[places]

    def _compressed(self, places: Any, shape: R.Shape) -> FlatMasks | None:
        rows = self._found[places]
        if (rows[:, scanning.HEIGHT : scanning.WIDTH + 1] != shape).any():
            return None
        starts, stops = rows[:, scanning.COUNTS_START], rows[:, scanning.COUNTS_STOP]
        return decode(self._text, starts, stops, shape, escaped=True)
