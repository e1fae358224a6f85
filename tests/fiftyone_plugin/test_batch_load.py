"""Results of ``fastsam batch`` in a dataset: those of the network, and each once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

import fiftyone as fo

from fastsam_plugins import SegmentOptions
from fastsam_plugins.scale import rows
from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.results import Results
from fiftyone_plugin import batch_load, segment_job
from fiftyone_plugin.labels import shape_of
from fiftyone_plugin.parameters import LoadOptions
from tests.command import done, one_error, run
from tests.engine.scale.test_results import manifest

QUICK = ("--imgsz", 160, "--conf", 0.2, "--device", "cpu", "--max-errors", 1)


@pytest.fixture
def results(samples, tmp_path):
    """Of the images of ``samples``."""
    done("batch", f"fiftyone:{samples.name}", "-o", tmp_path / "out", "--shard", 2, *QUICK)
    return Results(str(tmp_path / "out"))


def told(label):
    return [(d.confidence, d.stability, d.area, d.mask.tobytes()) for d in label.detections]


def test_a_field_is_what_the_network_writes_there(samples, results, model):
    (*_, direct) = segment_job.everything(
        samples, "direct", model, SegmentOptions(imgsz=160, conf=0.2)
    )
    (*_, report) = batch_load.load(samples, "loaded", results)
    samples.reload()
    assert (report.done, report.instances) == (direct.done, direct.instances)
    assert list(report.failed) == list(direct.failed)
    good = 0
    for sample in samples:
        assert (sample["loaded"] is None) == (sample["direct"] is None)
        if sample["direct"] is not None:
            good += 1
            for one, two in zip(told(sample["loaded"]), told(sample["direct"]), strict=True):
                assert one[0] == two[0]
                assert one[1] == pytest.approx(two[1], abs=1e-6)
                assert one[2:] == two[2:]
        else:
            assert "bad.png" in sample["loaded_error"]
    assert good == 2


def test_the_command_makes_a_dataset_and_does_nothing_twice(results, samples):
    name = f"{samples.name}-made"
    line = one_error(run("fiftyone", "load", results.address, name, "found"))
    assert f"there is no FiftyOne dataset {name}" in line
    try:
        said = done("fiftyone", "load", results.address, name, "found", "--create")
        assert "2 samples" in said.stdout
        made = fo.load_dataset(name)
        ids = made.values("found.detections._id")
        again = done("fiftyone", "load", results.address, name, "found")
        assert "0 samples, 0 instances in found, 2 had labels already" in again.stdout
        made.reload()
        assert made.values("found.detections._id") == ids
        assert sum(len(i or ()) for i in ids) == results.counts(results.done()).instances > 0
    finally:
        fo.delete_dataset(name)


def test_texts_are_labels_with_a_similarity(samples, tmp_path, dummy):
    file = samples.first().filepath
    seg = dummy(shape_of_file(samples), count=3)
    results = Results(str(tmp_path / "out"))
    results.begin(manifest(), new=False)
    results.add([Item(file)], 1)
    found = replace(seg, prompts=np.array([1, 0, 1]))
    texts = ["cat", "dog", "cat"]
    results.write(
        0, [rows.of_instances(file, "", found, found.stability.tolist(), texts, [0.3, 0.2, 0.1])]
    )
    list(batch_load.load(samples, "loaded", results))
    samples.reload()
    kept = samples.first()["loaded"].detections
    shown = [(d.label, pytest.approx(d.similarity)) for d in kept]
    assert shown == list(zip(texts, [0.3, 0.2, 0.1], strict=True))[: len(kept)]


def shape_of_file(samples):
    samples.compute_metadata(progress=False)
    shape = shape_of(samples.first())
    assert shape
    return shape


def test_results_of_other_images_are_refused(samples, results, dataset):
    with pytest.raises(ValueError, match="no sample is of an image in"):
        batch_load.load(dataset, "loaded", results)
    with pytest.raises(ValueError, match="holds no results of fastsam batch"):
        batch_load.load_into("/none/there", samples.name, "loaded", LoadOptions())
