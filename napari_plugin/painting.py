"""Painting into a label image: which pixel goes to which object. Nothing is written here.

Everything is given back as edits, which a :class:`napari_plugin.session.Session` applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R
from napari_plugin.edits import Canvas, Edit, Key, ObjectEdit, PixelEdit
from napari_plugin.scene import Prompts, Window

Policy = Literal["small on top", "overwrite", "keep"]
POLICIES: tuple[str, ...] = get_args(Policy)


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


def paint(
    canvas: Canvas,
    key: Key,
    instances: Sequence[Instance],
    policy: Policy,
    ids: Sequence[int],
    erase: int | None = None,
) -> tuple[PixelEdit | None, list[int]]:
    """Paint instances over each other and over what is there.

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

    Returns
    -------
    edit : PixelEdit or None
        None if nothing would change.
    seen : list of int
        Which of the instances have pixels.
    """
    if policy not in POLICIES:
        raise SessionError(f"policy must be one of {', '.join(POLICIES)}, got {policy!r}")
    height = canvas.shape[0]
    windows = [R.bounds(i.runs, height) for i in instances]
    if erase is not None:
        windows.append(where(canvas, key, erase)[0])
    window = _around(windows)
    block = canvas.read(key, window).copy()
    if erase is not None:
        block[block == erase] = 0
    areas = _areas(canvas, key, block) if policy == "small on top" else {}
    # The smaller an instance the later it is painted, unless what is there stays.
    order = sorted(range(len(instances)), key=lambda k: R.area(instances[k].runs))
    for k in order if policy == "keep" else reversed(order):
        x0, y0, x1, y1 = windows[k]
        part = block[y0 - window[1] : y1 - window[1], x0 - window[0] : x1 - window[0]]
        mask = R.to_bitmap(instances[k].runs, canvas.shape, windows[k])
        if policy == "keep":
            mask &= part == 0
        elif areas:
            size = R.area(instances[k].runs)
            smaller = [label for label, area in areas.items() if area < size]
            mask &= ~np.isin(part, smaller)
        part[mask] = ids[k]
    seen = np.flatnonzero(np.isin(ids, block)).tolist()
    return PixelEdit.of(canvas, key, window, block), seen


def _areas(canvas: Canvas, key: Key, block: NDArray[np.integer]) -> dict[int, int]:
    """How large the objects that occur in a block are in the whole slice."""
    present = np.unique(block)
    present = present[present != 0]
    if not len(present):
        return {}
    plane = canvas.read(key, whole(canvas))
    labels, counts = np.unique(plane[np.isin(plane, present)], return_counts=True)
    return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def where(canvas: Canvas, key: Key, label: int) -> tuple[Window, NDArray[np.bool_]]:
    """The window of an object in a slice, and its bitmap there."""
    plane = canvas.read(key, whole(canvas)) == label
    rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
    if not len(rows):
        raise SessionError(f"object {label} has no pixels in this slice")
    x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    return (x0, y0, x1, y1), plane[y0:y1, x0:x1]


def has(canvas: Canvas, key: Key, label: int) -> bool:
    """Whether an object has a pixel in a slice."""
    return bool((canvas.read(key, whole(canvas)) == label).any())


def relabel(canvas: Canvas, keys: Iterable[Key], label: int, to: int) -> list[Edit]:
    """The edits that give an object another id, or 0, in slices."""
    edits: list[Edit] = []
    for key in keys:
        try:
            window, bitmap = where(canvas, key, label)
        except SessionError:
            continue
        block = canvas.read(key, window).copy()
        block[bitmap] = to
        edit = PixelEdit.of(canvas, key, window, block)
        assert edit is not None
        edits.append(edit)
    return edits


def joined(edits: Sequence[Edit]) -> list[Edit]:
    """The same with one edit for each object, the last word about it."""
    objects: dict[int, ObjectEdit] = {}
    for edit in edits:
        if isinstance(edit, ObjectEdit):
            first = objects.get(edit.id, edit)
            objects[edit.id] = ObjectEdit(edit.id, first.before, edit.after)
    return [*(e for e in edits if not isinstance(e, ObjectEdit)), *objects.values()]


def whole(canvas: Canvas) -> Window:
    """The window of a whole slice."""
    height, width = canvas.shape
    return 0, 0, width, height


def _around(windows: Sequence[Window]) -> Window:
    corners = np.array(windows)
    x0, y0 = corners[:, :2].min(0).tolist()
    x1, y1 = corners[:, 2:].max(0).tolist()
    return x0, y0, x1, y1
