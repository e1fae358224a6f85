"""FiftyOne's private names: in one room, and meaning there what is made of them."""

from __future__ import annotations

import ast
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from fiftyone import ViewField as F
from PIL import Image

import fiftyone_plugin
from fiftyone_plugin import documents, recall, segment_job
from fiftyone_plugin.fiftyone_private import dataset_of, id_of, is_generated, stages
from fiftyone_plugin.views import images

ROOM = "fiftyone_private.py"
OVERRIDDEN = {("recall.py", "super()._from_dict")}  # FiftyOne calls it by this name


def foreign(file):
    """Private names of others that a file uses."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and node.attr[1] != "_":
            if not isinstance(node.value, ast.Name) or node.value.id not in ("self", "cls"):
                yield ast.unparse(node)
        elif isinstance(node, ast.Call):
            yield from (k.arg for k in node.keywords if k.arg and k.arg.startswith("_"))


def test_they_are_used_in_one_room_alone_and_once_each():
    files = sorted(Path(fiftyone_plugin.__file__).parent.glob("*.py"))
    elsewhere = {(f.name, name) for f in files if f.name != ROOM for name in foreign(f)}
    assert elsewhere == OVERRIDDEN
    (room,) = (f for f in files if f.name == ROOM)
    names = [name.rpartition(".")[2] for name in foreign(room)]
    assert "_dataset" in names
    set_and_read = {"_wait_for_child_port"}
    assert {n for n in names if names.count(n) > 1} == set_and_read


@pytest.fixture
def boxes(dataset):
    """The dataset of one image, with two boxes."""
    places = ([0.1, 0.1, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2])
    found = [fo.Detection(label=f"{k}", bounding_box=p) for k, p in enumerate(places)]
    sample = dataset.first()
    sample["p"] = fo.Detections(detections=found)
    sample.save()
    return dataset


@pytest.fixture
def video(tmp_path):
    """One video, of which a frame is an image with boxes."""
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "frame.png")
    sample = fo.Sample(filepath=str(tmp_path / "video.mp4"))
    found = [fo.Detection(label="a", bounding_box=[0.1, 0.1, 0.2, 0.2])]
    sample.frames[1] = fo.Frame(
        filepath=str(tmp_path / "frame.png"),
        p=fo.Detections(detections=found), t=fo.Detections(detections=[found[0].copy()]),
    )  # fmt: skip
    made = fo.Dataset()
    made.add_sample(sample)
    yield made
    made.delete()


def saved(dataset, view):
    dataset.save_view("mine", view)
    return dataset.load_saved_view("mine")


VIEWS = {
    "dataset": lambda d: d,
    "view": lambda d: d.limit(1),
    "saved": lambda d: saved(d, d.match(F("p.detections").length() > 1)),
    "groups": lambda d: d.group_by("filepath"),
    "concat": lambda d: d.limit(1).concat(d.skip(1)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_lead_to_the_dataset_that_holds_their_samples(boxes, name):
    view = VIEWS[name](boxes)
    assert dataset_of(view) is boxes
    assert not is_generated(view)
    assert bool(stages(view)) == (name != "dataset")
    documents.declare(dataset_of(view), {"q": fo.StringField(), "p.detections.r": fo.StringField()})
    ids = boxes.values("p.detections.id")[0]
    own = {"p.detections": {ids[0]: {"r": "first"}}}
    documents.write(dataset_of(view), {boxes.first().id: documents.Change({"q": "new"}, own)})
    assert boxes.values("q") == ["new"]
    assert boxes.values("p.detections.r") == [["first", None]]


def made_of(boxes, video):
    """Views whose samples FiftyOne made, and the datasets that they were made of."""
    boxes.compute_metadata(progress=False)
    yield boxes.to_patches("p"), boxes
    yield saved(boxes, boxes.to_patches("p")), boxes
    yield boxes.to_patches("p").limit(1), boxes
    yield video.to_frames(), video
    yield video.to_clips([[(1, 1)]]), video


def test_what_fiftyone_made_of_samples_is_told_from_them(boxes, video):
    for view, source in made_of(boxes, video):
        own = dataset_of(view)
        assert is_generated(view)
        assert is_generated(own)
        assert id_of(own) != id_of(source)
        assert view.dataset_name == source.name  # the public name is no help
        for work in (
            lambda v: images(v),
            lambda v: segment_job.everything(v, "new"),
            lambda v: recall.run(v, "p", "p", "key"),
        ):
            for samples in (view, own):
                with pytest.raises(ValueError, match="view of patches, frames or clips"):
                    work(samples)
        assert not source.list_evaluations()
        copy = own.clone()  # the person's own
        assert not is_generated(copy)
        copy.delete()


def test_recall_of_patches_and_frames_is_told_but_not_written_where_it_would_be_lost(boxes, video):
    video_frames = video.to_frames()
    boxes.clone_sample_field("p", "t")
    config = recall.ProposalRecallConfig
    boxes.evaluate_detections("p", gt_field="t", eval_key="e", method=config, progress=False)
    for view in (video_frames, boxes.to_evaluation_patches("e")):
        before = view.get_field_schema(flat=True).keys()
        with pytest.raises(
            ValueError, match="view of patches, frames or clips: leave out eval_key"
        ):
            view.evaluate_detections("p", gt_field="t", eval_key="o", method=config, progress=False)
        assert view.get_field_schema(flat=True).keys() == before
        found = view.evaluate_detections("p", gt_field="t", method=config, progress=False).summary
        assert found["mask AR@1000"] == 1
    assert boxes.list_evaluations() == ["e"]
    assert not video.list_evaluations()
    with pytest.raises(ValueError, match=r"frames\.t is no field of detections or polylines"):
        video.evaluate_detections("frames.p", gt_field="frames.t", method=config, progress=False)
