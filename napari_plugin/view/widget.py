"""The dock widget: joins the form, the viewer and the image that is worked on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from magicgui.widgets import Container
from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from napari.viewer import Viewer
from numpy.typing import NDArray

from napari_plugin.inference.network import Network
from napari_plugin.inference.result_cache import ResultCache
from napari_plugin.inference.worker import picture
from napari_plugin.model.edits import Key
from napari_plugin.model.plane import Plane
from napari_plugin.model.session import SessionError
from napari_plugin.model.session_folder import Offer
from napari_plugin.view import channels, preferences
from napari_plugin.view.actions import Actions
from napari_plugin.view.canvas import Keys
from napari_plugin.view.display import Callbacks, warm_up
from napari_plugin.view.messages import shows_errors
from napari_plugin.view.panel import OUTLINES, WIDTH, Panel, chosen_path, shortened
from napari_plugin.view.requester import Requester
from napari_plugin.view.threads import Latest, run
from napari_plugin.view.workspace import Workspace

NEW = "new layer"


class FastSAMWidget(Container):
    """Segment an image once; click, box and hover; commit.

    Parameters
    ----------
    napari_viewer : napari viewer
        Napari hands it over by this name.

    Attributes
    ----------
    panel : Panel
        The form.
    requester : Requester
        Who asks the network.
    workspace : Workspace, optional
        The image that is worked on.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        # Napari hands plugins a proxy, whose layers are new proxies each time: none is the layer
        # that an event names.
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.preferences = preferences.load()
        self.workspace: Workspace | None = None
        self.network = Network()
        # Ready by the time it is asked.
        self.network.load(self.preferences.model, self.preferences.device)
        self.panel = Panel(
            self.preferences, self._images, self._outputs, self._roughs, self._choose_rows,
            self._drop_rows,
        )  # fmt: skip
        results = self.preferences.place / "results"
        self.requester = Requester(
            self.panel,
            self.viewer,
            self.network,
            ResultCache(
                results if self.preferences.keep_results else None, disk=self.preferences.disk << 30
            ),
            lambda: self.workspace,
            self._open,
        )
        self.pictures = Latest()
        self._closed = False
        run(lambda nothing: None, warm_up)
        super().__init__(labels=False)
        # Magicgui and napari both lay out the scrolled widget and lose what scrolls it.
        self.native.layout().addWidget(self.panel.scrolled.root_native_widget)
        self.min_width = WIDTH
        self._connect_form()
        self._keys = self._bind_keys()
        self._connect_viewer()

    def _connect_form(self) -> None:
        panel = self.panel
        panel.image.changed.connect(self._image_changed)
        panel.segment_button.changed.connect(self.requester.segment)
        panel.cancel_button.changed.connect(self.requester.cancel)
        panel.find_button.changed.connect(self.requester.find)
        panel.like_button.changed.connect(self.requester.find_alike)
        panel.liking.changed.connect(self.requester.threshold_changed)
        panel.rough_button.changed.connect(self.requester.improve)
        panel.filters.changed.connect(self._filters_changed)
        panel.mode.changed.connect(self._prompting_changed)
        panel.mode.predict.changed.connect(lambda ticked: preferences.remember("predict", ticked))
        panel.prompting.changed.connect(self._prompting_changed)
        panel.objects.changed.connect(self._objects_changed)
        panel.save_button.changed.connect(self.save)
        panel.reopen_button.changed.connect(self.reopen)
        panel.box_button.changed.connect(self._act(Actions.draw_box))
        buttons = {
            "Commit": self.commit, "Commit all": self.commit_all,
            "Go back": self._act(Actions.recall), "Delete": self._act(Actions.delete),
            "Merge": self._act(Actions.merge), "Split": self._act(Actions.split),
            "Clear": self._act(Actions.clear), "Undo": self._act(Actions.undo),
            "Redo": self._act(Actions.redo),
        }  # fmt: skip
        for text, action in buttons.items():
            panel.buttons[text].changed.connect(action)

    def _bind_keys(self) -> Keys:
        keys = Keys(
            self.viewer,
            {
                "H": self.toggle_hover,
                "J": self._act(lambda actions: actions.cycle(-1)),
                "K": self._act(lambda actions: actions.cycle(1)),
                "N": self.commit,
                "Q": self._act(Actions.clear),
                "U": self._act(Actions.undo),
                "Shift-U": self._act(Actions.redo),
                "W": self._act(Actions.recall),
                "Shift-W": self._act(Actions.delete),
                "Y": self.requester.find_alike,
            },
        )
        if keys.taken:
            show_info(f"FastSAM leaves keys alone that are bound: {', '.join(keys.taken)}")
        return keys

    def _connect_viewer(self) -> None:
        events = self.viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self._layers_changed)
        self.viewer.dims.events.current_step.connect(self._slice_changed)
        # A dock that is closed lets go of its widget, which lives on while anything refers to it.
        moved = getattr(self, "native_parent_changed", None) or self.parent_changed
        moved.connect(self._parent_changed)
        self.native.destroyed.connect(self.shut)
        self._layers_changed()
        # What is open already was chosen without a word.
        self._image_changed(self.panel.image.value)

    def _act(self, action: Callable[[Actions], None]) -> Callable[[], None]:
        """An action on the image that is worked on, for a button or a key."""

        @shows_errors
        def act() -> None:
            action(self._current().actions)

        act.__doc__ = action.__doc__
        return act

    def _current(self) -> Workspace:
        """The workspace there is; SessionError if there is none."""
        if self.workspace is None:
            raise SessionError("segment an image first")
        return self.workspace

    # --- the image --------------------------------------------------------------------------

    def _images(self, widget: Any = None) -> list[Any]:
        """The images to choose from."""
        images = [layer for layer in self.viewer.layers if isinstance(layer, Image)]
        return list(zip(shortened([layer.name for layer in images]), images, strict=True))

    def _outputs(self, widget: Any = None) -> list[Any]:
        """The layers of objects to choose from."""
        return [(NEW, None), *self._roughs()]

    def _roughs(self, widget: Any = None) -> list[Any]:
        """The layers of labels, but for those that show what was found."""
        own = [] if self.workspace is None else self.workspace.view.instances.layers
        labels = [x for x in self.viewer.layers if isinstance(x, Labels) and x not in own]
        return list(zip(shortened([layer.name for layer in labels]), labels, strict=True))

    def _open(self, layer: Any, plane: Plane) -> Workspace:
        """Work on an image, if it is not the one already."""
        workspace = self.workspace
        if workspace is None or not workspace.is_of(layer, plane):
            options, filters = self.panel.prompt_options(), self.panel.filters.read()
            self._leave()
            callbacks = Callbacks(
                self.panel.table.follow, self.requester.show_status, self._filters_changed
            )
            workspace = Workspace(self.viewer, layer, plane, self.preferences, callbacks)
            self.workspace = workspace
            workspace.session.options, workspace.session.filters = options, filters
            self._objects_changed(self.panel.objects.value)
            workspace.look_for_sessions(partial(self._offer, workspace))
        workspace.take_clicks()
        return workspace

    def _offer(self, workspace: Workspace, offers: list[Offer]) -> None:
        """Sessions of the image that is worked on were looked for."""
        if self._closed or workspace is not self.workspace or workspace.reopened or not offers:
            return
        best, more = offers[0], sum(o.why != "changed" for o in offers[1:])
        if best.why != "changed" and chosen_path(self.panel.file) is None:
            workspace.offered = self.panel.file.value = best.path
            self.panel.unfold("Session")  # its button is what is asked for
        show_info(best.message(workspace.image.layer.name, more))

    def _leave(self) -> None:
        """Let go of the image that was worked on."""
        self.requester.cancel()
        workspace, self.workspace = self.workspace, None
        if workspace is None:
            return
        workspace.close()
        if not self._closed:  # the next image has other objects and another session
            self.panel.table.show_instances(None)
            self.panel.objects.value = None
            if chosen_path(self.panel.file) in (workspace.saver.path, workspace.offered):
                self.panel.file.value = None

    def _image_changed(self, layer: Any) -> None:
        if self.workspace is not None and self.workspace.image.layer is not layer:
            self._leave()
        self.panel.image.tooltip = "" if layer is None else layer.name
        if layer is not None:
            axis = channels.known_axis(layer)
            self.panel.layer_options.channel_axis.value = "" if axis is None else str(axis)

    def _layers_changed(self, event: Any = None) -> None:
        if self._closed:
            return
        for layer in self.viewer.layers:
            layer.events.name.connect(self._layers_changed)
        if self.workspace is not None and self.workspace.image.layer not in self.viewer.layers:
            self._leave()
        self.panel.image.reset_choices()
        self.panel.objects.reset_choices()
        self.panel.rough.reset_choices()
        if self.workspace is not None:
            image, labels = self.workspace.image.layer, self.workspace.view.objects.labels
            if self.panel.image.value is not image:
                self.panel.image.value = image
            if labels in (None, *self.viewer.layers):  # or it is about to be let go of
                self.panel.objects.value = labels

    def _slice_changed(self, event: Any = None) -> None:
        if self.workspace is not None and self.workspace.image.is_shown:
            self.panel.table.show_instances(self.workspace.instances)

    # --- options, filters and table -----------------------------------------------------------

    def _filters_changed(self) -> None:
        """Other filters: no network, and the picture is made in a thread, the latest one last."""
        workspace, panel = self.workspace, self.panel
        if workspace is None:
            return
        try:
            workspace.session.filters = panel.filters.read()
        except ValueError as error:
            panel.status.value = str(error)
            return
        instances = workspace.instances
        panel.table.show_instances(instances)
        if instances is None:
            return
        panel.status.value = f"{len(instances.visible)} of {len(instances.seg)} instances"
        key = workspace.image.key
        self.pictures.start(partial(self._show_filtered, workspace, key), picture, instances)

    def _show_filtered(self, workspace: Workspace, key: Key, picture: NDArray) -> None:
        if workspace is self.workspace and not self._closed:
            workspace.view.show_filtered(key, picture)

    def _prompting_changed(self) -> None:
        if self.workspace is None:
            return
        try:
            self.workspace.session.options = self.panel.prompt_options()
        except ValueError as error:
            self.panel.status.value = str(error)
            return
        self.workspace.view.show_options()

    def _choose_rows(self, indices: list[int]) -> None:
        """Rows of the table were chosen."""
        if self.workspace is not None and self.workspace.image.is_shown:
            self.workspace.actions.pick_rows(indices)

    def _drop_rows(self, indices: list[int]) -> None:
        """Rows of the table were dropped."""
        if self.workspace is not None and self.workspace.image.is_shown:
            self.workspace.actions.drop_rows(indices)

    def toggle_hover(self) -> None:
        """Show the instance under the cursor, or no longer."""
        if self.workspace is not None:
            self.workspace.view.instances.toggle_hover()

    # --- objects ----------------------------------------------------------------------------

    @shows_errors
    def commit(self) -> None:
        """Make what prompts pick objects."""
        actions = self._current().actions
        if self.panel.policy.value == OUTLINES:
            actions.commit_outlines()
        else:
            actions.commit(self.panel.policy.value)
        self._show_objects()

    @shows_errors
    def commit_all(self) -> None:
        """Make all instances objects."""
        actions = self._current().actions
        if self.panel.policy.value == OUTLINES:
            actions.commit_all_outlines()
        else:
            linking = self.panel.linking.read() if self.panel.link.value else None
            actions.commit_all(self.panel.policy.value, linking)
        self._show_objects()

    def _show_objects(self) -> None:
        """Show in the form which layer is committed into."""
        self.panel.objects.reset_choices()
        if self.workspace is not None:
            labels = self.workspace.view.objects.labels
            if self.panel.objects.value is not labels:
                self.panel.objects.value = labels

    @shows_errors
    def _objects_changed(self, layer: Any) -> None:
        workspace = self.workspace
        if workspace is None or layer is workspace.view.objects.labels:
            return
        try:
            workspace.actions.attach(layer)
        finally:
            self.panel.objects.value = workspace.view.objects.labels

    # --- sessions ---------------------------------------------------------------------------

    @shows_errors
    def save(self) -> None:
        """Write the session to the file named, or to the usual one."""
        workspace = self._current()
        pixels = self.requester.pixels(workspace.image.layer, workspace.image.plane)
        workspace.save(chosen_path(self.panel.file), pixels)

    @shows_errors
    def reopen(self) -> None:
        """Go on with a session: its objects, prompts, and what was segmented, if it was kept."""
        layer = self.panel.image.value
        if layer is None:
            raise SessionError("open the session's image first")
        self.panel.filters.read()  # or nothing is opened
        workspace = self._open(layer, self.requester.plane(layer))
        path = self.requester.reopen(workspace, chosen_path(self.panel.file))
        workspace.offered = self.panel.file.value = path
        self._show_objects()

    # --- the end ----------------------------------------------------------------------------

    def _parent_changed(self, parent: Any) -> None:
        if parent is None:
            self.shut()

    def shut(self, *_: Any) -> None:
        """Stop, and leave nothing bound. Called when the window goes."""
        if self._closed:
            return
        self._closed = True
        self.requester.close()
        events = self.viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.disconnect(self._layers_changed)
        self.viewer.dims.events.current_step.disconnect(self._slice_changed)
        for layer in self.viewer.layers:
            layer.events.name.disconnect(self._layers_changed)
        self._keys.close()
        self.network.close()
        self._leave()
