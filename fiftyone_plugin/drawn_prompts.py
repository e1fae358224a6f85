"""Masks and lines as prompts: a rough mask of an object, or a scribble over it, is predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import fiftyone as fo

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import PromptOptions
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin import labels

Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class DrawnPrompt:
    """One object as somebody drew it.

    Attributes
    ----------
    mask : run array
        What it may be; empty where there are lines.
    lines : tuple of lines
        Strokes over it, (x, y) in pixels.
    """

    mask: R.Runs
    lines: tuple[Line, ...] = ()

    @classmethod
    def of(cls, label: Any, shape: R.Shape) -> DrawnPrompt:
        """A detection or polyline as a prompt; a detection without a mask is its box.

        Raises
        ------
        ValueError
            If its numbers are none.
        """
        if not labels.is_line(label):
            return cls(labels.mask(label, shape))
        lines = []
        for part in label.points or []:
            places = labels.finite("a polyline's points", part).reshape(-1, 2)
            lines.append(tuple((x * shape[1], y * shape[0]) for x, y in places.tolist()))
        return cls(R.EMPTY, tuple(line for line in lines if line))

    def answer(self, seg: Segmentation, options: PromptOptions | None = None) -> Segmentation:
        """The mask that is predicted; none where nothing of the prompt lies in the image."""
        if self.lines:
            return seg.predict(scribbles=[list(line) for line in self.lines], multimask=False)
        if not len(self.mask):
            return seg[:0]
        return seg.predict(mask=R.to_bitmap(self.mask, seg.shape), multimask=False)

    @property
    def why_not(self) -> str:
        """Why there is no answer, if there is none."""
        return "the line is outside the image" if self.lines else "the mask has no pixel"


def drawn(label: Any) -> list[tuple[Any, str]]:
    """The objects of a field's value, and the id that each is known by.

    Parts of a segmentation have none of their own: it is that of the whole.
    """
    whole = label if isinstance(label, fo.Segmentation) else None
    return [(one, str((whole or one).id)) for one in labels.objects(label)]
