"""``InstanceLayers``: the instances of a slice, those picked, and the one under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.edits import Key
from napari_plugin.model.prompts import Answer
from napari_plugin.model.session import Session
from napari_plugin.model.slice_instances import SliceInstances
from napari_plugin.view.layers import INSTANCES, PREVIEW, grid_transform, place_layer, spread
from napari_plugin.view.preview import Preview
from napari_plugin.view.shown_image import ShownImage, camera_of
from napari_plugin.view.threads import Latest

REST = 40  # milliseconds without a move, after which it is found out what a click would pick
LINE = 3  # pixels of the screen


class InstanceLayers:
    """A picture of all instances, and the preview over it.

    Parameters
    ----------
    image : ShownImage
    session : Session
    hover : bool
        Whether the instance under the cursor is shown.

    Attributes
    ----------
    picture : napari layer, optional
    preview : Preview, optional
    """

    def __init__(self, image: ShownImage, session: Session, hover: bool) -> None:
        self.image, self.session, self.hover = image, session, hover
        self.picture: Any = None
        self.preview: Preview | None = None
        self._pictures: dict[Key, NDArray] = {}
        self._preview_key: Key | None = None
        self._hovered: list[int] | None = []  # rows of what was found
        self._ahead: Segmentation | None = None  # what a click would pick, which is shown
        self._resting_at: tuple[Key, tuple[float, float]] = (), (-1.0, -1.0)
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.timeout.connect(self._look_ahead)
        self._looking = Latest()
        self._closed = False

    @property
    def layers(self) -> list[Any]:
        """Those that there are."""
        preview = None if self.preview is None else self.preview.layer
        return [layer for layer in (preview, self.picture) if layer is not None]

    def set_picture(self, key: Key, picture: NDArray, segmented: bool = False) -> None:
        """A slice has another picture; :meth:`show_slice` or :meth:`show_picture` shows it."""
        self._pictures[key] = picture
        if segmented:  # the preview is of other instances, maybe of another window
            self._preview_key = None

    def show_picture(self, key: Key) -> None:
        """Show the instances of a slice that the filters let through."""
        instances, picture = self.session.instances(key), self._pictures.get(key)
        if instances is None or picture is None:
            return
        layer, plane = self.picture, self.image.plane
        place = grid_transform(self.image.layer, plane, key, instances.window)
        if layer is not None:
            layer.data = spread(plane, picture)
            place_layer(layer, place)
            return
        self.picture = self.image.add(
            Labels(spread(plane, picture), name=INSTANCES, opacity=0.3, **place)
        )

    def show_answer(self, key: Key) -> Answer | None:
        """Show what the prompts of a slice pick, if it is the one that is shown."""
        answer = self.session.answer(key) if key == self.image.key else None
        if answer is None:
            return None
        preview, seg = self.show_preview(key, self.session.segmented[key]), answer.seg
        own = len(seg) == 1 and seg.source is self.session.segmented[key].seg.source
        self.forget_hovered()
        self._hovered = seg.rows.tolist() if own else []
        preview.pick(seg)
        return answer

    def show_line(self, line: Sequence[tuple[float, float]], foreground: bool) -> None:
        """Show one more step of a line that is being drawn; its first point begins it."""
        key = self.image.key
        instances = self.session.instances(key)
        if instances is None:
            return
        preview = self.show_preview(key, instances)
        self.forget_hovered()
        if len(line) == 1:
            preview.hover(None)
            return
        width = LINE / camera_of(self.image.viewer).zoom / self.image.pixel
        local = np.array(line) - instances.window[:2]
        preview.draw(local, width, foreground)

    def show_hovered(self, world: Any) -> None:
        """Show the instance under the cursor: what was found, and, once the cursor rests, what a
        click would make of it."""
        key = self.image.key
        instances = self.session.instances(key)
        if not self.hover or instances is None or not self.image.is_shown:
            return
        xy = self.image.position(world)
        if not self.session.predicts(key):
            self._show_found(key, instances, xy)
            return
        self._resting_at = key, xy
        shown = self._ahead
        if shown is None or not shown.contains([instances.local(xy)]).any():
            self._ahead = None
            self._show_found(key, instances, xy)
        self._rest.start(REST)

    def _show_found(self, key: Key, instances: SliceInstances, xy: tuple[float, float]) -> None:
        seg = instances.at(xy, self.session.options)
        if self.session.predicts(key) and self.session.prompts(key):
            seg = seg[:0]  # a click says more about what is picked
        rows = seg.rows.tolist()
        if rows != self._hovered:
            self._hovered = rows
            self.show_preview(key, instances).hover(seg)

    def _look_ahead(self) -> None:
        """The cursor rests: find out, beside the window, what a click would pick."""
        key, xy = self._resting_at
        instances = self.session.instances(key)
        height, width = self.image.shape
        inside = 0 <= xy[0] < width and 0 <= xy[1] < height
        if instances is None or not self.image.is_shown or not inside:
            return
        prompts = self.session.prompts(key)
        asked = key, xy, instances.seg, prompts
        self._looking.start(
            partial(self._show_ahead, asked), instances.ahead, xy, prompts, self.session.options
        )

    def _show_ahead(self, asked: tuple[Any, ...], seg: Segmentation) -> None:
        key, xy, of, prompts = asked
        instances = self.session.segmented.get(key)
        if (
            self._closed or not self.hover or self._resting_at != (key, xy) or instances is None
            or instances.seg is not of or self.session.prompts(key) is not prompts
            or key != self.image.key or not self.session.predicts(key)
        ):  # fmt: skip
            return
        preview = self.show_preview(key, instances)
        if prompts:
            preview.hover_more(seg)
        else:
            preview.hover(seg)
        self._ahead, self._hovered = seg, None

    def toggle_hover(self) -> None:
        """Show the instance under the cursor, or no longer."""
        self.hover = not self.hover
        if not self.hover and self.preview is not None:
            self.preview.hover(None)
            self.forget_hovered()

    def forget_hovered(self) -> None:
        """Another slice is shown: whatever is under the cursor is shown anew."""
        self._rest.stop()
        self._hovered, self._ahead, self._resting_at = [], None, ((), (-1.0, -1.0))

    def close(self) -> None:
        """The viewer goes, or another image comes."""
        self._closed = True
        self._rest.stop()

    def show_preview(self, key: Key, instances: SliceInstances) -> Preview:
        """The preview, over the window of a slice."""
        preview, layers = self.preview, self.image.viewer.layers
        if preview is None or self._preview_key != key or preview.layer not in layers:
            layer, plane = self.image.layer, self.image.plane
            if preview is None:
                preview = Preview(layer, plane, key, instances, PREVIEW)
            else:
                preview.move(layer, plane, key, instances)
            self.preview, self._preview_key = preview, key
            self._hovered, self._ahead = [], None
            if preview.layer not in layers:
                self.image.add(preview.layer, on_top=True)
        return preview

    def removed(self, layer: Any) -> None:
        """A layer was deleted."""
        if layer is self.picture:
            self.picture = None
        elif self.preview is not None and layer is self.preview.layer:
            self._preview_key = None
