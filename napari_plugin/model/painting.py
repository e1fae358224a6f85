"""Painting into a label image: which pixel goes to which object. Nothing is written here.

Everything is given back as edits, which a :class:`napari_plugin.model.session.Session` applies.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.masks import runs as R
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.edits import Canvas, Edit, Key, ObjectEdit, PixelEdit
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.slice_instances import SliceInstances
from napari_plugin.model.tally import looked_up, tally

Policy = Literal["small on top", "overwrite", "keep"]
POLICIES: tuple[str, ...] = get_args(Policy)

MANY = 1000  # small things that are done together
PART = 1024  # pixels of a side: what is painted without looking up
ENDLESS = np.iinfo(np.int64).max

T = TypeVar("T")
Work = Generator[None, None, T]
"""Something that is done part by part, so that a window can answer in between."""


class SessionError(ValueError):
    """Something cannot be done; the message says why and what to do."""


@dataclass(frozen=True)
class Object:
    """What is known about a committed object.

    Attributes
    ----------
    id : int
        Its label.
    score, stability : float
        Of the instance that it was committed from; NaN if unknown.
    prompts : dict
        By slice: what it was picked with.
    outline : slice and run array, optional
        Its mask, where it is a polygon of its own and no label.
    """

    id: int
    score: float = float("nan")
    stability: float = float("nan")
    prompts: dict[Key, Prompts] = field(default_factory=dict)
    outline: tuple[Key, R.Runs] | None = None


@dataclass(frozen=True)
class Instance:
    """One instance about to be painted."""

    runs: R.Runs
    score: float
    stability: float


def instances_of(slice_instances: SliceInstances, seg: Segmentation) -> Work[list[Instance]]:
    """Those of a slice's instances that have pixels."""
    stability, instances = seg.stability, []
    for i in range(len(seg)):
        if not (i + 1) % MANY:
            yield
        if len(seg.runs(i)):
            runs = slice_instances.runs(seg, i)
            instances.append(Instance(runs, float(seg.scores[i]), float(stability[i])))
    return instances


def paint(
    canvas: Canvas,
    key: Key,
    instances: Sequence[Instance],
    policy: Policy,
    ids: Sequence[int],
    erase: int | None = None,
) -> Work[tuple[list[PixelEdit], list[int]]]:
    """Paint instances over each other and over what is there, part by part of the slice.

    An instance that would take all pixels of an object, and no other, is that object: it stays.

    Parameters
    ----------
    canvas : Canvas
    key : tuple of int
        The slice.
    instances : sequence of Instance
        One or more.
    policy : str
        Who gets a pixel that several objects cover.
    ids : sequence of int
        One for each instance.
    erase : int, optional
        An object to take out first, which the instances replace.

    Yields
    ------
    None
        After each part.

    Returns
    -------
    edits : list of PixelEdit
    seen : list of int
        Which of the instances have pixels.
    """
    if policy not in POLICIES:
        raise SessionError(f"policy must be one of {', '.join(POLICIES)}, got {policy!r}")
    windows, sizes = [], []
    for k, instance in enumerate(instances):
        windows.append(R.bounds(instance.runs, canvas.shape[0]))
        sizes.append(R.area(instance.runs))
        if not (k + 1) % MANY:
            yield
    # The smaller an instance the later it is painted, unless what is there stays.
    order = sorted(range(len(instances)), key=sizes.__getitem__, reverse=policy != "keep")
    erased = None if erase is None else where(canvas, key, erase)[0]
    parts = yield from _parting(windows, order, erased)
    areas: dict[int, int] = {}  # of what is there, in the whole slice
    if policy == "small on top":
        there: set[int] = set()
        for window, _ in parts:
            there.update(tally(canvas.read(key, window)))
            yield
        areas = canvas.count(key, there - {0, erase})
    edits: list[PixelEdit] = []
    taken: Counter[tuple[int, int]] = Counter()  # pixels, by object and the id that takes them
    made: Counter[int] = Counter()
    for window, inside in parts:
        x0, y0, _, _ = window
        old = canvas.read(key, window)
        block = old.copy()
        if erase is not None:
            block[block == erase] = 0
        kept = looked_up(block, areas, ENDLESS) if areas else None
        for k in inside:
            inner = _shared(windows[k], window)
            at = slice(inner[1] - y0, inner[3] - y0), slice(inner[0] - x0, inner[2] - x0)
            part = block[at]
            mask = R.to_bitmap(instances[k].runs, canvas.shape, inner)
            if policy == "keep":
                mask &= part == 0
            elif kept is not None:
                # What was painted over an object already was no larger than that is.
                mask &= kept[at] >= sizes[k]
            part[mask] = ids[k]
        edit = PixelEdit.of(canvas, key, window, block)
        if edit is not None:
            edits.append(edit)
            for (was, new), count in edit.pairs().items():
                made[new] += count
                if was not in (0, erase):
                    taken[was, new] += count
        if erase is not None:
            made[erase] += int(np.count_nonzero((block == erase) & (old == erase)))
        yield
    before = canvas.count(key, {was for was, _ in taken})
    same = {new: was for (was, new), n in taken.items() if n == before.get(was) == made[new]}
    left: list[PixelEdit] = []
    for edit in edits:
        renamed = edit.relabelled(same)
        left += [] if renamed is None else [renamed]
        yield
    return left, [k for k, label in enumerate(ids) if made[label] and label not in same]


def _parts(
    windows: Sequence[Window], order: Sequence[int], more: Window | None
) -> list[tuple[Window, list[int]]]:
    """Windows, none too large to be worked on at once, that hold all others; and which others."""
    return finished(_parting(windows, order, more))


def _parting(
    windows: Sequence[Window], order: Sequence[int], more: Window | None
) -> Work[list[tuple[Window, list[int]]]]:
    around: dict[tuple[int, int], list[Window]] = defaultdict(list)
    inside: dict[tuple[int, int], list[int]] = defaultdict(list)
    for count, k in enumerate((*order, None), 1):
        if not count % MANY:
            yield
        window = more if k is None else windows[k]
        if window is None:
            continue
        x0, y0, x1, y1 = window
        for row in range(y0 // PART, -(-y1 // PART)):
            for column in range(x0 // PART, -(-x1 // PART)):
                cell = column * PART, row * PART, (column + 1) * PART, (row + 1) * PART
                around[row, column].append(_shared(window, cell))
                inside[row, column] += [] if k is None else [k]
    return [(_around(around[at]), inside[at]) for at in sorted(around)]


def drawn(canvas: Canvas, key: Key, masks: Mapping[int, R.Runs]) -> Iterator[PixelEdit]:
    """The edits that draw masks with their labels, the later ones on top."""
    labels = list(masks)
    windows = [R.bounds(masks[label], canvas.shape[0]) for label in labels]
    for window, inside in _parts(windows, range(len(labels)), None):
        x0, y0, _, _ = window
        block = canvas.read(key, window).copy()
        for k in inside:
            inner = _shared(windows[k], window)
            part = block[inner[1] - y0 : inner[3] - y0, inner[0] - x0 : inner[2] - x0]
            part[R.to_bitmap(masks[labels[k]], canvas.shape, inner)] = labels[k]
        edit = PixelEdit.of(canvas, key, window, block)
        if edit is not None:
            yield edit


def where(canvas: Canvas, key: Key, label: int) -> tuple[Window, NDArray[np.bool_]]:
    """The window of an object in a slice, and its bitmap there."""
    window = canvas.find(key, label)
    if window is None:
        raise SessionError(f"object {label} has no pixels in this slice")
    return window, canvas.read(key, window) == label


def has(canvas: Canvas, key: Key, label: int) -> bool:
    """Whether an object has a pixel in a slice."""
    return bool(canvas.count(key, [label]))


def relabel(canvas: Canvas, keys: Iterable[Key], label: int, to: int) -> list[Edit]:
    """The edits that give an object another id, or 0, in slices."""
    edits: list[Edit] = []
    for key in keys:
        window = canvas.find(key, label)
        for part, _ in _parts([], [], window):
            block = canvas.read(key, part).copy()
            block[block == label] = to
            edit = PixelEdit.of(canvas, key, part, block)
            edits += [] if edit is None else [edit]
    return edits


def joined(edits: Sequence[Edit]) -> list[Edit]:
    """The same with one edit for each object, the last word about it."""
    objects: dict[int, ObjectEdit] = {}
    for edit in edits:
        if isinstance(edit, ObjectEdit):
            first = objects.get(edit.id, edit)
            objects[edit.id] = ObjectEdit(edit.id, first.before, edit.after)
    return [*(e for e in edits if not isinstance(e, ObjectEdit)), *objects.values()]


def finished(work: Work[T]) -> T:
    """Do all parts of some work at once; what it gives."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            made: T = end.value
            return made


def _shared(one: Window, other: Window) -> Window:
    return (
        max(one[0], other[0]), max(one[1], other[1]),
        min(one[2], other[2]), min(one[3], other[3]),
    )  # fmt: skip


def _around(windows: Sequence[Window]) -> Window:
    corners = np.array(windows)
    x0, y0 = corners[:, :2].min(0).tolist()
    x1, y1 = corners[:, 2:].max(0).tolist()
    return x0, y0, x1, y1
