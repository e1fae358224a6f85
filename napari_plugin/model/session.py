"""``Session``: the state of one image being annotated. No window here: napari only shows it.

Prompts pick instances of a :class:`SliceInstances`; a commit writes them into a label image, as
objects whose ids are never given twice. Everything a person does can be undone, whatever slice is
shown by then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.matching import link
from fastsam_plugins.options import FilterOptions, LinkOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.edits import (
    Canvas,
    DropEdit,
    Edit,
    Key,
    PromptEdit,
    Step,
)
from napari_plugin.model.painting import (
    MANY,
    POLICIES,
    Instance,
    Object,
    Policy,
    SessionError,
    Work,
    finished,
    has,
    joined,
    where,
)
from napari_plugin.model.slice_instances import Prompts, Replies, SliceInstances
from napari_plugin.model.steps import Steps, made_by

__all__ = ["NOTHING", "POLICIES", "Object", "Policy", "Session", "SessionError"]

NOTHING = Prompts()
COVERED = "nothing to commit: other objects cover it, or are the same"


class Session(Steps):
    """Prompts, answers, objects and their history, over all slices of an image.

    Parameters
    ----------
    canvas : Canvas, optional
        Where objects go; it may also be given later, by :meth:`attach`.

    Attributes
    ----------
    options : PromptOptions
        How prompts pick.
    filters : FilterOptions
        Which instances they pick among.
    """

    def __init__(self, canvas: Canvas | None = None) -> None:
        super().__init__()
        self.options = PromptOptions(points_mode="best")
        self.filters = FilterOptions()
        self._answer: tuple[SliceInstances, Prompts, PromptOptions, Replies] | None = None
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

    def show(self, key: Key, scene: SliceInstances) -> None:
        """The network has found something in a slice."""
        self.scenes[key] = scene

    def scene(self, key: Key) -> SliceInstances | None:
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
        scene, asked = self.scene(key), (self.prompts(key), self.options)
        if scene is None:
            return None
        before = self._answer
        if before is None or before[0] is not scene or before[1:3] != asked:
            self._answer = before = (scene, *asked, scene.replies(*asked))
        return before[3]

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
        instances = finished(self._fitting(key, self.answered(key)))
        self._check_target(key, prompts)
        ids = [] if prompts.target is None else [prompts.target] * len(instances)
        asked = dataclasses.replace(prompts, target=None)
        edits = finished(self.objects.add(key, instances, policy, ids, prompts.target, asked))
        if not edits:
            raise SessionError(COVERED)
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
        return finished(self.committing_found(keys, policy, linking))

    def committing_found(
        self, keys: Sequence[Key], policy: Policy, linking: LinkOptions | None
    ) -> Work[list[int]]:
        """The same, part by part."""
        scenes = {k: s for k in keys if (s := self.scene(k)) is not None}
        found = []
        for k, s in scenes.items():
            found.append((yield from self._fitting(k, s.shown)))
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
            edits += yield from self.objects.add(key, instances, policy, numbers_here)
        if not edits:
            raise SessionError(COVERED)
        step = Step("commit all", next(iter(scenes)), tuple(joined(edits)))
        yield from self._doing(step)
        return made_by(step)

    def commit_outlines(self, key: Key, found: bool = False) -> list[int]:
        """Make what the prompts pick objects with outlines of their own, which may overlap.

        With ``found``, all instances that the filters let through.
        """
        scene = self.scene(key)
        if found and scene is not None:
            instances = finished(_instances(scene, scene.shown))
            if not instances:
                raise SessionError("nothing to commit: loosen the filters")
            return self._done("commit outlines", key, self.objects.outline(key, instances, None))
        seg = self.answered(key)
        assert scene is not None
        asked = dataclasses.replace(self.prompts(key), target=None)
        edits = self.objects.outline(key, finished(_instances(scene, seg)), asked)
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
        merged = R.union([i.runs for i in finished(self._fitting(key, self.answered(key)))])
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

    def _fitting(self, key: Key, seg: Segmentation) -> Work[list[Instance]]:
        """Instances of a slice; SessionError if the canvas has slices of another size."""
        scene, shape = self.scenes[key], self.objects.there.shape
        if scene.shape != shape:
            raise SessionError(
                f"the Labels layer has slices of {shape} pixels, the image of {scene.shape}: "
                "commit into a new one"
            )
        return (yield from _instances(scene, seg))

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


def _instances(scene: SliceInstances, seg: Segmentation) -> Work[list[Instance]]:
    """Those of a scene's instances that have pixels."""
    stability, found = seg.stability, []
    for i in range(len(seg)):
        if not (i + 1) % MANY:
            yield
        if len(seg.runs(i)):
            runs = scene.runs(seg, i)
            found.append(Instance(runs, float(seg.scores[i]), float(stability[i])))
    return found
