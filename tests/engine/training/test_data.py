"""COCO instances -> ultralytics' one-class dataset."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from fastsam_plugins.masks import runs as R
from fastsam_plugins.training import data as training_data
from tests.conftest import disks


def filled(points, shape):
    """The polygon as ultralytics fills it at the image's own size."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [points.astype(np.int32)], 1)
    return canvas.astype(bool)


def round_trip_iou(bitmap):
    points = training_data.keyhole_polygon(R.from_bitmap(bitmap), bitmap.shape)
    again = filled(points, bitmap.shape)
    return (again & bitmap).sum() / (again | bitmap).sum()


def test_a_convex_mask_survives_exactly():
    assert round_trip_iou(disks((60, 60), [(30, 30, 20)])[0]) == 1


def test_holes_and_separate_parts_survive():
    outer, hole, part = disks((120, 120), [(40, 40, 35), (40, 40, 15), (100, 100, 15)])
    bitmap = (outer & ~hole) | part
    points = training_data.keyhole_polygon(R.from_bitmap(bitmap), bitmap.shape)
    again = filled(points, bitmap.shape)
    assert not again[40, 36:44].any(), "the hole is still a hole"
    assert again[100, 100], "the second part is still there"
    assert round_trip_iou(bitmap) > 0.97


def test_single_pixels_get_a_polygon():
    bitmap = np.zeros((9, 9), bool)
    bitmap[4, 5] = True
    points = training_data.keyhole_polygon(R.from_bitmap(bitmap), bitmap.shape)
    assert len(points) >= 3
    assert filled(points, (9, 9))[4, 5]


@pytest.fixture
def dataset(tmp_path):
    """Two images with two disks each, and one of every thing that gets dropped."""
    masks = disks((64, 64), [(20, 20, 10), (45, 45, 12)])
    annotations, images = [], []
    (tmp_path / "images").mkdir()
    for number in (1, 2, 3):
        name = f"{number}.png"
        images.append({"id": number, "file_name": name, "width": 64, "height": 64})
        if number < 3:
            picture = np.where(masks.any(0), 220, 30).astype(np.uint8)
            Image.fromarray(picture).convert("RGB").save(tmp_path / "images" / name)
        for mask in masks:
            rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
            rle["counts"] = rle["counts"].decode()
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": number,
                 "segmentation": rle, "iscrowd": 0}
            )  # fmt: skip
    polygon = [[5.0, 5.0, 20.0, 5.0, 20.0, 20.0, 5.0, 20.0]]
    extra = {"image_id": 1, "category_id": 1, "iscrowd": 0}
    annotations.append({"id": 90, "segmentation": polygon, **extra})
    annotations.append({"id": 91, "segmentation": {"size": [64, 64], "counts": [4096]}, **extra})
    annotations.append({"id": 92, **extra, "segmentation": polygon, "iscrowd": 1})
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))
    return path


def test_conversion_counts_what_it_keeps_and_drops(dataset, tmp_path):
    report = training_data.from_coco(dataset, tmp_path / "out")
    assert (report.images, report.instances) == (2, 5)
    assert (report.without_image, report.crowd, report.empty) == (1, 1, 1)
    assert str(report) == (
        "2 images with 5 instances; dropped 1 images whose file is missing, 1 crowd regions, "
        "1 empty masks"
    )
    lines = (tmp_path / "out" / "labels" / "1.txt").read_text().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("0 ") for line in lines), "one class"


def test_polygons_cover_the_pixels_that_coco_says(dataset, tmp_path):
    polygon = [[5.0, 5.0, 20.0, 5.0, 20.0, 20.0, 5.0, 20.0]]
    ours = R.to_bitmap(training_data.decode_segmentation(polygon, (64, 64)), (64, 64))
    theirs = coco.decode(coco.merge(coco.frPyObjects(polygon, 64, 64))).astype(bool)
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.9


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"images": [], "annotations": []}', "\x00\xff"])
def test_useless_data_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"not a COCO|nothing to train on") as caught:
        training_data.from_coco(path, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_training_gives_weights_that_load(dataset, tmp_path):
    from fastsam_plugins import FastSAM, TrainOptions
    from fastsam_plugins.training.train import train

    options = TrainOptions(imgsz=64, epochs=1, batch=2, workers=0)
    trained = train(dataset, tmp_path / "run", options, device="cpu")
    assert trained.suffix == ".safetensors"
    model = FastSAM(trained, device="cpu")
    assert model.imgsz == 64
    assert model.segment(np.zeros((64, 64, 3), np.uint8)).shape == (64, 64)
    last = FastSAM(trained.with_name("last.pt"), device="cpu")
    assert last.network.reg_max == model.network.reg_max


def test_reference_masks_survive_the_conversion(data):
    """Round trip of every training mask of the first images, at the image's own size."""
    coco_json = json.loads((data / "dev" / "coco" / "instances.json").read_text())
    sizes = {i["id"]: (i["height"], i["width"]) for i in coco_json["images"]}
    ious = []
    for a in coco_json["annotations"][:150]:
        shape = sizes[a["image_id"]]
        bitmap = R.to_bitmap(training_data.decode_segmentation(a["segmentation"], shape), shape)
        ious.append(round_trip_iou(bitmap))
    assert np.mean(ious) > 0.98
