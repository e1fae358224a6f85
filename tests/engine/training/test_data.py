"""COCO instances -> ultralytics' one-class dataset."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from fastsam_plugins.datasets import sources
from fastsam_plugins.masks import polygons
from fastsam_plugins.masks import runs as R
from fastsam_plugins.training import data as training_data
from fastsam_plugins.training.options import TrainOptions
from fastsam_plugins.training.train import train
from tests.conftest import disks


def filled(points, shape):
    """The polygon as ultralytics fills it at the image's own size."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [points.astype(np.int32)], 1)
    return canvas.astype(bool)


def round_trip_iou(bitmap):
    points = polygons.keyhole_polygon(R.from_bitmap(bitmap), bitmap.shape)
    again = filled(points, bitmap.shape)
    return (again & bitmap).sum() / (again | bitmap).sum()


def test_a_convex_mask_survives_exactly():
    assert round_trip_iou(disks((60, 60), [(30, 30, 20)])[0]) == 1


def test_holes_and_separate_parts_survive():
    outer, hole, part = disks((120, 120), [(40, 40, 35), (40, 40, 15), (100, 100, 15)])
    bitmap = (outer & ~hole) | part
    points = polygons.keyhole_polygon(R.from_bitmap(bitmap), bitmap.shape)
    again = filled(points, bitmap.shape)
    assert not again[40, 36:44].any(), "the hole is still a hole"
    assert again[100, 100], "the second part is still there"
    assert round_trip_iou(bitmap) > 0.97


def test_single_pixels_get_a_polygon():
    bitmap = np.zeros((9, 9), bool)
    bitmap[4, 5] = True
    points = polygons.keyhole_polygon(R.from_bitmap(bitmap), bitmap.shape)
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
    report = training_data.convert([dataset], tmp_path / "out")
    assert (report.images, report.instances) == (2, 5)
    assert dict(report.dropped) == {
        "images whose file is missing": 1,
        "crowd regions": 1,
        "empty masks": 1,
    }
    assert report.lowest_iou == 1
    assert "2 images with 5 instances" in str(report)
    assert "left out: " in str(report)
    lines = (tmp_path / "out" / "labels" / "000000.txt").read_text().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("0 ") for line in lines), "one class"


def test_polygons_cover_the_pixels_that_coco_says(dataset, tmp_path):
    polygon = [[5.0, 5.0, 20.0, 5.0, 20.0, 20.0, 5.0, 20.0]]
    ours = R.to_bitmap(polygons.decode_segmentation(polygon, (64, 64)), (64, 64))
    theirs = coco.decode(coco.merge(coco.frPyObjects(polygon, 64, 64))).astype(bool)
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"images": [], "annotations": []}', "\x00\xff"])
def test_useless_data_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"not JSON|not a COCO|nothing to train on") as caught:
        training_data.convert([path], tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_reference_masks_survive_the_conversion(data):
    """Round trip of every training mask of the first images, at the image's own size."""
    coco_json = json.loads((data / "dev" / "coco" / "instances.json").read_text())
    sizes = {i["id"]: (i["height"], i["width"]) for i in coco_json["images"]}
    ious = []
    for a in coco_json["annotations"][:150]:
        shape = sizes[a["image_id"]]
        bitmap = R.to_bitmap(polygons.decode_segmentation(a["segmentation"], shape), shape)
        ious.append(round_trip_iou(bitmap))
    assert np.mean(ious) > 0.98


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_folders_of_images_and_label_images_are_read(tmp_path):
    one, two = disks((40, 50), [(15, 15, 8), (35, 25, 9)])
    save(tmp_path / "images" / "a.png", np.zeros((40, 50, 3), np.uint8))
    save(tmp_path / "labels" / "a.png", (one * 3 + two * 7).astype(np.uint8))
    save(tmp_path / "images" / "b.png", np.zeros((40, 50, 3), np.uint8))
    save(tmp_path / "labels" / "b.png", ((one | two) * 255).astype(np.uint8))
    save(tmp_path / "images" / "unlabelled.png", np.zeros((40, 50, 3), np.uint8))
    labels, mask = sources.read(tmp_path)
    for found in (labels, mask):
        assert [R.area(m) for m in found.masks] == [one.sum(), two.sum()]
        assert found.shape == (40, 50)


def test_sixteen_bit_tiffs_are_trained_on_as_they_will_be_seen(tmp_path):
    import tifffile

    from fastsam_plugins import read_image

    (disk,) = disks((40, 50), [(20, 20, 10)])
    picture = (disk * 3000 + 100).astype(np.uint16)
    for folder, array in (("images", picture), ("labels", disk.astype(np.uint16))):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", array)
    training_data.convert([tmp_path], tmp_path / "out")
    written = np.asarray(Image.open(tmp_path / "out" / "images" / "000000.png"))
    assert np.array_equal(written, read_image(tmp_path / "images" / "a.tif"))


def test_sa1b_folders_are_read_and_overlaps_stay(tmp_path):
    big, small = disks((64, 64), [(32, 32, 25), (32, 32, 8)])
    save(tmp_path / "sa_1.jpg", np.zeros((64, 64, 3), np.uint8))
    content = {
        "image": {"file_name": "sa_1.jpg", "width": 64, "height": 64, "image_id": 1},
        "annotations": [],
    }
    for mask in (big, small):
        rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        content["annotations"].append(
            {"segmentation": {"size": [64, 64], "counts": rle["counts"].decode()}}
        )
    (tmp_path / "sa_1.json").write_text(json.dumps(content))
    (found,) = sources.read(tmp_path)
    assert [R.area(m) for m in found.masks] == [big.sum(), small.sum()]
    report = training_data.convert([tmp_path], tmp_path / "out")
    assert (report.images, report.instances, report.lowest_iou) == (1, 2, 1)


def test_images_of_another_size_and_masks_that_do_not_fit_are_counted(dataset, tmp_path):
    content = json.loads(dataset.read_text())
    content["images"][0]["width"] = 65
    content["annotations"][3]["segmentation"] = {"size": [3, 3], "counts": [9]}
    dataset.write_text(json.dumps(content))
    report = training_data.convert([dataset], tmp_path / "out")
    assert report.images == 1
    assert report.dropped["images of another size than their labels"] == 1
    assert report.dropped["masks that do not fit their image"] == 1


def test_kinds_can_be_balanced(tmp_path):
    (disk,) = disks((20, 20), [(10, 10, 5)])
    segmentation = {"size": [20, 20], "counts": R.to_counts(R.from_bitmap(disk), 400).tolist()}
    images, annotations = [], []
    for k in range(4):
        save(tmp_path / f"{k}.png", np.zeros((20, 20), np.uint8))
        kind = "rare" if k == 0 else "common"
        size = {"width": 20, "height": 20}
        images.append({"id": k, "file_name": f"{k}.png", "source": kind, **size})
        annotations.append({"id": k, "image_id": k, "segmentation": segmentation})
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    training_data.convert([path], tmp_path / "out", TrainOptions(balance=True, held_out=0.0))
    listed = (tmp_path / "out" / "train.txt").read_text().splitlines()
    assert sum("000000" in line for line in listed) == 3
    assert len(listed) == 6


def test_every_so_manieth_image_of_a_kind_is_held_out_with_its_masks(tmp_path):
    (disk,) = disks((40, 50), [(15, 15, 8)])
    for number in range(20):
        save(tmp_path / "set" / "images" / f"{number:02d}.png", np.zeros((40, 50, 3), np.uint8))
        save(tmp_path / "set" / "labels" / f"{number:02d}.png", disk.astype(np.uint8))
    report = training_data.convert([tmp_path / "set"], tmp_path / "out", TrainOptions(held_out=0.1))
    assert (report.images, report.held_out) == (20, 2)
    truth = json.loads((tmp_path / "out" / "held_out.json").read_text())
    taken = {image["file_name"] for image in truth["images"]}
    listed = (tmp_path / "out" / "train.txt").read_text().splitlines()
    trained_on = {line.removeprefix("./") for line in listed}
    assert len(taken) == 2
    assert len(trained_on) == 18
    assert not taken & trained_on
    mask = polygons.decode_segmentation(truth["annotations"][0]["segmentation"], (40, 50))
    assert np.array_equal(R.to_bitmap(mask, (40, 50)), disk)
    assert truth["annotations"][0]["area"] == disk.sum()
    training_data.convert([tmp_path / "set"], tmp_path / "out", TrainOptions(held_out=0.0))
    assert not (tmp_path / "out" / "held_out.json").exists(), "of a conversion before"


def test_white_masks_with_soft_edges_are_masks_and_not_one_label_for_each_gray(tmp_path):
    """As masks are that were scaled or once were JPEG."""
    masks = disks((60, 80), [(20, 30, 12), (58, 30, 12)])
    soft = cv2.GaussianBlur((masks.any(0) * 255).astype(np.uint8), (0, 0), 1.0)
    assert len(np.unique(soft)) > 20
    save(tmp_path / "images" / "a.png", np.zeros((60, 80, 3), np.uint8))
    save(tmp_path / "masks" / "a.png", soft)
    (labelled,) = sources.read(tmp_path)
    assert len(labelled.masks) == 2
    assert all(R.area(m) > 400 for m in labelled.masks)


# --- the images and folders of the person -------------------------------------------------------


def hashes(folder):
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.lstat().st_mtime_ns, p.lstat().st_ino)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def labelled_folder(folder, suffix=".png", channels=3, count=3):
    rng = np.random.default_rng(channels)
    (disk,) = disks((64, 64), [(30, 30, 12)])
    for number in range(count):
        picture = rng.integers(0, 255, (64, 64, channels), np.uint8)
        save(folder / "images" / f"{number}{suffix}", picture)
        save(folder / "labels" / f"{number}.png", disk.astype(np.uint8))
    return folder


def test_a_second_conversion_does_not_write_through_the_links_of_the_first(tmp_path):
    """As after a killed training: 6 of 6 images of the first were replaced by the second's."""
    first = labelled_folder(tmp_path / "first")
    second = labelled_folder(tmp_path / "second", channels=4)  # written as PNG, not linked
    before = hashes(first), hashes(second)
    training_data.convert([first], tmp_path / "out" / "data")
    training_data.convert([second], tmp_path / "out" / "data")
    assert (hashes(first), hashes(second)) == before
    written = np.asarray(Image.open(tmp_path / "out" / "data" / "images" / "000000.png"))
    assert np.array_equal(written, np.asarray(Image.open(second / "images" / "0.png"))[..., :3])


def test_nothing_of_the_conversion_before_is_left(tmp_path):
    training_data.convert([labelled_folder(tmp_path / "a", count=5)], tmp_path / "data")
    training_data.convert([labelled_folder(tmp_path / "b", ".jpg", count=2)], tmp_path / "data")
    names = sorted(p.name for p in (tmp_path / "data" / "images").iterdir())
    assert names == ["000000.jpg", "000001.jpg"]
    assert len(list((tmp_path / "data" / "labels").iterdir())) == 2


def test_a_jpeg_without_its_end_is_copied(tmp_path):
    """Ultralytics mends such files in place, which would be the person's own."""
    from ultralytics.data.utils import check_image

    folder = labelled_folder(tmp_path / "set", ".jpg", count=2)
    short = folder / "images" / "0.jpg"
    short.write_bytes(short.read_bytes() + b"\0\0")  # as some cameras leave them
    before = hashes(folder)
    training_data.convert([folder], tmp_path / "data")
    for placed in (tmp_path / "data" / "images").iterdir():
        check_image(str(placed))
    assert hashes(folder) == before
    assert (tmp_path / "data" / "images" / "000000.png").is_file()
    assert (tmp_path / "data" / "images" / "000001.jpg").is_symlink()


def test_a_folder_that_is_not_of_a_conversion_is_left_alone(tmp_path):
    mine = labelled_folder(tmp_path / "data")
    before = hashes(mine)
    other = labelled_folder(tmp_path / "other")
    with pytest.raises(ValueError, match="data is there and no conversion of this program") as told:
        training_data.convert([other], mine)
    assert "name another" in str(told.value)
    assert hashes(mine) == before


def test_a_conversion_cannot_be_made_of_itself(tmp_path):
    folder = labelled_folder(tmp_path / "set")
    training_data.convert([folder], tmp_path / "data", TrainOptions(held_out=0.4))
    before = hashes(tmp_path / "data")
    with pytest.raises(ValueError, match="where the training is written: name another"):
        training_data.convert([tmp_path / "data" / "held_out.json"], tmp_path / "data")
    assert hashes(tmp_path / "data") == before


def test_a_training_writes_nothing_into_a_folder_of_data(tmp_path):
    folder = labelled_folder(tmp_path / "set")
    before = hashes(folder)
    for output in (folder, folder / "images", folder / "labels"):
        with pytest.raises(ValueError, match="where the training is written: name another"):
            train([folder], output, TrainOptions(weights="FastSAM-n", epochs=1))
        assert hashes(folder) == before


def test_an_error_leaves_the_conversion_before(tmp_path):
    training_data.convert([labelled_folder(tmp_path / "set")], tmp_path / "data")
    before = hashes(tmp_path / "data")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ValueError, match="not a COCO"):
        training_data.convert([tmp_path / "bad.json"], tmp_path / "data")
    assert hashes(tmp_path / "data") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.json", "data", "set"]


def set_of(folder, count, info=None, sources=()):
    """COCO instances of a few like images."""
    (disk,) = disks((20, 20), [(10, 10, 5)])
    segmentation = {"size": [20, 20], "counts": R.to_counts(R.from_bitmap(disk), 400).tolist()}
    content = {"images": [], "annotations": []} | ({} if info is None else {"info": info})
    for k in range(count):
        save(folder / f"{k}.png", np.zeros((20, 20), np.uint8))
        image = {"id": k, "file_name": f"{k}.png", "width": 20, "height": 20}
        content["images"].append(image | ({"source": sources[k]} if sources else {}))
        content["annotations"].append({"id": k, "image_id": k, "segmentation": segmentation})
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("info", "as_partial", "partial"),
    [
        (None, False, False),
        ({"exhaustive": True, "year": 2017}, False, False),
        ({"exhaustive": False}, False, True),
        ({"exhaustive": True}, True, True),
        ("from somewhere", False, False),
    ],
)
def test_data_that_are_labelled_in_part_are_listed(tmp_path, info, as_partial, partial):
    part = set_of(tmp_path / "part", 2, info)
    whole = set_of(tmp_path / "whole", 1)
    data, given = ([whole], [part]) if as_partial else ([whole, part], [])
    report = training_data.convert(data, tmp_path / "out", partial=given)
    listed = (tmp_path / "out" / training_data.PARTIAL).read_text().splitlines()
    assert listed == (["000001.png", "000002.png"] if partial else [])
    assert report.partial == len(listed)
    assert ("2 of the images labelled in part" in str(report)) == partial


def test_a_file_that_says_neither_true_nor_false_is_refused(tmp_path):
    data = set_of(tmp_path / "a", 1, {"exhaustive": "no"})
    with pytest.raises(ValueError, match=r"info\.exhaustive: expected true or false, got 'no'"):
        training_data.convert([data], tmp_path / "out")


def test_data_without_kinds_are_balanced_one_by_one(tmp_path):
    """A source of its own for each image, as its address, is no kind."""
    many = set_of(tmp_path / "many", 6, sources=[f"https://a/{k}.png" for k in range(6)])
    few = set_of(tmp_path / "few", 2)
    options = TrainOptions(balance=True, held_out=0.0)
    training_data.convert([many], tmp_path / "out", options, partial=[few])
    listed = (tmp_path / "out" / "train.txt").read_text().splitlines()
    assert sorted(listed.count(f"./images/{k:06d}.png") for k in range(8)) == [1] * 6 + [3] * 2
