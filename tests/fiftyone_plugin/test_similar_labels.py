"""All like some labels, on a real database: coins among coins and what lies around them."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins import Segmentation, read_image
from fastsam_plugins.options import ExemplarOptions, SegmentOptions
from fastsam_plugins.paths import SAMPLES
from fiftyone_plugin import sample_segmenter, segment_job, similar_labels
from fiftyone_plugin.storage import StoreOptions
from tests.fiftyone_plugin.test_operators import context, executed, form, message, operator, plugin

__all__ = ["plugin"]

pytestmark = pytest.mark.usefixtures("one_thread")
SEGMENTING = SegmentOptions(conf=0.05, imgsz=384)
COIN = [78 / 384, 105 / 303, 44 / 384, 41 / 303]  # a box about one of the coins


@pytest.fixture
def coins(tmp_path):
    """Coins, the same turned around, a photograph; a coin is labelled in the first."""
    Image.open(SAMPLES / "coins.png").rotate(180).save(tmp_path / "turned.png")
    made = fo.Dataset()
    one = fo.Detections(detections=[fo.Detection(label="coin", bounding_box=COIN)])
    made.add_samples(
        [
            fo.Sample(filepath=str(SAMPLES / "coins.png"), drawn=one),
            fo.Sample(filepath=str(tmp_path / "turned.png")),
            fo.Sample(filepath=str(SAMPLES / "coffee.jpg")),
        ]
    )
    yield made
    made.delete()


def find(samples, model, field="alike", examples="drawn", **options):
    options = {"segmenting": SEGMENTING, "batch": 2} | options
    *_, report = similar_labels.find(samples, field, examples, model=model, **options)
    return report


def test_all_coins_of_the_sample_are_like_a_coin(coins, model):
    report = find(coins, model)
    assert (report.total, report.done, report.failed) == (1, 1, {})
    found = coins.first()["alike"].detections
    assert len(found) == report.instances > 15
    source = coins.first()["drawn"].detections[0]
    assert {d.label for d in found} == {"coin"}
    assert {d["source"] for d in found} == {source.id}
    like = [d["similarity"] for d in found]
    assert like == sorted(like, reverse=True)
    assert min(like) >= ExemplarOptions().threshold
    assert max(d["area"] for d in found) < 5000, "the ground is no coin"
    assert [s["alike"] for s in coins.skip(1)] == [None, None], "samples without an example"


def test_across_samples_the_example_is_looked_for_in_all(coins, model):
    report = find(coins, model, across=True)
    assert report.done == 3
    counts = [len(s["alike"].detections) for s in coins]
    assert counts[0] > 15
    assert counts[1] > 15
    source = coins.first()["drawn"].detections[0].id
    assert set(coins.values("alike.detections.source", unwind=True)) == {source}


def test_only_selected_labels_are_examples(coins, model):
    sample = coins.first()
    sample["drawn"].detections.append(fo.Detection(label="ground", bounding_box=[0, 0, 1, 1]))
    sample.save()
    coin, ground = sample["drawn"].detections
    find(coins, model, only=[ground.id])
    assert {d.label for d in coins.first()["alike"].detections} <= {"ground"}
    find(coins, model, only=[coin.id], existing="overwrite", options=ExemplarOptions(top_k=4))
    assert [d.label for d in coins.first()["alike"].detections] == ["coin"] * 4


def test_what_was_kept_answers_without_the_network(coins, model, monkeypatch):
    *_, _ = segment_job.everything(
        coins, "proposals", model, SEGMENTING, storing=StoreOptions(keep=True)
    )
    find(coins, model, across=True)
    expected = coins.values("alike.detections.similarity", unwind=True)
    monkeypatch.setattr(sample_segmenter.SampleSegmenter, "segment", lambda *_: iter(()))
    report = find(coins, model, across=True, proposals="proposals", existing="overwrite")
    assert report.done == 3
    found = coins.values("alike.detections.similarity", unwind=True)
    assert np.allclose(sorted(found), sorted(expected), atol=1e-4)


def test_what_is_no_example_is_counted_and_the_rest_is_done(coins, model):
    sample = coins.first()
    sample["drawn"].detections += [
        fo.Detection(label="crowd", bounding_box=COIN, iscrowd=1),
        fo.Detection(label="outside", bounding_box=[1.2, 1.2, 0.1, 0.1]),
        fo.Detection(label="broken", bounding_box=[float("nan"), 0, 0.1, 0.1]),
        fo.Detection(label="gone", bounding_box=COIN, mask_path="/no/such/mask.png"),
    ]
    sample.save()
    for across in (False, True):
        report = find(coins, model, across=across, existing="overwrite")
        assert dict(report.left_out) == {
            "crowd regions": 1, similar_labels.EMPTY: 1, similar_labels.DAMAGED: 2
        }  # fmt: skip
        assert {d.label for d in coins.first()["alike"].detections} == {"coin"}


def test_lines_are_no_examples_and_closed_outlines_are(coins, model):
    x, y, w, h = COIN
    corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    lines = [fo.Polyline(label=str(c), points=[corners], closed=c) for c in (True, False)]
    sample = coins.first()
    sample["outlines"] = fo.Polylines(polylines=lines)
    sample.save()
    report = find(coins, model, examples="outlines")
    assert dict(report.left_out) == {"lines that enclose nothing": 1}
    assert {d.label for d in coins.first()["alike"].detections} == {"True"}


def test_an_image_that_cannot_be_read_costs_that_sample(coins, model, tmp_path):
    (tmp_path / "turned.png").write_text("no image")
    report = find(coins, model, across=True)
    assert list(report.failed) == [str(tmp_path / "turned.png")]
    assert len(coins.first()["alike"].detections) > 15


def test_without_any_example_nothing_is_like_it(coins, model):
    sample = coins.first()
    sample["drawn"].detections[0]["iscrowd"] = 1
    sample.save()
    report = find(coins, model, across=True)
    assert (report.done, report.instances) == (3, 0)
    assert dict(report.left_out) == {"crowd regions": 1}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"examples": "ground_truth"}, r"ground_truth is no field of detections or polylines"),
        ({"only": ["x"]}, "only must hold ids of labels"),
        ({"proposals": "nothing"}, "nothing is no field of detections"),
        ({"model": "/no/such.pt"}, "no weights at /no/such.pt"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_done(coins, options, told):
    before = coins.get_field_schema().keys()
    with pytest.raises((ValueError, RuntimeError), match=told) as caught:
        similar_labels.find(coins, "alike", **{"examples": "drawn"} | options)
    assert "\n" not in str(caught.value)
    coins.reload()
    assert coins.get_field_schema().keys() == before


@pytest.mark.usefixtures("plugin")
def test_the_operator_takes_the_selected_labels(coins):
    label = coins.first()["drawn"].detections[0]
    selected = [{"label_id": label.id, "sample_id": coins.first().id, "field": "drawn"}]
    fields, problem = form(coins, "find_similar", selected_labels=selected, examples="drawn")
    assert problem is None
    assert "only" in fields
    assert fields["examples"].default == "drawn", "the field of what is selected"
    assert {"across", "top_k", "threshold", "conf"} <= set(fields)
    assert "tiled" not in fields
    _, problem = form(coins, "find_similar")
    assert problem == "Choose examples"
    told = executed(coins, "find_similar", selected_labels=selected, examples="drawn", conf=0.05)
    assert message(told).startswith("1 samples, ")
    assert len(coins.first()["alike"].detections) > 15
    report = operator("find_similar")(
        coins, examples="drawn", only=[label.id], field="more", top_k=3, conf=0.05
    )
    assert report.instances == 3
    assert context(coins, "find_similar").dataset.name == coins.name


def test_vectors_are_those_of_the_labels_own_masks(coins, model):
    """And not those of what the network found there."""
    seg = model.segment(read_image(SAMPLES / "coins.png"), SEGMENTING)
    found = similar_labels.Vectors(coins.first()["drawn"], seg)
    bitmap = np.zeros((303, 384), bool)
    bitmap[105:146, 78:122] = True
    expected = Segmentation.from_masks(bitmap[None]).with_encoding(seg).embeddings
    assert np.array_equal(found.vectors, expected)
    assert found.labels == ["coin"]
