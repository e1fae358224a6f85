"""An index of labels, asked by FiftyOne itself."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest

from fastsam_plugins import read_image
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.paths import SAMPLES
from fiftyone_plugin import sample_segmenter, segment_job, similarity_index
from fiftyone_plugin.parameters import IndexOptions
from fiftyone_plugin.save_job import Stopped
from fiftyone_plugin.storage import StoreOptions
from tests.fiftyone_plugin.test_operators import executed, form, message, operator, plugin

__all__ = ["plugin"]

pytestmark = pytest.mark.usefixtures("one_thread")
KEY = "fastsam_similarity"


@pytest.fixture
def labelled(model):
    """Two images with all instances, which are kept for prompts."""
    made = fo.Dataset()
    made.add_samples([fo.Sample(filepath=str(SAMPLES / n)) for n in ("coins.png", "ihc.jpg")])
    *_, _ = segment_job.everything(
        made, "found", model, SegmentOptions(conf=0.1, imgsz=384), storing=StoreOptions(keep=True)
    )
    yield made
    made.delete()


def build(samples, model, **options):
    only = options.pop("only", None)
    asked = IndexOptions(**{"labels": "found"} | options)
    *_, report = similarity_index.build(samples, asked, model, only=only)
    return report


def test_fiftyone_sorts_labels_by_similarity(labelled, model):
    report = build(labelled, model, imgsz=384)
    assert report.instances == labelled.count("found.detections")
    assert labelled.list_brain_runs() == [KEY]
    coins = labelled.first()["found"].detections
    patches = labelled.to_patches("found")
    near = patches.sort_by_similarity(coins[2].id, k=15, brain_key=KEY)
    assert near.first().id == coins[2].id
    files = near.values("filepath")
    assert files.count(str(SAMPLES / "coins.png")) >= 14, "coins are like coins"
    index = labelled.load_brain_results(KEY)
    assert index.config.method == "sklearn"
    assert index.config.patches_field == "found"


def test_the_order_is_that_of_the_engine(labelled, model):
    build(labelled, model, imgsz=384)
    image = read_image(SAMPLES / "coins.png")
    seg = model.segment(image, SegmentOptions(conf=0.1, imgsz=384))
    ids = [d.id for d in labelled.first()["found"].detections]
    view = labelled.limit(1).to_patches("found").sort_by_similarity(ids[0], brain_key=KEY)
    like = seg.likeness(0)
    told = [like[ids.index(i)] for i in view.values("id")]
    assert len(told) == len(seg)
    assert (np.diff(told) <= 1e-5).all()


def test_kept_proposals_give_the_same_index_without_the_network(labelled, model, monkeypatch):
    build(labelled, model, imgsz=384)
    before = labelled.load_brain_results(KEY)
    monkeypatch.setattr(sample_segmenter.SampleSegmenter, "segment", lambda *_: iter(()))
    build(labelled, model, proposals="found", overwrite=True)
    after = labelled.load_brain_results(KEY)
    assert after.label_ids.tolist() == before.label_ids.tolist()
    assert np.allclose(after.embeddings, before.embeddings, atol=1e-5)


def test_what_a_view_shows_is_what_is_in_the_index(labelled, model):
    view = labelled.filter_labels("found", fo.ViewField("confidence") > 0.4)
    report = build(view, model)
    assert 0 < report.instances == view.count("found.detections")
    assert report.instances < labelled.count("found.detections")
    some = labelled.values("found.detections.id", unwind=True)[:3]
    assert build(labelled, model, brain_key="few", only=some).instances == 3
    assert labelled.load_brain_results("few").label_ids.tolist() == some


def test_an_index_is_replaced_only_when_asked_and_whole_or_not_at_all(labelled, model, tmp_path):
    build(labelled, model)
    before = labelled.load_brain_results(KEY).label_ids.tolist()
    with pytest.raises(ValueError, match=f"there is a run {KEY} already: name another, or"):
        build(labelled, model)
    work = similarity_index.build(labelled, IndexOptions(labels="found", overwrite=True), model)
    report = next(work)
    report.stop = True
    with pytest.raises(Stopped, match="nothing was written"):
        list(work)
    assert labelled.load_brain_results(KEY).label_ids.tolist() == before
    first = labelled.first()
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    first.filepath = str(bad)
    first.save()
    report = build(labelled, model, overwrite=True)
    assert list(report.failed) == [str(bad)]
    assert set(labelled.load_brain_results(KEY).sample_ids) == {labelled.last().id}


def test_where_nothing_can_be_compared_nothing_is_written(labelled, model, tmp_path):
    labelled.add_sample_field("empty", fo.EmbeddedDocumentField,
                              embedded_doc_type=fo.Detections)  # fmt: skip
    first = labelled.first()
    first["empty"] = fo.Detections(
        detections=[fo.Detection(label="crowd", bounding_box=[0, 0, 1, 1], iscrowd=1)]
    )
    first.save()
    with pytest.raises(ValueError, match="empty has no label to compare: crowd regions"):
        build(labelled, model, labels="empty")
    assert labelled.list_brain_runs() == []
    with pytest.raises(ValueError, match="nothing is no field of detections or polylines"):
        build(labelled, model, labels="nothing")
    with pytest.raises(ValueError, match="'a b' cannot be a key"):
        build(labelled, model, brain_key="a b")


@pytest.mark.usefixtures("plugin")
def test_the_operator_makes_the_index(labelled):
    fields, problem = form(labelled, "index_labels")
    assert problem == "Choose labels"
    assert "overwrite" not in fields
    told = executed(labelled, "index_labels", labels="found", proposals="found")
    count = labelled.count("found.detections")
    assert message(told) == f"2 samples, {count} instances: in the index {KEY}"
    labelled.reload()
    assert labelled.list_brain_runs() == [KEY]
    fields, problem = form(labelled, "index_labels", labels="found")
    assert "overwrite" in fields
    assert problem == f"There is a run {KEY} already: name another, or overwrite it"
    report = operator("index_labels")(labelled, labels="found", overwrite=True, proposals="found")
    assert report.instances == count
