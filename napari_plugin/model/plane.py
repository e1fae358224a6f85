"""``Plane``: which axes of an image's array a slice spans, and places in it.

Napari's data coordinates are (row, column), 0 being the *centre* of the first pixel; the engine's
are (x, y), pixel (0, 0) covering [0, 1) x [0, 1). No layer and no window here: those are in
:mod:`napari_plugin.view.geometry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_plugin.model.edits import Key

CHANNEL_AXIS = "channel_axis"
"""In the metadata of layers that our reader made, or that we were told about: the axis of bands."""


class PlaneError(ValueError):
    """The image is not shown as a plane; the message says what to do."""


@dataclass(frozen=True)
class Plane:
    """The two axes of an image's array that a slice spans, and those that are stepped through.

    Attributes
    ----------
    rows, columns : int
        ``rows < columns``, whichever way round the slice is shown.
    channels : int, optional
        An axis that holds bands: neither shown nor stepped through.
    ndim : int
        Number of axes, without the colours of RGB.
    """

    rows: int
    columns: int
    ndim: int
    channels: int | None = None

    @property
    def stepped(self) -> tuple[int, ...]:
        """Axes that count slices."""
        out = (self.rows, self.columns, self.channels)
        return tuple(a for a in range(self.ndim) if a not in out)

    @property
    def kept(self) -> tuple[int, ...]:
        """Axes that labels have: all but channels that come first.

        Channels elsewhere are an axis of length one, on which labels lie over all of them: layers
        of fewer axes lie along the *last* axes of the others.
        """
        return tuple(a for a in range(self.ndim) if a or self.channels != 0)

    @property
    def spanned(self) -> int | None:
        """The axis of labels on which they lie over all channels."""
        return self.kept.index(self.channels) if self.channels else None

    def label_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the labels of an image's shape."""
        return tuple(1 if a == self.channels else shape[a] for a in self.kept)


def to_data(plane: Plane, key: Key, xy: ArrayLike) -> NDArray[np.float64]:
    """Data coordinates (P, axes of labels) of places (P, 2) as (x, y) in a slice."""
    points = np.asarray(xy, np.float64).reshape(-1, 2)
    out = np.empty((len(points), len(plane.kept)))
    for place, axis in enumerate(plane.kept):
        if axis == plane.columns:
            out[:, place] = points[:, 0] - 0.5
        elif axis == plane.rows:
            out[:, place] = points[:, 1] - 0.5
        else:
            out[:, place] = 0 if axis == plane.channels else key[plane.stepped.index(axis)]
    return out


def from_data(plane: Plane, data: ArrayLike) -> tuple[Key, tuple[float, float]]:
    """The slice and (x, y) of one place in the data coordinates of labels; of :func:`to_data`."""
    values = dict(zip(plane.kept, np.asarray(data, np.float64).tolist(), strict=True))
    key = tuple(round(values[a]) for a in plane.stepped)
    return key, (values[plane.columns] + 0.5, values[plane.rows] + 0.5)
