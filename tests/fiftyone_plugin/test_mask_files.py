"""Files of masks, whatever becomes of the fields and datasets whose labels name them."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins import SegmentOptions, read_image
from fastsam_plugins.io import npz
from fastsam_plugins.options import CleanOptions
from fiftyone_plugin import mask_files, segment_job
from fiftyone_plugin.kept_files import Kept
from fiftyone_plugin.proposals_to_labels import PromoteOptions, promote
from fiftyone_plugin.storage import StoreOptions

SEGMENTING = SegmentOptions(conf=0.25, max_det=12, imgsz=320)

pytestmark = pytest.mark.usefixtures("one_thread")


def run(samples, model, field="p", existing="refuse", conf=0.25, keep=True, storage="files"):
    *_, report = segment_job.everything(
        samples, field, model, SEGMENTING.replace(conf=conf), existing=existing, batch=2,
        storing=StoreOptions(storage=storage, keep=keep),
    )  # fmt: skip
    return report


def paths(samples, field):
    samples.reload()
    return [Path(p) for p in samples.values(f"{field}.detections.mask_path", unwind=True) if p]


def on_disk(samples):
    folder = mask_files.root() / str(samples._doc.id)
    return {p for p in folder.rglob("*") if p.is_file()}


def renamed(samples):
    samples.rename_sample_field("p", "q")
    return samples, "q", "refuse"


def cloned_field(samples):
    samples.clone_sample_field("p", "q")
    return samples, "q", "overwrite"


def cloned_dataset(samples):
    return samples.clone(), "p", "overwrite"


def nested(samples):
    """Another person's field, as the database has any: the paths deep in a dictionary."""
    samples.add_sample_field("notes", fo.DictField)
    found = samples.values("p.detections.mask_path")
    samples.set_values("notes", [{"a": [{"b": f}]} if f else None for f in found])
    return samples, "notes", "overwrite"


def patches(samples):
    samples.save_view("mine", samples.to_patches("p"))
    return samples.load_saved_view("mine")._dataset, "p", "overwrite"


WAYS = [renamed, cloned_field, cloned_dataset, nested, patches]


@pytest.mark.parametrize("way", WAYS)
def test_a_mask_stays_while_anything_names_it(samples, model, way):
    run(samples, model)
    before = paths(samples, "p")
    assert len(before) > 5
    other, _, existing = way(samples)
    run(samples, model, existing=existing, conf=0.5)
    assert all(p.is_file() for p in before)
    assert all(p.is_file() for p in paths(samples, "p"))
    assert not set(paths(samples, "p")) & set(before)
    if other is not samples and not other._is_generated:
        other.delete()


def test_what_nothing_names_goes_at_the_end_of_the_run_that_replaces_it(samples, model):
    run(samples, model)
    samples.clone_sample_field("p", "q")
    run(samples, model, existing="overwrite", conf=0.5)
    before = paths(samples, "q")
    run(samples, model, "q", existing="overwrite", storage="database", keep=False)
    assert not any(p.exists() for p in before)
    files = on_disk(samples)
    assert {p for p in files if p.suffix == ".png"} == set(paths(samples, "p"))
    assert len([p for p in files if p.suffix == ".npz"]) == 2  # what was kept of two images
    run(samples, model, existing="overwrite", storage="database", keep=False)
    assert not on_disk(samples)
    assert not (mask_files.root() / str(samples._doc.id)).exists()


def test_a_users_own_mask_files_are_never_deleted(dataset, model, tmp_path):
    own = tmp_path / "mask.png"
    Image.fromarray(np.ones((4, 4), np.uint8)).save(own)
    one = fo.Detection(label="a", bounding_box=[0, 0, 0.1, 0.1], mask_path=str(own))
    dataset.set_values("p", [fo.Detections(detections=[one])])
    run(dataset, model, existing="overwrite")
    assert own.is_file()


def asked(samples, field):
    return [Kept(samples, field).segmentation(sample) for sample in samples.values("id")]


@pytest.mark.parametrize("way", [renamed, cloned_field, cloned_dataset])
def test_what_was_kept_goes_with_the_labels(samples, model, way):
    run(samples, model)
    before = [None if s is None else len(s) for s in asked(samples, "p")]
    assert before[1] is None  # no image
    other, field, existing = way(samples)
    run(samples, model, existing=existing, conf=0.6, keep=False)
    assert [None if s is None else len(s) for s in asked(other, field)] == before
    assert asked(samples, "p") == [None] * 3  # nothing was kept of the new labels
    run(samples, model, existing="overwrite", conf=0.6)
    found = asked(samples, "p")
    for sample, seg in zip(samples, found, strict=True):
        if seg is not None:
            assert seg.scores.min() >= 0.6
            assert len(seg) == len(sample["p"].detections)
    assert [None if s is None else len(s) for s in asked(other, field)] == before
    if other is not samples:
        other.delete()


def test_labels_of_others_have_nothing_kept(samples, model):
    run(samples, model)
    samples.set_values("p", [fo.Detections(detections=[]) for _ in range(3)])
    assert asked(samples, "p") == [None] * 3


def test_a_damaged_kept_file_costs_a_look_at_the_image(samples, model):
    good = samples.limit(1)
    run(good, model)
    boxes = fo.Detections(detections=[fo.Detection(bounding_box=[0, 0, 1, 1])])
    good.set_values("boxes", [boxes])
    (file,) = (p for p in on_disk(samples) if p.suffix == ".npz")
    file.write_bytes(file.read_bytes()[:500])
    *_, report = segment_job.from_prompts(
        good, "asked", model, boxes="boxes", proposals="p", segmenting=SEGMENTING
    )
    assert (report.instances, report.failed) == (1, {})


def test_labels_that_are_added_keep_files_of_those_before(samples, model):
    run(samples, model)
    before = paths(samples, "p")
    kept_before = asked(samples, "p")
    *_, _ = promote(samples, "p", "p", PromoteOptions(label="twice"), CleanOptions(),
                    storing=StoreOptions(storage="files"), existing="append")  # fmt: skip
    after = paths(samples, "p")
    assert set(before) < set(after)
    assert len(after) == 2 * len(before)
    assert all(p.is_file() for p in after)
    kept_after = asked(samples, "p")
    assert [s and len(s) for s in kept_after] == [s and len(s) for s in kept_before]


# --- data of earlier versions -------------------------------------------------------------------


@pytest.fixture
def old(samples, model):
    """A field as versions wrote it that kept by place: ``fastsam/DATASET/FIELD/SAMPLE/``."""
    run(samples, model)
    for sample in samples:
        if sample["p"] is None:
            continue
        folder = mask_files.root() / str(samples._doc.id) / "p" / sample.id
        folder.mkdir(parents=True)
        for one in sample["p"].detections:
            place = folder / Path(one.mask_path).name
            Path(one.mask_path).rename(place)
            one.mask_path = str(place)
        del sample["p"]["fastsam"]
        sample.save()
        seg = model.segment(read_image(sample.filepath), SEGMENTING)
        npz.write(seg, folder / "kept.npz")
    for file in on_disk(samples):
        if "." in file.parents[1].name:
            file.unlink()
    samples.reload()
    assert "fastsam" not in samples.first()["p"]
    return samples


def test_old_files_are_found_where_they_were_kept(old):
    assert [s and len(s) for s in asked(old, "p")] == [
        d and len(d.detections) for d in old.values("p")
    ]


@pytest.mark.parametrize("way", [renamed, cloned_field, cloned_dataset])
def test_old_files_go_with_the_labels_too(old, model, way):
    expected = [s and len(s) for s in asked(old, "p")]
    before = paths(old, "p")
    other, field, existing = way(old)
    run(old, model, existing=existing, conf=0.6, keep=False)
    assert [s and len(s) for s in asked(other, field)] == expected
    assert asked(old, "p") == [None] * 3
    assert all(p.is_file() for p in before)
    if other is not old:
        other.delete()


def test_old_files_are_never_those_of_other_labels(old):
    """An old field that was renamed left its files to whoever took its name."""
    first = old.first()
    first["p"] = fo.Detections(
        detections=[fo.Detection(bounding_box=[0, 0, 1, 1], confidence=0.123, label="mine")]
    )
    first.save()
    assert asked(old, "p")[0] is None


def test_old_files_that_nothing_needs_go(old, model):
    old_files = on_disk(old)
    assert len([f for f in old_files if f.name == "kept.npz"]) == 2
    run(old, model, existing="overwrite", conf=0.5)
    assert not old_files & on_disk(old)
    assert all(p.is_file() for p in paths(old, "p"))
