"""A place in the world is the same place in the image, whatever the transform."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from fastsam_plugins.options import PromptOptions
from napari_plugin.model.plane import Plane, PlaneError, from_data, to_data
from napari_plugin.model.prompts import Prompts
from napari_plugin.view import geometry
from napari_plugin.view.labels_canvas import objects_layer
from napari_plugin.view.layers import grid_transform
from tests.napari_plugin.conftest import SHAPE, scene_of

TURN = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
AFFINE = np.array([[1.2, 0.3, 40], [-0.2, 0.9, -7], [0, 0, 1]])


def stacked(matrix):
    out = np.eye(4)
    out[1:, 1:] = matrix
    return out


TRANSFORMS = {
    "identity": {},
    "scale": {"scale": (0.25, 0.25)},
    "anisotropic scale": {"scale": (2.0, 0.5)},
    "mirror": {"scale": (1.0, -1.0)},
    "translate": {"translate": (-30.5, 1200.0)},
    "rotate": {"rotate": 33},
    "shear": {"shear": [0.4]},
    "affine": {"affine": AFFINE},
    "all": {"scale": (3, 2), "translate": (5, -9), "rotate": 70, "shear": [0.2], "affine": AFFINE},
    "stack": {"scale": (5, 1, 1), "translate": (10, 0, 0)},
    "stack, all": {"scale": (5, 0.5, 2), "translate": (3, 4, 5), "affine": stacked(AFFINE)},
    "time and depth": {"scale": (1, 4, 0.3, 0.3), "translate": (0, 2, 0, 7)},
}
assert len(TRANSFORMS) == 12


@pytest.fixture(params=TRANSFORMS.values(), ids=TRANSFORMS.keys())
def placed_image(request):
    ndim = max((len(np.atleast_1d(v)) for k, v in request.param.items() if k == "scale"), default=2)
    viewer = ViewerModel()
    image = Image(np.zeros((*(3,) * (ndim - 2), *SHAPE), np.uint8), name="it", **request.param)
    viewer.add_layer(image)
    viewer.reset_view()
    key = tuple(range(2, 2 - (ndim - 2), -1))  # another slice than the first
    for axis, place in enumerate(key):
        full = np.zeros(ndim)
        full[: len(key)] = key
        viewer.dims.set_point(axis, image.data_to_world(full)[axis])
        del place
    return viewer, image, key


def test_a_click_at_a_physical_position_gives_the_same_object(placed_image, seg):
    """The world position is worked out from the pixel's centre by napari itself."""
    viewer, image, key = placed_image
    plane = geometry.shown_plane(image, viewer.dims)
    assert geometry.current_key(image, plane, viewer.dims) == key
    scene = scene_of(seg)
    best = PromptOptions(points_mode="best")
    for (column, row), expected in (((80, 20), [3]), ((30, 45), [0]), ((2, 2), [])):
        world = image.data_to_world((*key, row, column))
        xy = geometry.to_image(image, plane, world)
        assert xy == pytest.approx((column + 0.5, row + 0.5))
        assert scene.answer(Prompts((xy,), (1,)), best).seg.rows.tolist() == expected


def test_every_pixel_of_a_mask_is_asked_at_its_own_centre(placed_image, seg):
    """Half a pixel off, and the rim would differ."""
    viewer, image, key = placed_image
    plane = geometry.shown_plane(image, viewer.dims)
    mask = seg.mask(3)
    rows, columns = np.nonzero(np.ones(SHAPE, bool))
    asked = [
        geometry.to_image(image, plane, image.data_to_world((*key, r, c)))
        for r, c in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    assert np.array_equal(seg.contains(asked)[3].reshape(SHAPE), mask)


def test_data_coordinates_and_back(placed_image):
    viewer, image, key = placed_image
    plane = geometry.shown_plane(image, viewer.dims)
    (data,) = to_data(plane, key, (12.25, 7.5))
    assert data.tolist() == [*key, 7.0, 11.75]
    assert from_data(plane, data) == (key, (12.25, 7.5))


def test_outputs_lie_where_their_image_lies(placed_image):
    _, image, key = placed_image
    plane = Plane(image.ndim - 2, image.ndim - 1, image.ndim)
    labels = objects_layer(image, plane, image.data.shape, "objects")
    for place in ((*key, 0, 0), (*key, 17, 31.5), (0,) * image.ndim):
        assert labels.data_to_world(place) == pytest.approx(image.data_to_world(place))
    for name in ("scale", "translate", "rotate", "shear"):
        assert np.allclose(getattr(labels, name), getattr(image, name))


@pytest.mark.parametrize("window", [(0, 0, 100, 60), (20, 10, 50, 40)])
def test_a_window_lies_where_its_pixels_lie(placed_image, window):
    _, image, key = placed_image
    plane = Plane(image.ndim - 2, image.ndim - 1, image.ndim)
    height, width = window[3] - window[1], window[2] - window[0]
    part = Labels(
        np.zeros((*(1,) * len(key), height, width), np.uint8),
        **grid_transform(image, plane, key, window),
    )
    inside = (*(0,) * len(key), 3, 5)
    there = (*key, window[1] + 3, window[0] + 5)
    assert part.data_to_world(inside) == pytest.approx(image.data_to_world(there))


def test_an_axis_of_channels_is_left_out():
    image = Image(
        np.zeros((4, 3, *SHAPE), np.uint8), scale=(7, 2, 0.5, 0.25), translate=(1, 2, 3, 4)
    )
    plane = Plane(2, 3, 4, channels=0)
    labels = objects_layer(image, plane, image.data.shape, "objects")
    assert labels.data.shape == (3, *SHAPE)
    at = labels.data_to_world((1, 5, 6))
    assert at == pytest.approx(image.data_to_world((0, 1, 5, 6))[1:])


def test_units_and_axis_labels_are_copied():
    if not hasattr(Image, "units"):
        pytest.skip("this napari has no units of layers")
    image = Image(np.zeros((3, *SHAPE), np.uint8), units=("s", "um", "um"), axis_labels="tyx")
    labels = objects_layer(image, Plane(1, 2, 3), image.data.shape, "objects")
    assert labels.units == image.units
    assert labels.axis_labels == ("t", "y", "x")


def test_what_is_not_shown_as_a_plane_is_refused_in_one_line():
    viewer = ViewerModel()
    flat = viewer.add_image(np.zeros(SHAPE), name="flat")
    stack = viewer.add_image(np.zeros((3, *SHAPE)))
    assert geometry.shown_plane(flat, viewer.dims) == Plane(0, 1, 2)
    viewer.dims.order = (1, 0, 2)
    assert geometry.shown_plane(stack, viewer.dims) == Plane(0, 2, 3)
    with pytest.raises(PlaneError, match="turn the axes until flat is shown"):
        geometry.shown_plane(flat, viewer.dims)
    with pytest.raises(PlaneError, match="turn the axes"):
        geometry.shown_plane(stack, viewer.dims, channels=0)
    viewer.dims.ndisplay = 3
    with pytest.raises(PlaneError, match="in 2D"):
        geometry.shown_plane(stack, viewer.dims)


def test_a_transposed_view_is_the_same_slice(seg):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, *SHAPE)))
    viewer.dims.order = (0, 2, 1)
    plane = geometry.shown_plane(image, viewer.dims)
    assert plane == Plane(1, 2, 3)
    assert geometry.to_image(image, plane, (0, 20, 80)) == (80.5, 20.5)


def test_the_field_of_view_is_in_pixels_of_the_full_resolution():
    image = Image(np.zeros((200, 300)), name="it")
    image.corner_pixels = np.array([[20, 30], [59, 99]])
    plane = Plane(0, 1, 2)
    assert geometry.visible_window(image, plane) == (30, 20, 100, 60)
    image.corner_pixels = np.array([[-20, 30], [900, 900]])
    assert geometry.visible_window(image, plane) == (30, 0, 300, 200)
    image.corner_pixels = np.array([[0, 0], [0, 0]])
    with pytest.raises(PlaneError, match="nothing of it is in view"):
        geometry.visible_window(image, plane)
    levels = Image([np.zeros((400, 600)), np.zeros((100, 150))], multiscale=True)
    levels.data_level = 1
    levels.corner_pixels = np.array([[10, 20], [19, 39]])
    assert geometry.visible_window(levels, plane) == (80, 40, 157, 77)
