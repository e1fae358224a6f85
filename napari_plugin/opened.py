"""``Opened``: one image that is worked on, the mouse on it, and where its session is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info, show_warning
from numpy.typing import NDArray

from napari_plugin.annotation import Annotation
from napari_plugin.autosave import Saver, usual_file
from napari_plugin.canvas import Mouse
from napari_plugin.edits import Key
from napari_plugin.geometry import Plane
from napari_plugin.preferences import Preferences
from napari_plugin.reading import Pixels
from napari_plugin.threads import run


class Opened:
    """An image from the first request for it until another is chosen.

    Parameters
    ----------
    viewer : napari viewer
    image : image layer
    plane : Plane
    preferences : Preferences

    Attributes
    ----------
    annotation : Annotation
    saver : Saver
    """

    def __init__(self, viewer: Any, image: Any, plane: Plane, preferences: Preferences) -> None:
        self.annotation = now = Annotation(viewer, image, plane)
        now.hover = preferences.hover
        path = usual_file(preferences.place, now.record)
        self.saver = Saver(now.session, lambda: now.record, path, run)
        if preferences.autosave:
            now.changed = self.saver.changed
        self._mouse = Mouse(viewer, now)

    def of(self, image: Any, plane: Plane) -> bool:
        """Whether this is the image, seen along the same axes."""
        now = self.annotation
        return now.image is image and now.plane == plane and not now.closed

    def listen(self) -> None:
        """Make layers of prompts where there are none, and take clicks on the points'."""
        now = self.annotation
        there = now.points is not None
        points, _ = now.prompt_layers()
        if not there:
            self._mouse.listen(points)
            points.mode = "pan_zoom"
            now.viewer.layers.selection.active = points

    def save(self, path: Path | None, pixels: Pixels) -> None:
        """Save to a file, or to the usual one, and tell.

        Parameters
        ----------
        path : path, optional
        pixels : Pixels
            Saved beside the session, unless the image is a file that holds the same.
        """
        path = path or self.saver.path
        path = path if path.suffix == ".json" else path.with_suffix(".json")
        now = self.annotation
        height, width = now.shape

        def picture(key: Key) -> NDArray:
            return pixels.read(key, (0, 0, width, height), max(width, height))

        def told(problem: str) -> None:
            if problem:
                show_warning(problem)
            else:
                show_info(f"Saved in {path}")

        plane = now.plane
        inside = now.record.path is None or now.image.multiscale
        inside = inside or plane.stepped != () or plane.channels is not None
        self.saver.save(path, picture if inside else None, told)

    def close(self) -> None:
        """Let go of the image."""
        self._mouse.close()
        self.annotation.close()
        self.saver.close()
