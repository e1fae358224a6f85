"""What is written past mongoengine is what FiftyOne would have written, and reads."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId

from fastsam_plugins import Segmentation
from fiftyone_plugin import documents, labels, recall
from fiftyone_plugin.documents import Change
from fiftyone_plugin.mask_codec import packed

SHAPE = (40, 50)


@pytest.fixture
def seg():
    masks = np.zeros((3, *SHAPE), np.bool_)
    masks[0, 5:20, 10:30] = True
    masks[0, 8:12, 15:20] = False
    masks[2, 30:35, 1:9] = True
    return Segmentation.from_masks(masks, [0.9, 0.8, 0.7])


def detections(seg):
    return [documents.detection(f, packed(f.mask)) for f in labels.instances(seg)]


def test_detections_are_those_that_fiftyone_writes(dataset, seg):
    theirs = labels.detections(seg).to_mongo().to_dict()
    ours = documents.label(fo.Detections, detections(seg))
    assert ours.keys() == theirs.keys()
    assert len(ours["detections"]) == len(theirs["detections"]) == 2  # none of the empty mask
    for mine, other in zip(ours["detections"], theirs["detections"], strict=True):
        assert mine.keys() == other.keys()
        for name in set(mine) - {"_id", "mask", "stability"}:
            assert mine[name] == other[name]
        assert np.isnan(mine["stability"])
        assert np.isnan(other["stability"])

    dataset.add_sample_field("found", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    sample = dataset.first().id
    documents.write(dataset, {sample: Change({"found": ours})})
    read = dataset.first()["found"].detections
    assert [labels.mask(d, SHAPE).tolist() for d in read] == [
        seg.runs(0).tolist(), seg.runs(2).tolist()
    ]  # fmt: skip
    dataset.first().save()  # FiftyOne checks what it saves


def test_outlines_are_polylines(dataset, seg):
    dataset.add_sample_field("found", fo.EmbeddedDocumentField, embedded_doc_type=fo.Polylines)
    drawn = [documents.polyline(f) for f in labels.instances(seg)]
    change = Change({"found": documents.label(fo.Polylines, drawn)})
    documents.write(dataset, {dataset.first().id: change})
    first = dataset.first()["found"].polylines[0]
    assert (first.closed, first.filled, first.confidence) == (True, True, pytest.approx(0.9))
    assert labels.mask(first, SHAPE).tolist() == seg.runs(0).tolist()
    assert labels.mask(drawn[0], SHAPE).tolist() == seg.runs(0).tolist()


def test_objects_are_changed_by_id_whatever_a_view_shows(dataset, seg):
    dataset.add_sample_field("found", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    documents.declare(dataset, {"found.detections.note": fo.StringField()})
    sample = dataset.first().id
    objects = detections(seg)
    documents.write(dataset, {sample: Change({"found": documents.label(fo.Detections, objects)})})
    view = dataset.filter_labels("found", fo.ViewField("confidence") < 0.8)
    ((_, shown),) = documents.read(view, ["found"])
    (one,) = documents.objects(shown)
    notes = {str(one["_id"]): {"note": "$kept"}, str(ObjectId()): {"note": "nobody's"}}
    before = dataset.first().last_modified_at
    documents.write(dataset, {sample: Change(objects={"found.detections": notes})})
    assert dataset.values("found.detections.note") == [[None, "$kept"]]
    assert dataset.values("found.detections.confidence")[0] == pytest.approx([0.9, 0.7])
    dataset.reload()
    assert dataset.first().last_modified_at > before


def test_a_field_of_another_type_is_refused(dataset):
    with pytest.raises(ValueError, match="filepath"):
        documents.declare(dataset, {"filepath": fo.IntField()})


def test_the_operators_recall_is_that_of_evaluate_detections(dataset, seg):
    """One writes past mongoengine, the other through FiftyOne's samples."""
    sample = dataset.first()
    moved = [np.roll(seg.mask(i), 2, 1) for i in (0, 2)]
    sample["truth"] = labels.detections(Segmentation.from_masks(moved))
    sample["truth"].detections[0].label = "cat"
    sample["found"] = labels.detections(seg)
    sample.save()
    list(recall.run(dataset, "found", "truth", "ours"))
    dataset.evaluate_detections(
        "found", gt_field="truth", eval_key="theirs", method=recall.ProposalRecallConfig,
        progress=False,
    )  # fmt: skip
    for root, names in (("truth", ("", "_id", "_iou", "_rank", "_size")), ("found", ("", "_id"))):
        for name in names:
            paths = [f"{root}.detections.{key}{name}" for key in ("ours", "theirs")]
            ours, theirs = dataset.values(paths)
            assert ours == theirs
            assert any(v is not None for v in ours[0])
    for name in ("tp", "fp", "fn", "recall"):
        ours, theirs = dataset.values([f"ours_{name}", f"theirs_{name}"])
        assert ours == theirs != [None]
