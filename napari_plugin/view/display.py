"""``Display``: a session on the canvas. Layers follow its steps, and slices and filters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer

from fastsam_plugins.masks import runs as R
from napari_plugin.inference.worker import Found
from napari_plugin.model.edits import Key, PixelEdit, Step
from napari_plugin.model.saving import ImageRecord
from napari_plugin.model.session import Session
from napari_plugin.model.slice_instances import Prompts, SliceInstances
from napari_plugin.view import geometry, layers
from napari_plugin.view.features import Features
from napari_plugin.view.geometry import Plane, PlaneError
from napari_plugin.view.jobs import Job

PREVIEW, INSTANCES, OBJECTS = "FastSAM preview", "FastSAM instances", "FastSAM objects"
POINTS, BOXES, POLYGONS = "FastSAM points", "FastSAM boxes", "FastSAM polygons"


class Display:
    """Layers of one image's session in a viewer: prompts, preview, instances, objects.

    Parameters
    ----------
    viewer : napari viewer
    image : image layer
    plane : Plane

    Attributes
    ----------
    session : Session
    hover : bool
        Whether the instance under the cursor is shown.
    chosen : callable
        Told the index (in the scene) of the instance that was picked last.
    told : callable
        Told in words how many prompts of the slice are answered, and why the others are not.
    refilter : callable
        Asked for a picture of other instances: some were dropped, or are back.
    changed : callable
        Told that labels or prompts changed, with the slices whose labels did.
    settle : callable
        Called before layers are let go of, so that what they hold is saved.
    parted : callable
        Called before another layer takes the objects: the file of those that there are stays.
    """

    def __init__(self, viewer: Any, image: Any, plane: Plane) -> None:
        self.viewer, self.image, self.plane = viewer, image, plane
        self.session = Session()
        self.session.listeners.append(self._step)
        self.hover = True
        self.chosen: Callable[[int], None] = lambda index: None
        self.told: Callable[[str], None] = lambda text: None
        self.refilter: Callable[[], None] = lambda: None
        self.changed: Callable[[set[Key]], None] = lambda keys: None
        self.settle: Callable[[], None] = lambda: None
        self.parted: Callable[[], None] = lambda: None
        self.closed = False
        self.preview: layers.Preview | None = None
        self.instances: Any = None
        self.points: Any = None
        self.boxes: Any = None
        self.objects: Any = None
        self.polygons: Any = None
        self.table = Features()
        self._pictures: dict[Key, Any] = {}
        self._preview_key: Key | None = None
        self._hovered: list[int] = []
        self._mirroring = False
        self._lost = False
        self._job = Job(self._failed)
        viewer.dims.events.current_step.connect(self._slice_changed)
        viewer.layers.events.removed.connect(self._layer_removed)

    def close(self) -> None:
        """Let go of the viewer. What was committed stays, under the image's name; the other layers
        go: clicks on them would do nothing any more."""
        if self.closed:
            return
        self._job.finish()
        self.closed = True
        self.viewer.dims.events.current_step.disconnect(self._slice_changed)
        self.viewer.layers.events.removed.disconnect(self._layer_removed)
        preview = None if self.preview is None else self.preview.layer
        for layer in (preview, self.instances, self.points, self.boxes):
            if layer is not None and layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        for layer, name in ((self.objects, OBJECTS), (self.polygons, POLYGONS)):
            if layer is not None and layer.name == name:  # the next image's are called so
                layer.name = f"{name} of {self.image.name}"

    # --- where it is ------------------------------------------------------------------------

    @property
    def key(self) -> Key:
        """The slice that is shown."""
        return geometry.current_key(self.image, self.plane, self.viewer.dims)

    @property
    def shape(self) -> R.Shape:
        """(H, W) of a slice."""
        return geometry.plane_shape(self.image, self.plane)

    @property
    def record(self) -> ImageRecord:
        """What a file says of the image."""
        counted = [a for a in range(self.plane.ndim) if a != self.plane.channels]
        shape = geometry.full_shape(self.image)
        return ImageRecord(
            self.image.name,
            layers.image_path(self.image),
            tuple(shape[a] for a in counted),
            (counted.index(self.plane.rows), counted.index(self.plane.columns)),
        )

    @property
    def own(self) -> list[Any]:
        """Labels layers that show something, and hold no objects."""
        preview = None if self.preview is None else self.preview.layer
        return [layer for layer in (preview, self.instances) if layer is not None]

    # --- what was found ---------------------------------------------------------------------

    def found(self, found: Found) -> None:
        """The network, or the cache, has a slice."""
        self.session.show(found.key, found.scene)
        self._pictures[found.key] = found.picture
        self._preview_key = None
        if found.key == self.key:
            self._show_slice()

    def refresh(self) -> None:
        """Show anew what the prompts pick, as when options changed."""
        if self.shown and self.session.prompts(self.key):
            self._show_answer(self.key)

    def refiltered(self, key: Key, picture: Any) -> None:
        """The picture of a slice under other filters."""
        self._pictures[key] = picture
        if key == self.key:
            self._show_instances(key)
            self.refresh()

    @property
    def scene(self) -> SliceInstances | None:
        """What was found in the slice that is shown."""
        return self.session.scene(self.key)

    # --- layers that follow -----------------------------------------------------------------

    @property
    def shown(self) -> bool:
        """Whether the image is in the viewer, as the plane that was segmented."""
        dims = self.viewer.dims
        try:
            plane = geometry.shown_plane(self.image, dims, self.plane.channels)
        except PlaneError:
            return False
        return plane == self.plane and self.image in self.viewer.layers

    def points_there(self) -> Any:
        """The layer of points; made if it is not there."""
        if self.points is None:
            self.points = self._add(layers.points_layer(self.image, self.plane, POINTS))
            self.points.events.data.connect(self._drawn)
        return self.points

    def prompt_layers(self) -> tuple[Any, Any]:
        """The layers that prompts are put in; made if they are not there."""
        self.points_there()
        if self.boxes is None:
            self.boxes = self._add(layers.boxes_layer(self.image, self.plane, BOXES))
            self.boxes.events.data.connect(self._drawn)
        return self.points, self.boxes

    def _step(self, step: Step) -> None:
        """The session changed: show it."""
        if self.closed:
            return
        if step.dropped:
            self.refilter()
        if step.prompts:
            self._show_answer(step.key)
            self._mirror()
        if step.pixels or step.objects:
            self._features()
        self._show_outlines()
        self._tell({e.key for e in step.edits if isinstance(e, PixelEdit)})

    def _show_answer(self, key: Key) -> None:
        scene = self.session.scene(key)
        if key != self.key or scene is None:
            return
        replies = self.session.replies(key)
        assert replies is not None
        answer = replies.seg
        preview = self._ready(key, scene)
        self._hovered = answer.rows.tolist() if len(answer) == 1 else []
        preview.pick(answer)
        if len(answer):
            index = np.flatnonzero(scene.seg.rows == answer.rows[0])
            if len(index) and answer.source is scene.seg.source:
                self.chosen(int(index[0]))
        self.told(replies.told)

    def _ready(self, key: Key, scene: SliceInstances) -> layers.Preview:
        """The preview, over the window of this slice."""
        preview = self.preview
        if preview is None or self._preview_key != key or preview.layer not in self.viewer.layers:
            if preview is None:
                preview = layers.Preview(self.image, self.plane, key, scene, PREVIEW)
            else:
                preview.move(self.image, self.plane, key, scene)
            if preview.layer not in self.viewer.layers:
                self._add(preview.layer)
            self.preview, self._preview_key = preview, key
            self._hovered = []
        return preview

    def _show_slice(self) -> None:
        key = self.key
        scene = self.session.scene(key)
        if scene is None:
            return
        self._show_instances(key)
        if self.session.prompts(key):
            self._show_answer(key)
        elif self.preview is None:  # the next layer when the window has answered
            QTimer.singleShot(0, self._prepare)
        else:
            self._ready(key, scene)

    def _prepare(self) -> None:
        """Have the preview there before the cursor comes."""
        scene = None if self.closed or not self.shown else self.scene
        if scene is not None:
            self._ready(self.key, scene)

    def _show_instances(self, key: Key) -> None:
        scene, picture = self.session.scene(key), self._pictures.get(key)
        if scene is None or picture is None:
            return
        layer = self.instances
        if layer is not None:
            layer.data = layers.spread(self.plane, picture)
            layers.place_layer(layer, layers.placed(self.image, self.plane, key, scene.window))
            return
        self.instances = layers.instances_layer(
            self.image, self.plane, key, scene, picture, INSTANCES
        )
        self._add(self.instances)

    def _show_outlines(self) -> None:
        known = [o for o in self.session.objects.known.values() if o.outline is not None]
        if self.polygons is None and not known:
            return
        if self.polygons is None:
            self.polygons = self._add(layers.boxes_layer(self.image, self.plane, POLYGONS))
        ids = self.polygons.features["id"].tolist() if "id" in self.polygons.features else []
        if ids == [o.id for o in known]:
            return
        layers.show_outlines(self.polygons, self.plane, known, self.shape)

    def _features(self) -> None:
        if self.objects is None:
            return
        objects = self.session.objects
        known = [o for o in objects.known.values() if o.outline is None]
        self.objects.features = self.table.update(self.objects.features, known, objects.areas)

    def _mirror(self) -> None:
        """Show the session's prompts in their layers."""
        prompts = {k: p for k in self.session.slices() if (p := self.session.prompts(k))}
        self._mirroring = True
        try:
            if self.points is not None:
                layers.show_points(self.points, self.plane, prompts)
            if self.boxes is not None:
                layers.show_boxes(self.boxes, self.plane, prompts)
        finally:
            self._mirroring = False

    def _drawn(self, event: Any) -> None:
        """A person used napari's own tools on the prompts."""
        action = str(getattr(event.action, "value", event.action))
        if self._mirroring or action not in ("added", "changed", "removed"):
            return
        found = layers.drawn(self.plane, self.points, self.boxes)
        for key in {*found, *self.session.slices()}:
            new, now = found.get(key, Prompts()), self.session.prompts(key)
            if (new.points, new.labels, new.boxes) != (now.points, now.labels, now.boxes):
                # With the last of them gone, the next ones are about something else.
                new = dataclasses.replace(new, target=now.target) if new else new
                self.session.prompt(key, new, "draw")

    def _failed(self, error: Exception) -> None:
        """A step could not be made, and was taken back."""
        show_warning(f"FastSAM: {error or type(error).__name__}")
        self.told("")

    def _tell(self, keys: set[Key]) -> None:
        """Labels or prompts changed; nothing to save if the layer of objects was deleted."""
        if not self._lost:
            self.changed(keys)

    # --- the viewer -------------------------------------------------------------------------

    def _add(self, layer: Any) -> Any:
        """Add a layer, labels below the prompts and what they pick; keep what is selected."""
        selected = set(self.viewer.layers.selection)
        active = self.viewer.layers.selection.active
        self.viewer.add_layer(layer)
        preview = None if self.preview is None else self.preview.layer
        above = (preview, self.points, self.boxes)
        places = [i for i, x in enumerate(self.viewer.layers) if x in above and x is not layer]
        if places and isinstance(layer, Labels):
            self.viewer.layers.move(len(self.viewer.layers) - 1, places[0])
        if active is not None and active in self.viewer.layers:
            self.viewer.layers.selection = selected
            self.viewer.layers.selection.active = active
        return layer

    def _world(self, place: Any) -> Any:
        """World coordinates, one for each axis of the viewer, of data coordinates of labels."""
        full = np.zeros(self.image.ndim)
        full[list(self.plane.kept)] = place
        world = np.asarray(self.viewer.dims.point, float)
        world[-self.image.ndim :] = self.image.data_to_world(full)
        return world

    def _slice_changed(self, event: Any = None) -> None:
        if self.image in self.viewer.layers and self.shown:
            self._hovered = []
            self._show_slice()

    def _layer_removed(self, event: Any) -> None:
        layer = event.value
        if layer is self.objects:
            self._job.finish()
        if layer in (self.points, self.boxes, self.objects):
            self.settle()
        if layer is self.points:
            self.points = None
            self._drawn_removed()
        elif layer is self.boxes:
            self.boxes = None
            self._drawn_removed()
        elif layer is self.objects:
            self.objects, self._lost = None, True
            self.parted()
            self.session.attach(None)
        elif layer is self.instances:
            self.instances = None
        elif layer is self.polygons:
            self.polygons = None
        elif self.preview is not None and layer is self.preview.layer:
            self._preview_key = None

    def _drawn_removed(self) -> None:
        """A layer of prompts was deleted: so are its prompts.

        Not in the session's file, though: so it goes when the viewer closes, too.
        """
        told, self.changed = self.changed, lambda keys: None
        for key in self.session.slices():
            now = self.session.prompts(key)
            if self.points is None:
                now = dataclasses.replace(now, points=(), labels=(), step=0)
            if self.boxes is None:
                now = dataclasses.replace(now, boxes=())
            self.session.prompt(key, now if now else Prompts(), "clear")
        self.changed = told
