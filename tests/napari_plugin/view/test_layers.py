"""Where layers lie and what they know of their image."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_plugin.model.plane import Plane
from napari_plugin.view.labels_canvas import objects_layer
from napari_plugin.view.layers import grid_transform, image_path, place_layer, spread
from tests.napari_plugin.conftest import SHAPE


def test_a_picture_of_every_other_pixel_covers_the_same_ground():
    image = Image(np.zeros((6000, 10), np.uint8), scale=(0.5, 2), translate=(3, 4))
    plane = Plane(0, 1, 2)
    place = grid_transform(image, plane, (), (0, 0, 10, 6000))
    part = Labels(np.zeros((2000, 3), np.uint8), **place)
    # The outer corner of the first point is the outer corner of the first pixel.
    assert part.data_to_world((-0.5, -0.5)) == pytest.approx(image.data_to_world((-0.5, -0.5)))
    assert part.data_to_world((1999.5, 0))[0] == pytest.approx(image.data_to_world((5999.5, 0))[0])


def test_what_a_file_said_of_the_image_is_copied():
    image = Image(np.zeros(SHAPE), metadata={"crs": "EPSG:32616", "transform": (1, 2), "other": 3})
    labels = objects_layer(image, Plane(0, 1, 2), SHAPE, "objects")
    assert labels.metadata == {"crs": "EPSG:32616", "transform": (1, 2), "image_name": "Image"}


def test_a_layer_is_moved_only_where_it_is_not_yet():
    layer = Labels(np.zeros(SHAPE, np.uint8), scale=(0.5, 2))
    moved = []
    layer.events.scale.connect(lambda _: moved.append("scale"))
    layer.events.translate.connect(lambda _: moved.append("translate"))
    place_layer(layer, {"scale": (0.5, 2), "translate": (3, 4)})
    assert moved == ["translate"]
    place_layer(layer, {"scale": (0.5, 2), "translate": (3, 4)})
    assert moved == ["translate"]
    assert layer.translate.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("plane", "shape"),
    [
        (Plane(0, 1, 2), (4, 5)),
        (Plane(1, 2, 3), (1, 4, 5)),
        (Plane(0, 2, 3), (4, 1, 5)),
        (Plane(2, 3, 4, channels=0), (1, 4, 5)),
        (Plane(0, 1, 3, channels=2), (4, 5, 1)),
    ],
    ids=str,
)
def test_a_picture_is_spread_over_the_axes_of_labels(plane, shape):
    picture = np.arange(20, dtype=np.uint16).reshape(4, 5)
    assert spread(plane, picture).shape == shape
    assert np.array_equal(spread(plane, picture).squeeze(), picture)


def test_the_file_of_an_image_is_named_by_whoever_read_it(tmp_path):
    assert image_path(Image(np.zeros(SHAPE))) is None
    assert image_path(Image(np.zeros(SHAPE), metadata={"path": tmp_path})) == str(tmp_path)
    assert image_path(Image(np.zeros(SHAPE), metadata={"path": 3})) is None
