"""PNG written strip by strip, read by others."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.io.png_writer import write_png

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (40, 53), (300, 200)])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_others_read_what_was_written(shape, step, tmp_path):
    image = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", shape, (image[y : y + step] for y in range(0, shape[0], step)))
    with Image.open(tmp_path / "a.png") as opened:
        opened.verify()
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), image)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], image)


def test_a_picture_is_packed_about_as_well_as_by_pillow(coins, tmp_path):
    write_png(tmp_path / "a.png", coins.shape[:2], [coins])
    Image.fromarray(coins).save(tmp_path / "b.png")
    sizes = [(tmp_path / name).stat().st_size for name in ("a.png", "b.png")]
    assert sizes[0] < 1.2 * sizes[1]


def test_rows_that_are_missing_are_told(tmp_path):
    with pytest.raises(ValueError, match="3 rows are not the 4 of the image"):
        write_png(tmp_path / "a.png", (4, 5), [np.zeros((3, 5, 3), np.uint8)])
