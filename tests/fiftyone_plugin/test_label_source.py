"""Labels of FiftyOne datasets as training data."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.datasets import sources
from fastsam_plugins.masks import runs as R
from fastsam_plugins.training import data as training_data
from fastsam_plugins.training.options import TrainOptions
from tests.conftest import disks

SHAPE = (40, 50)


def instances(dataset, field="truth"):
    (labelled,) = sources.read(f"fiftyone:{dataset.name}/{field}")
    return labelled, [R.to_bitmap(m, SHAPE) for m in labelled.masks]


def put(dataset, label, field="truth"):
    sample = dataset.first()
    sample[field] = label
    sample.save()


def test_detections_keep_their_masks_and_boxes_stand_for_themselves(dataset):
    (disk,) = disks(SHAPE, [(20, 15, 8)])
    detection = fo.Detection.from_mask(disk, label="a")
    box = fo.Detection(label="b", bounding_box=[0.2, 0.5, 0.4, 0.25])
    put(dataset, fo.Detections(detections=[detection, box]))
    labelled, (first, second) = instances(dataset)
    assert labelled.image == type(labelled.image)(dataset.first().filepath)
    assert labelled.shape == SHAPE
    assert np.array_equal(first, disk)
    rows, columns = np.nonzero(second)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (20, 30, 10, 30)
    assert second.sum() == 200


def test_masks_on_disk_are_read(dataset, tmp_path):
    (disk,) = disks(SHAPE, [(20, 15, 8)])
    detection = fo.Detection.from_mask(disk, label="a")
    Image.fromarray((detection.mask * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    detection.mask, detection.mask_path = None, str(tmp_path / "mask.png")
    put(dataset, fo.Detections(detections=[detection]))
    labelled, (mask,) = instances(dataset)
    assert np.array_equal(mask, disk)
    assert labelled.labels == [tmp_path / "mask.png"]  # which no output may replace


def test_polylines_and_segmentations_are_instances(dataset):
    put(dataset, fo.Polylines(polylines=[fo.Polyline(
        points=[[(0.2, 0.25), (0.6, 0.25), (0.6, 0.75), (0.2, 0.75)]], filled=True, closed=True)
    ]))  # fmt: skip
    (polygon,) = instances(dataset)[1]
    assert polygon[15:25, 15:25].all()
    assert 380 <= polygon.sum() <= 460
    one, two = disks(SHAPE, [(12, 15, 6), (36, 20, 8)])
    put(dataset, fo.Segmentation(mask=(one | two).astype(np.uint8)), "classes")
    _, parts = instances(dataset, "classes")
    assert len(parts) == 2, "two parts of one class are two instances"
    assert np.array_equal(parts[0] | parts[1], one | two)


def test_the_only_field_of_instances_need_not_be_named(dataset):
    (disk,) = disks(SHAPE, [(20, 15, 8)])
    put(dataset, fo.Detections(detections=[fo.Detection.from_mask(disk, label="a")]))
    put(dataset, fo.Classification(label="dark"), "kind")
    (labelled,) = sources.read(f"fiftyone:{dataset.name}")
    assert len(labelled.masks) == 1


def test_what_cannot_be_found_is_one_line_that_lists_what_there_is(dataset):
    with pytest.raises(ValueError, match=f"no FiftyOne dataset nowhere .*{dataset.name}"):
        list(sources.read("fiftyone:nowhere/truth"))
    with pytest.raises(ValueError, match=r"name the field .*there are: none"):
        list(sources.read(f"fiftyone:{dataset.name}"))
    put(dataset, fo.Detections())
    put(dataset, fo.Detections(), "other")
    for name in (dataset.name, f"{dataset.name}/third"):
        with pytest.raises(ValueError, match=r"name the field .*there are: truth, other"):
            list(sources.read(f"fiftyone:{name}"))


def test_a_dataset_becomes_training_data(dataset, tmp_path):
    (disk,) = disks(SHAPE, [(20, 15, 8)])
    put(dataset, fo.Detections(detections=[fo.Detection.from_mask(disk, label="a")]))
    dataset.add_sample(fo.Sample(filepath=str(tmp_path / "missing.png")))
    source = f"fiftyone:{dataset.name}/truth"
    report = training_data.convert([source], tmp_path / "out", TrainOptions(held_out=0.0))
    assert (report.images, report.instances) == (1, 1)
    assert report.dropped == {"images whose file is missing": 1}


def test_crowds_and_open_lines_are_no_objects_and_are_counted(dataset):
    crowds = [
        fo.Detection(bounding_box=[0.1, 0.1, 0.2, 0.2], **said)
        for said in ({"iscrowd": 1}, {"iscrowd": True}, {"iscrowd": "true"},
                     {"attributes": {"iscrowd": fo.NumericAttribute(value=1)}})
    ]  # fmt: skip
    singles = [
        fo.Detection(bounding_box=[0.5, 0.5, 0.2, 0.2], **said)
        for said in ({}, {"iscrowd": 0}, {"iscrowd": "0"}, {"iscrowd": None})
    ]
    put(dataset, fo.Detections(detections=[*crowds, *singles]))
    labelled, masks = instances(dataset)
    assert len(masks) == len(singles)
    assert labelled.dropped == {"crowd regions": len(crowds)}
    ring = [(0.2, 0.25), (0.6, 0.25), (0.6, 0.75), (0.2, 0.75)]
    lines = [fo.Polyline(points=[ring], closed=closed) for closed in (False, True)]
    put(dataset, fo.Polylines(polylines=lines), "drawn")
    labelled, (closed,) = instances(dataset, "drawn")
    assert labelled.dropped == {"lines that enclose nothing": 1}
    assert closed[12:28, 12:28].all()


def test_masks_of_boxes_beyond_the_image_are_cut_not_squeezed(dataset):
    bitmap = np.zeros((40, 40), np.bool_)
    bitmap[:, 20:30] = True
    whole = np.zeros((120, 150), np.bool_)  # the image with as much again around it
    for x, y in ((-20, 0), (20, 10), (5, -35), (-25, 25), (30, 39), (200, 0)):
        box = [x / 50, y / 40, 40 / 50, 40 / 40]
        put(dataset, fo.Detections(detections=[fo.Detection(bounding_box=box, mask=bitmap)]))
        whole[:] = False
        part = whole[40 + y : 80 + y, 50 + x : 90 + x]
        part |= bitmap[:, : part.shape[1]]
        labelled, found = instances(dataset)
        expected = whole[40:80, 50:100]
        if expected.any():
            assert np.array_equal(found[0], expected)
        else:
            assert labelled.dropped == {"empty masks": 1}
