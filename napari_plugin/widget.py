"""The dock widget: forms and buttons; :class:`Annotation` does what they ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image, Labels
from napari.qt.threading import create_worker
from napari.utils.notifications import show_info, show_warning
from napari.viewer import Viewer

from fastsam_plugins import backends
from napari_plugin import geometry, layers, preferences, regions, saving
from napari_plugin.annotation import Annotation
from napari_plugin.autosave import Saver, usual_file
from napari_plugin.canvas import Keys, Mouse
from napari_plugin.edits import Key
from napari_plugin.geometry import Plane, PlaneError
from napari_plugin.network import Network
from napari_plugin.panel import OUTLINES, Panel, chosen_path
from napari_plugin.reading import Pixels
from napari_plugin.results import Results
from napari_plugin.session import SessionError
from napari_plugin.worker import Failure, Found, Picked, Request, pick, picture, work

NEW = "new layer"


class FastSAMWidget(Panel):
    """Segment an image once; click, box and hover; commit.

    Parameters
    ----------
    napari_viewer : napari viewer
        Napari hands it over by this name.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        # Napari hands plugins a proxy, whose layers are new proxies each time: none is the layer
        # that an event names.
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.preferences = preferences.load()
        place = self.preferences.place
        self.results = Results(
            place / "results" if self.preferences.keep_results else None,
            disk=self.preferences.disk << 30,
        )
        self.network = Network()
        # Ready by the time it is asked.
        self.network.load(self.preferences.model, self.preferences.device, backends.NAMES[0])
        self.annotation: Annotation | None = None
        self._saver: Saver | None = None
        self._mouse: Mouse | None = None
        self._keys: Keys | None = None
        self._number = 0  # of the last request; results of others are stale
        self._stop = threading.Event()
        self._worker: Any = None
        self._drawing = self._redraw = False
        self._closed = False
        _run(layers.warm, lambda nothing: None)
        super().__init__(self.preferences)
        self._connect()

    def _connect(self) -> None:
        events = self.viewer.layers.events
        events.inserted.connect(self._layers_changed)
        events.removed.connect(self._layers_changed)
        events.reordered.connect(self._layers_changed)
        self.viewer.dims.events.current_step.connect(self._slice_changed)
        self.more.changed.connect(lambda value: setattr(self._more, "visible", value))
        self.image.changed.connect(self._image_changed)
        self.segment_button.changed.connect(self.segment)
        self.cancel_button.changed.connect(self.cancel)
        self.filters.changed.connect(self._filter)
        self.mode.changed.connect(self._prompting_changed)
        self.prompting.changed.connect(self._prompting_changed)
        self.objects.changed.connect(self._objects_changed)
        self.find_button.changed.connect(self.find)
        self.save_button.changed.connect(self.save)
        self.reopen_button.changed.connect(self.reopen)
        does = {
            "Commit": self.commit, "Commit all": self.commit_all, "Go back": self._do("recall"),
            "Delete": self._do("delete"), "Merge": self._do("merge"), "Split": self._do("split"),
            "Clear": self._do("clear"), "Undo": self._do("undo"), "Redo": self._do("redo"),
        }  # fmt: skip
        for text, action in does.items():
            self.buttons[text].changed.connect(lambda _, action=action: action())
        self._keys = Keys(
            self.viewer,
            {
                "H": self.toggle_hover, "J": lambda: self._do("cycle", -1)(),
                "K": lambda: self._do("cycle", 1)(), "N": self.commit, "Q": self._do("clear"),
                "U": self._do("undo"), "Shift-U": self._do("redo"), "W": self._do("recall"),
                "Shift-W": self._do("delete"),
            },
        )  # fmt: skip
        # A dock that is closed lets go of its widget, which lives on while anything refers to it.
        moved = getattr(self, "native_parent_changed", None) or self.parent_changed
        moved.connect(self._parent_changed)
        self.native.destroyed.connect(self.shut)
        self._layers_changed()

    def images(self, widget: Any = None) -> list[Any]:  # noqa: D102
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    def outputs(self, widget: Any = None) -> list[Any]:  # noqa: D102
        own = [] if self.annotation is None else self.annotation.own
        found = [x for x in self.viewer.layers if isinstance(x, Labels) and x not in own]
        return [(NEW, None), *((layer.name, layer) for layer in found)]

    # --- segmenting -------------------------------------------------------------------------

    def segment(self) -> None:
        """Ask the network, in a thread; a request under way is given up."""
        try:
            request, annotation = self._request()
        except (ValueError, PlaneError, SessionError) as error:
            show_info(str(error))
            return
        self.cancel()
        self._number += 1
        self._stop = threading.Event()
        self._run_request(request, annotation, self._number)

    def _request(self) -> tuple[Request, Annotation]:
        image = self.image.value
        if image is None:
            raise SessionError("Open an image first")
        options = self.segment_options()
        plane = self._plane(image)
        annotation = self._annotate(image, plane)
        pixels = self._pixels(image, plane)
        jobs = regions.jobs(self.region.read(), image, plane, annotation.key)
        model = self.model_name()
        request = Request(
            pixels, jobs, annotation.shape, model, self.device.value, self.backend.value, options,
            self.filters.read(),
        )  # fmt: skip
        return request, annotation

    def _plane(self, image: Any) -> Plane:
        return geometry.shown_plane(image, self.viewer.dims, self.layer_options.read().channel_axis)

    def _pixels(self, image: Any, plane: Plane) -> Pixels:
        contrast = self.layer_options.read().layer_contrast
        return Pixels.of(image, plane, self.reading.read(), contrast)

    def _run_request(self, request: Request, annotation: Annotation, number: int) -> None:
        self.cancel_button.enabled = True
        self.status.value = "Segmenting ..."
        worker = create_worker(
            work, request, self.network, self.results, self._stop, _start_thread=False,
            _progress={"total": request.steps, "desc": f"FastSAM: {annotation.image.name}"},
        )  # fmt: skip
        worker.yielded.connect(partial(self._yielded, number, annotation))
        worker.finished.connect(partial(self._finished, number))
        self._worker = worker
        worker.start()

    def _yielded(self, number: int, annotation: Annotation, found: Any) -> None:
        if number != self._number or self._closed or annotation.closed:
            return  # stale: something else was asked since, or the image is gone
        if isinstance(found, Failure):
            self.status.value = ""
            show_warning(f"FastSAM: {found.message}")
        elif isinstance(found, Found):
            annotation.found(found)
            count = len(found.scene.seg)
            self.status.value = f"{count} instances" if count else ""
            if not count:
                show_info("FastSAM: no instance found: lower conf, or zoom in on a field of view")
            if found.key == annotation.key:
                self.table.show_scene(annotation.scene)

    def _finished(self, number: int) -> None:
        if number == self._number and not self._closed:
            self.cancel_button.enabled = False
            self._worker = None
            if self.status.value == "Segmenting ...":
                self.status.value = ""

    def find(self) -> None:
        """Look for what the text says among the instances of this slice, in a thread."""
        now, scene = self.annotation, None if self.annotation is None else self.annotation.scene
        if now is None or scene is None:
            show_info("Segment this slice first")
            return
        try:
            words = self.words()
            pixels = self._pixels(now.image, now.plane)
        except ValueError as error:
            show_info(str(error))
            return
        self.cancel()
        self._stop = threading.Event()
        self.cancel_button.enabled = True
        self.status.value = f"Looking for {'; '.join(words.texts)} ..."
        look = partial(
            pick, pixels, now.key, scene, self.device.value, words, self.network, self._stop
        )
        _run(look, partial(self._picked, self._number, now))

    def _picked(self, number: int, annotation: Annotation, found: Picked | Failure | None) -> None:
        if number != self._number or self._closed or annotation.closed or found is None:
            return
        self.cancel_button.enabled = False
        self.status.value = ""
        if isinstance(found, Failure):
            show_warning(f"FastSAM: {found.message}")
        elif not found.rows:
            show_info("FastSAM: nothing here is like that")
        else:
            self.status.value = f"{len(found.rows)} found"
            annotation.picked(found.key, found.scene, found.rows)

    def cancel(self) -> None:
        """Give the request up; the network stops within a layer."""
        self._number += 1
        self._stop.set()
        if self._worker is not None:
            self._worker.quit()
            self._worker = None
        self.cancel_button.enabled = False
        self.status.value = ""

    # --- the image --------------------------------------------------------------------------

    def _annotate(self, image: Any, plane: Plane) -> Annotation:
        """The annotation of an image; a new one if another was open."""
        now = self.annotation
        if now is not None and now.image is image and now.plane == plane and not now.closed:
            self._prompt_layers(now)
            return now
        self._leave()
        self.annotation = now = Annotation(self.viewer, image, plane)
        now.hover = self.preferences.hover
        now.session.options = self.prompt_options()
        now.session.filters = self.filters.read()
        now.chosen = self.table.follow
        now.changed = self._changed
        path = usual_file(self.preferences.place, now.record)
        self._saver = Saver(now.session, lambda: now.record, path, _run)
        if path.is_file():
            show_info(f"FastSAM: a session of {image.name} is there; Reopen goes on with it")
            self.file.value = path
        self._mouse = Mouse(self.viewer, now)
        self._prompt_layers(now)
        self._layers_changed()
        return now

    def _prompt_layers(self, annotation: Annotation) -> None:
        """Points and boxes, there and listening."""
        there = annotation.points is not None
        points, _ = annotation.prompt_layers()
        if not there and self._mouse is not None:
            self._mouse.listen(points)
            points.mode = "pan_zoom"
            self.viewer.layers.selection.active = points

    def _leave(self) -> None:
        """Let go of the image that was annotated."""
        if self._mouse is not None:
            self._mouse.close()
            self._mouse = None
        if self.annotation is not None:
            self.annotation.close()
            self.annotation = None
        if self._saver is not None:
            self._saver.close()
            self._saver = None

    def _image_changed(self, image: Any) -> None:
        now = self.annotation
        if now is not None and now.image is not image:
            self.cancel()
            self._leave()
            self.table.show_scene(None)

    def _layers_changed(self, event: Any = None) -> None:
        if self._closed:
            return
        for layer in self.viewer.layers:
            layer.events.name.connect(self._renamed)
        now = self.annotation
        if now is not None and now.image not in self.viewer.layers:
            self.cancel()
            self._leave()
            self.table.show_scene(None)
            now = None
        self.image.reset_choices()
        self.objects.reset_choices()
        if now is not None:
            if self.image.value is not now.image:
                self.image.value = now.image
            if now.objects in (None, *self.viewer.layers):  # or it is about to be let go of
                self.objects.value = now.objects

    def _renamed(self, event: Any = None) -> None:
        self._layers_changed()

    def _slice_changed(self, event: Any = None) -> None:
        if self.annotation is not None and self.annotation.shown:
            self.table.show_scene(self.annotation.scene)

    # --- filters and table ------------------------------------------------------------------

    def _filter(self) -> None:
        """Other filters: no network, and the picture is made in a thread, the latest one last."""
        now = self.annotation
        if now is None:
            return
        try:
            now.session.filters = self.filters.read()
        except ValueError as error:
            self.status.value = str(error)
            return
        scene = now.scene
        self.table.show_scene(scene)
        if scene is None:
            return
        self.status.value = f"{len(scene.shown)} of {len(scene.seg)} instances"
        if self._drawing:
            self._redraw = True
            return
        self._drawing = True
        _run(partial(picture, scene), partial(self._drawn, now, now.key))

    def _drawn(self, annotation: Annotation, key: Key, made: Any) -> None:
        self._drawing = False
        if annotation is not self.annotation or self._closed:
            return
        annotation.refiltered(key, made)
        if self._redraw:
            self._redraw = False
            self._filter()

    def _prompting_changed(self) -> None:
        now = self.annotation
        if now is None:
            return
        try:
            now.session.options = self.prompt_options()
        except ValueError as error:
            self.status.value = str(error)
            return
        now.refresh()

    def row_chosen(self, index: int) -> None:  # noqa: D102
        if self.annotation is not None and self.annotation.shown:
            self.annotation.highlight(index, center=True)

    # --- objects ----------------------------------------------------------------------------

    def _do(self, name: str, *args: Any) -> Callable[[], None]:
        def act() -> None:
            now = self.annotation
            if now is None:
                show_info("Segment an image first")
            else:
                now.act(partial(getattr(now, name), *args))

        act.__name__ = name
        return act

    def commit(self) -> None:
        """Make what prompts pick objects."""
        if self.policy.value == OUTLINES:
            self._do("commit_outlines", False)()
        else:
            self._do("commit", self.policy.value)()
        self._show_objects()

    def commit_all(self) -> None:
        """Make all instances objects."""
        now = self.annotation
        if self.policy.value == OUTLINES:
            self._do("commit_outlines", True)()
        elif now is not None:
            linking = self.linking.read() if self.link.value else None
            keys = sorted(now.session.scenes)
            self._do("commit_found", self.policy.value, keys, linking)()
        self._show_objects()

    def toggle_hover(self) -> None:
        """Show the instance under the cursor, or no longer."""
        now = self.annotation
        if now is not None:
            now.hover = not now.hover
            if not now.hover and now.preview is not None:
                now.preview.hover(None)

    def _show_objects(self) -> None:
        self.objects.reset_choices()
        if self.annotation is not None and self.objects.value is not self.annotation.objects:
            self.objects.value = self.annotation.objects

    def _objects_changed(self, layer: Any) -> None:
        now = self.annotation
        if now is None or layer is now.objects:
            return
        try:
            now.attach(layer)
        except SessionError as error:
            show_info(str(error))
            self.objects.value = now.objects

    # --- sessions ---------------------------------------------------------------------------

    def _changed(self, keys: set[Key]) -> None:
        if self.preferences.autosave and self._saver is not None:
            self._saver.changed(keys)

    def save(self) -> None:
        """Write the session to the file named, or to the usual one."""
        now, saver = self.annotation, self._saver
        if now is None or saver is None:
            show_info("Segment an image first")
            return
        path = chosen_path(self.file) or saver.path
        path = path if path.suffix == ".json" else path.with_suffix(".json")
        image, plane = now.image, now.plane
        picture_of = None
        if (
            now.record.path is None
            or image.multiscale
            or plane.stepped
            or plane.channels is not None
        ):
            try:
                pixels = self._pixels(image, plane)
            except ValueError as error:
                show_info(str(error))
                return
            height, width = now.shape
            picture_of = partial(_whole, pixels, (0, 0, width, height))
        told = partial(_saved, path)
        saver.save(path, picture_of, told)

    def reopen(self) -> None:
        """Go on with a session: its objects, prompts, and what was segmented, if it was kept."""
        image = self.image.value
        if image is None:
            show_info("Open the session's image first")
            return
        try:
            now = self._annotate(image, self._plane(image))
            assert self._saver is not None
            path = chosen_path(self.file) or self._saver.path
            saved = saving.read(path)
            now.reopen(saved)
        except (ValueError, MemoryError) as error:
            show_info(str(error))
            return
        self._show_objects()
        self.cancel()
        self._number += 1
        worker = create_worker(
            regions.kept_scenes, saved, self.results, self.filters.read(), _start_thread=False
        )
        worker.yielded.connect(partial(self._yielded, self._number, now))
        worker.start()

    # --- the end ----------------------------------------------------------------------------

    def _parent_changed(self, parent: Any) -> None:
        if parent is None:
            self.shut()

    def shut(self, *_: Any) -> None:
        """Stop, and leave nothing bound. Called when the window goes."""
        if self._closed:
            return
        self._closed = True
        self._number += 1
        self._stop.set()
        if self._worker is not None:
            self._worker.quit()
        events = self.viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.disconnect(self._layers_changed)
        self.viewer.dims.events.current_step.disconnect(self._slice_changed)
        for layer in self.viewer.layers:
            layer.events.name.disconnect(self._renamed)
        if self._keys is not None:
            self._keys.close()
        self.network.close()
        self._leave()


def _whole(pixels: Pixels, window: Any, key: Key) -> Any:
    return pixels.read(key, window, max(window))


def _saved(path: Path, problem: str) -> None:
    if problem:
        show_warning(problem)
    else:
        show_info(f"Saved in {path}")


def _run(work: Callable[[], Any], then: Callable[[Any], None]) -> None:
    """Do something in another thread, and something with its result in this one."""
    worker = create_worker(work, _start_thread=False)
    worker.returned.connect(then)
    worker.start()
