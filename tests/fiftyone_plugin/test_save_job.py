"""What a run does to a dataset that others change meanwhile, and to fields that are not its own."""

from __future__ import annotations

import threading
from pathlib import Path

import fiftyone as fo
import pytest

from fastsam_plugins import SegmentOptions
from fastsam_plugins.paths import SAMPLES
from fiftyone_plugin import coco_transfer, mask_files, recall, segment_job
from fiftyone_plugin.proposals_to_labels import promote
from fiftyone_plugin.save_job import GONE
from fiftyone_plugin.storage import StoreOptions

SEGMENTING = SegmentOptions(conf=0.25, max_det=6, imgsz=320)
LIGHT = StoreOptions(keep=False)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def many():
    """Six samples of one image."""
    made = fo.Dataset()
    made.add_samples([fo.Sample(filepath=str(SAMPLES / "coins.png")) for _ in range(6)])
    yield made
    made.delete()


def everything(samples, model, field="p", existing="refuse", storing=LIGHT):
    return segment_job.everything(
        samples, field, model, SEGMENTING, storing=storing, existing=existing, batch=1
    )


def last(reports):
    *_, report = reports
    return report


# --- the field of errors ------------------------------------------------------------------------


def test_no_field_of_errors_where_nothing_failed(samples, model):
    last(everything(samples.limit(1), model))
    assert "p_error" not in samples.get_field_schema()
    report = last(everything(samples, model, existing="skip"))
    assert "not an image" in samples.skip(1).first()["p_error"]
    assert list(report.failed) == [samples.skip(1).first().filepath]


@pytest.mark.parametrize(
    ("kind", "values"),
    [(fo.FloatField, [0.1, 0.2, 0.3]), (fo.StringField, ["mine", "my own", "too"])],
)
def test_a_users_own_field_of_that_name_is_left_alone(samples, model, kind, values):
    samples.add_sample_field("p_error", kind)
    samples.set_values("p_error", values)
    last(everything(samples, model))
    assert samples.values("p_error") == values
    assert "not an image" in samples.skip(1).first()["p_fastsam_error"]


def test_an_error_goes_when_the_sample_is_done(samples, model):
    last(everything(samples, model))
    bad = samples.skip(1).first()
    Path(bad.filepath).write_bytes((SAMPLES / "coins.png").read_bytes())
    assert last(everything(samples, model, existing="skip")).failed == {}
    bad.reload()
    assert bad["p_error"] is None
    assert bad["p"].detections


# --- what others do meanwhile -------------------------------------------------------------------


@pytest.mark.parametrize("existing", ["skip", "overwrite", "append"])
def test_a_sample_deleted_during_a_run_costs_itself(many, model, existing):
    ids = many.values("id")
    last(everything(many.limit(1), model))
    reports = everything(many, model, existing=existing, storing=StoreOptions(storage="files"))
    for report in reports:
        if report.done == 1:
            many.delete_samples(ids[3:5])
    assert report.done == report.total
    assert list(report.failed.values()) == [GONE] * 2
    assert ids[4] in list(report.failed)[1]  # both are of one file
    assert len(many.exists("p")) == 4
    assert report.instances == many.count("p.detections") - (
        0 if existing == "overwrite" else len(many.first()["p"].detections) // (
            1 if existing == "skip" else 2
        )
    )  # fmt: skip
    folder = mask_files.root() / str(many._doc.id)
    assert not [p for p in folder.rglob("*") if p.name in ids[3:5]]


def test_prompting_choosing_and_measuring_survive_a_deleted_sample_too(many, model):
    last(everything(many, model))
    boxes = fo.Detections(detections=[fo.Detection(label="a", bounding_box=[0, 0, 1, 1])])
    many.set_values("boxes", [boxes.copy() for _ in range(6)])
    ids = many.values("id")
    for start, gone in (
        (lambda: segment_job.from_prompts(many, "asked", model, boxes="boxes", batch=1,
                                         segmenting=SEGMENTING), ids[3]),
        (lambda: promote(many, "p", "chosen", batch=1), ids[4]),
        (lambda: recall.run(many, "p", "boxes", "r"), ids[5]),
    ):  # fmt: skip
        reports = start()
        next(reports)
        many.delete_samples([gone])
        report = last(reports)
        assert report.done == report.total
        assert list(report.failed.values()) == [GONE]
    assert many.load_evaluation_results("r").summary["images"] == 3


def test_labels_that_somebody_else_writes_meanwhile_are_not_replaced(many, model):
    mine = fo.Detections(detections=[fo.Detection(label="mine", bounding_box=[0, 0, 1, 1])])
    for report in everything(many, model, storing=StoreOptions(storage="files")):
        if report.done == 1:
            one = many.skip(4).first()
            one["p"] = mine
            one.save()
    many.reload()
    assert many.values("p.detections.label")[4] == ["mine"]
    assert (report.skipped, report.done, report.failed) == (1, 6, {})
    paths = many.values("p.detections.mask_path", unwind=True)
    assert all(Path(p).is_file() for p in paths if p)


def test_two_runs_into_one_new_field_both_end_whole(many, model):
    reports, errors = [], []

    def work():
        try:
            run = everything(many, model, storing=StoreOptions(storage="files"))
            both.wait()
            reports.append(last(run))
        except BaseException as error:
            errors.append(error)

    both = threading.Barrier(2)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    many.reload()
    counts = {len(d.detections) for d in many.values("p")}
    assert len(counts) == 1  # of one image, each labelled once
    assert sum(r.instances for r in reports) == 6 * counts.pop()
    assert sum(r.skipped for r in reports) == 6
    paths = many.values("p.detections.mask_path", unwind=True)
    assert all(Path(p).is_file() for p in paths)
    folder = mask_files.root() / str(many._doc.id)
    assert {str(p) for p in folder.rglob("*.png")} == set(paths)


def test_two_runs_that_add_labels_lose_none(many, model):
    last(everything(many, model))
    before = many.count("p.detections")
    threads = [
        threading.Thread(target=lambda: last(everything(many, model, existing="append")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    many.reload()
    assert many.count("p.detections") == 3 * before


@pytest.mark.parametrize("how", ["delete_sample_field", "rename_sample_field"])
def test_a_field_that_is_gone_stops_the_run(many, model, how):
    reports = everything(many, model)
    while next(reports).done < 2:
        pass
    getattr(many, how)("p", *(["q"] if "rename" in how else []))
    with pytest.raises(RuntimeError, match="p was deleted or renamed during the run, after 2 of 6"):
        next(reports)
    assert "p" not in many.get_field_schema()
    assert all("p" not in d for d in many._sample_collection.find({}))


def test_a_full_disk_leaves_no_file_without_label(many, model, monkeypatch):
    """The fault is injected where a file is written, after some."""
    from fastsam_plugins.io import atomic

    real, written = atomic.write_bytes, []

    def full(path, content, flush=True):
        if len(written) == 8:
            raise atomic.OutputError.of(OSError(28, "No space left on device"), path)
        written.append(path)
        real(path, content, flush=flush)

    monkeypatch.setattr(atomic, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        last(everything(many, model, storing=StoreOptions(storage="files", keep=False)))
    many.reload()
    paths = many.values("p.detections.mask_path", unwind=True)
    folder = mask_files.root() / str(many._doc.id)
    assert {str(p) for p in folder.rglob("*.png")} == {p for p in paths if p}
    monkeypatch.undo()
    report = last(everything(many, model, existing="skip"))
    assert report.skipped + report.done == 6
    assert len(many.exists("p")) == 6


def test_labels_too_many_for_the_database_cost_their_sample(many, model):
    many.add_sample_field("large", fo.StringField)
    many.limit(1).set_values("large", ["x" * 15_900_000])
    few = many.limit(2)
    storing = StoreOptions(storage="database", keep=False)
    segmenting_ = SEGMENTING.replace(max_det=100_000, conf=0.0, imgsz=640)
    report = last(segment_job.everything(few, "p", model, segmenting_, storing=storing, batch=1))
    assert ["16 MB" in e for e in report.failed.values()] == [True]
    assert len(many.exists("p")) == 1


def test_one_mask_that_is_gone_costs_its_sample(many, model, tmp_path):
    last(everything(many, model, storing=StoreOptions(storage="files")))
    file = many.last()["p"].detections[0].mask_path
    Path(file).unlink()
    report = last(promote(many, "p", "chosen"))
    assert len(report.failed) == 1
    assert len(many.exists("chosen")) == 5
    report = last(coco_transfer.export(many, "p", tmp_path / "out.json"))
    assert (report.done, len(report.failed)) == (6, 1)
    report = last(recall.run(many, "p", "chosen", "r"))
    assert (report.done, len(report.failed)) == (6, 1)
    assert many.load_evaluation_results("r").summary["images"] == 5


def test_samples_are_counted_whatever_the_databases_statistics_say(
    many, model, tmp_path, monkeypatch
):
    """They say 0 after the database was killed; ``test_database_killed.py`` does that."""
    monkeypatch.setattr(fo.Dataset, "_estimated_count", lambda *_, **__: 0)
    assert len(many) == 0
    last(everything(many.select(many.values("id")[:2]), model))
    report = last(everything(many, model, existing="skip"))
    assert (report.total, report.done, report.skipped) == (4, 4, 2)
    assert last(promote(many, "p", "chosen")).done == 6
    report = last(
        segment_job.from_prompts(many, "asked", model, boxes="chosen", segmenting=SEGMENTING)
    )
    assert report.done == 6
    assert last(recall.run(many, "p", "chosen", "r")).total == 6
    path = tmp_path / "out.json"
    report = last(coco_transfer.export(many, "p", path))
    assert (report.total, report.done) == (6, 6)
    assert last(coco_transfer.import_(many, "back", path)).done == 6
