"""``Session``: the state of one image being annotated. No window here: napari only shows it.

Prompts pick instances of a :class:`Scene`; a commit writes them into a label image, as objects
whose ids are never given twice. Everything a person does can be undone, whatever slice is shown by
then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence

from fastsam_plugins.linking import link
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import FilterOptions, LinkOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.edits import Canvas, DropEdit, Edit, History, Key, ObjectEdit, PromptEdit, Step
from napari_plugin.objects import Objects
from napari_plugin.painting import (
    POLICIES,
    Instance,
    Object,
    Policy,
    SessionError,
    has,
    joined,
    where,
)
from napari_plugin.scene import Prompts, Replies, Scene

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
    objects : Objects
        What was committed.
    options : PromptOptions
        How prompts pick.
    filters : FilterOptions
        Which instances they pick among.
    listeners : list of callables
        Called with every :class:`Step` done, undone or redone.
    """

    def __init__(self, canvas: Canvas | None = None) -> None:
        self.scenes: dict[Key, Scene] = {}
        self.objects = Objects()
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
        if not empty or self.objects.canvas is not None:
            self.history.clear()
            self.objects.forget()
            # An id means another object there: what was to replace one is forgotten.
            self._prompts = {k: p for k, p in self._prompts.items() if p.target is None}
        self.objects.attach(canvas, empty)

    def forget(self) -> None:
        """Begin anew, without prompts, objects and steps; what was found stays."""
        self.history.clear()
        self._prompts, self.objects.known = {}, {}

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

    def drop(self, key: Key, rows: Iterable[int]) -> None:
        """Take instances out of what was found in a slice: a person knows better."""
        scene = self.scene(key)
        if scene is None or not (rows := frozenset(rows) - scene.dropped):
            return
        before, now = scene.dropped, self.prompts(key)
        edits: list[Edit] = [DropEdit(key, scene.seg, before, before | rows)]
        if now.chosen:
            left = tuple(r for r in now.chosen if r not in rows)
            edits.append(PromptEdit(key, now, dataclasses.replace(now, chosen=left)))
        self._do(Step("drop", key, tuple(edits)))

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
        found = self.replies(key)
        return None if found is None else found.seg

    def replies(self, key: Key) -> Replies | None:
        """The same, and which prompts pick nothing, and why."""
        scene = self.scene(key)
        return None if scene is None else scene.replies(self.prompts(key), self.options)

    def answered(self, key: Key) -> Segmentation:
        """What the prompts of a slice pick; SessionError if that is nothing."""
        found = self.replies(key)
        if found is None:
            raise SessionError("segment this slice first")
        if not len(found.seg):
            why = found.told or "click an instance, or draw a box around it"
            raise SessionError(f"nothing to commit: {why}")
        return found.seg

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
        prompts = self.prompts(key)
        instances = self._fitting(key, self.answered(key))
        self._check_target(key, prompts)
        ids = [] if prompts.target is None else [prompts.target] * len(instances)
        asked = dataclasses.replace(prompts, target=None)
        edits = self.objects.add(key, instances, policy, ids, prompts.target, asked)
        if not edits:
            raise SessionError("nothing to commit: other objects cover it")
        return self._done("commit", key, [*edits, self._taken(key)])

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
        found = [self._fitting(k, s.shown) for k, s in scenes.items()]
        if not any(found):
            raise SessionError("nothing to commit: segment first, or loosen the filters")
        count = self.objects.next_id
        if linking is not None:
            shape = self.objects.there.shape
            numbers = link([[i.runs for i in f] for f in found], shape, linking)
            ids = [(n + count).tolist() for n in numbers]
        else:
            ids = []
            for f in found:
                ids.append(list(range(count, count + len(f))))
                count += len(f)
        edits: list[Edit] = []
        for key, instances, numbers_here in zip(scenes, found, ids, strict=True):
            edits += self.objects.add(key, instances, policy, numbers_here)
        if not edits:
            raise SessionError("nothing to commit: other objects cover it")
        return self._done("commit all", next(iter(scenes)), joined(edits))

    def commit_outlines(self, key: Key, found: bool = False) -> list[int]:
        """Make what the prompts pick objects with outlines of their own, which may overlap.

        With ``found``, all instances that the filters let through.
        """
        scene = self.scene(key)
        if found and scene is not None:
            instances = _instances(scene, scene.shown)
            if not instances:
                raise SessionError("nothing to commit: loosen the filters")
            return self._done("commit outlines", key, self.objects.outline(key, instances, None))
        seg = self.answered(key)
        assert scene is not None
        asked = dataclasses.replace(self.prompts(key), target=None)
        edits = self.objects.outline(key, _instances(scene, seg), asked)
        return self._done("commit outlines", key, [*edits, self._taken(key)])

    def delete(self, ids: Iterable[int], key: Key = ()) -> None:
        """Remove objects from all slices; prompts that were to replace them are forgotten."""
        ids = set(ids)
        edits = self.objects.delete(ids)
        if edits:
            self._done("delete", key, [*edits, *self._orphaned(ids)])

    def merge(self, ids: Iterable[int], key: Key = ()) -> int:
        """Make several objects one, which keeps the smallest of their ids.

        Prompts of the slice, which said what to merge, are forgotten, and those of any slice that
        were to replace one of the objects.
        """
        ids = set(ids)
        kept, edits = self.objects.merge(ids)
        self._done("merge", key, [*edits, *self._orphaned(ids, key)])
        return kept

    def split(self, label: int, key: Key) -> list[int]:
        """Give every detached part of an object in a slice an id of its own.

        The largest part keeps the object's. Prompts of the slice that were to replace the object
        are forgotten.
        """
        edits = self.objects.split(label, key)
        gone = [self._forgotten(key)] if self.prompts(key).target == label else []
        return self._done("split", key, [*edits, *gone], {label})

    def split_off(self, key: Key) -> int:
        """Make what the prompts pick of an object underneath an object of its own."""
        merged = R.union([i.runs for i in self._fitting(key, self.answered(key))])
        edits = self.objects.split_off(key, merged, self.prompts(key))
        return max(self._done("split off", key, [*edits, self._taken(key)]))

    def recall(self, key: Key, label: int) -> None:
        """Go back to an object: ask again what it was picked with. A commit replaces it."""
        if not label:
            raise SessionError("there is no object")
        known = self.objects.known.get(label)
        prompts = known.prompts.get(key) if known else None
        if prompts is None:  # painted, or loaded: its box asks for it
            x0, y0, x1, y1 = where(self.objects.there, key, label)[0]
            prompts = Prompts(boxes=((float(x0), float(y0), float(x1), float(y1)),))
        self.prompt(key, dataclasses.replace(prompts, target=label), "go back")

    def _fitting(self, key: Key, seg: Segmentation) -> list[Instance]:
        """Instances of a slice; SessionError if the canvas has slices of another size."""
        scene, shape = self.scenes[key], self.objects.there.shape
        if scene.shape != shape:
            raise SessionError(
                f"the Labels layer has slices of {shape} pixels, the image of {scene.shape}: "
                "commit into a new one"
            )
        return _instances(scene, seg)

    def _forgotten(self, key: Key) -> PromptEdit:
        """The edit after which a slice has no prompts."""
        return PromptEdit(key, self.prompts(key), NOTHING)

    def _taken(self, key: Key) -> PromptEdit:
        """The edit after which a slice has only those prompts that picked nothing."""
        found = self.replies(key)
        return PromptEdit(key, self.prompts(key), NOTHING if found is None else found.left)

    def _orphaned(self, ids: set[int], *keys: Key) -> list[PromptEdit]:
        """The edits that forget the prompts of some slices, and those meant to replace objects."""
        gone = [
            k
            for k in self.slices()
            if (self.prompts(k) and k in keys) or self.prompts(k).target in ids
        ]
        return [self._forgotten(k) for k in gone]

    def _check_target(self, key: Key, prompts: Prompts) -> None:
        """Refuse prompts that are to replace an object that is no longer there, erased by hand."""
        if prompts.target is not None and not has(self.objects.there, key, prompts.target):
            raise SessionError(
                f"object {prompts.target}, which this would replace, is gone from this slice: "
                "undo, or forget the prompts with Q and ask anew"
            )

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
        step = steps[-1]
        self._apply(step, forward)
        turned.append(steps.pop())
        self._tell(step)
        return step

    def _done(
        self, name: str, key: Key, edits: Sequence[Edit], but: Collection[int] = ()
    ) -> list[int]:
        """Make edits a step; the ids of the objects that it made or changed, but for some."""
        self._do(Step(name, key, tuple(edits)))
        made = [e.id for e in edits if isinstance(e, ObjectEdit) and e.after is not None]
        return [i for i in made if i not in but]

    def _do(self, step: Step) -> None:
        self._apply(step, forward=True)
        self.history.add(step)
        self._tell(step)

    def _apply(self, step: Step, forward: bool) -> None:
        """Make a step or take it back, all of it or nothing: the disk of a layer may be full."""
        edits = step.edits if forward else step.edits[::-1]
        for count, edit in enumerate(edits):
            try:
                self._turn_edit(edit, forward)
            except Exception:
                for done in reversed(edits[:count]):
                    self._turn_edit(done, not forward)
                raise

    def _turn_edit(self, edit: Edit, forward: bool) -> None:
        if isinstance(edit, PromptEdit):
            self._prompts[edit.key] = edit.after if forward else edit.before
        elif isinstance(edit, DropEdit):
            scene = self.scenes.get(edit.key)
            if scene is not None and scene.seg is edit.seg:
                dropped = edit.after if forward else edit.before
                self.scenes[edit.key] = scene.filtered(scene.filters, dropped)
        else:
            self.objects.apply(edit, forward)

    def _tell(self, step: Step) -> None:
        for listener in list(self.listeners):
            listener(step)


def _instances(scene: Scene, seg: Segmentation) -> list[Instance]:
    """Those of a scene's instances that have pixels."""
    stability = seg.stability
    return [
        Instance(scene.runs(seg, i), float(seg.scores[i]), float(stability[i]))
        for i in range(len(seg))
        if len(seg.runs(i))
    ]
