"""``Workspace``: one image that is worked on, the mouse on it, and where its session is saved."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info, show_warning
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from fastsam_plugins.images.windowed_image import WindowedImage
from napari_plugin.inference.layer_pixels import Pixels
from napari_plugin.io.writers import source_files
from napari_plugin.model.autosave import Saver
from napari_plugin.model.blocks import LARGE
from napari_plugin.model.edits import Key
from napari_plugin.model.identity import Identity
from napari_plugin.model.saving import Saved, read
from napari_plugin.model.session import SessionError
from napari_plugin.model.sessions import Offer, Sessions
from napari_plugin.view.annotation import Annotation
from napari_plugin.view.canvas import Mouse
from napari_plugin.view.geometry import Plane
from napari_plugin.view.preferences import Preferences
from napari_plugin.view.threads import run


class Workspace:
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
        self.sessions = Sessions(preferences.place / "sessions")
        self.identity = Identity(list(image.data) if image.multiscale else [image.data])
        self.reopened = False
        self.offered: Path | None = None
        self.saver = Saver(
            now.session, lambda: now.record, None, run, self.sessions, self.identity,
            show_warning, lambda seconds, act: QTimer.singleShot(int(1000 * seconds), act),
        )  # fmt: skip
        now.parted = self.saver.anew
        if preferences.autosave:
            now.changed, now.settle = self.saver.changed, self.saver.settle
        self._mouse = Mouse(viewer, now)

    def of(self, image: Any, plane: Plane) -> bool:
        """Whether this is the image, seen along the same axes."""
        now = self.annotation
        return now.image is image and now.plane == plane and not now.closed

    def listen(self) -> None:
        """Make layers of prompts where there are none, and take clicks on the points'."""
        now = self.annotation
        there = now.points is not None
        points = now.points_there()
        if now.boxes is None:  # the next layer when the window has answered
            QTimer.singleShot(0, lambda: None if now.closed else now.prompt_layers())
        if not there:
            points.mode = "pan_zoom"
            now.viewer.layers.selection.active = points

    def offers(self) -> list[Offer]:
        """Sessions that may be of this image, the best first; reads files."""
        record = dataclasses.replace(self.annotation.record, content=self.identity.get())
        return self.sessions.of(record)

    def look(self, then: Callable[[list[Offer]], None]) -> None:
        """Tell what sessions there are, once they were looked for."""
        run(then, self.offers)

    def reopen(self, path: Path | None) -> tuple[Path, Saved]:
        """Go on with a session; its file stays until another has what is done from now on.

        Parameters
        ----------
        path : path, optional
            By default, the best of those there are.

        Raises
        ------
        SessionError
            If there is none, or it is of another image.
        """
        now = self.annotation
        if path is None:
            found = [o for o in self.offers() if o.why != "changed"]
            if not found:
                raise SessionError(
                    f"there is no session of {now.image.name}, by its pixels: choose its file"
                )
            path = found[0].path
        self.saver.settle()
        saved = read(path)
        now.reopen(saved)
        self.saver.anew(path)
        self.reopened = True
        was, own = saved.image.content, self.identity.get()
        if was and own and was != own:
            show_warning(
                f"FastSAM: this session was of other pixels than {now.image.name}: look whether "
                "its objects fit"
            )
        elif not was and saved.image.path is None:
            show_info(
                "FastSAM: this session was found by its name alone: look whether its objects fit"
            )
        return path, saved

    def save(self, path: Path | None, pixels: Pixels) -> None:
        """Save to a file, or to the usual one, and tell.

        Parameters
        ----------
        path : path, optional
        pixels : Pixels
            Saved beside the session, unless the image is a file that holds the same.
        """
        if path is not None and path.suffix != ".json":
            path = path.with_suffix(".json")
        if path == self.saver.path or (path == self.offered and not self.reopened):
            path = None  # what was offered, and not opened, is not written over
        now = self.annotation
        now.finish()
        height, width = now.shape

        def picture(key: Key) -> NDArray | WindowedImage:
            if height * width > LARGE:
                return pixels.windows(key, (0, 0, width, height))
            return pixels.read(key, (0, 0, width, height), max(width, height))

        def told(problem: str) -> None:
            if problem:
                show_warning(problem)
            else:
                show_info(f"Saved in {path or self.saver.path}")

        plane = now.plane
        inside = now.record.path is None or now.image.multiscale
        inside = inside or plane.stepped != () or plane.channels is not None
        sources = source_files(now.viewer.layers)
        self.saver.save(path, picture if inside else None, told, sources)

    def close(self) -> None:
        """Let go of the image."""
        self.annotation.finish()
        self.saver.close()
        self._mouse.close()
        self.annotation.close()
