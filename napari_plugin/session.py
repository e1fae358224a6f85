"""``Session``: the state of one image being annotated. No window here: napari only shows it.

Prompts pick instances of a :class:`Scene`; a commit writes them into a label image, as objects
whose ids are never given twice. Everything a person does can be undone, whatever slice is shown by
then.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from fastsam_plugins.linking import link
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import FilterOptions, LinkOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.edits import (
    Canvas,
    Edit,
    History,
    Key,
    ObjectEdit,
    PixelEdit,
    PromptEdit,
    Step,
)
from napari_plugin.painting import (
    POLICIES,
    Instance,
    Object,
    Policy,
    SessionError,
    joined,
    paint,
    relabel,
    where,
    whole,
)
from napari_plugin.scene import Prompts, Scene

__all__ = ["NOTHING", "POLICIES", "Object", "Policy", "Session", "SessionError"]

NOTHING = Prompts()


class Session:
    """Prompts, answers, objects and their history, over all slices of an image.

    Parameters
    ----------
    canvas : Canvas, optional
        Where objects go; it may also be given later, by :meth:`attach`.

    Attributes
    ----------
    scenes : dict
        By slice: what the network found.
    objects : dict
        By id: what is known of committed objects.
    areas : Counter
        By label: its pixels in all slices.
    labelled : set
        Slices that have labels, or had.
    next_id : int
        The id of the next object. It only grows.
    options : PromptOptions
        How prompts pick.
    filters : FilterOptions
        Which instances they pick among.
    listeners : list of callables
        Called with every :class:`Step` done, undone or redone.
    """

    def __init__(self, canvas: Canvas | None = None) -> None:
        self.canvas: Canvas | None = None
        self.scenes: dict[Key, Scene] = {}
        self.objects: dict[int, Object] = {}
        self.areas: Counter[int] = Counter()
        self.labelled: set[Key] = set()
        self.next_id = 1
        self.options = PromptOptions(points_mode="best")
        self.filters = FilterOptions()
        self.history = History()
        self.listeners: list[Callable[[Step], None]] = []
        self._prompts: dict[Key, Prompts] = {}
        if canvas is not None:
            self.attach(canvas)

    # --- what it works on -------------------------------------------------------------------

    def attach(self, canvas: Canvas | None, empty: bool = False) -> None:
        """Commit into another label image from now on.

        Steps of before cannot be undone any more, unless this is the first and an empty one.

        Parameters
        ----------
        canvas : Canvas, optional
            None if there is nothing to commit into any more.
        empty : bool
            It has no labels yet, and need not be read.
        """
        if not empty or self.canvas is not None:
            self.history.clear()
            self.objects = {k: o for k, o in self.objects.items() if o.outline is not None}
        self.canvas, self.areas, self.labelled = canvas, Counter(), set()
        if canvas is not None and not empty:
            for key in canvas.keys():  # noqa: SIM118
                labels, counts = np.unique(canvas.read(key, whole(canvas)), return_counts=True)
                self.areas.update(dict(zip(labels.tolist(), counts.tolist(), strict=True)))
                if labels.any():
                    self.labelled.add(key)
            self.next_id = max(self.next_id, max(self.areas, default=0) + 1)

    def painted(self, key: Key, label: int) -> None:
        """Somebody painted a label by hand: the next object has a higher one."""
        self.labelled.add(key)
        self.next_id = max(self.next_id, label + 1)

    def show(self, key: Key, scene: Scene) -> None:
        """The network has found something in a slice."""
        self.scenes[key] = scene

    def scene(self, key: Key) -> Scene | None:
        """What was found in a slice, as :attr:`filters` let it through; None if it was not
        segmented."""
        scene = self.scenes.get(key)
        if scene is not None:
            scene = self.scenes[key] = scene.filtered(self.filters)
        return scene

    # --- prompts ----------------------------------------------------------------------------

    def prompts(self, key: Key) -> Prompts:
        """The prompts of a slice."""
        return self._prompts.get(key, NOTHING)

    def slices(self) -> list[Key]:
        """Slices that have or had prompts."""
        return list(self._prompts)

    def open(self, key: Key, prompts: Prompts) -> None:
        """Begin with prompts, as from a file: no step that could be undone."""
        self._prompts[key] = prompts

    def prompt(self, key: Key, prompts: Prompts, name: str = "prompt") -> None:
        """Ask something else of a slice."""
        if prompts != self.prompts(key):
            self._do(Step(name, key, (PromptEdit(key, self.prompts(key), prompts),)))

    def cycle(self, key: Key, by: int) -> None:
        """Turn to a larger (1) or smaller (-1) candidate."""
        before = self.prompts(key)
        scene = self.scene(key)
        if scene is None or not before:
            return
        after = dataclasses.replace(before, step=before.step + by)
        self.prompt(key, scene.limited(after, self.options), "candidate")

    def answer(self, key: Key) -> Segmentation | None:
        """What the prompts of a slice pick; None if the slice was not segmented."""
        scene = self.scene(key)
        return None if scene is None else scene.answer(self.prompts(key), self.options)

    # --- objects ----------------------------------------------------------------------------

    def commit(self, key: Key, policy: Policy = "small on top") -> list[int]:
        """Write what the prompts pick into the canvas, one object for each instance.

        If the prompts are those of an object (see :meth:`recall`), it is replaced.

        Returns
        -------
        list of int
            Ids of the objects that have pixels.

        Raises
        ------
        SessionError
            If there is nothing to commit, or no room for it.
        """
        found, prompts = self.answered(key), self.prompts(key)
        instances = self._instances(key, found)
        ids: list[int] = []
        if prompts.target is not None:
            ids = [prompts.target] * len(instances)
        asked = dataclasses.replace(prompts, target=None)
        edits = self._paint(key, instances, policy, ids, prompts.target, asked)
        if not edits:
            raise SessionError("nothing to commit: other objects cover it")
        edits.append(PromptEdit(key, prompts, NOTHING))
        return self._done("commit", key, edits)

    def commit_found(
        self,
        keys: Sequence[Key],
        policy: Policy = "small on top",
        linking: LinkOptions | None = None,
    ) -> list[int]:
        """Write all instances that the filters let through, of several slices in order.

        Parameters
        ----------
        keys : sequence of slices
        policy : str
        linking : LinkOptions, optional
            Give instances of neighbouring slices that overlap one id.
        """
        scenes = {k: s for k in keys if (s := self.scene(k)) is not None}
        keys = list(scenes)
        found = [self._instances(k, s.shown) for k, s in scenes.items()]
        if not any(found):
            raise SessionError("nothing to commit: segment first, or loosen the filters")
        if linking is not None:
            numbers = link([[i.runs for i in f] for f in found], self._canvas.shape, linking)
            ids = [(n + self.next_id).tolist() for n in numbers]
        else:
            ids, count = [], self.next_id
            for f in found:
                ids.append(list(range(count, count + len(f))))
                count += len(f)
        edits: list[Edit] = []
        for key, instances, numbers_here in zip(keys, found, ids, strict=True):
            edits += self._paint(key, instances, policy, numbers_here)
        if not edits:
            raise SessionError("nothing to commit: other objects cover it")
        return self._done("commit all", keys[0], joined(edits))

    def commit_outlines(self, key: Key, found: bool = False) -> list[int]:
        """Make what the prompts pick objects with outlines of their own, which may overlap.

        With ``found``, all instances that the filters let through.
        """
        scene, prompts = self.scene(key), self.prompts(key)
        seg = scene.shown if found and scene is not None else self.answered(key)
        assert scene is not None
        asked = {} if found else {key: dataclasses.replace(prompts, target=None)}
        stability = seg.stability
        edits: list[Edit] = []
        for i in range(len(seg)):
            runs = scene.runs(seg, i)
            scores = float(seg.scores[i]), float(stability[i])
            new = Object(self._fresh(), *scores, asked, (key, runs))
            edits.append(ObjectEdit(new.id, None, new))
        if not found:
            edits.append(PromptEdit(key, prompts, NOTHING))
        return self._done("commit outlines", key, edits)

    def delete(self, ids: Iterable[int], key: Key = ()) -> None:
        """Remove objects from all slices."""
        edits: list[Edit] = []
        for label in sorted(set(ids) - {0}):
            edits += self._relabel(label, 0)
            if label in self.objects:
                edits.append(ObjectEdit(label, self.objects[label], None))
        if edits:
            self._done("delete", key, edits)

    def merge(self, ids: Iterable[int], key: Key = ()) -> int:
        """Make several objects one, which keeps the smallest of their ids."""
        kept, *others = sorted(set(ids) - {0}) or [0]
        if not others:
            raise SessionError("merge needs two objects or more")
        edits: list[Edit] = []
        for label in others:
            edits += self._relabel(label, kept)
            if label in self.objects:
                edits.append(ObjectEdit(label, self.objects[label], None))
        self._done("merge", key, edits)
        return kept

    def split(self, label: int, key: Key) -> list[int]:
        """Give every detached part of an object in a slice an id of its own.

        The largest part keeps the object's.
        """
        from scipy import ndimage

        window, bitmap = where(self._canvas, key, label)
        parts, count = ndimage.label(bitmap, np.ones((3, 3)))
        if count < 2:
            raise SessionError(f"object {label} is in one part: prompt a part of it, to split off")
        self._room(count - 1)
        largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
        block = self._canvas.read(key, window).copy()
        ids = []
        for part in (p for p in range(1, count + 1) if p != largest):
            ids.append(self._fresh())
            block[parts == part] = ids[-1]
        known = self.objects.get(label, Object(label))
        fresh = [dataclasses.replace(known, id=i, prompts={}) for i in ids]
        edits = [ObjectEdit(o.id, None, o) for o in fresh]
        edit = PixelEdit.of(self._canvas, key, window, block)
        assert edit is not None
        self._done("split", key, [edit, *edits])
        return ids

    def split_off(self, key: Key) -> int:
        """Make what the prompts pick of an object underneath an object of its own."""
        merged = R.union([i.runs for i in self._instances(key, self.answered(key))])
        window = R.bounds(merged, self._canvas.shape[0])
        block = self._canvas.read(key, window).copy()
        inside = R.to_bitmap(merged, self._canvas.shape, window)
        labels, counts = np.unique(block[inside & (block != 0)], return_counts=True)
        if not len(labels):
            raise SessionError("nothing to split: no object lies under what was picked")
        under = int(labels[counts.argmax()])
        self._room(1)
        label = self._fresh()
        block[inside & (block == under)] = label
        edit = PixelEdit.of(self._canvas, key, window, block)
        assert edit is not None
        known = dataclasses.replace(
            self.objects.get(under, Object(under)), id=label, prompts={key: self.prompts(key)}
        )
        done: list[Edit] = [
            edit,
            ObjectEdit(label, None, known),
            PromptEdit(key, self.prompts(key), NOTHING),
        ]
        self._done("split off", key, done)
        return label

    def recall(self, key: Key, label: int) -> None:
        """Go back to an object: ask again what it was picked with. A commit replaces it."""
        if not label:
            raise SessionError("there is no object")
        known = self.objects.get(label)
        prompts = known.prompts.get(key) if known else None
        if prompts is None:  # painted, or loaded: its box asks for it
            x0, y0, x1, y1 = where(self._canvas, key, label)[0]
            prompts = Prompts(boxes=((float(x0), float(y0), float(x1), float(y1)),))
        self.prompt(key, dataclasses.replace(prompts, target=label), "go back")

    def object_at(self, key: Key, xy: tuple[float, float]) -> int:
        """The id of the object at a place; 0 where there is none, or no canvas."""
        if self.canvas is None:
            return 0
        height, width = self.canvas.shape
        x, y = int(np.floor(xy[0])), int(np.floor(xy[1]))
        if not (0 <= x < width and 0 <= y < height):
            return 0
        return int(self.canvas.read(key, (x, y, x + 1, y + 1))[0, 0])

    # --- history ----------------------------------------------------------------------------

    def undo(self) -> Step | None:
        """Take the last step back."""
        return self._turn(self.history.done, self.history.undone, forward=False)

    def redo(self) -> Step | None:
        """Make the last step that was undone again."""
        return self._turn(self.history.undone, self.history.done, forward=True)

    def _turn(self, steps: list[Step], turned: list[Step], forward: bool) -> Step | None:
        if not steps:
            return None
        step = steps.pop()
        turned.append(step)
        self._apply(step, forward)
        return step

    def _done(self, name: str, key: Key, edits: Sequence[Edit]) -> list[int]:
        self._do(Step(name, key, tuple(edits)))
        return [e.id for e in edits if isinstance(e, ObjectEdit) and e.after is not None]

    def _do(self, step: Step) -> None:
        self.history.add(step)
        self._apply(step, forward=True)

    def _apply(self, step: Step, forward: bool) -> None:
        for edit in step.edits if forward else reversed(step.edits):
            if isinstance(edit, PixelEdit):
                self.areas.update(edit.apply(self._canvas, forward))
                self.labelled.add(edit.key)
                continue
            if isinstance(edit, PromptEdit):
                self._prompts[edit.key] = edit.after if forward else edit.before
                continue
            value = edit.after if forward else edit.before
            if value is None:
                self.objects.pop(edit.id, None)
            else:
                self.objects[edit.id] = value
        for listener in list(self.listeners):
            listener(step)

    # --- painting ---------------------------------------------------------------------------

    @property
    def _canvas(self) -> Canvas:
        if self.canvas is None:
            raise SessionError("there is no Labels layer to commit into")
        return self.canvas

    def _fresh(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def _room(self, count: int) -> None:
        if self.next_id + count - 1 > self._canvas.max_id:
            raise SessionError(
                f"the Labels layer holds ids up to {self._canvas.max_id} only: commit into a new "
                "one"
            )

    def answered(self, key: Key) -> Segmentation:
        """What the prompts of a slice pick; SessionError if that is nothing."""
        found = self.answer(key)
        if found is None:
            raise SessionError("segment this slice first")
        if not len(found):
            raise SessionError("nothing to commit: click an instance, or draw a box around it")
        return found

    def _instances(self, key: Key, seg: Segmentation) -> list[Instance]:
        scene = self.scenes[key]
        if scene.shape != self._canvas.shape:
            raise SessionError(
                f"the Labels layer has slices of {self._canvas.shape} pixels, the image of "
                f"{scene.shape}: commit into a new one"
            )
        stability = seg.stability
        return [
            Instance(scene.runs(seg, i), float(seg.scores[i]), float(stability[i]))
            for i in range(len(seg))
            if len(seg.runs(i))
        ]

    def _paint(
        self,
        key: Key,
        instances: Sequence[Instance],
        policy: Policy,
        ids: Sequence[int],
        erase: int | None = None,
        prompts: Prompts | None = None,
    ) -> list[Edit]:
        """The edits that paint instances, with given ids or the next ones."""
        if not instances:
            return []
        if not ids:
            ids = range(self.next_id, self.next_id + len(instances))
        if erase is None:
            self._room(max(ids) - self.next_id + 1)
        edit, seen = paint(self._canvas, key, instances, policy, ids, erase)
        if edit is None and erase is None:
            return []
        edits: list[Edit] = [] if edit is None else [edit]
        for k in seen:
            known = self.objects.get(ids[k]) if erase is not None else None
            asked = dict(known.prompts) if known else {}
            if prompts is not None:
                asked[key] = prompts
            new = Object(ids[k], instances[k].score, instances[k].stability, asked)
            edits.append(ObjectEdit(ids[k], known, new))
        self.next_id = max(self.next_id, max(ids) + 1)
        return joined(edits)

    def _relabel(self, label: int, to: int) -> list[Edit]:
        return relabel(self._canvas, sorted(self.labelled), label, to)
