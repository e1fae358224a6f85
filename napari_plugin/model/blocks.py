"""Label images too large for an array: squares of runs, at several resolutions.

A square of 256 x 256 pixels that has no object costs nothing, any other what its rows of equal
labels cost. Napari reads of the coarsest resolution that is fine enough what it shows, and nothing
else; its own brushes, which need an array, are off.
"""

from __future__ import annotations

import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.masks import runs as R
from napari_plugin.model.edits import ArrayCanvas, Key, Values

LARGE = 1 << 25
"""Pixels of a slice from which on labels are kept in squares: an array of fewer is quickly read."""

SIDE = 256  # pixels of a square
COARSEST = 1024  # pixels: a resolution whose longer side has no more is the last

Place = tuple[Key, int, int]


class Squares:
    """The labels of one resolution, in squares.

    Attributes
    ----------
    shape : (H, W)
        Of every slice.
    held : dict
        By slice, row and column of squares: those that hold a label. A square is never changed,
        but replaced.
    areas : dict of Counter
        By slice and label: its pixels.
    """

    def __init__(self, shape: R.Shape, dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.held: dict[Place, Values] = {}
        self.areas: defaultdict[Key, Counter[int]] = defaultdict(Counter)
        self._columns: dict[tuple[Key, int], tuple[list[Values], dict[int, R.Runs]]] = {}
        self._of: defaultdict[tuple[Key, int], set[tuple[int, int]]] = defaultdict(set)

    def read(self, key: Key, window: Window) -> NDArray[np.integer]:
        """The labels (h, w) in a window of a slice."""
        x0, y0, x1, y1 = window
        out = np.zeros((max(y1 - y0, 0), max(x1 - x0, 0)), self.dtype)
        for row, column, inside, part in _covering(window):
            square = self.held.get((key, row, column))
            if square is not None:
                out[part] = square.decode().reshape(SIDE, SIDE)[inside]
        return out

    def write(self, key: Key, window: Window, block: NDArray[np.integer]) -> None:
        """Put the labels of a window."""
        for row, column, inside, part in _covering(window):
            place = key, row, column
            before = self.held.get(place)
            if before is None and not block[part].any():
                continue
            square = np.zeros((SIDE, SIDE), self.dtype)
            if before is not None:
                square = before.decode().reshape(SIDE, SIDE).astype(self.dtype)
            square[inside] = block[part]
            after = Values.of(square.ravel())
            old, new = _tally(before), _tally(after)
            areas = self.areas[key]
            for label in old.keys() - new.keys():
                self._of[key, label].discard((row, column))
            for label in new.keys() - old.keys():
                self._of[key, label].add((row, column))
            for label in old.keys() | new.keys():
                areas[label] += new.get(label, 0) - old.get(label, 0)
                if not areas[label]:
                    del areas[label], self._of[key, label]
            if new:
                self.held[place] = after
            else:
                self.held.pop(place, None)

    def frozen(self, key: Key) -> Callable[[], dict[int, R.Runs]]:
        """Gives the masks of a slice as it is now."""
        columns: defaultdict[int, dict[int, Values]] = defaultdict(dict)
        for (k, row, column), square in self.held.items():
            if k == key:
                columns[column][row] = square
        return lambda: self._masks(key, columns)

    def _masks(self, key: Key, columns: dict[int, dict[int, Values]]) -> dict[int, R.Runs]:
        """The masks of all labels, a column of squares at a time; those of before are kept."""
        parts: defaultdict[int, list[R.Runs]] = defaultdict(list)
        for column in sorted(columns):
            squares = [columns[column][row] for row in sorted(columns[column])]
            before, masks = self._columns.get((key, column), ([], {}))
            if len(before) != len(squares) or any(map(operator.is_not, before, squares)):
                masks = _runs(columns[column], column, self.shape)
                self._columns[key, column] = squares, masks
            for label, runs in masks.items():
                parts[label].append(runs)
        return {label: R.union(parts[label]) for label in sorted(parts)}

    def around(self, key: Key, label: int) -> Window | None:
        """A window that holds all of a label in a slice."""
        at = np.array(list(self._of.get((key, label), ()))).reshape(-1, 2)
        if not len(at):
            return None
        (y0, x0), (y1, x1) = at.min(0).tolist(), (at.max(0) + 1).tolist()
        height, width = self.shape
        return x0 * SIDE, y0 * SIDE, min(x1 * SIDE, width), min(y1 * SIDE, height)


def _covering(window: Window) -> Iterator[tuple[int, int, Any, Any]]:
    """Squares that a window meets: row, column, what of the square, what of the window."""
    x0, y0, x1, y1 = window
    if x1 <= x0 or y1 <= y0:
        return
    for row in range(y0 // SIDE, (y1 - 1) // SIDE + 1):
        top, low, high = row * SIDE, max(y0, row * SIDE), min(y1, (row + 1) * SIDE)
        for column in range(x0 // SIDE, (x1 - 1) // SIDE + 1):
            left, first = column * SIDE, max(x0, column * SIDE)
            last = min(x1, (column + 1) * SIDE)
            inside = slice(low - top, high - top), slice(first - left, last - left)
            yield row, column, inside, (slice(low - y0, high - y0), slice(first - x0, last - x0))


class Level:
    """Squares as an array of any axes, of which what is asked for is made.

    Attributes
    ----------
    shape, ndim, size, dtype
        As an array's.
    """

    def __init__(
        self, squares: Squares, shape: Sequence[int], rows: int, columns: int, single: int | None
    ) -> None:
        self.squares, self.dtype = squares, squares.dtype
        self.rows, self.columns, self.single = rows, columns, single
        self._ranges: list[range | int] = [range(n) for n in shape]

    @property
    def shape(self) -> tuple[int, ...]:  # noqa: D102
        return tuple(len(r) for r in self._ranges if not isinstance(r, int))

    @property
    def ndim(self) -> int:  # noqa: D102
        return len(self.shape)

    @property
    def size(self) -> int:  # noqa: D102
        return int(np.prod([float(n) for n in self.shape]))

    def __getitem__(self, index: Any) -> Any:
        """Numbers where a part of one slice is asked for; else as much of this, unread."""
        given = list(index) if isinstance(index, tuple) else [index]
        if Ellipsis in given:
            at = given.index(Ellipsis)
            given[at : at + 1] = [slice(None)] * (self.ndim + 1 - len(given))
        wanted, ranges = iter(given), []
        for own in self._ranges:
            ranges.append(own if isinstance(own, int) else own[next(wanted, slice(None))])
        part = Level(self.squares, (), self.rows, self.columns, self.single)
        part._ranges = ranges
        counted = (r for a, r in enumerate(ranges) if a not in self._plane)
        if part.size <= LARGE and all(isinstance(r, int) for r in counted):
            return np.asarray(part)
        return part

    @property
    def _plane(self) -> tuple[int | None, ...]:
        """Axes that do not count slices."""
        return self.rows, self.columns, self.single

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.integer]:
        """All of it."""
        out = np.zeros(tuple(1 if isinstance(r, int) else len(r) for r in self._ranges), self.dtype)
        plane = self._plane
        y, x = self._ranges[self.rows], self._ranges[self.columns]
        y, x = (range(r, r + 1) if isinstance(r, int) else r for r in (y, x))
        counted = [range(n) if a not in plane else (0,) for a, n in enumerate(out.shape)]
        for place in np.ndindex(*(len(c) for c in counted)):
            key = tuple(
                r if isinstance(r, int) else r[place[a]]
                for a, r in enumerate(self._ranges)
                if a not in plane
            )
            if len(y) and len(x):
                window = min(x[0], x[-1]), min(y[0], y[-1]), max(x[0], x[-1]) + 1, max(y) + 1
                labels = self.squares.read(key, window)[:: y.step, :: x.step]
                into: list[Any] = list(place)
                into[self.rows] = into[self.columns] = slice(None)
                if self.single is not None:
                    into[self.single] = slice(None)
                    labels = np.expand_dims(labels, self._beside())
                out[tuple(into)] = labels
        squeezed = tuple(a for a, r in enumerate(self._ranges) if isinstance(r, int))
        out = out.squeeze(squeezed)
        return out if dtype is None else out.astype(dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]

    def astype(self, dtype: Any) -> NDArray[np.integer]:
        """All of it, in other numbers."""
        return np.asarray(self, dtype)

    def min(self) -> int:
        """The least number there may be."""
        return 0

    def max(self) -> int:
        """The largest number in any slice."""
        return max((int(s.labels.max()) for s in self.squares.held.values()), default=0)

    def masks(self, key: Key) -> dict[int, R.Runs]:
        """The masks of all labels of a slice."""
        return self.squares.frozen(key)()

    def _beside(self) -> int:
        """Where the axis of length one lies between rows and columns."""
        assert self.single is not None
        return sorted((self.rows, self.columns, self.single)).index(self.single)


class BlocksCanvas(ArrayCanvas):
    """Labels in squares, as what objects are committed into.

    Parameters
    ----------
    levels : sequence of Level
        The finest first.
    changed : callable
        Told when what is shown has to be shown anew.
    """

    def __init__(self, levels: Sequence[Level], changed: Callable[[], None] = lambda: None) -> None:
        first = levels[0]
        super().__init__(first, first.rows, first.columns, first.single)
        self.levels, self._show = list(levels), changed

    def read(self, key: Key, window: Window) -> NDArray[np.integer]:  # noqa: D102
        return self.levels[0].squares.read(key, window)

    def write(  # noqa: D102
        self, key: Key, window: Window, block: NDArray[np.integer], changed: NDArray[np.bool_]
    ) -> None:
        x0, y0, x1, y1 = window
        for number, level in enumerate(self.levels):
            step = 1 << number
            low, high = (-(-x0 // step), -(-y0 // step)), (-(-x1 // step), -(-y1 // step))
            part = block[low[1] * step - y0 :: step, low[0] * step - x0 :: step]
            level.squares.write(key, (*low, *high), part)

    def show(self) -> None:  # noqa: D102
        self._show()

    def count(self, key: Key, labels: Iterable[int]) -> dict[int, int]:  # noqa: D102
        areas = self.levels[0].squares.areas.get(key, Counter())
        return {label: areas[label] for label in labels if label in areas}

    def counts(self) -> Iterator[tuple[Key, dict[int, int]]]:  # noqa: D102
        for key, areas in self.levels[0].squares.areas.items():
            if areas:
                yield key, dict(areas)

    def find(self, key: Key, label: int) -> Window | None:  # noqa: D102
        window = self.levels[0].squares.around(key, label)
        return None if window is None else self._tight(key, label, window)

    def frozen(self, key: Key) -> Callable[[], dict[int, R.Runs]]:  # noqa: D102
        return self.levels[0].squares.frozen(key)


def layer_levels(
    shape: Sequence[int], rows: int, columns: int, single: int | None, dtype: Any = np.int32
) -> list[Level]:
    """Labels without an object: as many resolutions as napari needs, each half of the one before.

    Parameters
    ----------
    shape : tuple of int
        Of the finest.
    rows, columns : int
        The axes of a slice.
    single : int, optional
        An axis of length one.
    """
    levels = []
    height, width = shape[rows], shape[columns]
    while True:
        here = list(shape)
        here[rows], here[columns] = height, width
        levels.append(Level(Squares((height, width), dtype), here, rows, columns, single))
        if max(height, width) <= COARSEST:
            return levels
        height, width = -(-height // 2), -(-width // 2)


def _tally(square: Values | None) -> dict[int, int]:
    """How many pixels each label of a square has."""
    if square is None:
        return {}
    labels, places = np.unique(square.labels, return_inverse=True)
    pixels = np.bincount(places, square.counts).astype(np.int64)  # whole numbers far below 2**53
    return {k: n for k, n in zip(labels.tolist(), pixels.tolist(), strict=True) if k}


def _runs(squares: dict[int, Values], column: int, shape: R.Shape) -> dict[int, R.Runs]:
    """The masks, in the whole slice, of what a column of squares holds of each label."""
    height, width = shape
    top, bottom = min(squares) * SIDE, min((max(squares) + 1) * SIDE, height)
    # Run arrays go down the columns: so do these numbers, in memory.
    strip = np.zeros((min(SIDE, width - column * SIDE), bottom - top), np.int64).T
    for row, values in squares.items():
        into = strip[row * SIDE - top : (row + 1) * SIDE - top]
        into[:] = values.decode().reshape(SIDE, SIDE)[: into.shape[0], : into.shape[1]]
    return {
        label: R.shift(runs, bottom - top, height, column * SIDE, top)
        for label, runs in R.from_labels(strip).items()
    }
