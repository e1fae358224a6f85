"""What a view hides is neither promoted nor a prompt, and prompts without an answer are counted."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest
from fiftyone import ViewField as F
from PIL import Image

from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.paths import SAMPLES
from fiftyone_plugin import labels, proposals_to_labels, segment_job

pytestmark = pytest.mark.usefixtures("one_thread")


def box(label, confidence, x=0.1, tags=(), **more):
    place = [x, 0.1, 0.15, 0.2]
    return fo.Detection(
        label=label, confidence=confidence, bounding_box=place, tags=list(tags), **more
    )


@pytest.fixture
def boxes(tmp_path):
    """Two images of two widths, each with four boxes, of which one is a crowd region."""
    made = fo.Dataset()
    for number in range(2):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.zeros((40, 50 + number, 3), np.uint8)).save(path)
        found = [
            box("a", 0.9, tags=["good"]),
            box("b", 0.5, 0.4),
            box("c", 0.3, 0.7),
            box("crowd", 0.8, iscrowd=1),
        ]
        made.add_sample(fo.Sample(filepath=str(path), p=fo.Detections(detections=found)))
    yield made
    made.delete()


def last(run):
    *_, report = run
    return report


VIEWS = {
    "filter_labels": lambda d: d.filter_labels("p", F("confidence") > 0.4, only_matches=False),
    "select_labels": lambda d: d.select_labels(ids=[s.p.detections[1].id for s in d]),
    "tags": lambda d: d.select_labels(tags="good"),
    "exclude_labels": lambda d: d.exclude_labels(tags="good"),
    "limit_labels": lambda d: d.limit_labels("p", 1),
    "map_labels": lambda d: d.map_labels("p", {"a": "mapped"}),
    "match_labels": lambda d: d.match_labels(filter=F("label") == "a"),
    "limits": lambda d: d.exists("q", False).skip(1).limit(1).filter_labels("p", F("label") != "b"),
    "groups": lambda d: d.group_by("filepath").filter_labels("p", F("label") != "b"),
    "hidden field": lambda d: d.exclude_fields("p"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_promotion_takes_what_the_view_shows(boxes, name):
    boxes.add_sample_field("q", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    view = VIEWS[name](boxes)
    hidden = "p" not in view.get_field_schema()
    shown = (boxes if hidden else view).values("p.detections.label", unwind=True)
    report = last(proposals_to_labels.promote(view, "p", "q", batch=1))
    assert not report.failed
    boxes.reload()
    assert boxes.values("q.detections.label", unwind=True) == shown
    crowds = [d.label for s in boxes.exists("q") for d in s.q.detections if labels.is_crowd(d)]
    assert set(crowds) <= {"crowd"}
    assert len(crowds) == shown.count("crowd")


@pytest.mark.parametrize("name", VIEWS)
def test_prompts_are_what_the_view_shows_but_crowds(boxes, model, name):
    boxes.add_sample_field("q", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    view = VIEWS[name](boxes)
    hidden = "p" not in view.get_field_schema()
    shown = (boxes if hidden else view).values("p.detections.label", unwind=True)
    report = last(
        segment_job.from_prompts(
            view, "r", model, "p", segmenting=SegmentOptions(imgsz=64), batch=1
        )
    )
    assert not report.failed
    assert report.prompts == len(shown) - shown.count("crowd")
    assert report.left_out == ({"crowd regions": n} if (n := shown.count("crowd")) else {})
    assert report.answered == boxes.count("r.detections")
    assert report.unanswered.total() == report.prompts - report.answered


def test_only_some_proposals_are_promoted_and_all_ground_truth_is_known(boxes):
    boxes.clone_sample_field("p", "truth")
    chosen = boxes.first().p.detections[1].id
    report = last(proposals_to_labels.promote(boxes, "p", "q", only=[chosen]))
    assert (report.done, report.instances) == (1, 1)
    assert boxes.values("q.detections.source", unwind=True) == [chosen]
    options = proposals_to_labels.PromoteOptions(max_truth_iou=0.5)
    report = last(
        proposals_to_labels.promote(boxes, "p", "none", options, truth="truth", only=[chosen])
    )
    assert report.instances == 0


@pytest.fixture
def coins(model):
    made = fo.Dataset()
    made.add_sample(fo.Sample(filepath=str(SAMPLES / "coins.png")))
    *_, report = segment_job.everything(made, "p", model, SegmentOptions(conf=0.6))
    assert report.instances
    yield made
    made.delete()


def test_prompts_without_answer_are_counted_with_the_reason(coins, model):
    sample = coins.first()
    found = sample.p.detections[0]
    x, y, w, h = found.bounding_box
    nan = float("nan")
    sample["boxes"] = fo.Detections(
        detections=[
            fo.Detection(label="hit", bounding_box=found.bounding_box),
            fo.Detection(label="outside", bounding_box=[1.5, 0.1, 0.2, 0.2]),
            fo.Detection(label="flat", bounding_box=[0.1, 0.1, 0.2, 0]),
        ]
    )
    points = [[(x + w / 2, y + h / 2)], [(nan, nan)], [(-0.5, 0.5)], [(nan, 0.5), (nan, nan)], []]
    sample["points"] = fo.Keypoints(keypoints=[fo.Keypoint(label="k", points=p) for p in points])
    sample.save()
    report = last(segment_job.from_prompts(coins, "by_box", model, "boxes", proposals="p"))
    assert (report.answered, report.prompts) == (1, 3)
    assert report.unanswered == {"the box is empty or outside the image": 2}
    report = last(
        segment_job.from_prompts(coins, "by_point", model, points="points", proposals="p")
    )
    assert (report.answered, report.prompts) == (1, 5)
    assert report.unanswered == {
        "no point of the prompt is marked": 3, "the points are outside the image": 1
    }  # fmt: skip
    assert not report.failed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"conf": 0.05}, "p was kept with conf 0.6, and 0.05 is asked for"),
        ({"conf": 0.6, "imgsz": 320}, "p was kept with imgsz None, and 320 is asked for"),
        ({"conf": 0.7, "iou": 0.5}, "p was kept with iou 0.9, and 0.5 is asked for"),
        ({"conf": 0.7, "max_det": 400}, "p was kept with max_det 300, and 400 is asked for"),
    ],
)
def test_settings_that_what_was_kept_cannot_answer_are_refused(coins, model, settings, message):
    with pytest.raises(ValueError, match=message):
        segment_job.from_prompts(
            coins, "x", model, "p", proposals="p", segmenting=SegmentOptions(**settings)
        )


@pytest.mark.parametrize("settings", [{"conf": 0.8}, {"conf": 0.6, "max_det": 3, "min_area": 400}])
def test_stricter_settings_answer_from_what_was_kept_as_the_network_would(coins, model, settings):
    settings = SegmentOptions(**settings)
    for field, kept in (("kept", "p"), ("anew", None)):
        last(
            segment_job.from_prompts(coins, field, model, "p", proposals=kept, segmenting=settings)
        )
    sample = coins.first()
    kept, anew = ([d.mask.sum() for d in sample[f].detections] for f in ("kept", "anew"))
    assert kept == anew
