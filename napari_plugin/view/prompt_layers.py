"""``PromptLayers``: points, boxes and scribbles: shown, and drawn with napari's own tools."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from napari.layers import Points, Shapes
from napari.utils.colormaps.standardize_color import transform_color
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from napari_plugin.model.edits import Key
from napari_plugin.model.plane import Plane, from_data, to_data
from napari_plugin.model.prompts import Prompts, Scribble
from napari_plugin.model.session import Session
from napari_plugin.view.geometry import output_transform
from napari_plugin.view.layers import BOXES, EDGE_COLOR, POINTS, shapes_layer
from napari_plugin.view.shown_image import ShownImage

FOREGROUND, BACKGROUND = EDGE_COLOR, "red"
LABEL = "foreground"  # the feature of points and scribbles that says which
BOX, PATH, LINES = "rectangle", "path", ("path", "line")


class PromptLayers:
    """The layers of points, and of boxes and scribbles; what a person draws there becomes prompts
    of the session.

    Parameters
    ----------
    image : ShownImage
    session : Session

    Attributes
    ----------
    points, boxes : napari layers, optional
        None while they are not there.
    """

    def __init__(self, image: ShownImage, session: Session) -> None:
        self.image, self.session = image, session
        self.points: Any = None
        self.boxes: Any = None
        self._showing = False  # rather than a person, who draws

    def make_points(self) -> Any:
        """The layer of points; made if it is not there."""
        if self.points is None:
            layer = points_layer(self.image.layer, self.image.plane, POINTS)
            self.points = self.image.add(layer, on_top=True)
            self.points.events.data.connect(self._drawn)
        return self.points

    def make(self) -> tuple[Any, Any]:
        """The layers of points and of boxes; made if they are not there."""
        self.make_points()
        if self.boxes is None:
            layer = shapes_layer(self.image.layer, self.image.plane, BOXES)
            self.boxes = self.image.add(layer, on_top=True)
            self.boxes.events.data.connect(self._drawn)
        return self.points, self.boxes

    def show(self) -> None:
        """Show the session's prompts."""
        slices = self.session.prompted_slices()
        prompts = {k: p for k in slices if (p := self.session.prompts(k))}
        self._showing = True
        try:
            if self.points is not None:
                show_points(self.points, self.image.plane, prompts)
            if self.boxes is not None:
                show_boxes(self.boxes, self.image.plane, prompts)
        finally:
            self._showing = False

    def removed(self, layer: Any) -> None:
        """One of the layers was deleted: so are its prompts."""
        if layer is self.points:
            self.points = None
        else:
            self.boxes = None
        for key in self.session.prompted_slices():
            prompts = self.session.prompts(key)
            if self.points is None:
                prompts = dataclasses.replace(prompts, points=(), labels=(), step=0)
            if self.boxes is None:
                prompts = dataclasses.replace(prompts, boxes=(), scribbles=())
            self.session.prompt(key, prompts if prompts else Prompts(), "clear")

    def draw_box(self) -> None:
        """Let the next drag draw a box, whatever is selected; then clicks are points again."""
        points, boxes = self.make()
        layers = self.image.viewer.layers
        layers.selection.active = boxes
        boxes.mode = "add_rectangle"

        def click_again() -> None:
            if points in layers and boxes in layers:
                boxes.mode = "pan_zoom"
                layers.selection.active = points

        def drag(layer: Any, event: Any) -> Iterator[None]:
            yield
            while event.type == "mouse_move":
                yield
            layer.mouse_drag_callbacks.remove(drag)
            if points in layers:  # once napari's own tool has the box
                QTimer.singleShot(0, click_again)

        boxes.mouse_drag_callbacks.append(drag)

    def _drawn(self, event: Any) -> None:
        """A person used napari's own tools on the prompts."""
        action = str(getattr(event.action, "value", event.action))
        if self._showing or action not in ("added", "changed", "removed"):
            return
        slices = prompts_in(self.image.plane, self.points, self.boxes)
        for key in {*slices, *self.session.prompted_slices()}:
            new, old = slices.get(key, Prompts()), self.session.prompts(key)
            scribbles = tuple(known(s, old.scribbles) for s in new.scribbles)
            new = dataclasses.replace(new, scribbles=scribbles, masks=old.masks)
            if (new.points, new.labels, new.boxes, new.scribbles) != (
                old.points, old.labels, old.boxes, old.scribbles
            ):  # fmt: skip
                # With the last of them gone, the next ones are about something else.
                new = dataclasses.replace(new, target=old.target) if new else new
                self.session.prompt(key, new, "draw")


def points_layer(image: Any, plane: Plane, name: str) -> Points:
    """Where clicks are shown."""
    return Points(
        np.empty((0, len(plane.kept))),
        ndim=len(plane.kept),
        name=name,
        features={"foreground": np.empty(0, int)},
        feature_defaults={"foreground": 1},
        face_color=FOREGROUND,
        border_color="black",
        size=12,
        canvas_size_limits=(6, 12),
        **output_transform(image, plane),
    )


def show_points(layer: Points, plane: Plane, prompts: dict[Key, Prompts]) -> None:
    """Make a Points layer show the points of all slices, each in the colour of what it says."""
    data = np.concatenate(
        [np.empty((0, len(plane.kept))), *(to_data(plane, k, p.points) for k, p in prompts.items())]
    )
    labels = [label for p in prompts.values() for label in p.labels]
    if not np.array_equal(layer.data, data):
        if layer.selected_data:
            layer.selected_data = set()
        if len(data) == len(layer.data) + 1:
            # A click, mostly: the new point has its colour at once, which costs one update.
            _next_point(layer, labels[-1])
        layer.data = data
    # Napari gives points that come back by undo whatever colour it used last.
    if layer.features["foreground"].tolist() != labels:
        layer.features = {"foreground": np.array(labels, int)}
    colors = [FOREGROUND if label else BACKGROUND for label in labels]
    if labels and not np.allclose(layer.face_color, transform_color(colors)):
        layer.face_color = colors
    if labels:
        _next_point(layer, labels[-1])


def _next_point(layer: Points, label: int) -> None:
    """Say what a point that is added by napari's own tool means, and show it so."""
    color = FOREGROUND if label else BACKGROUND
    if layer.feature_defaults["foreground"].tolist() != [label]:
        layer.feature_defaults = {"foreground": label}
    if not np.allclose(transform_color(layer.current_face_color), transform_color(color)):
        layer.current_face_color = color


def show_boxes(layer: Shapes, plane: Plane, prompts: dict[Key, Prompts]) -> None:
    """Make a Shapes layer show the boxes and the scribbles of all slices."""
    wanted, kinds, labels = [], [], []
    for key, p in prompts.items():
        for x0, y0, x1, y1 in p.boxes:
            wanted.append(to_data(plane, key, [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]))
            kinds.append(BOX)
            labels.append(1)
        for s in p.scribbles:
            wanted.append(to_data(plane, key, s.line if len(s.line) > 1 else s.line * 2))
            kinds.append(PATH)
            labels.append(s.label)
    shown = [np.asarray(d) for d in layer.data]
    same = [
        kind == other and len(a) == len(b) and np.allclose(_corners(a, kind), _corners(b, kind))
        for a, kind, b, other in zip(shown, map(str, layer.shape_type), wanted, kinds, strict=False)
    ]
    if len(same) < len(shown) or not all(same):  # anything but one more
        layer.selected_data = set()
        layer.data, shown = [], []
    new = slice(len(shown), None)
    if wanted[new]:
        colors = [FOREGROUND if label else BACKGROUND for label in labels[new]]
        layer.add(wanted[new], shape_type=kinds[new], edge_color=colors)
    if _told(layer) != labels:
        layer.features = {LABEL: np.array(labels, int)}
        layer.feature_defaults = {LABEL: 1}  # what a person draws with napari's own tools


def known(scribble: Scribble, scribbles: Sequence[Scribble]) -> Scribble:
    """The one among others that a layer, which rounds, shows as this; itself if it was moved."""
    for other in scribbles:
        if len(other.line) == len(scribble.line) and np.allclose(other.line, scribble.line, 1e-5):
            return other
    return scribble


def _corners(data: NDArray, kind: str) -> NDArray:
    """Corners of a box in an order of their own: napari's tools begin with any of them."""
    return np.sort(data, 0) if kind == BOX else data


def _told(layer: Shapes) -> list[int]:
    """What each shape says, foreground unless it is known to be background."""
    told = layer.features[LABEL].tolist() if LABEL in layer.features else []
    told += [1] * (len(layer.data) - len(told))
    return [0 if value == 0 else 1 for value in told]


def prompts_in(plane: Plane, points: Points | None, boxes: Shapes | None) -> dict[Key, Prompts]:
    """The prompts that layers hold, by slice, whoever put them there."""
    slices: dict[Key, dict[str, list[Any]]] = defaultdict(
        lambda: {"points": [], "labels": [], "boxes": [], "scribbles": []}
    )
    if points is not None:
        labels = points.features["foreground"].tolist()
        for place, label in zip(np.asarray(points.data), labels, strict=True):
            key, xy = from_data(plane, place)
            slices[key]["points"].append(xy)
            slices[key]["labels"].append(int(label))
    if boxes is not None:
        kinds = map(str, boxes.shape_type)
        for shape, kind, label in zip(boxes.data, kinds, _told(boxes), strict=True):
            keys, corners = zip(*(from_data(plane, p) for p in np.asarray(shape)), strict=True)
            if kind in LINES:
                drawn = Scribble(tuple(corners), label, len(slices[keys[0]]["points"]))
                slices[keys[0]]["scribbles"].append(drawn)
                continue
            (x0, y0), (x1, y1) = np.min(corners, axis=0), np.max(corners, axis=0)
            slices[keys[0]]["boxes"].append((float(x0), float(y0), float(x1), float(y1)))
    return {
        k: Prompts(
            tuple(p["points"]),
            tuple(p["labels"]),
            tuple(p["boxes"]),
            scribbles=tuple(p["scribbles"]),
        )
        for k, p in slices.items()
    }
