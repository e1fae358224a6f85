"""What is wrong with an image file is one line that names it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image
from ultralytics.utils import checks

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import read_image

rng = np.random.default_rng(0)


COLOR = np.kron(rng.integers(0, 256, (3, 5, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))


def saved(path, array, mode=None, **how):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **how)
    return path


def unreadable(path):
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_is_not_there_is_one_line(tmp_path):
    assert "no file" in unreadable(tmp_path / "nowhere.png")
    assert "no file" in unreadable(saved(tmp_path / "a.png", COLOR) / "a.png")
    assert "folder" in unreadable(tmp_path)
    (tmp_path / "folder.tif").mkdir()
    assert "folder" in unreadable(tmp_path / "folder.tif")


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "heic", "txt"])
def test_what_is_no_image_is_one_line(ending, tmp_path):
    path = tmp_path / f"a.{ending}"
    path.touch()
    assert "is empty" in unreadable(path)
    path.write_text("Not an image at all.\n" * 50)
    assert "not an image" in unreadable(path)


def test_what_is_no_image_installs_nothing(tmp_path, monkeypatch):
    """Ultralytics' own Image.open, which importing it installs, would run pip."""
    asked = []
    monkeypatch.setattr(checks, "check_requirements", lambda *a, **k: asked.append(a) or False)
    (tmp_path / "a.png").write_text("Not an image at all.")
    with pytest.raises(ModuleNotFoundError, match="pi_heif"):
        Image.open(tmp_path / "a.png")
    assert len(asked) == 1  # so it is armed
    unreadable(tmp_path / "a.png")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("ending", "compression"),
    [("png", None), ("jpg", None), ("bmp", None), ("gif", None)]
    + [("tif", c) for c in (None, "tiff_lzw", "tiff_adobe_deflate")],
)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_image_is_one_line(ending, compression, share, tmp_path):
    noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    how = {"compression": compression} if compression else {}
    path = saved(tmp_path / f"a.{ending}", noise, **how)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    unreadable(path)


def test_values_that_cannot_be_shown_name_the_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 4), np.nan, np.float32))
    assert "NaN" in unreadable(tmp_path / "a.tif")


@pytest.mark.parametrize("size", range(1, 20))
@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_files_of_a_few_bytes_are_no_images(tmp_path, size, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"no image at all, no!"[:size])
    with pytest.raises(ImageError, match="not an image this can read"):
        read_image(path)
