"""Fields to COCO files and back."""

from __future__ import annotations

import json

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.evaluation.proposal_files import evaluate_proposals
from fastsam_plugins.masks import runs as R
from fiftyone_plugin import coco_transfer, labels
from fiftyone_plugin.recall import ProposalRecallConfig
from tests.fiftyone_plugin.test_recall import SHAPE, samples  # noqa: F401


def exported(view, field, path):
    *_, report = coco_transfer.export(view, field, path)
    return report


def test_recall_of_exported_files_is_the_operators_to_the_last_bit(samples, tmp_path):  # noqa: F811
    results = samples.evaluate_detections(
        "proposals", gt_field="truth", method=ProposalRecallConfig, progress=False
    )
    for field in ("truth", "proposals"):
        report = exported(samples, field, tmp_path / f"{field}.json")
        assert report.instances == samples.count(f"{field}.detections")
    for kind, name in (("segm", "mask"), ("bbox", "box")):
        recall = evaluate_proposals(tmp_path / "truth.json", tmp_path / "proposals.json", kind)
        for key, value in recall.summary().items():
            ours = results.summary.get(f"{name} {key}", results.summary.get(key))
            assert ours == (None if value != value else value), (kind, key)


@pytest.mark.parametrize("by", ["sample_id", "file_name"])
def test_what_comes_back_is_what_went_out(samples, tmp_path, by):  # noqa: F811
    path = tmp_path / "out.json"
    exported(samples, "proposals", path)
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["file_name"] = image["file_name"] if by == "file_name" else "other"
        if by == "file_name":
            del image["sample_id"]
    path.write_text(json.dumps(content))
    *_, report = coco_transfer.import_(samples, "again", path)
    assert (report.done, report.failed) == (3, {})
    for sample in samples:
        before, after = (sample[f].detections for f in ("proposals", "again"))
        assert [d.label for d in before] == [d.label for d in after]
        for a, b in zip(before, after, strict=True):
            assert b.confidence == pytest.approx(a.confidence)
            assert np.array_equal(labels.mask(a, SHAPE), labels.mask(b, SHAPE))


def test_samples_that_a_file_does_not_have_are_left_alone(samples, tmp_path):  # noqa: F811
    exported(samples.limit(1), "proposals", tmp_path / "one.json")
    kept = samples.last()["proposals"].detections[0].id
    *_, report = coco_transfer.import_(
        samples, "proposals", tmp_path / "one.json", existing="overwrite"
    )
    assert (report.done, report.skipped) == (1, 2)
    assert samples.last()["proposals"].detections[0].id == kept
    assert samples.first()["proposals"].detections[0].id != kept


def test_what_cannot_be_is_refused(samples, tmp_path):  # noqa: F811
    path = tmp_path / "bad.json"
    with pytest.raises(ValueError, match="nothing is no field"):
        exported(samples, "nothing", path)
    assert not path.exists()
    for content, message in (
        ("[1]", "not a COCO ground truth"),
        ('{"images": [], "annotations": []}', "none of these samples"),
        ("{", "not JSON"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            list(coco_transfer.import_(samples, "again", path))
    height, width = SHAPE
    image = {"id": 1, "file_name": "0.png", "height": height, "width": width}
    record = {"image_id": 1, "segmentation": {"size": [1, 2], "counts": "0"}}
    path.write_text(json.dumps({"images": [image], "annotations": [record]}))
    with pytest.raises(ValueError, match=r"bad\.json: record 0"):
        list(coco_transfer.import_(samples, "again", path))
    path.write_text(json.dumps({"images": [image, image | {"id": 2}], "annotations": []}))
    with pytest.raises(ValueError, match=r"two images named 0\.png"):
        list(coco_transfer.import_(samples, "again", path))


def test_a_box_without_mask_is_exported_as_its_pixels(tmp_path):
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "black.png")
    made = fo.Dataset()
    made.add_sample(
        fo.Sample(
            filepath=str(tmp_path / "black.png"),
            boxes=fo.Detections(detections=[fo.Detection(bounding_box=[0.1, 0.25, 0.5, 0.5])]),
        )
    )
    exported(made, "boxes", tmp_path / "boxes.json")
    annotation = json.loads((tmp_path / "boxes.json").read_text())["annotations"][0]
    assert annotation["bbox"] == [5, 10, 25, 20]
    assert annotation["area"] == 500
    assert R.area(labels.mask(made.first()["boxes"].detections[0], (40, 50))) == 500
    made.delete()
