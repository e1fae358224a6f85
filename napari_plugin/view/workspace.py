"""``Workspace``: one image that is worked on. It has a session, the view of it, and its saver."""

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
from napari_plugin.model.plane import Plane
from napari_plugin.model.saving import Saved, read
from napari_plugin.model.session import Session, SessionError
from napari_plugin.model.session_folder import Offer, SessionFolder
from napari_plugin.model.slice_instances import SliceInstances
from napari_plugin.view.actions import Actions
from napari_plugin.view.canvas import Mouse
from napari_plugin.view.display import Callbacks, Display
from napari_plugin.view.jobs import Job
from napari_plugin.view.preferences import Preferences
from napari_plugin.view.shown_image import ShownImage
from napari_plugin.view.threads import run


class Workspace:
    """An image from the first request for it until another is chosen.

    Parameters
    ----------
    viewer : napari viewer
    layer : image layer
    plane : Plane
    preferences : Preferences
    callbacks : Callbacks
        What the form is told.

    Attributes
    ----------
    image : ShownImage
    session : Session
    view : Display
    actions : Actions
    saver : Saver
    reopened : bool
        Whether a session of before is gone on with.
    offered : path, optional
        The session of before that was named in the form.
    """

    def __init__(
        self, viewer: Any, layer: Any, plane: Plane, preferences: Preferences, callbacks: Callbacks
    ) -> None:
        self.image = image = ShownImage(viewer, layer, plane)
        self.session = session = Session()
        self.identity = Identity(list(layer.data) if layer.multiscale else [layer.data])
        self.sessions = SessionFolder(preferences.place / "sessions")
        self.saver = Saver(
            session, lambda: image.record, None, run, self.sessions, self.identity, show_warning,
            lambda seconds, act: QTimer.singleShot(int(1000 * seconds), act), preferences.autosave,
        )  # fmt: skip
        self._status = callbacks.status
        self._job = Job(self._step_failed)
        self.view = Display(image, session, self.saver, self._job, callbacks, preferences.hover)
        self.actions = Actions(image, session, self.view, self._job, callbacks.status)
        self._mouse = Mouse(viewer, self.actions)
        self.reopened = False
        self.offered: Path | None = None

    @property
    def instances(self) -> SliceInstances | None:
        """The instances of the slice that is shown; None if it was not segmented."""
        return self.session.instances(self.image.key)

    def is_of(self, layer: Any, plane: Plane) -> bool:
        """Whether it is of an image, seen along the same axes."""
        return self.image.layer is layer and self.image.plane == plane and not self.view.closed

    def take_clicks(self) -> None:
        """Make layers of prompts where there are none, and take clicks on the points'."""
        prompts = self.view.prompts
        new = prompts.points is None
        points = prompts.make_points()
        if prompts.boxes is None:  # the next layer when the window has answered
            QTimer.singleShot(0, lambda: None if self.view.closed else prompts.make())
        if new:
            points.mode = "pan_zoom"
            self.image.viewer.layers.selection.active = points

    def offers(self) -> list[Offer]:
        """Sessions that may be of this image, the best first; reads files."""
        record = dataclasses.replace(self.image.record, content=self.identity.get())
        return self.sessions.of(record)

    def look_for_sessions(self, then: Callable[[list[Offer]], None]) -> None:
        """Look, beside the window, which sessions there are."""
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
        name = self.image.layer.name
        if path is None:
            offers = [o for o in self.offers() if o.why != "changed"]
            if not offers:
                raise SessionError(f"there is no session of {name}, by its pixels: choose its file")
            path = offers[0].path
        self.saver.flush()
        saved = read(path)
        self.actions.reopen(saved)
        self.saver.new_file(path)
        self.reopened = True
        was, own = saved.image.content, self.identity.get()
        if was and own and was != own:
            show_warning(
                f"FastSAM: this session was of other pixels than {name}: look whether "
                "its objects fit"
            )
        elif not was and saved.image.path is None:
            show_info(
                "FastSAM: this session was found by its name alone: look whether its objects fit"
            )
        return path, saved

    def save(self, path: Path | None, pixels: Pixels) -> None:
        """Save to a file, or to the usual one, and say so.

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
        self._job.finish()
        image = self.image
        height, width = image.shape

        def picture(key: Key) -> NDArray | WindowedImage:
            if height * width > LARGE:
                return pixels.windows(key, (0, 0, width, height))
            return pixels.read(key, (0, 0, width, height), max(width, height))

        def saved(problem: str) -> None:
            if problem:
                show_warning(problem)
            else:
                show_info(f"Saved in {path or self.saver.path}")

        inside = image.record.path is None or image.layer.multiscale
        inside = inside or image.plane.stepped != () or image.plane.channels is not None
        sources = source_files(image.viewer.layers)
        self.saver.save(path, picture if inside else None, saved, sources)

    def close(self) -> None:
        """Let go of the image."""
        self._job.finish()
        self.saver.close()
        self._mouse.close()
        self.view.close()

    def _step_failed(self, error: Exception) -> None:
        """A step could not be made, and was taken back."""
        show_warning(f"FastSAM: {error or type(error).__name__}")
        self._status("")
