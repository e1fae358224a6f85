"""``Annotation``: what a person does to one image, with the mouse, keys and napari's own tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_info
from qtpy.QtCore import QTimer

from fastsam_plugins.options import LinkOptions
from napari_plugin.model.blocks import BlocksCanvas
from napari_plugin.model.edits import Key, Step
from napari_plugin.model.painting import Work
from napari_plugin.model.saving import Saved, restore
from napari_plugin.model.session import Policy, SessionError
from napari_plugin.model.slice_instances import Prompts, SliceInstances
from napari_plugin.view import geometry, layers
from napari_plugin.view.display import OBJECTS, Display
from napari_plugin.view.features import Features


class Annotation(Display):
    """Deeds, each a step of the session, that the layers follow."""

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
        self.prompt_layers()  # a person may have deleted them
        self.session.prompt(key, self.session.prompts(key).with_point(xy, foreground))
        replies = self.session.replies(key)
        why = None if replies is None else replies.points.get(len(replies.prompts.points) - 1)
        if why is not None:
            show_info(f"FastSAM picks nothing here: {why}")

    def picked(self, key: Key, scene: SliceInstances, rows: Sequence[int]) -> None:
        """A text picked instances of a scene."""
        if self.session.scene(key) is not scene:
            return  # it was segmented anew, or other filters let other instances through
        self.session.prompt(key, Prompts(chosen=tuple(rows)), "text")

    def pick_rows(self, indices: Sequence[int]) -> None:
        """Pick instances of the scene, and move the last one into the middle of the canvas."""
        key = self.key
        scene = self.session.scene(key)
        if scene is None or not indices or max(indices) >= len(scene.seg):
            return
        rows = scene.seg.rows[list(indices)].tolist()
        self.session.prompt(key, Prompts(chosen=tuple(rows)), "row")
        x0, y0, x1, y1 = scene.seg.boxes[indices[-1]].tolist()
        left, top = scene.window[:2]
        middle = (x0 + x1) / 2 + left, (y0 + y1) / 2 + top
        world = self._world(geometry.to_data(self.plane, key, middle)[0])
        shown = [world[a] for a in self.viewer.dims.displayed]
        self.viewer.camera.center = (0.0, *shown)

    def drop_rows(self, indices: Sequence[int]) -> None:
        """Take instances of the scene out of what was found."""
        key = self.key
        scene = self.session.scene(key)
        if scene is not None:
            self.session.drop(key, scene.seg.rows[list(indices)].tolist())

    def draw_box(self) -> None:
        """Let the next drag draw a box, whatever is selected; then clicks are points again."""
        if self.session.scene(self.key) is None:
            raise SessionError("segment this slice first")
        points, boxes = self.prompt_layers()
        self.viewer.layers.selection.active = boxes
        boxes.mode = "add_rectangle"

        def drawn(layer: Any, event: Any) -> Iterator[None]:
            yield
            while event.type == "mouse_move":
                yield
            layer.mouse_drag_callbacks.remove(drawn)
            if points in self.viewer.layers:  # once napari's own tool has the box
                QTimer.singleShot(0, lambda: self._click_again(points, boxes))

        boxes.mouse_drag_callbacks.append(drawn)

    def _click_again(self, points: Any, boxes: Any) -> None:
        if points in self.viewer.layers and boxes in self.viewer.layers:
            boxes.mode = "pan_zoom"
            self.viewer.layers.selection.active = points

    # --- actions ----------------------------------------------------------------------------

    def commit(self, policy: Policy) -> None:
        """Make what prompts pick objects."""
        self._idle()
        self.session.answered(self.key)
        self._output()
        self.session.commit(self.key, policy)

    def commit_found(
        self, policy: Policy, keys: Sequence[Key], linking: LinkOptions | None
    ) -> None:
        """Make all instances objects; of many, the last when the window has answered between."""
        self._idle()
        self._output()
        self._work(self.session.committing_found(keys, policy, linking))

    def commit_outlines(self, found: bool) -> None:
        """Make what prompts pick, or all, polygons."""
        self._idle()
        self.session.commit_outlines(self.key, found)

    def at_cursor(self) -> int:
        """The object under the cursor, or the label selected in the layer of objects."""
        xy = geometry.to_image(self.image, self.plane, self.viewer.cursor.position)
        label = self.session.objects.at(self.key, xy)
        if not label and self.objects is not None:
            label = int(self.objects.selected_label)
        return label

    def recall(self) -> None:
        """Go back to the object under the cursor."""
        self._idle()
        self.session.recall(self.key, self.at_cursor())

    def delete(self) -> None:
        """Delete the object under the cursor."""
        self._idle()
        label = self.at_cursor()
        if not label:
            raise SessionError("there is no object under the cursor")
        self.session.delete([label], self.key)

    def merge(self) -> None:
        """Merge the objects under the foreground points."""
        self._idle()
        key = self.key
        prompts = self.session.prompts(key)
        ids = {
            self.session.objects.at(key, xy)
            for xy, label in zip(prompts.points, prompts.labels, strict=True)
            if label
        }
        self.session.merge(ids, key)

    def split(self) -> None:
        """Split off what prompts pick; without prompts, the parts of the object."""
        self._idle()
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
        self._turn(forward=False)

    def redo(self) -> None:
        """Make the step again that was taken back."""
        self._turn(forward=True)

    def _turn(self, forward: bool) -> None:
        self._idle()

        def done(step: Step | None) -> None:
            if step is None:
                show_info(f"Nothing to {'redo' if forward else 'undo'}")
            else:
                self._go(step.key)

        self._work(self.session.turning(forward), done)

    @property
    def working(self) -> bool:
        """Whether a step is still being made."""
        return self._job.busy

    def finish(self) -> None:
        """Make what there is of a step that is being made."""
        self._job.finish()

    def _idle(self) -> None:
        """Refuse to begin another step before the last one is made."""
        if self._job.busy:
            raise SessionError("still at work on the last step: try again in a moment")

    def _work(self, work: Work[Any], then: Callable[[Any], None] = lambda made: None) -> None:
        def done(made: Any) -> None:
            self.told("")
            then(made)

        self._job.start(work, done)
        if self._job.busy:
            self.told("Working on it ...")

    def attach(self, layer: Labels | None) -> None:
        """Commit into a layer from now on; into a new one if None, made when it is needed.

        Raises
        ------
        SessionError
            If the layer does not fit the image.
        """
        if layer is self.objects:
            return
        self._job.finish()
        if layer is not None:
            wanted = self.plane.label_shape(geometry.full_shape(self.image))
            canvas = self._canvas(layer)
            own = isinstance(canvas, BlocksCanvas)
            if (layer.multiscale and not own) or tuple(layer.data.shape) != wanted:
                raise SessionError(
                    f"layer {layer.name} does not fit {self.image.name}, whose labels have shape "
                    f"{wanted}"
                )
            writeable = getattr(getattr(layer.data, "flags", None), "writeable", True)
            if not own and not (layer.editable and writeable):
                raise SessionError(
                    f"layer {layer.name} cannot be written to: unlock it, or commit into a new one"
                )
            layer.events.paint.connect(self._painted)
            for name, value in layers.known_of(self.image, self.plane).items():
                layer.metadata.setdefault(name, value)
        if self.objects is not None:
            self.objects.events.paint.disconnect(self._painted)
        self.parted()
        self.objects, self._lost, self.table = layer, False, Features()
        self.session.attach(None if layer is None else canvas)

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
        self._job.finish()
        layer = self._new_objects(saved)
        self.parted()
        if self.objects is not None and self.objects.name == OBJECTS:
            self.objects.name = f"{OBJECTS} before Reopen"
        self.objects = None
        self.session.attach(None)
        self.session.forget()
        self._output(layer)
        restore(self.session, saved)
        self._mirror()
        self._features()

    # --- napari's own tools ------------------------------------------------------------------

    def _painted(self, event: Any) -> None:
        """A person painted labels by hand."""
        canvas = self.session.objects.canvas
        if self.objects is None or not isinstance(canvas, layers.LabelsCanvas) or canvas.writing:
            return
        volume = self.objects.n_edit_dimensions > 2
        keys = set(canvas.keys()) if volume else {self.key}
        for key in keys:
            self.session.objects.painted(key, int(self.objects.selected_label))
        self._tell(keys)

    # --- where objects go --------------------------------------------------------------------

    def _new_objects(self, saved: Saved | None = None) -> Labels:
        """A layer of objects, whose numbers are large enough for those that were saved."""
        largest = 0 if saved is None else max(saved.largest, saved.next_id)
        dtype = np.int32 if largest < 2**31 else np.int64
        shape = geometry.full_shape(self.image)
        return layers.objects_layer(self.image, self.plane, shape, OBJECTS, dtype)

    def _output(self, layer: Labels | None = None) -> None:
        """Make a layer of objects if there is none."""
        if self.objects is not None:
            return
        layer = layer or self._new_objects()
        self._add(layer)
        layer.events.paint.connect(self._painted)
        self.objects, self._lost, self.table = layer, False, Features()
        self.session.attach(self._canvas(layer), empty=True)

    def _canvas(self, layer: Labels) -> layers.LabelsCanvas | BlocksCanvas:
        return layers.canvas_of(layer, self.plane)

    def _go(self, key: Key) -> None:
        """Show a slice."""
        if key == self.key or len(key) != len(self.plane.stepped):
            return
        world = self._world(geometry.to_data(self.plane, key, (0.5, 0.5))[0])
        for axis in self.plane.stepped:
            at = axis + self.viewer.dims.ndim - self.image.ndim
            self.viewer.dims.set_point(at, float(world[at]))
