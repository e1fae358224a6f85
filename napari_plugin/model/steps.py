"""``Steps``: what was done to one image, and how it is taken back and made again.

:class:`napari_plugin.model.session.Session` says what there is to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from napari_plugin.model.edits import (
    DropEdit,
    Edit,
    History,
    Key,
    ObjectEdit,
    PixelEdit,
    PromptEdit,
    Step,
)
from napari_plugin.model.objects import Objects
from napari_plugin.model.painting import MANY, Work, finished
from napari_plugin.model.slice_instances import Prompts, SliceInstances


class Steps:
    """Prompts, what was found, objects, and their history.

    Attributes
    ----------
    scenes : dict
        By slice: what the network found.
    objects : Objects
        What was committed.
    listeners : list of callables
        Called with every :class:`Step` done, undone or redone.
    writing : bool
        Whether labels are those of a step that is half done.
    """

    def __init__(self) -> None:
        self.scenes: dict[Key, SliceInstances] = {}
        self.objects = Objects()
        self.history = History()
        self.listeners: list[Callable[[Step], None]] = []
        self.writing = False
        self._prompts: dict[Key, Prompts] = {}

    def undo(self) -> Step | None:
        """Take the last step back."""
        return finished(self.turning(forward=False))

    def redo(self) -> Step | None:
        """Make the last step that was undone again."""
        return finished(self.turning(forward=True))

    def turning(self, forward: bool) -> Work[Step | None]:
        """Undo or redo, part by part."""
        history = self.history
        steps, undone = history.undone if forward else history.done, history.undone
        if not steps:
            return None
        step = steps.pop()
        try:
            yield from self._apply(step, forward)
        except Exception:
            steps.append(step)
            raise
        if forward:
            history.done.append(step)
        elif history.undone is undone:  # or something else was done meanwhile
            undone.append(step)
        self._tell(step)
        return step

    def _done(
        self, name: str, key: Key, edits: Sequence[Edit], but: Collection[int] = ()
    ) -> list[int]:
        """Make edits a step; the ids of the objects that it made or changed, but for some."""
        step = Step(name, key, tuple(edits))
        self._do(step)
        return [i for i in made_by(step) if i not in but]

    def _do(self, step: Step) -> None:
        finished(self._doing(step))

    def _doing(self, step: Step) -> Work[None]:
        yield from self._apply(step, forward=True)
        self.history.add(step)
        self._tell(step)

    def _apply(self, step: Step, forward: bool) -> Work[None]:
        """Make a step or take it back, all of it or nothing: the disk of a layer may be full."""
        edits = step.edits if forward else step.edits[::-1]
        writes, self.writing = self.writing, self.writing or step.pixels
        try:
            for count, edit in enumerate(edits):
                try:
                    self._turn_edit(edit, forward)
                except Exception:
                    for done in reversed(edits[:count]):
                        self._turn_edit(done, not forward)
                    raise
                if isinstance(edit, PixelEdit) or not (count + 1) % MANY:
                    yield
        finally:
            self.writing = writes
            if step.pixels and self.objects.canvas is not None:
                self.objects.canvas.show()

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


def made_by(step: Step) -> list[int]:
    """The objects that a step made or changed."""
    return [e.id for e in step.edits if isinstance(e, ObjectEdit) and e.after is not None]
