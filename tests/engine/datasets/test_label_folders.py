"""Folders of images and label images: which belongs to which."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins.datasets import sources
from fastsam_plugins.masks import runs as R
from fastsam_plugins.training import data as training_data
from fastsam_plugins.training.options import TrainOptions
from tests.engine.datasets.drawn import SHAPE, blocks, photo, save

LAYOUTS = {
    "stardist": ("images/{}.png", "masks/{}.png"),
    "cellpose in two": ("images/{}.png", "masks/{}_masks.png"),
    "cellpose in one": ("{}.png", "{}_masks.png"),
    "cellpose's training": ("{}_img.png", "{}_masks.png"),
    "cellpose's command": ("{}.png", "{}_cp_masks.png"),
    "folders within": ("images/plate{}/1.png", "labels/plate{}/1.png"),
    "tiff beside png": ("images/{}.png", "labels/{}.tif"),
    "numpy": ("images/{}.png", "labels/{}.npy"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_folders_are_read(tmp_path, layout):
    image, label = LAYOUTS[layout]
    for name, values in (("a", [1, 2]), ("b", [1, 2, 3])):
        photo(tmp_path / image.format(name))
        path = tmp_path / label.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        labels = blocks(values)
        if path.suffix == ".npy":
            np.save(path, labels)
        elif path.suffix == ".tif":
            tifffile.imwrite(path, labels)
        else:
            save(path, labels)
    photo(tmp_path / image.format("unlabelled"))
    found = list(sources.read(tmp_path))
    names = [item.image.relative_to(tmp_path).as_posix() for item in found]
    assert names == [image.format("a"), image.format("b")]
    assert [len(item.masks) for item in found] == [2, 3]
    assert found[0].beside == {"images without a label file": 1}
    report = training_data.convert([tmp_path], tmp_path / "out", TrainOptions(held_out=0.0))
    assert report.read_as == {"ids": 2}
    assert "label images read: 2 as ids; left out: 1 images without a label file" in str(report)


@pytest.mark.parametrize("bowl", [False, True])
def test_a_file_for_each_mask_is_read(tmp_path, bowl):
    """They may overlap, and one of two parts is one instance."""
    parts = [blocks([255, 0, 255]), blocks([0, 255]), blocks([255, 255])]
    for name, masks in (("a", parts), ("b", parts[:1])):
        image = f"{name}/images/{name}.png" if bowl else f"images/{name}.png"
        folder = f"{name}/masks" if bowl else f"masks/{name}"
        photo(tmp_path / image)
        for number, mask in enumerate(masks):
            save(tmp_path / folder / f"{number}.png", mask)
    found = list(sources.read(tmp_path))
    assert [[R.area(m) for m in item.masks] for item in found] == [[128, 64, 128], [128]]
    assert not found[0].beside


def test_two_label_images_for_one_image_are_refused(tmp_path):
    photo(tmp_path / "images" / "a.jpg")
    for ending in ("png", "bmp"):
        save(tmp_path / "labels" / f"a.{ending}", blocks([1, 2]))
    with pytest.raises(ValueError, match=r"a\.bmp and .*a\.png are both named as .*a\.jpg"):
        list(sources.read(tmp_path))


def test_folders_without_a_name_in_common_say_so(tmp_path):
    photo(tmp_path / "images" / "a.png")
    save(tmp_path / "labels" / "b.png", blocks([1, 2]))
    with pytest.raises(ValueError, match="1 images without a label file, 1 label files without"):
        list(sources.read(tmp_path))


def test_images_that_are_planar_or_lie_on_their_side_are_trained_on(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(
        tmp_path / "images" / "planar.tif", np.moveaxis(picture, 2, 0), planarconfig="separate",
        photometric="rgb",
    )  # fmt: skip
    tifffile.imwrite(
        tmp_path / "images" / "turned.tif", np.rot90(picture), photometric="rgb", metadata=None,
        extratags=[(274, "H", 1, 6, True)],
    )  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(tmp_path / "images" / "turned_too.jpg", SHAPE[::-1], exif=exif)
    photo(tmp_path / "images" / "turned_png.png", SHAPE[::-1], exif=exif)
    for path in list((tmp_path / "images").iterdir()):
        save(tmp_path / "labels" / f"{path.stem}.png", blocks([1, 2]))
    report = training_data.convert([tmp_path], tmp_path / "out", TrainOptions(held_out=0.0))
    assert (report.images, report.instances, dict(report.dropped)) == (4, 8, {})
    for path in sorted((tmp_path / "out" / "images").iterdir()):
        assert cv2.imread(str(path)).shape[:2] == SHAPE, path.resolve()
