"""The layers that show a session: instances, preview, prompts, objects. They are shown, not asked.

Labels layers are written to through ``data_setitem`` where few pixels change: napari then uploads
their window alone, instead of the whole slice.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels, Points, Shapes
from napari.utils.colormaps import CyclicLabelColormap
from napari.utils.colormaps.standardize_color import transform_color
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.inference.worker import sampled, stride
from napari_plugin.model.blocks import LARGE, BlocksCanvas, Level, layer_levels
from napari_plugin.model.edits import ArrayCanvas, Key
from napari_plugin.model.session import Object
from napari_plugin.model.slice_instances import Prompts, SliceInstances, Window
from napari_plugin.view import channels
from napari_plugin.view.geometry import Plane, from_data, output_transform, to_data

FEW = 50_000
"""Pixels up to which napari's partial upload is quicker than a whole one. It also remembers them
for its own undo, which larger numbers would fill the memory with."""

COLORS = ("#00e5ff", "#ff4dd2", "#ffd500", "#76ff03", "#ff6d00", "#b388ff")
HOVER = len(COLORS) + 1
# Cyclic, though it never comes round: a direct colormap compiles for seconds where numba is there.
_SHOWN = ("#00000000", *(f"{c}ff" for c in COLORS), "#ffffffff")
PALETTE = CyclicLabelColormap(
    colors=np.array([list(bytes.fromhex(c[1:])) for c in _SHOWN], np.float32) / 255
)


class LabelsCanvas(ArrayCanvas):
    """The data of a Labels layer, as what objects are committed into."""

    def __init__(self, layer: Labels, plane: Plane) -> None:
        rows, columns = plane.kept.index(plane.rows), plane.kept.index(plane.columns)
        super().__init__(layer.data, rows, columns, plane.spanned)
        self.layer = layer
        self.writing = False  # rather than a person, who paints
        self._shown = 0  # pixels, since all was shown
        self._stale = False

    def write(  # noqa: D102
        self, key: Key, window: Window, block: NDArray[np.integer], changed: NDArray[np.bool_]
    ) -> None:
        count = int(np.count_nonzero(changed))
        self._shown += count
        if not isinstance(self.array, np.ndarray) or self._shown > FEW:
            super().write(key, window, block, changed)
            self._stale = True
            return
        self.keep(key, window)
        rows, columns = np.nonzero(changed)
        place = self.place(key, rows + window[1], columns + window[0])
        self.writing = True
        try:
            indices = tuple(np.broadcast_to(p, rows.shape) for p in place)
            self.layer.data_setitem(indices, block[changed])
        finally:
            self.writing = False

    def show(self) -> None:
        """What was written without being shown, all at once."""
        if self._stale:
            self.layer.refresh()
        self._shown, self._stale = 0, False


def canvas_of(layer: Labels, plane: Plane) -> LabelsCanvas | BlocksCanvas:
    """What objects are committed into, of a layer that was made here or by a person."""
    if isinstance(layer.data[0], Level) and layer.multiscale:
        return BlocksCanvas(list(layer.data), layer.refresh)
    return LabelsCanvas(layer, plane)


class Preview:
    """What prompts pick, and what is under the cursor, in a layer of its own over one window.

    Parameters
    ----------
    image : image layer
    plane : Plane
    key : tuple of int
    scene : SliceInstances
    """

    def __init__(
        self, image: Any, plane: Plane, key: Key, scene: SliceInstances, name: str
    ) -> None:
        self._rows, self._columns = plane.kept.index(plane.rows), plane.kept.index(plane.columns)
        self.layer = Labels(
            self._begin(plane, scene),
            name=name,
            opacity=0.55,
            colormap=PALETTE,
            **placed(image, plane, key, scene.window),
        )
        self.layer.mouse_pan = True

    def _begin(self, plane: Plane, scene: SliceInstances) -> NDArray[np.uint8]:
        """Show nothing of a scene; the layer's data."""
        x0, y0, x1, y1 = scene.window
        self.scene, self.step = scene, stride(scene.window)
        height, width = (len(range(self.step // 2, n, self.step)) for n in (y1 - y0, x1 - x0))
        self._shape = height, width
        self._base = np.zeros(self._shape, np.uint8)  # what prompts pick, without the cursor
        self._picked: list[R.Runs] = []
        self._hovered = R.EMPTY
        shape = [1] * len(plane.kept)
        shape[self._rows], shape[self._columns] = self._shape
        return np.zeros(shape, np.uint8)

    def move(self, image: Any, plane: Plane, key: Key, scene: SliceInstances) -> None:
        """Show nothing, over another slice or window."""
        self.layer.data = self._begin(plane, scene)
        place_layer(self.layer, placed(image, plane, key, scene.window))

    @property
    def picks(self) -> bool:
        """Whether there is a pixel of what prompts pick."""
        return any(len(mask) for mask in self._picked)

    def pick(self, seg: Segmentation) -> None:
        """Show what prompts pick, each instance in a colour, and nothing under the cursor."""
        before = [*self._picked, self._hovered]
        self._picked, self._hovered = [self._runs(seg, i) for i in range(len(seg))], R.EMPTY
        for mask in before:
            self._set(mask, 0)
        for i, mask in sorted(enumerate(self._picked), key=lambda pair: -R.area(pair[1])):
            self._set(mask, i % len(COLORS) + 1)
        self._show([*before, *self._picked])

    def hover(self, seg: Segmentation | None, value: int = HOVER) -> None:
        """Show the instance under the cursor, or none."""
        before = self._hovered
        self._hovered = R.EMPTY if seg is None or not len(seg) else self._runs(seg, 0)
        self._show([before, self._hovered], value)

    def _runs(self, seg: Segmentation, i: int) -> R.Runs:
        return sampled(seg.runs(i), seg.shape[0], self.step, self._shape[0])

    def _set(self, mask: R.Runs, value: int) -> None:
        x0, y0, x1, y1 = window = R.bounds(mask, self._shape[0])
        self._base[y0:y1, x0:x1][R.to_bitmap(mask, self._shape, window)] = value

    def _show(self, masks: Sequence[R.Runs], value: int = HOVER) -> None:
        """Bring the pixels around some masks up to date, in one go."""
        shown = self.layer.data.reshape(self._shape)
        parts, count = [], 0
        for mask in masks:
            x0, y0, x1, y1 = window = R.bounds(mask, self._shape[0])
            wanted = self._base[y0:y1, x0:x1].copy()
            if len(self._hovered):
                wanted[R.to_bitmap(self._hovered, self._shape, window)] = value
            changed = wanted != shown[y0:y1, x0:x1]
            parts.append((window, wanted, changed))
            count += int(np.count_nonzero(changed))
        if count > FEW:
            for (x0, y0, x1, y1), wanted, _ in parts:
                shown[y0:y1, x0:x1] = wanted
            self.layer.refresh()
        elif count:
            rows = np.concatenate([np.nonzero(c)[0] + w[1] for w, _, c in parts])
            columns = np.concatenate([np.nonzero(c)[1] + w[0] for w, _, c in parts])
            values = np.concatenate([v[c] for _, v, c in parts])
            # Napari remembers the indices: small numbers take less memory.
            place: list[Any] = [np.zeros(len(rows), np.int16)] * self.layer.ndim
            place[self._rows] = rows.astype(np.int16)
            place[self._columns] = columns.astype(np.int16)
            self.layer.data_setitem(tuple(place), values)


def placed(image: Any, plane: Plane, key: Key, window: Window) -> dict[str, Any]:
    """Where a layer of a picture's grid (:func:`napari_plugin.inference.worker.picture`) lies."""
    step = stride(window)
    # The first grid point stands for the first step x step pixels: it lies in their middle.
    corner = window[0] + step / 2, window[1] + step / 2
    return output_transform(image, plane, to_data(plane, key, corner)[0], step)


def place_layer(layer: Any, place: dict[str, Any]) -> None:
    """Move a layer to where it is not yet: every setter redraws."""
    for name in ("scale", "translate", "rotate", "shear", "affine"):
        if name in place and not np.allclose(np.asarray(getattr(layer, name)), place[name]):
            setattr(layer, name, place[name])


def instances_layer(
    image: Any,
    plane: Plane,
    key: Key,
    scene: SliceInstances,
    picture: NDArray[np.uint16],
    name: str,
) -> Labels:
    """All instances of a scene that the filters let through."""
    return Labels(
        spread(plane, picture), name=name, opacity=0.3, **placed(image, plane, key, scene.window)
    )


def spread(plane: Plane, picture: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """A picture (h, w) with the axes of labels, those that count slices of length one."""
    shape = [1] * len(plane.kept)
    shape[plane.kept.index(plane.rows)], shape[plane.kept.index(plane.columns)] = picture.shape
    return picture.reshape(shape)


def objects_layer(
    image: Any, plane: Plane, shape: Sequence[int], name: str, dtype: Any = np.int32
) -> Labels:
    """An empty layer to commit into: as large as the image, where it is, and with what it knows.

    Of slices of more than :data:`napari_plugin.model.blocks.LARGE` pixels it holds squares of runs.

    Raises
    ------
    MemoryError
        If there is no room for it.
    """
    wanted = plane.label_shape(shape)
    data: Any
    if shape[plane.rows] * shape[plane.columns] > LARGE:
        rows, columns = plane.kept.index(plane.rows), plane.kept.index(plane.columns)
        data = layer_levels(wanted, rows, columns, plane.spanned, dtype)
    else:
        data = np.zeros(wanted, dtype)
    return Labels(
        data,
        name=name,
        multiscale=isinstance(data, list),
        metadata=known_of(image, plane),
        **output_transform(image, plane),
    )


def known_of(image: Any, plane: Plane) -> dict[str, Any]:
    """What files that are made of a layer say of its image: where it came from and where it lies;
    and the axis on which the layer lies over all channels, which no file has."""
    names = ("crs", "transform", "nodata")
    known: dict[str, Any] = {k: image.metadata[k] for k in names if k in image.metadata}
    path = image_path(image)
    if plane.spanned is not None:
        known[channels.KEY] = plane.spanned
    return known | ({"image_name": image.name} if path is None else {"image": path})


def image_path(image: Any) -> str | None:
    """The file that an image layer was read from, by napari, by our reader or by a script."""
    path = getattr(image.source, "path", None) or image.metadata.get("path")
    return str(path) if isinstance(path, str | os.PathLike) and str(path) else None


# --- prompts ------------------------------------------------------------------------------------

FOREGROUND, BACKGROUND = "lime", "red"


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


def boxes_layer(image: Any, plane: Plane, name: str) -> Shapes:
    """Where boxes are drawn."""
    return Shapes(
        ndim=len(plane.kept),
        name=name,
        edge_color=FOREGROUND,
        face_color="transparent",
        edge_width=2,
        metadata=known_of(image, plane),
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
    """Make a Shapes layer show the boxes of all slices."""
    corners = []
    for key, p in prompts.items():
        for x0, y0, x1, y1 in p.boxes:
            corners.append(to_data(plane, key, [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]))
    now = [np.asarray(d) for d in layer.data]
    if len(now) == len(corners) and all(
        np.allclose(np.sort(a, 0), np.sort(b, 0)) for a, b in zip(now, corners, strict=True)
    ):
        return
    layer.selected_data = set()
    layer.data = []
    if corners:
        layer.add_rectangles(corners)


def drawn(plane: Plane, points: Points | None, boxes: Shapes | None) -> dict[Key, Prompts]:
    """The prompts that layers hold, by slice, whoever put them there."""
    found: dict[Key, dict[str, list[Any]]] = defaultdict(
        lambda: {"points": [], "labels": [], "boxes": []}
    )
    if points is not None:
        labels = points.features["foreground"].tolist()
        for place, label in zip(np.asarray(points.data), labels, strict=True):
            key, xy = from_data(plane, place)
            found[key]["points"].append(xy)
            found[key]["labels"].append(int(label))
    if boxes is not None:
        for shape in boxes.data:
            keys, corners = zip(*(from_data(plane, p) for p in np.asarray(shape)), strict=True)
            (x0, y0), (x1, y1) = np.min(corners, axis=0), np.max(corners, axis=0)
            found[keys[0]]["boxes"].append((float(x0), float(y0), float(x1), float(y1)))
    return {
        k: Prompts(tuple(p["points"]), tuple(p["labels"]), tuple(p["boxes"]))
        for k, p in found.items()
    }


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


def warm() -> None:
    """Make a layer of every kind, for nothing: the first ones import and compile for seconds."""
    Points(np.zeros((1, 2)), features={"foreground": [1]}, size=1)
    Shapes([np.zeros((4, 2))], shape_type="polygon")
    for dtype in (np.uint8, np.uint16, np.int32):
        Labels(np.ones((2, 2), dtype), colormap=PALETTE if dtype == np.uint8 else None)
