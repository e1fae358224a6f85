"""Segmenting and prompting a dataset, on a real database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins import SegmentOptions, open_raster, read_image
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import LimitOptions, PromptOptions, TileOptions
from fastsam_plugins.paths import SAMPLES
from fiftyone_plugin import labels, mask_files, segment_job
from fiftyone_plugin.storage import StoreOptions

SEGMENTING = SegmentOptions(conf=0.25, max_det=40, imgsz=320)
LIGHT = StoreOptions(keep=False)

pytestmark = pytest.mark.usefixtures("one_thread")


def run(function, *args, **options):
    """The report at the end; options have those of these tests as default."""
    options = {"segmenting": SEGMENTING, "storing": LIGHT, "batch": 2} | options
    *_, report = function(*args, **options)
    return report


def everything(samples, model, field="found", **options):
    return run(segment_job.everything, samples, field, model, **options)


def masks(sample, field):
    with Image.open(sample.filepath) as image:
        shape = image.size[::-1]
    return [R.to_bitmap(m, shape) for m in labels.masks(sample[field], shape)]


def iou(a, b):
    return (a & b).sum() / max((a | b).sum(), 1)


def files_of(samples, field="found"):
    folder = mask_files.root() / str(samples._doc.id)
    return sorted(f for f in folder.glob(f"{field}.*/*/*") if f.is_file())


@pytest.mark.parametrize("storage", ["auto", "database", "files", "polylines"])
def test_stored_masks_are_the_engines(samples, model, storage):
    report = everything(samples, model, storing=StoreOptions(storage=storage, keep=False))
    assert (report.total, report.done, report.skipped) == (3, 3, 0)
    assert list(report.failed) == [samples.skip(1).first().filepath]
    assert report.instances == samples.count(
        f"found.{'polylines' if storage == 'polylines' else 'detections'}"
    )
    for sample in (samples.first(), samples.last()):
        seg = model.segment(read_image(sample.filepath), SEGMENTING)
        assert sample["found_error"] is None
        assert not sample["found"]["fastsam"]["kept"]
        stored = masks(sample, "found")
        assert len(stored) == len(seg) > 1
        ious = [iou(mask, seg.mask(i)) for i, mask in enumerate(stored)]
        assert min(ious) >= (0.98 if storage == "polylines" else 1)
        first = sample["found"][labels_list(sample["found"])][0]
        assert first.confidence == pytest.approx(seg.scores[0])
        assert first["area"] == seg.areas[0]
        assert first["stability"] == pytest.approx(seg.stability[0])
    bad = samples.skip(1).first()
    assert bad["found"] is None
    assert "not an image" in bad["found_error"]
    assert bool(files_of(samples)) == (storage == "files")


@pytest.mark.parametrize("storage", ["database", "polylines"])
def test_what_masks_are_worth_is_said_when_asked_for(samples, model, storage):
    everything(samples, model)
    assert "found.detections.iou_pred" not in samples.get_field_schema(flat=True)
    told = StoreOptions(storage=storage, keep=False, iou_pred=True)
    everything(samples, model, "worth", storing=told)
    for sample in (samples.first(), samples.last()):
        seg = model.segment(read_image(sample.filepath), SEGMENTING)
        kept = [one["iou_pred"] for one in sample["worth"][labels_list(sample["worth"])]]
        assert kept == pytest.approx(seg.iou_pred.tolist(), abs=1e-6)
    root = "worth.polylines" if storage == "polylines" else "worth.detections"
    assert isinstance(samples.get_field(f"{root}.iou_pred"), fo.FloatField)
    assert samples.sort_by(f"{root}.iou_pred").count() == 3


def labels_list(label):
    return label._LABEL_LIST_FIELD


def test_overwriting_leaves_no_file_behind(samples, model):
    files = StoreOptions(storage="files", keep=True)
    first = everything(samples, model, storing=files)
    assert len(files_of(samples)) == first.instances + 2  # and what is kept of two images
    before = samples.values("found.detections.mask_path", unwind=True)
    again = everything(samples, model, storing=files, existing="overwrite",
                       segmenting=SEGMENTING.replace(conf=0.5))  # fmt: skip
    assert 0 < again.instances < first.instances
    assert len(files_of(samples)) == again.instances + 2
    used = samples.values("found.detections.mask_path", unwind=True)
    assert not set(used) & set(before)
    assert all(Path(p).is_file() for p in used if p)
    everything(samples, model, existing="overwrite")
    assert files_of(samples) == []


def test_masks_that_would_outgrow_a_sample_become_files(samples, model, monkeypatch):
    monkeypatch.setattr("fiftyone_plugin.storage.LIMIT", 3000)
    everything(samples, model)
    assert len(files_of(samples)) == samples.count("found.detections")
    one = samples.first()
    assert one["found"].detections[0].mask is None
    seg = model.segment(read_image(one.filepath), SEGMENTING)
    assert iou(masks(one, "found")[0], seg.mask(0)) == 1


def test_labels_that_are_there_are_refused_skipped_or_overwritten(samples, model):
    everything(samples.limit(1), model)
    with pytest.raises(ValueError, match="1 samples have labels in found already"):
        everything(samples, model)
    ids = samples.first()["found"].detections[0].id
    report = everything(samples, model, existing="skip")
    assert (report.total, report.skipped) == (2, 1)
    assert samples.first()["found"].detections[0].id == ids
    assert everything(samples, model, existing="overwrite").total == 3
    assert samples.first()["found"].detections[0].id != ids


def test_a_run_that_was_killed_goes_on(samples, tmp_path):
    """Killed after the first batch of one: what was saved stays, the rest is done once."""
    samples.persistent = True
    program = textwrap.dedent(
        f"""
        import os, signal
        import fiftyone as fo
        from fastsam_plugins import FastSAM, SegmentOptions
        from fiftyone_plugin import segment_job
        samples = fo.load_dataset({samples.name!r})
        options = SegmentOptions(conf=0.25, max_det=40, imgsz=320)
        model = FastSAM("FastSAM-n", device="cpu")
        for report in segment_job.everything(samples, "found", model, options, batch=1):
            if report.done == 1:
                os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    samples.reload()
    assert len(samples.exists("found")) == 1
    from fastsam_plugins import FastSAM

    before = samples.first()["found"].detections[0].id
    report = everything(samples, FastSAM("FastSAM-n", device="cpu"), existing="skip")
    assert (report.total, report.done, report.skipped) == (2, 2, 1)
    assert samples.first()["found"].detections[0].id == before
    assert len(samples.exists("found")) == 2


def test_views_and_groups_and_what_cannot_be_segmented(samples, model, tmp_path):
    chosen = samples.match(fo.ViewField("filepath").ends_with("coins.png"))
    assert everything(chosen, model).total == 1
    assert samples.values("found.detections", unwind=False)[2] is None

    with pytest.raises(ValueError, match="patches"):
        everything(samples.to_patches("found"), model, "other")
    with pytest.raises(ValueError, match="no samples"):
        everything(samples.limit(0), model, "other")
    with pytest.raises(ValueError, match="filepath exists and is no field of Detections"):
        everything(samples, model, "filepath")
    with pytest.raises(ValueError, match="'my field' cannot be a field"):
        everything(samples, model, "my field")
    video = fo.Dataset()
    video.add_sample(fo.Sample(filepath=str(tmp_path / "film.mp4")))
    with pytest.raises(ValueError, match="of type video"):
        everything(video, model)
    video.delete()

    grouped = fo.Dataset()
    grouped.add_group_field("group", default="left")
    group = fo.Group()
    grouped.add_samples([
        fo.Sample(filepath=str(SAMPLES / name), group=group.element(place))
        for place, name in (("left", "coins.png"), ("right", "ihc.jpg"))
    ])  # fmt: skip
    assert everything(grouped, model).done == 2
    for place in ("left", "right"):
        grouped.group_slice = place
        assert len(grouped.first()["found"].detections) > 1
    grouped.delete()


STRICT = SegmentOptions(conf=0.999)  # finds nothing


@pytest.fixture
def prompted(samples):
    first = samples.first()
    boxes = [[0.1, 0.05, 0.15, 0.2], [0.5, 0.4, 0.2, 0.2]]
    first["boxes"] = fo.Detections(
        detections=[fo.Detection(label=f"coin {k}", bounding_box=b) for k, b in enumerate(boxes)]
    )
    first.save()
    return samples


def test_kept_proposals_answer_prompts_without_the_network(prompted, model, monkeypatch):
    everything(prompted, model, "proposals", storing=StoreOptions())
    run(segment_job.from_prompts, prompted, "asked", model, boxes="boxes")

    def no_network(*_, **__):
        raise AssertionError("the network was asked")

    good = prompted.match(fo.ViewField("filepath").ends_with("bad.png") == False)  # noqa: E712
    monkeypatch.setattr(model.backend, "run", no_network)
    report = run(
        segment_job.from_prompts, good, "kept", model, boxes="boxes", proposals="proposals"
    )
    assert (report.done, report.failed) == (2, {})
    first = prompted.first()
    a, b = first["asked"].detections, first["kept"].detections
    assert [d.label for d in b] == [d.label for d in a] == ["coin 0", "coin 1"]
    assert [d["source"] for d in b] == [d.id for d in first["boxes"].detections]
    assert all(np.array_equal(x.mask, y.mask) for x, y in zip(a, b, strict=True))
    assert prompted.last()["kept"].detections == []


def test_only_the_labels_named_are_prompts(prompted, model):
    chosen = prompted.first()["boxes"].detections[1].id
    run(segment_job.from_prompts, prompted, "asked", model, boxes="boxes", only={chosen},
        prompting=PromptOptions(boxes_mode="mask_iou"))  # fmt: skip
    assert [d["source"] for d in prompted.first()["asked"].detections] == [chosen]


def test_prompts_that_do_not_fit_are_refused_before_anything_is_written(prompted, model):
    for fields, message in (
        ({}, "nothing to prompt with"),
        ({"boxes": "nothing"}, "nothing is no field of Detections"),
        ({"points": "boxes"}, "boxes is no field of Keypoints"),
    ):
        with pytest.raises(ValueError, match=message):
            run(segment_job.from_prompts, prompted, "asked", model, **fields)
    assert "asked" not in prompted.get_field_schema()


def test_a_sample_beyond_the_limits_costs_itself_only(samples, model):
    sizes = {}
    for sample in (samples.first(), samples.last()):
        with Image.open(sample.filepath) as image:
            sizes[sample.filepath] = image.size[0] * image.size[1]
    large = max(sizes, key=sizes.get)
    limits = LimitOptions(max_pixels=sizes[large] - 1)
    report = everything(samples, model, limits=limits)
    assert "max_pixels" in report.failed[large]
    assert "max_pixels" in samples[large]["found_error"]
    assert report.instances > 0


def test_prompts_predict_where_nothing_is_to_select(prompted, model):
    """Kept proposals or not: the same masks, one for every box, whatever conf left."""
    everything(prompted, model, "proposals", storing=StoreOptions(), segmenting=STRICT)
    predicting = PromptOptions(predict=True)
    first = prompted.first()
    for field, more in (("asked", {}), ("kept", {"proposals": "proposals"})):
        run(segment_job.from_prompts, prompted, field, model, boxes="boxes", prompting=predicting,
            segmenting=STRICT, **more)  # fmt: skip
        first.reload()
        found = first[field].detections
        assert [d.label for d in found] == ["coin 0", "coin 1"]
        assert all(0 < d.confidence < 1 for d in found)
    pairs = zip(first["asked"].detections, first["kept"].detections, strict=True)
    assert all(np.array_equal(a.mask, b.mask) for a, b in pairs)


def test_in_windows_each_prompt_is_predicted_by_itself(prompted, model):
    """As one after another, with the size of a window that was asked for, and nothing else read."""
    sample = prompted.first()
    beyond = fo.Detection(label="beyond", bounding_box=[1.5, 1.5, 0.1, 0.1])
    sample["boxes"].detections.append(beyond)
    height, width = read_image(sample.filepath).shape[:2]
    x, y, w, h = sample["boxes"].detections[0].bounding_box
    sample["points"] = fo.Keypoints(
        keypoints=[
            fo.Keypoint(
                label="in", points=[(x + w / 2, y + h / 2), (0.99, 0.01)], sam_labels=[1, 0]
            )
        ]
    )
    sample.save()
    tiling = TileOptions(tile=128)
    options = {"prompting": PromptOptions(predict=True), "tiling": tiling}
    report = run(segment_job.from_prompts, prompted, "tiled", model, boxes="boxes", **options)
    assert (report.prompts, report.answered) == (3, 2)
    assert dict(report.unanswered) == {"the box is empty or outside the image": 1}
    run(segment_job.from_prompts, prompted, "pointed", model, points="points", **options)
    sample.reload()
    found = sample["tiled"].detections
    assert [d.label for d in found] == ["coin 0", "coin 1"]
    raster = open_raster(sample.filepath)

    def alone(*prompt):
        return model.predict_tiled(raster, *prompt, options=SEGMENTING, tile=128)

    boxes = [d.bounding_box for d in sample["boxes"].detections[:2]]
    corners = [np.multiply([x, y, x + w, y + h], (width, height) * 2) for x, y, w, h in boxes]
    spots = np.multiply(sample["points"].keypoints[0].points, (width, height))
    expected = [*(alone(None, None, [box]) for box in corners), alone(spots, [1, 0])]
    got = masks(sample, "tiled") + masks(sample, "pointed")
    for mask, detection, seg in zip(
        got, [*found, *sample["pointed"].detections], expected, strict=True
    ):
        assert mask.any()
        assert np.array_equal(mask, seg.masks()[0])
        assert detection.confidence == pytest.approx(float(seg.scores[0]))


def test_kept_proposals_are_of_no_use_in_windows(prompted, model):
    everything(prompted, model, "proposals", storing=StoreOptions(), segmenting=STRICT)
    with pytest.raises(ValueError, match="leave out the kept proposals"):
        run(segment_job.from_prompts, prompted, "tiled", model, boxes="boxes",
            proposals="proposals", prompting=PromptOptions(predict=True),
            tiling=TileOptions())  # fmt: skip


def test_kept_proposals_that_are_diverse_answer_as_they_were_kept(prompted, model):
    """Their scores are lower than conf, and none of them is lost."""
    diverse = SegmentOptions(conf=0.3, diverse=0.9)
    everything(prompted, model, "proposals", storing=StoreOptions(), segmenting=diverse)
    for field, more in (("asked", {}), ("kept", {"proposals": "proposals"})):
        run(segment_job.from_prompts, prompted, field, model, boxes="boxes", segmenting=diverse,
            **more)  # fmt: skip
    first = prompted.first()
    pairs = zip(first["asked"].detections, first["kept"].detections, strict=True)
    assert all(np.array_equal(a.mask, b.mask) for a, b in pairs)
    for other in (SegmentOptions(conf=0.3), SegmentOptions(conf=0.5, diverse=0.9)):
        with pytest.raises(ValueError, match="was kept with"):
            run(segment_job.from_prompts, prompted, "other", model, boxes="boxes",
                proposals="proposals", segmenting=other)  # fmt: skip
