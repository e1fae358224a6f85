"""Rough masks, closed outlines, segmentations and scribbles as prompts, on a real database."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins import SegmentOptions, read_image
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import TextOptions, TileOptions
from fastsam_plugins.paths import SAMPLES
from fiftyone_plugin import labels, sample_segmenter, segment_job
from fiftyone_plugin.prompts import Words
from fiftyone_plugin.storage import StoreOptions
from support.tiny_clip import FOLDER
from tests.conftest import disks
from tests.fiftyone_plugin.test_operators import executed, form, message, plugin

__all__ = ["plugin"]

pytestmark = pytest.mark.usefixtures("one_thread")
SEGMENTING = SegmentOptions(conf=0.25, imgsz=384)
SHAPE = (303, 384)
COIN, NEXT = (100, 126, 20), (340, 190, 33)  # x, y and radius of two coins


def corners(x, y, r):
    """A diamond in a coin, as parts of the image."""
    return [((x + dx * r) / 384, (y + dy * r) / 303)
            for dx, dy in ((-0.8, 0), (0, -0.8), (0.8, 0), (0, 0.8))]  # fmt: skip


@pytest.fixture
def coins():
    """One image of coins with a field of each kind of prompt."""
    made = fo.Dataset()
    rough = disks(SHAPE, [COIN, NEXT]) & (np.arange(384) % 30 < 24)
    boxes = [[(x - r) / 384, (y - r) / 303, 2 * r / 384, 2 * r / 303] for x, y, r in (COIN, NEXT)]
    places = [(x - r, y - r, x + r, y + r) for x, y, r in (COIN, NEXT)]
    made.add_sample(
        fo.Sample(
            filepath=str(SAMPLES / "coins.png"),
            masked=fo.Detections(detections=[
                fo.Detection(label=f"m{k}", bounding_box=box, mask=rough[k, y0:y1, x0:x1])
                for k, (box, (x0, y0, x1, y1)) in enumerate(zip(boxes, places, strict=True))
            ]),
            outlined=fo.Polylines(polylines=[
                fo.Polyline(label=f"o{k}", points=[corners(*c)], closed=True)
                for k, c in enumerate((COIN, NEXT))
            ]),
            scribbled=fo.Polylines(polylines=[
                fo.Polyline(label=f"s{k}", points=[corners(*c)[:3:2]])
                for k, c in enumerate((COIN, NEXT))
            ]),
            classes=fo.Segmentation(mask=(rough.any(0) * 7).astype(np.uint8)),
            names=fo.Classification(label="coins"),
        )
    )  # fmt: skip
    yield made
    made.delete()


def prompt(samples, model, field="asked", **options):
    options = {"segmenting": SEGMENTING, "storing": StoreOptions(keep=False)} | options
    *_, report = segment_job.from_prompts(samples, field, model, **options)
    return report


def overlaps(sample, field):
    """IoU of the labels of a field with the two coins."""
    truth = disks(SHAPE, [COIN, NEXT])
    found = []
    for one, coin in zip(sample[field].detections, truth, strict=True):
        whole = np.zeros(SHAPE, bool)
        x0, y0, _, _ = np.array(one.bounding_box) * (384, 303, 384, 303)
        part = whole[round(y0) :, round(x0) :][: one.mask.shape[0], : one.mask.shape[1]]
        part |= one.mask
        found.append((whole & coin).sum() / (whole | coin).sum())
    return found


@pytest.mark.parametrize(
    ("field", "least"), [("masked", 0.7), ("outlined", 0.5), ("scribbled", 0.7)]
)
def test_what_was_drawn_roughly_becomes_the_coin(coins, model, field, least):
    report = prompt(coins, model, masks=field)
    assert (report.prompts, report.answered) == (2, 2)
    sample = coins.first()
    found, given = sample["asked"].detections, sample[field][sample[field]._LABEL_LIST_FIELD]
    assert [d.label for d in found] == [g.label for g in given]
    assert [d["source"] for d in found] == [g.id for g in given]
    truth = disks(SHAPE, [COIN, NEXT])
    rough = [R.to_bitmap(labels.mask(g, SHAPE), SHAPE) for g in given]
    before = [(a & b).sum() / (a | b).sum() for a, b in zip(rough, truth, strict=True)]
    after = overlaps(sample, "asked")
    assert min(after) > least
    # What is masked is a stripy disk, drawn as the coins are taken to be here.
    assert field == "masked" or (np.array(after) > np.array(before) + 0.1).all()


def test_answers_are_the_engines(coins, model):
    prompt(coins, model, masks="outlined")
    sample = coins.first()
    seg = model.segment(read_image(sample.filepath), SEGMENTING)
    for k, one in enumerate(sample["outlined"].polylines):
        bitmap = R.to_bitmap(labels.mask(one, SHAPE), SHAPE)
        expected = seg.predict(mask=bitmap, multimask=False)
        assert sample["asked"].detections[k].mask.sum() == expected.areas[0]


def test_every_part_of_a_segmentation_is_a_prompt(coins, model):
    report = prompt(coins, model, masks="classes")
    sample = coins.first()
    assert report.prompts == report.answered == len(list(labels.masks(sample["classes"], SHAPE)))
    assert {d["source"] for d in sample["asked"].detections} == {sample["classes"].id}
    prompt(coins, model, "chosen", masks="classes", only=[sample["classes"].id])
    assert len(coins.first()["chosen"].detections) == report.prompts


def test_kept_proposals_and_selected_labels(coins, model, monkeypatch):
    *_, _ = segment_job.everything(coins, "kept", model, SEGMENTING)
    one = coins.first()["outlined"].polylines[1]
    prompt(coins, model, masks="outlined", only=[one.id])
    monkeypatch.setattr(sample_segmenter.SampleSegmenter, "segment", lambda *_: iter(()))
    prompt(coins, model, "again", masks="outlined", only=[one.id], proposals="kept")
    (first,), (again,) = (coins.first()[f].detections for f in ("asked", "again"))
    assert first["source"] == again["source"] == one.id
    assert np.array_equal(first.mask, again.mask)


def test_what_has_no_answer_is_counted_with_the_reason(coins, model):
    sample = coins.first()
    sample["scribbled"].polylines += [
        fo.Polyline(label="beside", points=[[(1.5, 1.5), (1.6, 1.6)]]),
        fo.Polyline(label="beside", points=[[(1.5, 1.5), (1.6, 1.5), (1.6, 1.6)]], closed=True),
        fo.Polyline(label="none", points=[]),
        fo.Polyline(label="none", points=[[]]),
        fo.Polyline(label="crowd", points=[corners(*COIN)], closed=True, iscrowd=1),
        fo.Polyline(label="dot", points=[[(0.3, 0.4)]]),
    ]
    sample.save()
    report = prompt(coins, model, masks="scribbled")
    assert report.failed == {}
    assert dict(report.left_out) == {"crowd regions": 1}
    assert (report.prompts, report.answered) == (7, 3)
    assert dict(report.unanswered) == {
        "the line is outside the image": 1, "the mask has no pixel": 3
    }  # fmt: skip
    assert [d.label for d in coins.first()["asked"].detections] == ["s0", "s1", "dot"]


def test_a_detection_without_a_mask_is_its_box(coins, model):
    sample = coins.first()
    for one in sample["masked"].detections:
        one.mask = None
    sample.save()
    prompt(coins, model, masks="masked")
    assert min(overlaps(coins.first(), "asked")) > 0.7


def test_numbers_that_are_none_cost_the_sample(coins, model, tmp_path):
    Image.open(SAMPLES / "coins.png").save(tmp_path / "more.png")
    broken = fo.Polyline(points=[[(float("nan"), 0.1), (0.2, 0.2)]])
    coins.add_sample(
        fo.Sample(filepath=str(tmp_path / "more.png"), scribbled=fo.Polylines(polylines=[broken]))
    )
    report = prompt(coins, model, masks="scribbled")
    assert list(report.failed) == [str(tmp_path / "more.png")]
    assert "no finite numbers" in coins.last()["asked_error"]
    assert len(coins.first()["asked"].detections) == 2


def test_what_cannot_be_a_prompt_is_one_line(coins, model):
    words = Words.of("a coin", options=TextOptions(clip=str(FOLDER)))
    for options, told in (
        ({"masks": "names"}, "names holds no masks or lines: name a field of detections, .* are: "),
        ({"masks": "nothing"}, "nothing holds no masks or lines"),
        ({"masks": "masked", "boxes": "masked"}, "masks and lines go alone"),
        ({"masks": "masked", "words": words}, "a text goes alone"),
        (
            {"masks": "masked", "tiling": TileOptions()},
            "masks and lines are about an image seen at",
        ),
        ({"masks": "masked", "only": ["5" * 24]}, "no label of masked has an id"),
    ):
        with pytest.raises(ValueError, match=told) as caught:
            prompt(coins, model, **options)
        assert "\n" not in str(caught.value)
    assert "asked" not in coins.get_field_schema()


@pytest.mark.usefixtures("plugin")
def test_the_operator_offers_fields_that_hold_masks_or_lines(coins):
    fields, problem = form(coins, "segment_from_prompts", masks="scribbled")
    assert problem is None
    assert set(fields["masks"].type.values) == {"masked", "outlined", "scribbled", "classes"}
    told = executed(coins, "segment_from_prompts", masks="scribbled", imgsz=384)
    assert message(told) == "1 samples, 2 instances, 2 of 2 prompts answered"
