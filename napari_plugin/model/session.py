"""``Session``: the state of one image being annotated. No window here: napari only shows it.

Prompts pick instances of a :class:`SliceInstances`; a commit writes them into a label image, as
objects whose ids are never given twice. Everything a person does can be undone, whatever slice is
shown by then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence

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
from napari_plugin.model.history import History
from napari_plugin.model.objects import Objects
from napari_plugin.model.painting import (
    POLICIES,
    Instance,
    Object,
    Policy,
    SessionError,
    Work,
    finished,
    has,
    instances_of,
    joined,
    where,
)
from napari_plugin.model.prompts import Answer, Prompts
from napari_plugin.model.slice_instances import SliceInstances

__all__ = ["NOTHING", "POLICIES", "Object", "Policy", "Session", "SessionError"]

NOTHING = Prompts()
COVERED = "nothing to commit: other objects cover it, or are the same"


class Session:
    """Prompts, answers, objects and their history, over all slices of an image.

    Parameters
    ----------
    canvas : Canvas, optional
        Where objects go; it may also be given later, by :meth:`attach`.

    Attributes
    ----------
    objects : Objects
        What was committed.
    history : History
        What was done, to be taken back and made again.
    options : PromptOptions
        How prompts pick.
    filters : FilterOptions
        Which instances they pick among.
    segmented : dict
        By slice: its instances, as they were filtered when last asked for by :meth:`instances`.
    """

    def __init__(self, canvas: Canvas | None = None) -> None:
        self.objects = Objects()
        self.history = History(self._apply, self._show)
        self.options = PromptOptions(points_mode="best")
        self.filters = FilterOptions()
        self.segmented: dict[Key, SliceInstances] = {}
        self._prompts: dict[Key, Prompts] = {}
        self._answers: dict[Key, tuple[SliceInstances, Prompts, PromptOptions, Answer]] = {}
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
        """Begin anew, without prompts, objects and steps; what was segmented stays."""
        self.history.clear()
        self._prompts, self.objects.known = {}, {}

    def add_instances(self, key: Key, instances: SliceInstances) -> None:
        """A slice was segmented."""
        self.segmented[key] = instances
        self._answers.pop(key, None)

    def instances(self, key: Key) -> SliceInstances | None:
        """The instances of a slice, as :attr:`filters` let them through; None if it was not
        segmented."""
        instances = self.segmented.get(key)
        if instances is not None:
            instances = self.segmented[key] = instances.filtered(self.filters)
        return instances

    def predicts(self, key: Key) -> bool:
        """Whether prompts of a slice are answered by new masks."""
        instances = self.segmented.get(key)
        return self.options.predict and instances is not None and instances.predicts

    # --- prompts ----------------------------------------------------------------------------

    def prompts(self, key: Key) -> Prompts:
        """The prompts of a slice."""
        return self._prompts.get(key, NOTHING)

    def prompted_slices(self) -> list[Key]:
        """Slices that have or had prompts."""
        return list(self._prompts)

    def start_with(self, key: Key, prompts: Prompts) -> None:
        """Begin with prompts, as from a file: no step that could be undone."""
        self._prompts[key] = prompts

    def prompt(self, key: Key, prompts: Prompts, name: str = "prompt") -> None:
        """Ask something else of a slice."""
        if prompts != self.prompts(key):
            self.history.do(Step(name, key, (PromptEdit(key, self.prompts(key), prompts),)))

    def drop(self, key: Key, rows: Iterable[int]) -> None:
        """Take instances out of those of a slice: a person knows better."""
        instances = self.instances(key)
        if instances is None or not (rows := frozenset(rows) - instances.dropped):
            return
        before, prompts = instances.dropped, self.prompts(key)
        edits: list[Edit] = [DropEdit(key, instances.seg, before, before | rows)]
        if prompts.chosen:
            chosen = tuple(r for r in prompts.chosen if r not in rows)
            edits.append(PromptEdit(key, prompts, dataclasses.replace(prompts, chosen=chosen)))
        self.history.do(Step("drop", key, tuple(edits)))

    def cycle(self, key: Key, by: int) -> None:
        """Turn to a larger (1) or smaller (-1) candidate, if there is one."""
        before, now = self.answer(key), self.prompts(key)
        if before is None or not now:
            return
        instances, answers = self.segmented[key], {now.step: before}

        def candidate(step: int) -> Answer:
            if step not in answers:
                prompts = dataclasses.replace(now, step=step)
                answers[step] = instances.answer(prompts, self.options)
            return answers[step]

        step, mode = now.step + by, self.options.points_mode
        several = mode == "each" or (mode == "union" and not self.predicts(key))
        if several or not any(label for _, label in now.strokes):
            step = 0
        # Other filters may have taken candidates away: back to the last that there is.
        while step and candidate(step).is_like(candidate(nearer := step - (1 if step > 0 else -1))):
            step = nearer
        prompts = dataclasses.replace(now, step=step)
        if step in answers:
            self._answers[key] = (instances, prompts, self.options, answers[step])
        self.prompt(key, prompts, "candidate")

    def answer(self, key: Key) -> Answer | None:
        """What the prompts of a slice pick, and which pick nothing; None if it was not segmented.

        It is found once for each change, however many ask.
        """
        instances = self.instances(key)
        if instances is None:
            return None
        prompts, options, before = self.prompts(key), self.options, self._answers.get(key)
        if before is None or before[0] is not instances or before[1:3] != (prompts, options):
            answer = instances.answer(prompts, options)
            self._answers[key] = before = (instances, prompts, options, answer)
        return before[3]

    def picked(self, key: Key) -> Segmentation:
        """What the prompts of a slice pick; SessionError if that is nothing."""
        answer = self.answer(key)
        if answer is None:
            raise SessionError("segment this slice first")
        if not len(answer.seg):
            why = answer.summary or "click an instance, or draw a box around it"
            raise SessionError(f"nothing to commit: {why}")
        return answer.seg

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
        instances = finished(self._fitting(key, self.picked(key)))
        self._check_target(key, prompts)
        ids = [] if prompts.target is None else [prompts.target] * len(instances)
        edits = finished(
            self.objects.add(key, instances, policy, ids, prompts.target, prompts.with_objects())
        )
        if not edits:
            raise SessionError(COVERED)
        return self._do("commit", key, [*edits, self._taken(key)])

    def commit_all(
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
        return finished(self.committing_all(keys, policy, linking))

    def committing_all(
        self, keys: Sequence[Key], policy: Policy, linking: LinkOptions | None
    ) -> Work[list[int]]:
        """The same, part by part."""
        slices: dict[Key, list[Instance]] = {}
        for key in keys:
            instances = self.instances(key)
            if instances is not None:
                slices[key] = yield from self._fitting(key, instances.visible)
        if not any(slices.values()):
            raise SessionError("nothing to commit: segment first, or loosen the filters")
        next_id, ids = self.objects.next_id, []
        if linking is not None:
            runs = [[i.runs for i in instances] for instances in slices.values()]
            numbers = link(runs, self.objects.there.shape, linking)
            ids = [(n + next_id).tolist() for n in numbers]
        else:
            for painted in slices.values():
                ids.append(list(range(next_id, next_id + len(painted))))
                next_id += len(painted)
        edits: list[Edit] = []
        for (key, painted), own in zip(slices.items(), ids, strict=True):
            edits += yield from self.objects.add(key, painted, policy, own)
        if not edits:
            raise SessionError(COVERED)
        step = Step("commit all", next(iter(slices)), tuple(joined(edits)))
        yield from self.history.doing(step)
        return step.made

    def commit_outlines(self, key: Key) -> list[int]:
        """Make what the prompts pick objects with outlines of their own, which may overlap."""
        picked, instances = self.picked(key), self.segmented[key]
        prompts = self.prompts(key).with_objects()
        edits = self.objects.outline(key, finished(instances_of(instances, picked)), prompts)
        return self._do("commit outlines", key, [*edits, self._taken(key)])

    def commit_all_outlines(self, key: Key) -> list[int]:
        """The same with all instances that the filters let through."""
        instances = self.instances(key)
        if instances is None:
            raise SessionError("segment this slice first")
        outlined = finished(instances_of(instances, instances.visible))
        if not outlined:
            raise SessionError("nothing to commit: loosen the filters")
        return self._do("commit outlines", key, self.objects.outline(key, outlined, None))

    def delete(self, ids: Iterable[int], key: Key = ()) -> None:
        """Remove objects from all slices; prompts that were to replace them are forgotten."""
        ids = set(ids)
        edits = self.objects.delete(ids)
        if edits:
            self._do("delete", key, [*edits, *self._orphaned(ids)])

    def merge(self, ids: Iterable[int], key: Key = ()) -> int:
        """Make several objects one, which keeps the smallest of their ids.

        Prompts of the slice, which said what to merge, are forgotten, and those of any slice that
        were to replace one of the objects.
        """
        ids = set(ids)
        kept, edits = self.objects.merge(ids)
        self._do("merge", key, [*edits, *self._orphaned(ids, key)])
        return kept

    def split(self, label: int, key: Key) -> list[int]:
        """Give every detached part of an object in a slice an id of its own.

        The largest part keeps the object's. Prompts of the slice that were to replace the object
        are forgotten.
        """
        edits = self.objects.split(label, key)
        gone = [self._forgotten(key)] if self.prompts(key).target == label else []
        return self._do("split", key, [*edits, *gone], {label})

    def split_off(self, key: Key) -> int:
        """Make what the prompts pick of an object underneath an object of its own."""
        merged = R.union([i.runs for i in finished(self._fitting(key, self.picked(key)))])
        edits = self.objects.split_off(key, merged, self.prompts(key))
        return max(self._do("split off", key, [*edits, self._taken(key)]))

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
        instances, shape = self.segmented[key], self.objects.there.shape
        if instances.shape != shape:
            raise SessionError(
                f"the Labels layer has slices of {shape} pixels, the image of {instances.shape}: "
                "commit into a new one"
            )
        return (yield from instances_of(instances, seg))

    def _forgotten(self, key: Key) -> PromptEdit:
        """The edit after which a slice has no prompts."""
        return PromptEdit(key, self.prompts(key), NOTHING)

    def _taken(self, key: Key) -> PromptEdit:
        """The edit after which a slice has only those prompts that picked nothing."""
        answer = self.answer(key)
        after = NOTHING if answer is None else answer.unanswered
        return PromptEdit(key, self.prompts(key), after)

    def _orphaned(self, ids: set[int], *keys: Key) -> list[PromptEdit]:
        """The edits that forget the prompts of some slices, and those meant to replace objects."""
        gone = [
            k
            for k in self.prompted_slices()
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

    # --- steps ------------------------------------------------------------------------------

    def _do(
        self, name: str, key: Key, edits: Sequence[Edit], but: Collection[int] = ()
    ) -> list[int]:
        """Make edits a step; the ids of the objects that it made or changed, but for some."""
        step = Step(name, key, tuple(edits))
        self.history.do(step)
        return [i for i in step.made if i not in but]

    def _apply(self, edit: Edit, forward: bool) -> None:
        """Make an edit, or take it back."""
        if isinstance(edit, PromptEdit):
            self._prompts[edit.key] = edit.after if forward else edit.before
        elif isinstance(edit, DropEdit):
            instances = self.segmented.get(edit.key)
            if instances is not None and instances.seg is edit.seg:
                dropped = edit.after if forward else edit.before
                self.segmented[edit.key] = instances.filtered(instances.filters, dropped)
        else:
            self.objects.apply(edit, forward)

    def _show(self) -> None:
        """All labels of a step are written."""
        if self.objects.canvas is not None:
            self.objects.canvas.show()
