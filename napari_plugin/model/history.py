"""``History``: steps that were done to one image, how they are taken back and made again."""

from __future__ import annotations

from collections.abc import Callable

from napari_plugin.model.edits import Edit, PixelEdit, Step
from napari_plugin.model.painting import MANY, Work, finished


class History:
    """Steps that can be taken back and made again, each of them whole or not at all.

    Parameters
    ----------
    apply : callable
        Makes an edit, or takes it back: ``apply(edit, forward)``.
    show : callable
        Called when all labels of a step are written.
    limit : int
        Steps that are kept; the oldest are forgotten.

    Attributes
    ----------
    done, undone : list of Step
        The latest last.
    listeners : list of callables
        Called with every :class:`Step` done, undone or redone.
    writing : bool
        Whether labels are those of a step that is half done.
    """

    def __init__(
        self, apply: Callable[[Edit, bool], None], show: Callable[[], None], limit: int = 1000
    ) -> None:
        self._apply, self._show, self.limit = apply, show, limit
        self.done: list[Step] = []
        self.undone: list[Step] = []
        self.listeners: list[Callable[[Step], None]] = []
        self.writing = False

    def clear(self) -> None:
        """Forget everything."""
        self.done, self.undone = [], []

    def do(self, step: Step) -> None:
        """Make a new step: what was undone before cannot be made again."""
        finished(self.doing(step))

    def doing(self, step: Step) -> Work[None]:
        """The same, part by part."""
        yield from self._write(step, forward=True)
        self.done = [*self.done[-self.limit + 1 :], step]
        self.undone = []
        self._notify(step)

    def undo(self) -> Step | None:
        """Take the last step back; None if there is none."""
        return finished(self.undoing())

    def redo(self) -> Step | None:
        """Make the last step that was undone again; None if there is none."""
        return finished(self.redoing())

    def undoing(self) -> Work[Step | None]:
        """:meth:`undo`, part by part."""
        undone = self.undone
        if not self.done:
            return None
        step = self.done.pop()
        try:
            yield from self._write(step, forward=False)
        except Exception:
            self.done.append(step)
            raise
        if self.undone is undone:  # else something was done meanwhile
            undone.append(step)
        self._notify(step)
        return step

    def redoing(self) -> Work[Step | None]:
        """:meth:`redo`, part by part."""
        undone = self.undone
        if not undone:
            return None
        step = undone.pop()
        try:
            yield from self._write(step, forward=True)
        except Exception:
            undone.append(step)
            raise
        self.done.append(step)
        self._notify(step)
        return step

    def _write(self, step: Step, forward: bool) -> Work[None]:
        """Make a step or take it back, all of it or nothing: the disk of a layer may be full."""
        edits = step.edits if forward else step.edits[::-1]
        before, self.writing = self.writing, self.writing or step.pixels
        try:
            for count, edit in enumerate(edits):
                try:
                    self._apply(edit, forward)
                except Exception:
                    for done in reversed(edits[:count]):
                        self._apply(done, not forward)
                    raise
                if isinstance(edit, PixelEdit) or not (count + 1) % MANY:
                    yield
        finally:
            self.writing = before
            if step.pixels:
                self._show()

    def _notify(self, step: Step) -> None:
        for listener in list(self.listeners):
            listener(step)
