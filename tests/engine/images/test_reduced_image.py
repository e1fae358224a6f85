import numpy as np
import pytest

from fastsam_plugins.images.reduced_image import ReducedImage


def test_of_any_image_it_is_the_image_itself():
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    made = ReducedImage.of(gray)
    assert made.shape == (2, 3)
    assert made.pixels is made.whole
    assert np.array_equal(made.pixels, np.stack([gray] * 3, axis=-1))
    assert ReducedImage.of(made) is made


def test_a_shape_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"\(0, 9\)"):
        ReducedImage(np.zeros((1, 1, 3), np.uint8), (0, 9))
