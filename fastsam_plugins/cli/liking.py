"""What --like and --like-box mean to ``fastsam segment``: all instances like an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_plugins.options import ExemplarOptions

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation


class Likes:
    """Examples in the first image, and what is like them in this one and the others.

    Parameters
    ----------
    points, boxes : sequence of str
        As they are spelled.
    first : path
        The image that they are in.
    given : mapping
        Those of the options' values that the person wrote.
    """

    def __init__(
        self, points: Sequence[str], boxes: Sequence[str], first: Path, given: Mapping[str, Any]
    ) -> None:
        from fastsam_plugins.prompts import BoxPrompt, PointPrompt

        self._first, self._options = first, ExemplarOptions.of(None, **given)
        spots = PointPrompt.parse(points)
        if not all(spots.labels or ()):
            raise ValueError("--like is a point in an example: X,Y")
        self._places = [*spots.points, *BoxPrompt.parse(boxes).boxes]
        self._vectors: Any = None

    @staticmethod
    def check(prompted: bool, predicted: bool, tiled: bool) -> None:
        """Refuse what does not go with an example, or ValueError."""
        if prompted or predicted:
            raise ValueError(
                "--like and --like-box go alone: leave out --point, --box, --text, --mask and "
                "--predict"
            )
        if tiled:
            raise ValueError("--like compares what one look saw: leave --tiled out, or cut a part")

    def found(self, path: Path, seg: Segmentation) -> tuple[Segmentation, dict[str, list[float]]]:
        """What is like the examples in an image, and how like it is.

        Raises
        ------
        ValueError
            If there is nothing at an example, or its image was not read.
        """
        import numpy as np

        from fastsam_plugins import exemplars

        if self._vectors is None:
            if path != self._first:
                raise ValueError(f"the example is in {self._first}, which could not be used")
            self._vectors = np.concatenate([exemplars.examples(seg, p) for p in self._places])
        chosen = seg.similar(self._vectors, self._options)
        like = chosen.likeness(self._vectors)
        return chosen, {"similarity": [round(v, 6) for v in like.tolist()]}
