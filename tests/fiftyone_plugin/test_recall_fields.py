"""What a run of recall writes, and what a person keeps under such names."""

from __future__ import annotations

import fiftyone as fo
import pytest

from fiftyone_plugin.recall_fields import check_unused, has_results, written


def test_what_is_written_is_named_after_the_run_and_both_fields(dataset):
    dataset.add_sample_field("truth", fo.EmbeddedDocumentField, fo.Detections)
    dataset.add_sample_field("found", fo.EmbeddedDocumentField, fo.Polylines)
    paths = written(dataset, "truth", "found", "run")
    assert {"run_tp", "run_recall", "truth.detections.run_rank", "found.polylines.run_iou"} < set(
        paths
    )
    assert paths["run_recall"] is fo.FloatField


def test_a_name_that_the_person_uses_is_refused(dataset):
    dataset.add_sample_field("truth", fo.EmbeddedDocumentField, fo.Detections)
    dataset.add_sample_field("found", fo.EmbeddedDocumentField, fo.Detections)
    check_unused(dataset, "truth", "found", "run")
    dataset.add_sample_field("run_recall", fo.FloatField)
    with pytest.raises(ValueError, match="run_recall is a field: name the run otherwise"):
        check_unused(dataset, "truth", "found", "run")


def test_a_run_that_there_is_not_has_no_results(dataset):
    assert not has_results(dataset, "run")
