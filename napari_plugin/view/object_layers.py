"""``ObjectLayers``: objects as labels and as polygons, and what is known of them as features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels, Shapes

from fastsam_plugins.masks import runs as R
from napari_plugin.model.autosave import Saver
from napari_plugin.model.blocks import BlocksCanvas
from napari_plugin.model.edits import Key
from napari_plugin.model.painting import Object, SessionError
from napari_plugin.model.plane import Plane, to_data
from napari_plugin.model.saving import Saved
from napari_plugin.model.session import Session
from napari_plugin.view.features import Features
from napari_plugin.view.labels_canvas import LabelsCanvas, canvas_of, objects_layer
from napari_plugin.view.layers import OBJECTS, POLYGONS, metadata_of, shapes_layer
from napari_plugin.view.shown_image import ShownImage


class ObjectLayers:
    """The layers that hold what was committed.

    Parameters
    ----------
    image : ShownImage
    session : Session
    saver : Saver

    Attributes
    ----------
    labels : Labels, optional
        What is committed into; made when it is needed.
    polygons : Shapes, optional
    """

    def __init__(self, image: ShownImage, session: Session, saver: Saver) -> None:
        self.image, self.session, self.saver = image, session, saver
        self.labels: Any = None
        self.polygons: Any = None
        self._features = Features()
        self._deleted = False

    def attach(self, layer: Labels | None) -> None:
        """Commit into a layer from now on; into a new one if None, made when it is needed.

        Raises
        ------
        SessionError
            If the layer does not fit the image.
        """
        if layer is None:
            canvas = None
        else:
            canvas = self._checked(layer)
            for name, value in metadata_of(self.image.layer, self.image.plane).items():
                layer.metadata.setdefault(name, value)
        self._hold(layer, new_file=True)
        self.session.attach(canvas)

    def make(self, layer: Labels | None = None) -> None:
        """Make a layer of labels, or take a new one, if there is none."""
        if self.labels is None:
            layer = self.image.add(layer or self.new_layer())
            self._hold(layer, new_file=False)
            self.session.attach(canvas_of(self.labels, self.image.plane), empty=True)

    def new_layer(self, saved: Saved | None = None) -> Labels:
        """A layer whose numbers are large enough for those that were saved."""
        largest = 0 if saved is None else max(saved.largest, saved.next_id)
        dtype = np.int32 if largest < 2**31 else np.int64
        return objects_layer(
            self.image.layer, self.image.plane, self.image.full_shape, OBJECTS, dtype
        )

    def begin_anew(self) -> None:
        """Let go of the labels that there are, and know no objects; their file stays."""
        if self.labels is not None and self.labels.name == OBJECTS:
            self.labels.name = f"{OBJECTS} before Reopen"
        self._hold(None, new_file=True)
        self.session.attach(None)
        self.session.forget()

    def removed(self, layer: Any) -> None:
        """A layer was deleted."""
        if layer is self.polygons:
            self.polygons = None
            return
        layer.events.paint.disconnect(self._painted)
        self.labels, self._deleted = None, True
        self.saver.new_file()
        self.session.attach(None)

    def let_go(self) -> None:
        """What was committed stays, under the image's name: the next image's are called so."""
        for layer, name in ((self.labels, OBJECTS), (self.polygons, POLYGONS)):
            if layer is not None and layer.name == name:
                layer.name = f"{name} of {self.image.layer.name}"

    def changed(self, keys: set[Key]) -> None:
        """Labels of some slices changed, or prompts: nothing to save if the labels were deleted."""
        if not self._deleted:
            self.saver.changed(keys)

    def show_features(self) -> None:
        """Show in the labels' features what is known of the objects."""
        if self.labels is None:
            return
        objects = self.session.objects
        known = [o for o in objects.known.values() if o.outline is None]
        self.labels.features = self._features.update(self.labels.features, known, objects.areas)

    def show_polygons(self) -> None:
        """Show the objects that have outlines of their own."""
        known = [o for o in self.session.objects.known.values() if o.outline is not None]
        if self.polygons is None and not known:
            return
        if self.polygons is None:
            layer = shapes_layer(self.image.layer, self.image.plane, POLYGONS)
            self.polygons = self.image.add(layer)
        ids = self.polygons.features["id"].tolist() if "id" in self.polygons.features else []
        if ids != [o.id for o in known]:
            show_outlines(self.polygons, self.image.plane, known, self.image.shape)

    def _hold(self, layer: Labels | None, new_file: bool) -> None:
        """Follow what is painted into a layer by hand, and into no other."""
        if layer is not None:
            layer.events.paint.connect(self._painted)
        if self.labels is not None:
            self.labels.events.paint.disconnect(self._painted)
        if new_file:
            self.saver.new_file()
        self.labels, self._deleted, self._features = layer, False, Features()

    def _checked(self, layer: Labels) -> LabelsCanvas | BlocksCanvas:
        """The canvas of a layer; SessionError if nothing can be committed into it."""
        shape = self.image.plane.label_shape(self.image.full_shape)
        canvas = canvas_of(layer, self.image.plane)
        in_blocks = isinstance(canvas, BlocksCanvas)
        if (layer.multiscale and not in_blocks) or tuple(layer.data.shape) != shape:
            raise SessionError(
                f"layer {layer.name} does not fit {self.image.layer.name}, whose labels have shape "
                f"{shape}"
            )
        writeable = getattr(getattr(layer.data, "flags", None), "writeable", True)
        if not in_blocks and not (layer.editable and writeable):
            raise SessionError(
                f"layer {layer.name} cannot be written to: unlock it, or commit into a new one"
            )
        return canvas

    def _painted(self, event: Any) -> None:
        """A person painted labels by hand."""
        canvas = self.session.objects.canvas
        if self.labels is None or not isinstance(canvas, LabelsCanvas) or canvas.writing:
            return
        keys = set(canvas.keys()) if self.labels.n_edit_dimensions > 2 else {self.image.key}
        for key in keys:
            self.session.objects.painted(key, int(self.labels.selected_label))
        self.changed(keys)


def show_outlines(layer: Shapes, plane: Plane, objects: Sequence[Object], shape: R.Shape) -> None:
    """Make a Shapes layer show objects as polygons, one each; holes are joined by bridges.

    Parameters
    ----------
    layer : Shapes
    plane : Plane
    objects : sequence of Object
        Those with outlines.
    shape : (H, W)
        Of a slice.
    """
    from fastsam_plugins.masks.polygons import keyhole_polygon

    polygons, areas = [], []
    for known in objects:
        assert known.outline is not None
        key, runs = known.outline
        polygons.append(to_data(plane, key, keyhole_polygon(runs, shape)))
        areas.append(R.area(runs))
    layer.selected_data = set()
    layer.data = []
    if polygons:
        layer.add_polygons(polygons)
    layer.features = {
        "id": np.array([o.id for o in objects], int),
        "score": np.array([o.score for o in objects], float),
        "area": np.array(areas, int),
        "stability": np.array([o.stability for o in objects], float),
    }
