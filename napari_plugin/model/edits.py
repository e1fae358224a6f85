"""Reversible edits: what is needed to take a change back or make it again, and nothing more."""

from __future__ import annotations

import functools
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.masks import runs as R
from napari_plugin.model.frozen import Frozen
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.tally import tally

Key = tuple[int, ...]
"""A slice of a stack: its place along every axis that is not shown; () for a plain image."""


STRIP = 1 << 22  # pixels of a slice that are looked at together


class Canvas(Protocol):
    """A label image, or a stack of them, that objects are committed into."""

    @property
    def shape(self) -> R.Shape:
        """(H, W) of every slice."""

    @property
    def max_id(self) -> int:
        """The largest label that its numbers can hold."""

    def keys(self) -> Iterable[Key]:
        """All slices."""

    def read(self, key: Key, window: Window) -> NDArray[np.integer]:
        """The labels (h, w) in a window of a slice; not to be written to."""

    def write(
        self, key: Key, window: Window, block: NDArray[np.integer], changed: NDArray[np.bool_]
    ) -> None:
        """Put the labels (h, w) of a window, where they changed."""

    def show(self) -> None:
        """All that belongs together is written: it may be shown."""

    def count(self, key: Key, labels: Iterable[int]) -> dict[int, int]:
        """How many pixels labels have in a slice; of those that have any."""

    def counts(self) -> Iterator[tuple[Key, dict[int, int]]]:
        """The same of all labels but 0, of every slice that has any."""

    def find(self, key: Key, label: int) -> Window | None:
        """The smallest window that holds a label in a slice; None if it has no pixel there."""

    def frozen(self, key: Key) -> Callable[[], dict[int, R.Runs]]:
        """Gives the masks of all labels in a slice as it is now, whatever is done to it later."""


class ArrayCanvas:
    """A canvas over an array: numpy's, zarr's or any that can be read and written by slices.

    Parameters
    ----------
    array : array of integers
    rows, columns : int
        The axes of a slice; the others count slices.
    single : int, optional
        An axis of length one, which counts nothing.
    """

    def __init__(
        self, array: Any, rows: int = -2, columns: int = -1, single: int | None = None
    ) -> None:
        self.array, self.single = array, single
        self.rows, self.columns = rows % array.ndim, columns % array.ndim
        self._frozen: weakref.WeakKeyDictionary[Frozen, Key] = weakref.WeakKeyDictionary()

    @property
    def shape(self) -> R.Shape:
        """(H, W) of every slice."""
        return int(self.array.shape[self.rows]), int(self.array.shape[self.columns])

    @property
    def max_id(self) -> int:
        """The largest label that the array's numbers can hold."""
        return int(np.iinfo(self.array.dtype).max)

    def keys(self) -> Iterable[Key]:
        """All slices."""
        plane = (self.rows, self.columns, self.single)
        return np.ndindex(*(n for k, n in enumerate(self.array.shape) if k not in plane))

    def index(self, key: Key, window: Window) -> tuple[Any, ...]:
        """What picks a window of a slice from the array."""
        x0, y0, x1, y1 = window
        return self.place(key, slice(y0, y1), slice(x0, x1))

    def place(self, key: Key, rows: Any, columns: Any) -> tuple[Any, ...]:
        """Indices along all axes of the array."""
        given = {self.rows: rows, self.columns: columns, self.single: 0}
        counted = iter(key)
        axes = range(len(self.array.shape))
        return tuple(given[a] if a in given else next(counted) for a in axes)

    def read(self, key: Key, window: Window) -> NDArray[np.integer]:
        """The labels (h, w) in a window of a slice; not to be written to."""
        return np.asarray(self.array[self.index(key, window)])

    def write(
        self, key: Key, window: Window, block: NDArray[np.integer], changed: NDArray[np.bool_]
    ) -> None:
        """Put the labels (h, w) of a window."""
        self.keep(key, window)
        self.array[self.index(key, window)] = block

    def show(self) -> None:
        """Nobody looks."""

    def count(self, key: Key, labels: Iterable[int]) -> dict[int, int]:
        """How many pixels labels have in a slice; of those that have any."""
        wanted = set(labels)
        pixels: Counter[int] = Counter()
        if len(wanted) == 1:
            label = wanted.pop()
            pixels[label] = sum(int(np.count_nonzero(b == label)) for b in self._strips(key))
        elif wanted:
            for block in self._strips(key):
                pixels.update(tally(block))
        return {label: n for label, n in pixels.items() if n and (not wanted or label in wanted)}

    def counts(self) -> Iterator[tuple[Key, dict[int, int]]]:
        """The same of all labels but 0, of every slice that has any."""
        for key in self.keys():
            pixels: Counter[int] = Counter()
            for block in self._strips(key):
                pixels.update(tally(block))
            pixels.pop(0, None)
            if pixels:
                yield key, dict(pixels)

    def find(self, key: Key, label: int) -> Window | None:
        """The smallest window that holds a label in a slice; None if it has no pixel there."""
        height, width = self.shape
        return self._tight(key, label, (0, 0, width, height))

    def frozen(self, key: Key) -> Callable[[], dict[int, R.Runs]]:
        """Gives the masks of all labels in a slice as it is now, whatever is done to it later."""
        made = Frozen(functools.partial(self.read, key), self.shape)
        self._frozen[made] = key
        return made

    def keep(self, key: Key, window: Window) -> None:
        """A window is about to be written to: what is frozen stays as it is."""
        for frozen, of in list(self._frozen.items()):
            if of == key:
                frozen.keep(window)

    def _strips(self, key: Key) -> Iterator[NDArray[np.integer]]:
        """A slice, some rows at a time."""
        height, width = self.shape
        step = max(STRIP // max(width, 1), 1)
        for top in range(0, height, step):
            yield self.read(key, (0, top, width, min(top + step, height)))

    def _tight(self, key: Key, label: int, window: Window) -> Window | None:
        """The smallest window that holds what a window holds of a label."""
        x0, y0, x1, y1 = window
        step = max(STRIP // max(x1 - x0, 1), 1)
        rows, across = [], np.zeros(x1 - x0, np.bool_)
        for top in range(y0, y1, step):
            there = self.read(key, (x0, top, x1, min(top + step, y1))) == label
            down = np.flatnonzero(there.any(1))
            if len(down):
                rows += [top + int(down[0]), top + int(down[-1])]
                across |= there.any(0)
        if not rows:
            return None
        columns = np.flatnonzero(across)
        return x0 + int(columns[0]), rows[0], x0 + int(columns[-1]) + 1, rows[-1] + 1


@dataclass(frozen=True)
class Values:
    """A sequence of labels as runs of equal ones: most of what an object covers is one label."""

    labels: NDArray[np.integer]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, flat: NDArray[np.integer]) -> Values:
        """Encode a flat array."""
        first = np.flatnonzero(np.r_[len(flat) > 0, flat[1:] != flat[:-1]])
        return cls(flat[first], np.diff(np.r_[first, len(flat)]))

    def decode(self) -> NDArray[np.integer]:
        """The flat array."""
        return np.repeat(self.labels, self.counts)


@dataclass(frozen=True)
class PixelEdit:
    """Pixels of one slice that changed their label.

    Attributes
    ----------
    key : tuple of int
    window : (x0, y0, x1, y1)
    runs : run array
        The pixels, in the whole slice.
    before, after : Values
        Their labels, row by row.
    """

    key: Key
    window: Window
    runs: R.Runs
    before: Values
    after: Values

    @classmethod
    def of(
        cls, canvas: Canvas, key: Key, window: Window, block: NDArray[np.integer]
    ) -> PixelEdit | None:
        """The edit that makes a window look like ``block``; None if it does already."""
        x0, y0, _, _ = window
        old = canvas.read(key, window)
        changed = old != block
        if not changed.any():
            return None
        runs = R.from_bitmap(changed, canvas.shape, (x0, y0))
        tight = R.bounds(runs, canvas.shape[0])
        return cls(key, tight, runs, Values.of(old[changed]), Values.of(block[changed]))

    def pairs(self) -> Counter[tuple[int, int]]:
        """How many pixels go from one label to another."""
        ends = [np.cumsum(v.counts) for v in (self.before, self.after)]
        every = np.union1d(*ends)
        was, new = (
            values.labels[np.searchsorted(end, every)].tolist()
            for values, end in zip((self.before, self.after), ends, strict=True)
        )
        pixels: Counter[tuple[int, int]] = Counter()
        for one, other, count in zip(was, new, np.diff(every, prepend=0).tolist(), strict=True):
            pixels[one, other] += count
        return pixels

    def relabelled(self, names: Mapping[int, int]) -> PixelEdit | None:
        """The same edit with other labels for some that it writes; None if nothing is left."""
        if names.keys().isdisjoint(self.after.labels.tolist()):
            return self
        labels = [names.get(n, n) for n in self.after.labels.tolist()]
        after = Values(np.array(labels, self.after.labels.dtype), self.after.counts)
        if np.array_equal(self.before.decode(), after.decode()):
            return None
        return replace(self, after=after)

    def apply(self, canvas: Canvas, forward: bool) -> dict[int, int]:
        """Make or take back the change, where nobody has painted over it since.

        Returns
        -------
        dict
            By label: how many pixels more it has.
        """
        expected, wanted = self.before.decode(), self.after.decode()
        if not forward:
            expected, wanted = wanted, expected
        pixels = R.to_bitmap(self.runs, canvas.shape, self.window)
        block = canvas.read(self.key, self.window).copy()
        untouched = block[pixels] == expected
        pixels[pixels] = untouched
        block[pixels] = wanted[untouched]
        canvas.write(self.key, self.window, block, pixels)
        more: Counter[int] = Counter()
        for values, sign in ((expected[untouched], -1), (wanted[untouched], 1)):
            for label, count in tally(values).items():
                more[label] += sign * count
        return more


@dataclass(frozen=True)
class PromptEdit:
    """Other prompts in one slice."""

    key: Key
    before: Prompts
    after: Prompts


@dataclass(frozen=True)
class DropEdit:
    """Other instances that a person dropped from those of a slice.

    Attributes
    ----------
    seg : Segmentation
        The slice's; the edit says nothing about the instances of another one.
    before, after : set of int
        Rows of its instances.
    """

    key: Key
    seg: Any
    before: frozenset[int]
    after: frozenset[int]


@dataclass(frozen=True)
class ObjectEdit:
    """What is known about an object; None where it does not exist."""

    id: int
    before: Any
    after: Any


Edit = PixelEdit | PromptEdit | ObjectEdit | DropEdit


@dataclass(frozen=True)
class Step:
    """What one action of a person changed.

    Attributes
    ----------
    name : str
        In words, for example "commit".
    key : tuple of int
        The slice that the person was looking at.
    edits : tuple
    """

    name: str
    key: Key
    edits: tuple[Edit, ...]

    @property
    def pixels(self) -> bool:
        """Whether labels changed."""
        return any(isinstance(e, PixelEdit) for e in self.edits)

    @property
    def objects(self) -> bool:
        """Whether what is known of objects changed."""
        return any(isinstance(e, ObjectEdit) for e in self.edits)

    @property
    def dropped(self) -> bool:
        """Whether instances were dropped."""
        return any(isinstance(e, DropEdit) for e in self.edits)

    @property
    def prompts(self) -> bool:
        """Whether prompts changed."""
        return any(isinstance(e, PromptEdit) for e in self.edits)

    @property
    def made(self) -> list[int]:
        """Ids of the objects that it made or changed."""
        return [e.id for e in self.edits if isinstance(e, ObjectEdit) and e.after is not None]
