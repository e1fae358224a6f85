"""The dock widget: forms and buttons; :class:`Annotation` does what they ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.layers import Image, Labels
from napari.utils.notifications import show_info, show_warning
from napari.viewer import Viewer

from fastsam_plugins.network import backends
from napari_plugin.inference import regions
from napari_plugin.inference.layer_pixels import Pixels
from napari_plugin.inference.network import Network
from napari_plugin.inference.result_cache import Results
from napari_plugin.inference.worker import Failure, Found, Picked, Request, pick, picture, work
from napari_plugin.model.edits import Key
from napari_plugin.model.session import SessionError
from napari_plugin.model.sessions import Offer
from napari_plugin.model.slice_instances import SliceInstances
from napari_plugin.view import channels, geometry, layers, preferences
from napari_plugin.view.annotation import Annotation
from napari_plugin.view.canvas import Keys
from napari_plugin.view.geometry import Plane
from napari_plugin.view.messages import telling
from napari_plugin.view.panel import OUTLINES, Panel, chosen_path, shortened
from napari_plugin.view.threads import Latest, Requests, run
from napari_plugin.view.workspace import Workspace

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
        self.workspace: Workspace | None = None
        self.requests = Requests(self._busy)
        self._keys: Keys | None = None
        self.pictures = Latest()
        self._closed = False
        run(lambda nothing: None, layers.warm)
        super().__init__(self.preferences)
        self._connect()

    def _connect(self) -> None:
        events = self.viewer.layers.events
        events.inserted.connect(self._layers_changed)
        events.removed.connect(self._layers_changed)
        events.reordered.connect(self._layers_changed)
        self.viewer.dims.events.current_step.connect(self._slice_changed)
        self.box_button.changed.connect(self.draw_box)
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
        if self._keys.taken:
            show_info(f"FastSAM leaves keys alone that are bound: {', '.join(self._keys.taken)}")
        # A dock that is closed lets go of its widget, which lives on while anything refers to it.
        moved = getattr(self, "native_parent_changed", None) or self.parent_changed
        moved.connect(self._parent_changed)
        self.native.destroyed.connect(self.shut)
        self._layers_changed()
        self._image_changed(self.image.value)  # what is open already was chosen without a word

    @property
    def now(self) -> Annotation | None:
        """What is done to the image that is worked on; None if there is none."""
        return None if self.workspace is None else self.workspace.annotation

    def images(self, widget: Any = None) -> list[Any]:  # noqa: D102
        found = [layer for layer in self.viewer.layers if isinstance(layer, Image)]
        return list(zip(shortened([layer.name for layer in found]), found, strict=True))

    def outputs(self, widget: Any = None) -> list[Any]:  # noqa: D102
        own = [] if self.now is None else self.now.own
        found = [x for x in self.viewer.layers if isinstance(x, Labels) and x not in own]
        names = shortened([layer.name for layer in found])
        return [(NEW, None), *zip(names, found, strict=True)]

    # --- requests ---------------------------------------------------------------------------

    @telling
    def segment(self) -> None:
        """Ask the network, in a thread; a request under way is given up."""
        request, annotation = self._request()
        self.requests.start(
            partial(self._answered, annotation), work, request, self.network, self.results,
            total=request.steps, desc=f"FastSAM: {annotation.image.name}",
        )  # fmt: skip
        self.status.value = "Segmenting ..."

    def _request(self) -> tuple[Request, Annotation]:
        image = self.image.value
        if image is None:
            raise SessionError("open an image first")
        options = self.segment_options()
        plane = self._plane(image)
        annotation = self._open(image, plane).annotation
        pixels = self._pixels(image, plane)
        region = self.region.read()
        jobs = regions.jobs(region, image, plane, annotation.key)
        model = self.model_name()
        request = Request(
            pixels, jobs, annotation.shape, model, self.device.value, self.backend.value, options,
            self.filters.read(), self.tiling.read() if region.region == "windows" else None,
            self.limits.read(),
        )  # fmt: skip
        return request, annotation

    def _plane(self, image: Any) -> Plane:
        """How the image is shown, after its channels, if they were shown, were brought first."""
        axis, dims = self.layer_options.read().channel_axis, self.viewer.dims
        if axis is not None:
            channels.check(image, axis)
            if axis and channels.shown_in(image, axis, dims):
                channels.bring_first(image, axis, dims)
                axis = 0
                self.layer_options.channel_axis.value = "0"
                self.viewer.reset_view()
                show_info(f"FastSAM: {image.name} has its channels first now, and shows its pixels")
            image.metadata[channels.KEY] = axis
        return geometry.shown_plane(image, dims, axis)

    def _pixels(self, image: Any, plane: Plane) -> Pixels:
        contrast, options = self.layer_options.read().layer_contrast, self.reading.read()
        seen = channels.looked_at(image, plane, self.viewer.dims, options)
        if seen != options:
            show_info(
                f"FastSAM looks at channel {seen.bands} of {image.name}, which is shown; bands "
                "under more options chooses others, as 0,0,1"
            )
        return Pixels.of(image, plane, seen, contrast)

    @telling
    def find(self) -> None:
        """Look for what the text says among the instances of this slice, in a thread."""
        now, scene = self.now, None if self.now is None else self.now.scene
        if now is None or scene is None:
            raise SessionError("segment this slice first")
        words = self.words()
        pixels = self._pixels(now.image, now.plane)
        self.requests.start(
            partial(self._answered, now),
            pick, pixels, now.key, scene, self.device.value, words, self.network,
        )  # fmt: skip
        self.status.value = f"Looking for {'; '.join(words.texts)} ..."

    def _answered(self, annotation: Annotation, answer: Found | Picked | Failure) -> None:
        """The last request has an answer, of the image that is worked on."""
        if isinstance(answer, Failure):
            self.status.value = ""
            show_warning(f"FastSAM: {answer.message}")
        elif isinstance(answer, Found):
            count = len(answer.scene.seg)
            self.status.value = self._counted(answer.scene)
            annotation.found(answer)
            if not count:
                show_info("FastSAM: no instance found: lower conf, or zoom in on a field of view")
            if answer.key == annotation.key:
                self.table.show_scene(annotation.scene)
        elif answer.rows:
            self.status.value = f"{len(answer.rows)} found"
            annotation.picked(answer.key, answer.scene, answer.rows)
        else:
            self.status.value = ""
            show_info("FastSAM: nothing here is like that")

    def _prompts_told(self, text: str) -> None:
        """How many prompts are answered; how many instances there are, where there is none."""
        scene = None if self.now is None else self.now.scene
        if not self._closed and not self.cancel_button.enabled:
            self.status.value = text or self._counted(scene)

    def _counted(self, scene: SliceInstances | None) -> str:
        if scene is None or not len(scene.seg):
            return ""
        count, shown = len(scene.seg), len(scene.shown)
        return f"{count} instances" if shown == count else f"{shown} of {count} instances"

    def _busy(self, busy: bool) -> None:
        if self._closed:
            return
        self.cancel_button.enabled = busy
        if not busy and self.status.value.endswith(" ..."):
            self.status.value = ""

    def cancel(self) -> None:
        """Give the request up; the network stops within a layer."""
        self.requests.cancel()

    # --- the image --------------------------------------------------------------------------

    def _open(self, image: Any, plane: Plane) -> Workspace:
        """Work on an image, if it is not the one already."""
        workspace = self.workspace
        if workspace is None or not workspace.of(image, plane):
            options, filters = self.prompt_options(), self.filters.read()
            self._leave()
            self.workspace = workspace = Workspace(self.viewer, image, plane, self.preferences)
            now = workspace.annotation
            now.session.options, now.session.filters = options, filters
            now.chosen, now.told = self.table.follow, self._prompts_told
            now.refilter = self._filter
            self._objects_changed(self.objects.value)
            workspace.look(partial(self._offered, workspace))
        workspace.listen()
        return workspace

    def _offered(self, workspace: Workspace, offers: list[Offer]) -> None:
        """Sessions of the image that is worked on were looked for."""
        if self._closed or workspace is not self.workspace or workspace.reopened or not offers:
            return
        best, more = offers[0], sum(o.why != "changed" for o in offers[1:])
        if best.why != "changed" and chosen_path(self.file) is None:
            workspace.offered = self.file.value = best.path
            self.unfold("Session")  # its button is what is asked for
        show_info(best.told(workspace.annotation.image.name, more))

    def _leave(self) -> None:
        """Let go of the image that was worked on."""
        self.cancel()
        workspace, self.workspace = self.workspace, None
        if workspace is None:
            return
        workspace.close()
        if not self._closed:  # the next image has other objects and another session
            self.table.show_scene(None)
            self.objects.value = None
            if chosen_path(self.file) in (workspace.saver.path, workspace.offered):
                self.file.value = None

    def _image_changed(self, image: Any) -> None:
        now = self.now
        if now is not None and now.image is not image:
            self._leave()
        self.image.tooltip = "" if image is None else image.name
        if image is not None:
            axis = channels.known_axis(image)
            self.layer_options.channel_axis.value = "" if axis is None else str(axis)

    def _layers_changed(self, event: Any = None) -> None:
        if self._closed:
            return
        for layer in self.viewer.layers:
            layer.events.name.connect(self._layers_changed)
        now = self.now
        if now is not None and now.image not in self.viewer.layers:
            self._leave()
            now = None
        self.image.reset_choices()
        self.objects.reset_choices()
        if now is not None:
            if self.image.value is not now.image:
                self.image.value = now.image
            if now.objects in (None, *self.viewer.layers):  # or it is about to be let go of
                self.objects.value = now.objects

    def _slice_changed(self, event: Any = None) -> None:
        if self.now is not None and self.now.shown:
            self.table.show_scene(self.now.scene)

    # --- filters and table ------------------------------------------------------------------

    def _filter(self) -> None:
        """Other filters: no network, and the picture is made in a thread, the latest one last."""
        now = self.now
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
        self.pictures.start(partial(self._drawn, now, now.key), picture, scene)

    def _drawn(self, annotation: Annotation, key: Key, made: Any) -> None:
        if annotation is self.now and not self._closed:
            annotation.refiltered(key, made)

    def _prompting_changed(self) -> None:
        now = self.now
        if now is None:
            return
        try:
            now.session.options = self.prompt_options()
        except ValueError as error:
            self.status.value = str(error)
            return
        now.refresh()

    def rows_chosen(self, indices: list[int]) -> None:  # noqa: D102
        if self.now is not None and self.now.shown:
            self.now.pick_rows(indices)

    def rows_dropped(self, indices: list[int]) -> None:  # noqa: D102
        if self.now is not None and self.now.shown:
            self.now.drop_rows(indices)

    @telling
    def draw_box(self) -> None:
        """Draw a box with the next drag, and click again after it."""
        self._working().draw_box()

    # --- objects ----------------------------------------------------------------------------

    def _working(self) -> Annotation:
        """The annotation there is; SessionError if there is none."""
        if self.now is None:
            raise SessionError("segment an image first")
        return self.now

    def _do(self, name: str, *args: Any) -> Callable[[], None]:
        @telling
        def act() -> None:
            getattr(self._working(), name)(*args)

        act.__name__ = name
        return act

    def commit(self) -> None:
        """Make what prompts pick objects."""
        if self.policy.value == OUTLINES:
            self._do("commit_outlines", False)()
        else:
            self._do("commit", self.policy.value)()
        self._show_objects()

    @telling
    def commit_all(self) -> None:
        """Make all instances objects."""
        if self.policy.value == OUTLINES:
            self._do("commit_outlines", True)()
        else:
            linking = self.linking.read() if self.link.value else None
            keys = sorted(self._working().session.scenes)
            self._do("commit_found", self.policy.value, keys, linking)()
        self._show_objects()

    def toggle_hover(self) -> None:
        """Show the instance under the cursor, or no longer."""
        now = self.now
        if now is not None:
            now.hover = not now.hover
            if not now.hover and now.preview is not None:
                now.preview.hover(None)

    def _show_objects(self) -> None:
        self.objects.reset_choices()
        if self.now is not None and self.objects.value is not self.now.objects:
            self.objects.value = self.now.objects

    @telling
    def _objects_changed(self, layer: Any) -> None:
        now = self.now
        if now is None or layer is now.objects:
            return
        try:
            now.attach(layer)
        finally:
            self.objects.value = now.objects

    # --- sessions ---------------------------------------------------------------------------

    @telling
    def save(self) -> None:
        """Write the session to the file named, or to the usual one."""
        now, workspace = self._working(), self.workspace
        assert workspace is not None
        workspace.save(chosen_path(self.file), self._pixels(now.image, now.plane))

    @telling
    def reopen(self) -> None:
        """Go on with a session: its objects, prompts, and what was segmented, if it was kept."""
        image = self.image.value
        if image is None:
            raise SessionError("open the session's image first")
        filters = self.filters.read()
        workspace = self._open(image, self._plane(image))
        path, saved = workspace.reopen(chosen_path(self.file))
        workspace.offered = self.file.value = path
        self._show_objects()
        self.requests.start(
            partial(self._answered, workspace.annotation),
            regions.kept_scenes, saved, self.results, filters,
        )  # fmt: skip

    # --- the end ----------------------------------------------------------------------------

    def _parent_changed(self, parent: Any) -> None:
        if parent is None:
            self.shut()

    def shut(self, *_: Any) -> None:
        """Stop, and leave nothing bound. Called when the window goes."""
        if self._closed:
            return
        self._closed = True
        events = self.viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.disconnect(self._layers_changed)
        self.viewer.dims.events.current_step.disconnect(self._slice_changed)
        for layer in self.viewer.layers:
            layer.events.name.disconnect(self._layers_changed)
        if self._keys is not None:
            self._keys.close()
        self.network.close()
        self._leave()
