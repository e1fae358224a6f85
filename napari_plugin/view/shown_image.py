"""``ShownImage``: the image that is worked on, in its viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels

from fastsam_plugins.masks import runs as R
from napari_plugin.model.edits import Key
from napari_plugin.model.plane import Plane, PlaneError, to_data
from napari_plugin.model.saving import ImageRecord
from napari_plugin.view import geometry
from napari_plugin.view.layers import image_path


class ShownImage:
    """An image layer, which of its slices is shown, and what is laid over it.

    Parameters
    ----------
    viewer : napari viewer
    layer : image layer
    plane : Plane
    """

    def __init__(self, viewer: Any, layer: Any, plane: Plane) -> None:
        self.viewer, self.layer, self.plane = viewer, layer, plane
        self._on_top: list[Any] = []

    @property
    def key(self) -> Key:
        """The slice that is shown."""
        return geometry.current_key(self.layer, self.plane, self.viewer.dims)

    @property
    def shape(self) -> R.Shape:
        """(H, W) of a slice."""
        return geometry.plane_shape(self.layer, self.plane)

    @property
    def full_shape(self) -> tuple[int, ...]:
        """Of its array, at its full resolution, without the colours of RGB."""
        return geometry.full_shape(self.layer)

    @property
    def record(self) -> ImageRecord:
        """What a file says of it."""
        counted = [a for a in range(self.plane.ndim) if a != self.plane.channels]
        shape = self.full_shape
        return ImageRecord(
            self.layer.name,
            image_path(self.layer),
            tuple(shape[a] for a in counted),
            (counted.index(self.plane.rows), counted.index(self.plane.columns)),
        )

    @property
    def is_shown(self) -> bool:
        """Whether it is in the viewer, as the plane that was segmented."""
        try:
            plane = geometry.shown_plane(self.layer, self.viewer.dims, self.plane.channels)
        except PlaneError:
            return False
        return plane == self.plane and self.layer in self.viewer.layers

    def position(self, world: Any) -> tuple[float, float]:
        """The (x, y) of a place in the world, in pixels of a slice."""
        return geometry.to_image(self.layer, self.plane, world)

    @property
    def pixel(self) -> float:
        """The side of one of its pixels in the world, where they are square."""
        return float(np.abs(np.asarray(self.layer.scale))[self.plane.rows])

    def add(self, layer: Any, on_top: bool = False) -> Any:
        """Add a layer and keep what is selected.

        Parameters
        ----------
        layer : napari layer
        on_top : bool
            Labels that are added later go below it.
        """
        layers = self.viewer.layers
        selected, active = set(layers.selection), layers.selection.active
        self.viewer.add_layer(layer)
        self._on_top = [x for x in self._on_top if x in layers and x is not layer]
        places = [layers.index(x) for x in self._on_top]
        if places and isinstance(layer, Labels):
            layers.move(len(layers) - 1, min(places))
        if on_top:
            self._on_top.append(layer)
        if active is not None and active in layers:
            layers.selection = selected
            layers.selection.active = active
        return layer

    def center_on(self, key: Key, xy: tuple[float, float]) -> None:
        """Move a place in a slice into the middle of the canvas."""
        world = self._world(key, xy)
        camera_of(self.viewer).center = (0.0, *(world[a] for a in self.viewer.dims.displayed))

    def show_slice(self, key: Key) -> None:
        """Show a slice."""
        if key == self.key or len(key) != len(self.plane.stepped):
            return
        world = self._world(key, (0.5, 0.5))
        for axis in self.plane.stepped:
            at = axis + self.viewer.dims.ndim - self.layer.ndim
            self.viewer.dims.set_point(at, float(world[at]))

    def _world(self, key: Key, xy: tuple[float, float]) -> Any:
        """World coordinates, one for each axis of the viewer, of a place in a slice."""
        full = np.zeros(self.layer.ndim)
        full[list(self.plane.kept)] = to_data(self.plane, key, xy)[0]
        world = np.asarray(self.viewer.dims.point, float)
        world[-self.layer.ndim :] = self.layer.data_to_world(full)
        return world


def camera_of(viewer: Any) -> Any:
    """The camera, which is the viewer's own before napari 0.9."""
    return getattr(viewer, "scene", viewer).camera
