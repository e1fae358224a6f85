"""``InstanceLayers``: the instances of a slice, those picked, and the one under the cursor."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels
from numpy.typing import NDArray

from napari_plugin.model.edits import Key
from napari_plugin.model.prompts import Answer
from napari_plugin.model.session import Session
from napari_plugin.model.slice_instances import SliceInstances
from napari_plugin.view.layers import INSTANCES, PREVIEW, grid_transform, place_layer, spread
from napari_plugin.view.preview import Preview
from napari_plugin.view.shown_image import ShownImage


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
        self._hovered: list[int] = []  # rows

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
        preview = self.show_preview(key, self.session.segmented[key])
        self._hovered = answer.seg.rows.tolist() if len(answer.seg) == 1 else []
        preview.pick(answer.seg)
        return answer

    def show_hovered(self, world: Any) -> None:
        """Show the instance under the cursor."""
        key = self.image.key
        instances = self.session.instances(key)
        if not self.hover or instances is None or not self.image.is_shown:
            return
        seg = instances.at(self.image.position(world), self.session.options)
        rows = seg.rows.tolist()
        if rows != self._hovered:
            self._hovered = rows
            self.show_preview(key, instances).hover(seg)

    def toggle_hover(self) -> None:
        """Show the instance under the cursor, or no longer."""
        self.hover = not self.hover
        if not self.hover and self.preview is not None:
            self.preview.hover(None)

    def forget_hovered(self) -> None:
        """Another slice is shown: whatever is under the cursor is shown anew."""
        self._hovered = []

    def show_preview(self, key: Key, instances: SliceInstances) -> Preview:
        """The preview, over the window of a slice."""
        preview, layers = self.preview, self.image.viewer.layers
        if preview is None or self._preview_key != key or preview.layer not in layers:
            layer, plane = self.image.layer, self.image.plane
            if preview is None:
                preview = Preview(layer, plane, key, instances, PREVIEW)
            else:
                preview.move(layer, plane, key, instances)
            self.preview, self._preview_key, self._hovered = preview, key, []
            if preview.layer not in layers:
                self.image.add(preview.layer, on_top=True)
        return preview

    def removed(self, layer: Any) -> None:
        """A layer was deleted."""
        if layer is self.picture:
            self.picture = None
        elif self.preview is not None and layer is self.preview.layer:
            self._preview_key = None
