"""FastSAM through FiftyOne's apply_model, on a real database."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins import SegmentOptions
from fastsam_plugins.masks import runs as R
from fastsam_plugins.paths import SAMPLES
from fiftyone_plugin import labels
from fiftyone_plugin.model import FastSAMModel

SEGMENTING = SegmentOptions(conf=0.15, max_det=60)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def fastsam(model):
    return FastSAMModel(model, SEGMENTING)


def put(samples, **fields):
    """Set fields of the first sample, and keep no hold of it.

    FiftyOne's data loader path saves in a thread that reloads every sample still held, which can
    meet the main thread in mongoengine ("dictionary changed size during iteration").
    """
    first = samples.first()
    for name, value in fields.items():
        first[name] = value
    first.save()


def masks_of(sample, field):
    with Image.open(sample.filepath) as image:
        width, height = image.size
    return [R.to_bitmap(m, (height, width)) for m in labels.masks(sample[field], (height, width))]


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (3, 0), (2, 2)])
def test_everything_mode_is_the_engines_and_a_bad_image_costs_itself_only(
    samples, fastsam, model, batch, workers
):
    samples.apply_model(
        fastsam, label_field="found", batch_size=batch, num_workers=workers, skip_failures=False,
        progress=False,
    )  # fmt: skip
    coins, bad, ihc = samples
    assert bad["found"] is None
    assert "bad.png" in bad["found_fastsam_error"]
    assert "\n" not in bad["found_fastsam_error"]
    for sample in (coins, ihc):
        assert sample["found_fastsam_error"] is None
        seg = model.segment(np.asarray(Image.open(sample.filepath).convert("RGB")), SEGMENTING)
        found = sample["found"].detections
        assert len(found) == len(seg) > 5
        for i, (detection, mask) in enumerate(zip(found, masks_of(sample, "found"), strict=True)):
            assert np.array_equal(mask, seg.mask(i)), "every pixel where it is"
            assert detection.label == "object"
            # One thread or two: the network sums in another order.
            assert detection.confidence == pytest.approx(float(seg.scores[i]), abs=1e-4)
            assert detection.area == mask.sum() == seg.areas[i]
            assert detection.stability == pytest.approx(seg.stability[i], abs=1e-3)


def test_batches_are_as_large_as_was_asked(samples, model):
    sizes = []

    class Watched(FastSAMModel):
        def predict_all(self, args):
            args = list(args)
            sizes.append(len(args))
            return super().predict_all(args)

    samples.apply_model(Watched(model, SEGMENTING), label_field="p", batch_size=2, progress=False)
    assert sizes == [2, 1]


def test_confidence_threshold_is_the_networks(samples, fastsam, model):
    samples[:1].apply_model(fastsam, label_field="sure", confidence_thresh=0.6, progress=False)
    image = np.asarray(Image.open(SAMPLES / "coins.png").convert("RGB"))
    expected = len(model.segment(image, SEGMENTING.replace(conf=0.6)))
    assert len(samples.first()["sure"].detections) == expected
    assert fastsam.config.confidence_thresh is None


def coin_boxes(model, count=3):
    image = np.asarray(Image.open(SAMPLES / "coins.png").convert("RGB"))
    seg = model.segment(image, SEGMENTING)
    height, width = seg.shape
    scale = np.array([width, height, width, height])
    chosen = [seg.boxes[i] / scale for i in range(count)]
    return seg, [[b[0], b[1], b[2] - b[0], b[3] - b[1]] for b in chosen]


@pytest.mark.parametrize("key", ["box_prompt_field", "prompt_field"])
def test_boxes_prompt_and_hand_on_their_label_and_id(samples, fastsam, model, key):
    seg, boxes = coin_boxes(model)
    coins = [fo.Detection(label=f"coin {i}", bounding_box=b) for i, b in enumerate(boxes)]
    put(samples, boxes=fo.Detections(detections=coins))
    samples.apply_model(fastsam, label_field="chosen", progress=False, **{key: "boxes"})
    sample = samples.first()
    found = sample["chosen"].detections
    assert [d.label for d in found] == ["coin 0", "coin 1", "coin 2"]
    assert [d.source for d in found] == [d.id for d in sample["boxes"].detections]
    for i, mask in enumerate(masks_of(sample, "chosen")):
        assert np.array_equal(mask, seg.mask(i))
    without = samples.last()
    assert without["chosen"].detections == [], "no prompt, no instance"


@pytest.mark.parametrize("key", ["point_prompt_field", "prompt_field"])
def test_keypoints_prompt_with_the_polarity_of_fiftyones_sam(samples, fastsam, model, key):
    seg, _ = coin_boxes(model)
    height, width = seg.shape
    y, x = np.argwhere(seg.mask(0)).mean(0)
    inside = (float(x + 0.5) / width, float(y + 0.5) / height)
    plain = fo.Keypoint(label="coin", points=[inside, (float("nan"), float("nan"))])
    taken_back = fo.Keypoint(label="none", points=[inside, inside], sam_labels=[1, 0])
    put(samples, clicks=fo.Keypoints(keypoints=[plain, taken_back]))
    samples[:1].apply_model(fastsam, label_field="chosen", progress=False, **{key: "clicks"})
    (only,) = samples.first()["chosen"].detections
    assert (only.label, only.source) == ("coin", plain.id)
    assert masks_of(samples.first(), "chosen")[0][int(y), int(x)]


def test_boxes_and_points_pair_or_say_why_not(samples, fastsam, model):
    seg, boxes = coin_boxes(model, 2)
    height, width = seg.shape
    places = [np.argwhere(seg.mask(i)).mean(0) for i in range(2)]
    clicks = [fo.Keypoint(points=[(float(x / width), float(y / height))]) for y, x in places]
    put(
        samples,
        boxes=fo.Detections(detections=[fo.Detection(bounding_box=b) for b in boxes]),
        clicks=fo.Keypoints(keypoints=clicks),
    )
    fields = {"box_prompt_field": "boxes", "point_prompt_field": "clicks"}
    samples[:1].apply_model(fastsam, label_field="both", progress=False, **fields)
    assert len(samples.first()["both"].detections) == 2
    put(samples, clicks=fo.Keypoints(keypoints=[c.copy() for c in clicks[:1]]))
    samples[:1].apply_model(fastsam, label_field="odd", progress=False, **fields)
    assert "2 boxes and 1 keypoints do not pair" in samples.first()["odd_fastsam_error"]


def test_a_field_that_cannot_prompt_is_named(samples, fastsam):
    put(samples, kind=fo.Classification(label="coins"))
    samples[:1].apply_model(fastsam, label_field="x", progress=False, box_prompt_field="kind")
    assert "box_prompt_field must be a field of Detections" in samples.first()["x_fastsam_error"]


def test_one_image_without_a_dataset(fastsam, coins):
    assert len(fastsam.predict(coins).detections) > 5


def test_a_users_own_field_of_errors_is_left_alone(samples, fastsam):
    samples.add_sample_field("found_error", fo.FloatField)
    samples.set_values("found_error", [0.1, 0.2, 0.3])
    samples.apply_model(fastsam, label_field="found", progress=False)
    assert samples.values("found_error") == [0.1, 0.2, 0.3]
    assert samples.count("found.detections") > 10
