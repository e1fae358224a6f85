"""Mouse and keys: what a person does on the canvas, told to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from napari_plugin.view.shown_image import camera_of

CLICK = 3  # pixels of the screen: a press that moves further is a drag
APART = 2  # pixels of the screen between the points of a line that is drawn
LEFT, RIGHT, MIDDLE = 1, 2, 3
HOLD = "Space"


class Listener(Protocol):
    """Who is told."""

    def moved(self, world: Any) -> None:
        """The cursor is at a place in the world."""

    def clicked(self, world: Any, foreground: bool) -> None:
        """A place was clicked."""

    @property
    def draws(self) -> bool:
        """Whether a drag draws a line here, rather than moving the view."""

    def drawing(self, world: Any, foreground: bool) -> None:
        """A line that is being drawn came to a place."""

    def drawn(self, foreground: bool) -> None:
        """The line is at its end."""


class Mouse:
    """Clicks, drags and moves of the cursor, whichever layer is selected, while it lives.

    Where drags draw, the middle button, or the left one while the space bar is held, moves the
    view.

    Parameters
    ----------
    viewer : napari viewer
    listener : Listener
    """

    def __init__(self, viewer: Any, listener: Listener) -> None:
        self.viewer, self.listener = viewer, listener
        self._held = False  # the space bar
        viewer.mouse_move_callbacks.append(self._move)
        viewer.mouse_drag_callbacks.append(self._press)
        try:
            viewer.bind_key(HOLD, self._hold)
        except ValueError:  # somebody else's
            self._bound = False
        else:
            self._bound = True

    def close(self) -> None:
        """Stop listening."""
        if self._move in self.viewer.mouse_move_callbacks:
            self.viewer.mouse_move_callbacks.remove(self._move)
        if self._press in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._press)
        if self._bound:
            self.viewer.bind_key(HOLD, None)
            self._bound = False

    def _hold(self, viewer: Any) -> Iterator[None]:
        """Move the view with the left button, as napari does: whatever tool is at work rests."""
        layer = viewer.layers.selection.active
        mode = None if layer is None else str(layer.mode)
        self._held = True
        if mode not in (None, "pan_zoom"):
            layer.mode = "pan_zoom"
        yield
        self._held = False
        if mode not in (None, "pan_zoom"):
            layer.mode = mode

    def _move(self, viewer: Any, event: Any) -> None:
        if not event.is_dragging:
            self.listener.moved(event.position)

    def _press(self, viewer: Any, event: Any) -> Iterator[None]:
        layer = viewer.layers.selection.active
        mode = "pan_zoom" if layer is None else str(layer.mode)
        if mode not in ("pan_zoom", "transform"):
            return  # one of napari's own tools is at work
        if event.button == MIDDLE:
            yield from self._pan(viewer, event)
        elif event.button in (LEFT, RIGHT):
            foreground = event.button == LEFT and "Control" not in event.modifiers
            draws = mode == "pan_zoom" and not self._held and self.listener.draws
            yield from self._draw(event, foreground) if draws else self._click(event, foreground)

    def _click(self, event: Any, foreground: bool) -> Iterator[None]:
        position, start = event.position, event.pos
        yield
        while event.type == "mouse_move":
            if max(abs(event.pos - start)) > CLICK:
                return
            yield
        self.listener.clicked(position, foreground)

    def _draw(self, event: Any, foreground: bool) -> Iterator[None]:
        position, last = event.position, event.pos
        event.handled = True  # or the camera moves with it
        drawing = False
        yield
        while event.type == "mouse_move":
            far = max(abs(event.pos - last))
            if not drawing and far > CLICK:
                drawing = True
                self.listener.drawing(position, foreground)
            if drawing and far >= APART:
                self.listener.drawing(event.position, foreground)
                last = event.pos
            yield
        if drawing:
            self.listener.drawing(event.position, foreground)
            self.listener.drawn(foreground)
        else:
            self.listener.clicked(position, foreground)

    def _pan(self, viewer: Any, event: Any) -> Iterator[None]:
        camera = camera_of(viewer)
        last = event.pos
        yield
        while event.type == "mouse_move":
            down, across = (np.array(last)[::-1] - np.array(event.pos)[::-1]) / camera.zoom
            depth, y, x = camera.center
            camera.center = depth, y + down, x + across
            last = event.pos
            yield


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
