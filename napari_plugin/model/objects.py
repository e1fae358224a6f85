"""``Objects``: a label image, and what is known about the objects in it.

What may be done to objects is given back as edits, and nothing is changed by that:
:class:`napari_plugin.model.session.Session` makes them a step of its history, and applies them.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from fastsam_plugins.masks import runs as R
from napari_plugin.model.edits import Canvas, Edit, Key, ObjectEdit, PixelEdit
from napari_plugin.model.painting import (
    MANY,
    Instance,
    Object,
    Policy,
    SessionError,
    Work,
    has,
    joined,
    paint,
    relabel,
    where,
)
from napari_plugin.model.prompts import Prompts


class Objects:
    """Objects of one image, over all its slices.

    Attributes
    ----------
    canvas : Canvas, optional
        Where they are painted.
    known : dict
        By id: what is known of committed objects.
    areas : Counter
        By label: its pixels in all slices.
    labelled : set
        Slices that have labels, or had.
    next_id : int
        The id of the next object. It only grows.
    """

    def __init__(self) -> None:
        self.canvas: Canvas | None = None
        self.known: dict[int, Object] = {}
        self.areas: Counter[int] = Counter()
        self.labelled: set[Key] = set()
        self.next_id = 1

    def attach(self, canvas: Canvas | None, empty: bool = False) -> None:
        """Paint into another label image from now on, whose labels are read unless it is empty."""
        self.canvas, self.areas, self.labelled = canvas, Counter(), set()
        if canvas is None or empty:
            return
        for key, counts in canvas.counts():
            self.areas.update(counts)
            self.labelled.add(key)
        self.next_id = max(self.next_id, max(self.areas, default=0) + 1)

    def forget(self) -> None:
        """Know nothing any more of objects that are labels; those with outlines stay."""
        self.known = {k: o for k, o in self.known.items() if o.outline is not None}

    @property
    def there(self) -> Canvas:
        """The label image; SessionError if there is none."""
        if self.canvas is None:
            raise SessionError("there is no Labels layer to commit into")
        return self.canvas

    def at(self, key: Key, xy: tuple[float, float]) -> int:
        """The id of the object at a place; 0 where there is none, or no label image."""
        if self.canvas is None:
            return 0
        height, width = self.canvas.shape
        x, y = int(np.floor(xy[0])), int(np.floor(xy[1]))
        if not (0 <= x < width and 0 <= y < height):
            return 0
        return int(self.canvas.read(key, (x, y, x + 1, y + 1))[0, 0])

    def painted(self, key: Key, label: int) -> None:
        """Somebody painted a label by hand: the next object has a higher one."""
        self.labelled.add(key)
        self.next_id = max(self.next_id, label + 1)

    def apply(self, edit: PixelEdit | ObjectEdit, forward: bool) -> None:
        """Make an edit, or take it back."""
        if isinstance(edit, PixelEdit):
            self.areas.update(edit.apply(self.there, forward))
            self.labelled.add(edit.key)
            return
        value = edit.after if forward else edit.before
        if value is None:
            self.known.pop(edit.id, None)
        else:
            self.known[edit.id] = value

    # --- edits ------------------------------------------------------------------------------

    def add(
        self,
        key: Key,
        instances: Sequence[Instance],
        policy: Policy,
        ids: Sequence[int] = (),
        erase: int | None = None,
        prompts: Prompts | None = None,
    ) -> Work[list[Edit]]:
        """Paint instances, with the next ids unless some are given, part by part.

        Parameters
        ----------
        key : tuple of int
            The slice.
        instances : sequence of Instance
        policy : str
            Who gets a pixel that several objects cover.
        ids : sequence of int, optional
            One for each instance.
        erase : int, optional
            The object that they replace.
        prompts : Prompts, optional
            What they were picked with.
        """
        if not instances:
            return []
        if not ids:
            ids = range(self.next_id, self.next_id + len(instances))
        if erase is None:
            self._check_ids(max(ids) - self.next_id + 1)
        painted, seen = yield from paint(self.there, key, instances, policy, ids, erase)
        if (not painted and erase is None) or not seen:
            return []  # the object to be replaced stays, too
        edits: list[Edit] = [*painted]
        for count, k in enumerate(seen, 1):
            if not count % MANY:
                yield
            known = self.known.get(ids[k]) if erase is not None else None
            by_slice = dict(known.prompts) if known else {}
            if prompts is not None:
                by_slice[key] = prompts
            new = Object(ids[k], instances[k].score, instances[k].stability, by_slice)
            edits.append(ObjectEdit(ids[k], known, new))
        self.next_id = max(self.next_id, max(ids) + 1)
        return joined(edits)

    def outline(
        self, key: Key, instances: Sequence[Instance], prompts: Prompts | None
    ) -> list[Edit]:
        """Make instances objects with outlines of their own, which may overlap."""
        by_slice = {} if prompts is None else {key: prompts}
        made = [
            Object(self._new_id(), i.score, i.stability, by_slice, (key, i.runs)) for i in instances
        ]
        return [ObjectEdit(o.id, None, o) for o in made]

    def delete(self, ids: Iterable[int]) -> list[Edit]:
        """Remove objects from all slices."""
        return [edit for label in sorted(set(ids) - {0}) for edit in self._replaced(label, 0)]

    def merge(self, ids: Iterable[int]) -> tuple[int, list[Edit]]:
        """Make several objects one, which keeps the smallest of their ids."""
        kept, *others = sorted(i for i in set(ids) - {0} if self._exists(i)) or [0]
        if not others:
            raise SessionError("merge needs two objects or more")
        edits = [edit for label in others for edit in self._replaced(label, kept)]
        return kept, [*edits, *self._prompts_forgotten(kept, sorted(self.labelled))]

    def split(self, label: int, key: Key) -> list[Edit]:
        """Give detached parts of an object in a slice ids of their own, all but the largest."""
        from scipy import ndimage

        window, bitmap = where(self.there, key, label)
        parts, count = ndimage.label(bitmap, np.ones((3, 3)))
        if count < 2:
            raise SessionError(f"object {label} is in one part: prompt a part of it, to split off")
        self._check_ids(count - 1)
        largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
        block = self.there.read(key, window).copy()
        known = self.known.get(label, Object(label))
        edits: list[Edit] = []
        for part in (p for p in range(1, count + 1) if p != largest):
            new = dataclasses.replace(known, id=self._new_id(), prompts={})
            block[parts == part] = new.id
            edits.append(ObjectEdit(new.id, None, new))
        edit = PixelEdit.of(self.there, key, window, block)
        assert edit is not None
        return [edit, *edits, *self._prompts_forgotten(label, [key])]

    def split_off(self, key: Key, runs: R.Runs, prompts: Prompts) -> list[Edit]:
        """Make a part of the object underneath an object of its own."""
        shape = self.there.shape
        window = R.bounds(runs, shape[0])
        block = self.there.read(key, window).copy()
        inside = R.to_bitmap(runs, shape, window)
        labels, counts = np.unique(block[inside & (block != 0)], return_counts=True)
        if not len(labels):
            raise SessionError("nothing to split: no object lies under what was picked")
        under = int(labels[counts.argmax()])
        self._check_ids(1)
        known = self.known.get(under, Object(under))
        new = dataclasses.replace(known, id=self._new_id(), prompts={key: prompts})
        block[inside & (block == under)] = new.id
        edit = PixelEdit.of(self.there, key, window, block)
        assert edit is not None
        return [edit, ObjectEdit(new.id, None, new), *self._prompts_forgotten(under, [key])]

    def _prompts_forgotten(self, label: int, keys: Sequence[Key]) -> list[Edit]:
        """The edit that forgets what an object was picked with in slices where it changed.

        Going back to it would pick what it was before, and replace it by that.
        """
        known = self.known.get(label)
        if known is None or not known.prompts.keys() & set(keys):
            return []
        left = {k: p for k, p in known.prompts.items() if k not in keys}
        return [ObjectEdit(label, known, dataclasses.replace(known, prompts=left))]

    def _replaced(self, label: int, by: int) -> list[Edit]:
        """The edits after which an object is another one, or nothing."""
        edits = relabel(self.there, sorted(self.labelled), label, by)
        if label in self.known:
            edits.append(ObjectEdit(label, self.known[label], None))
        return edits

    def _exists(self, label: int) -> bool:
        """Whether an object has a pixel anywhere; it may have been painted by hand."""
        return any(has(self.there, key, label) for key in self.labelled)

    def _new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def _check_ids(self, count: int) -> None:
        largest = self.there.max_id
        if self.next_id + count - 1 > largest:
            raise SessionError(
                f"the Labels layer holds ids up to {largest} only: commit into a new one"
            )
