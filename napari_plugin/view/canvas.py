"""Mouse and keys: what a person does on the canvas, told to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

CLICK = 4  # pixels of the screen: a press that moves further is a drag, which moves the view


class Listener(Protocol):
    """Who is told."""

    def moved(self, world: Any) -> None:
        """The cursor is at a place in the world."""

    def clicked(self, world: Any, foreground: bool) -> None:
        """A place was clicked."""


class Mouse:
    """Clicks and moves of the cursor, whichever layer is selected, while it lives.

    Parameters
    ----------
    viewer : napari viewer
    listener : Listener
    """

    def __init__(self, viewer: Any, listener: Listener) -> None:
        self.viewer, self.listener = viewer, listener
        viewer.mouse_move_callbacks.append(self._move)
        viewer.mouse_drag_callbacks.append(self._press)

    def close(self) -> None:
        """Stop listening."""
        if self._move in self.viewer.mouse_move_callbacks:
            self.viewer.mouse_move_callbacks.remove(self._move)
        if self._press in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._press)

    def _move(self, viewer: Any, event: Any) -> None:
        if not event.is_dragging:
            self.listener.moved(event.position)

    def _press(self, viewer: Any, event: Any) -> Iterator[None]:
        layer = viewer.layers.selection.active
        mode = "pan_zoom" if layer is None else str(layer.mode)
        if event.button not in (1, 2) or mode not in ("pan_zoom", "transform"):
            return  # one of napari's own tools is at work
        background = event.button == 2 or "Control" in event.modifiers
        position, start = event.position, event.pos
        yield
        while event.type == "mouse_move":
            if max(abs(event.pos - start)) > CLICK:
                return
            yield
        self.listener.clicked(position, not background)


class Keys:
    """Keys of a viewer, bound until they are released; those that somebody else bound stay theirs.

    Parameters
    ----------
    viewer : napari viewer
    actions : mapping
        By key: what to call.

    Attributes
    ----------
    taken : list of str
        Keys that were not free.
    """

    def __init__(self, viewer: Any, actions: Mapping[str, Callable[[], None]]) -> None:
        self.viewer = viewer
        self.taken: list[str] = []
        self._bound: list[str] = []
        for key, action in actions.items():
            try:
                viewer.bind_key(key, _ignoring_viewer(action))
            except ValueError:
                self.taken.append(key)
            else:
                self._bound.append(key)

    def close(self) -> None:
        """Release the keys."""
        for key in self._bound:
            self.viewer.bind_key(key, None)
        self._bound = []


def _ignoring_viewer(action: Callable[[], None]) -> Callable[[Any], None]:
    def act(viewer: Any) -> None:
        action()

    act.__doc__ = action.__doc__
    act.__name__ = getattr(action, "__name__", "act")
    return act
