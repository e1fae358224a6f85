"""``Annotation``: one image's session on the canvas. Steps change the session; layers follow it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from napari.layers import Labels, Shapes
from napari.utils.notifications import show_info, show_warning

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import LinkOptions
from napari_plugin import geometry, layers
from napari_plugin.edits import Key, PixelEdit, Step
from napari_plugin.geometry import Plane, PlaneError
from napari_plugin.saving import ImageRecord, Saved, restore
from napari_plugin.scene import Prompts, Scene
from napari_plugin.session import Policy, Session, SessionError
from napari_plugin.worker import Found

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

PREVIEW, INSTANCES, OBJECTS = "FastSAM preview", "FastSAM instances", "FastSAM objects"
POINTS, BOXES, POLYGONS = "FastSAM points", "FastSAM boxes", "FastSAM polygons"


class Annotation:
    """Prompts, preview and objects of one image in a viewer.

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
    changed : callable
        Told that labels or prompts changed, with the slices whose labels did.
    """

    def __init__(self, viewer: Any, image: Any, plane: Plane) -> None:
        self.viewer, self.image, self.plane = viewer, image, plane
        self.session = Session()
        self.session.listeners.append(self._step)
        self.hover = True
        self.chosen: Callable[[int], None] = lambda index: None
        self.changed: Callable[[set[Key]], None] = lambda keys: None
        self.closed = False
        self.preview: layers.Preview | None = None
        self.instances: Any = None
        self.points: Any = None
        self.boxes: Any = None
        self.objects: Any = None
        self.polygons: Any = None
        self._pictures: dict[Key, Any] = {}
        self._preview_key: Key | None = None
        self._hovered: list[int] = []
        self._mirroring = False
        self._lost = False
        viewer.dims.events.current_step.connect(self._slice_changed)
        viewer.layers.events.removed.connect(self._layer_removed)

    def close(self) -> None:
        """Let go of the viewer. Layers stay, but for the preview."""
        if self.closed:
            return
        self.closed = True
        self.viewer.dims.events.current_step.disconnect(self._slice_changed)
        self.viewer.layers.events.removed.disconnect(self._layer_removed)
        if self.preview is not None and self.preview.layer in self.viewer.layers:
            self.viewer.layers.remove(self.preview.layer)

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
        path = getattr(self.image.source, "path", None)
        kept = self.plane.kept
        shape = geometry.full_shape(self.image)
        return ImageRecord(
            self.image.name,
            None if path is None else str(path),
            tuple(shape[a] for a in kept),
            (kept.index(self.plane.rows), kept.index(self.plane.columns)),
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
    def scene(self) -> Scene | None:
        """What was found in the slice that is shown."""
        return self.session.scene(self.key)

    # --- mouse ------------------------------------------------------------------------------

    def moved(self, world: Any) -> None:
        """Show the instance under the cursor."""
        key = self.key
        scene = self.session.scene(key)
        if not self.hover or scene is None or not self.shown:
            return
        seg = scene.at(geometry.to_image(self.image, self.plane, world), self.session.options)
        rows = seg.rows.tolist()
        if rows != self._hovered:
            self._hovered = rows
            self._ready(key, scene).hover(seg)

    def clicked(self, world: Any, foreground: bool) -> None:
        """A point prompt."""
        key = self.key
        if self.session.scene(key) is None:
            show_info("Segment this slice first")
            return
        xy = geometry.to_image(self.image, self.plane, world)
        height, width = self.shape
        if not (0 <= xy[0] < width and 0 <= xy[1] < height):
            return
        self.session.prompt(key, self.session.prompts(key).with_point(xy, foreground))
        if not len(self._answer(key)) and foreground:
            show_info("No instance here: try another place, lower conf, or zoom in and segment")

    def picked(self, key: Key, scene: Scene, rows: Sequence[int]) -> None:
        """A text picked instances of a scene."""
        if self.session.scene(key) is not scene:
            return  # it was segmented anew, or other filters let other instances through
        self.session.prompt(key, Prompts(chosen=tuple(rows)), "text")

    def highlight(self, index: int, center: bool = False) -> None:
        """Show one instance of the scene, and move it into the middle of the canvas."""
        key = self.key
        scene = self.session.scene(key)
        if scene is None or index >= len(scene.seg):
            return
        seg = scene.seg[index]
        self._hovered = []
        self._ready(key, scene).hover(seg, layers.HIGHLIGHT)
        if center:
            x0, y0, x1, y1 = seg.boxes[0].tolist()
            left, top = scene.window[:2]
            place = geometry.to_data(
                self.plane, key, ((x0 + x1) / 2 + left, (y0 + y1) / 2 + top)
            )[0]  # fmt: skip
            assert self.preview is not None
            outputs = self._world(place)
            shown = [outputs[a] for a in self.viewer.dims.displayed]
            self.viewer.camera.center = (0.0, *shown)

    # --- actions ----------------------------------------------------------------------------

    def act(self, action: Callable[[], Any]) -> Any:
        """Do something that may be refused; the refusal is told, and nothing is changed."""
        try:
            return action()
        except (SessionError, PlaneError) as error:
            show_info(_sentence(error))
        except MemoryError as error:
            show_warning(f"There is no room in memory: {error}")
        return None

    def commit(self, policy: Policy) -> None:
        """Make what prompts pick objects."""
        self._answer_or_refuse()
        self._output()
        self.session.commit(self.key, policy)

    def commit_found(self, policy: Policy, keys: Sequence[Key], linking: LinkOptions | None) -> int:
        """Make all instances objects; how many."""
        self._output()
        return len(self.session.commit_found(keys, policy, linking))

    def commit_outlines(self, found: bool) -> None:
        """Make what prompts pick, or all, polygons."""
        self.session.commit_outlines(self.key, found)

    def at_cursor(self) -> int:
        """The object under the cursor, or the label selected in the layer of objects."""
        xy = geometry.to_image(self.image, self.plane, self.viewer.cursor.position)
        label = self.session.object_at(self.key, xy)
        if not label and self.objects is not None:
            label = int(self.objects.selected_label)
        return label

    def recall(self) -> None:
        """Go back to the object under the cursor."""
        self.session.recall(self.key, self.at_cursor())

    def delete(self) -> None:
        """Delete the object under the cursor."""
        label = self.at_cursor()
        if not label:
            raise SessionError("there is no object under the cursor")
        self.session.delete([label], self.key)

    def merge(self) -> None:
        """Merge the objects under the foreground points."""
        key = self.key
        prompts = self.session.prompts(key)
        ids = {
            self.session.object_at(key, xy)
            for xy, label in zip(prompts.points, prompts.labels, strict=True)
            if label
        }
        self.session.merge(ids, key)

    def split(self) -> None:
        """Split off what prompts pick; without prompts, the parts of the object."""
        key = self.key
        if self.session.prompts(key):
            self.session.split_off(key)
        else:
            self.session.split(self.at_cursor(), key)

    def clear(self) -> None:
        """Forget the prompts of this slice."""
        self.session.prompt(self.key, Prompts(), "clear")

    def cycle(self, by: int) -> None:
        """A larger or smaller candidate."""
        self.session.cycle(self.key, by)

    def undo(self) -> None:
        """Take the last step back, and go where it was."""
        step = self.session.undo()
        if step is None:
            show_info("Nothing to undo")
        else:
            self._go(step.key)

    def redo(self) -> None:
        """Make the step again that was taken back."""
        step = self.session.redo()
        if step is None:
            show_info("Nothing to redo")
        else:
            self._go(step.key)

    def attach(self, layer: Labels | None) -> None:
        """Commit into a layer from now on; into a new one if None, made when it is needed.

        Raises
        ------
        SessionError
            If the layer does not fit the image.
        """
        if layer is self.objects:
            return
        if layer is not None:
            shape = geometry.full_shape(self.image)
            wanted = tuple(shape[a] for a in self.plane.kept)
            if layer.multiscale or tuple(layer.data.shape) != wanted:
                raise SessionError(
                    f"{layer.name} does not fit {self.image.name}, whose labels have shape {wanted}"
                )
            layer.events.paint.connect(self._painted)
        self.objects, self._lost = layer, False
        self.session.attach(None if layer is None else self._canvas(layer))

    def reopen(self, saved: Saved) -> None:
        """Go on with a session from a file, in a new layer.

        Raises
        ------
        SessionError
            If it is of another image.
        """
        if saved.image.shape != self.record.shape or saved.image.plane != self.record.plane:
            raise SessionError(
                f"the session is of {saved.image.name}, of shape {saved.image.shape}; "
                f"{self.image.name} has {self.record.shape}"
            )
        self.objects = None
        self.session.attach(None)
        self._output()
        restore(self.session, saved)
        self.objects.refresh()
        self._mirror()
        self._features()

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

    def prompt_layers(self) -> tuple[Any, Any]:
        """The layers that prompts are put in; made if they are not there."""
        if self.points is None:
            self.points = self._add(layers.points_layer(self.image, self.plane, POINTS))
            self.points.events.data.connect(self._drawn)
        if self.boxes is None:
            self.boxes = self._add(layers.boxes_layer(self.image, self.plane, BOXES))
            self.boxes.events.data.connect(self._drawn)
        return self.points, self.boxes

    def _step(self, step: Step) -> None:
        """The session changed: show it."""
        if self.closed:
            return
        if step.prompts:
            self._show_answer(step.key)
            self._mirror()
        if step.pixels:
            self._features()
        self._show_outlines()
        self._tell({e.key for e in step.edits if isinstance(e, PixelEdit)})

    def _show_answer(self, key: Key) -> None:
        scene = self.session.scene(key)
        if key != self.key or scene is None:
            return
        answer = self._answer(key)
        preview = self._ready(key, scene)
        self._hovered = answer.rows.tolist() if len(answer) == 1 else []
        preview.pick(answer)
        if len(answer):
            index = np.flatnonzero(scene.seg.rows == answer.rows[0])
            if len(index) and answer.source is scene.seg.source:
                self.chosen(int(index[0]))

    def _answer(self, key: Key) -> Any:
        answer = self.session.answer(key)
        assert answer is not None
        return answer

    def _answer_or_refuse(self) -> None:
        answer = self.session.answer(self.key)
        if answer is None:
            raise SessionError("segment this slice first")
        if not len(answer):
            raise SessionError("nothing to commit: click an instance, or draw a box around it")

    def _ready(self, key: Key, scene: Scene) -> layers.Preview:
        """The preview, over the window of this slice."""
        preview = self.preview
        if preview is None or self._preview_key != key or preview.layer not in self.viewer.layers:
            if preview is not None and preview.fits(scene):
                preview.move(self.image, self.plane, key, scene)
                if preview.layer not in self.viewer.layers:
                    self._add(preview.layer)
            else:
                if preview is not None and preview.layer in self.viewer.layers:
                    self.viewer.layers.remove(preview.layer)
                preview = layers.Preview(self.image, self.plane, key, scene, PREVIEW)
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
        self._ready(key, scene)
        if self.session.prompts(key):
            self._show_answer(key)

    def _show_instances(self, key: Key) -> None:
        scene, picture = self.session.scene(key), self._pictures.get(key)
        if scene is None or picture is None:
            return
        layer = self.instances
        if layer is not None and layer.data.size == picture.size:
            shape = layer.data.shape
            if tuple(n for n in shape if n > 1) == tuple(n for n in picture.shape if n > 1):
                layer.data = picture.reshape(shape)
                place = layers.placed(self.image, self.plane, key, scene.window)
                layers.place_layer(layer, place)
                return
        visible = True
        if layer is not None:
            visible = layer.visible
            self.viewer.layers.remove(layer)
        self.instances = layers.instances_layer(
            self.image, self.plane, key, scene, picture, INSTANCES
        )
        self.instances.visible = visible
        self._add(self.instances)

    def _show_outlines(self) -> None:
        known = [o for o in self.session.objects.values() if o.outline is not None]
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
        known = [o for o in self.session.objects.values() if o.outline is None]
        self.objects.features = {
            "index": np.array([0, *(o.id for o in known)]),
            "score": np.array([np.nan, *(o.score for o in known)]),
            "area": np.array([0, *(self.session.areas[o.id] for o in known)]),
            "stability": np.array([np.nan, *(o.stability for o in known)]),
        }

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
                self.session.prompt(key, dataclasses.replace(new, target=now.target), "draw")

    def _painted(self, event: Any) -> None:
        """A person painted labels by hand."""
        canvas = self.session.canvas
        if self.objects is None or not isinstance(canvas, layers.LabelsCanvas) or canvas.writing:
            return
        volume = self.objects.n_edit_dimensions > 2
        keys = set(canvas.keys()) if volume else {self.key}
        for key in keys:
            self.session.painted(key, int(self.objects.selected_label))
        self._tell(keys)

    def _tell(self, keys: set[Key]) -> None:
        """Labels or prompts changed; nothing to save if the layer of objects was deleted."""
        if not self._lost:
            self.changed(keys)

    # --- the viewer -------------------------------------------------------------------------

    def _output(self) -> None:
        """Make a layer of objects if there is none."""
        if self.objects is not None:
            return
        shape = geometry.full_shape(self.image)
        layer = layers.objects_layer(self.image, self.plane, shape, OBJECTS)
        self._add(layer)
        layer.events.paint.connect(self._painted)
        self.objects, self._lost = layer, False
        self.session.attach(self._canvas(layer), empty=True)

    def _canvas(self, layer: Labels) -> layers.LabelsCanvas:
        kept = self.plane.kept
        return layers.LabelsCanvas(
            layer, kept.index(self.plane.rows), kept.index(self.plane.columns)
        )

    def _add(self, layer: Any) -> Any:
        """Add a layer below the prompts, and keep what is selected."""
        selected = set(self.viewer.layers.selection)
        active = self.viewer.layers.selection.active
        self.viewer.add_layer(layer)
        below = [p for p in (self.points, self.boxes) if p is not None and p in self.viewer.layers]
        if below and not isinstance(layer, Shapes) and layer not in below:
            last = len(self.viewer.layers) - 1
            self.viewer.layers.move(last, min(self.viewer.layers.index(p) for p in below))
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

    def _go(self, key: Key) -> None:
        """Show a slice."""
        if key == self.key or len(key) != len(self.plane.stepped):
            return
        world = self._world(geometry.to_data(self.plane, key, (0.5, 0.5))[0])
        for axis in self.plane.stepped:
            at = axis + self.viewer.dims.ndim - self.image.ndim
            self.viewer.dims.set_point(at, float(world[at]))

    def _slice_changed(self, event: Any = None) -> None:
        if self.image in self.viewer.layers and self.shown:
            self._hovered = []
            self._show_slice()

    def _layer_removed(self, event: Any) -> None:
        layer = event.value
        if layer is self.points:
            self.points = None
            self._drawn_removed()
        elif layer is self.boxes:
            self.boxes = None
            self._drawn_removed()
        elif layer is self.objects:
            self.objects, self._lost = None, True
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
            self.session.prompt(key, now, "clear")
        self.changed = told


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
