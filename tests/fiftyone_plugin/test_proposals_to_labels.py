"""Proposals to labels."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.options import CleanOptions
from fiftyone_plugin.proposals_to_labels import PromoteOptions, promote

SIDE = 100


def square(x, y, side=20, **attributes):
    place = [x / SIDE, y / SIDE, side / SIDE, side / SIDE]
    return fo.Detection(bounding_box=place, mask=np.ones((side, side), np.bool_), **attributes)


@pytest.fixture
def samples(tmp_path):
    """One image: three proposals and a duplicate; the first is labelled already."""
    Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(tmp_path / "image.png")
    made = fo.Dataset()
    found = [
        square(0, 0, label="a", confidence=0.9),
        square(40, 0, label="b", confidence=0.8),
        square(40, 1, label="b", confidence=0.7),
        square(60, 60, 40, label="c", confidence=0.3),
    ]
    made.add_sample(
        fo.Sample(
            filepath=str(tmp_path / "image.png"),
            proposals=fo.Detections(detections=found),
            truth=fo.Detections(detections=[square(1, 0, label="known")]),
        )
    )
    yield made
    made.delete()


def chosen(samples, field="out", cleaning=None, truth=None, existing="refuse", **options):
    """Confidence of the proposals that became labels."""
    *_, report = promote(
        samples, "proposals", field, PromoteOptions(**options), cleaning, truth, existing=existing
    )
    found = samples.first()[field].detections
    assert report.instances == len([d for d in found if "source" in d])
    return [round(d.confidence, 3) for d in found if d.confidence is not None]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.9, 0.8, 0.7, 0.3]),
        ({"min_score": 0.75}, [0.9, 0.8]),
        ({"max_area": 1000}, [0.9, 0.8, 0.7]),
        ({"cleaning": CleanOptions(min_area=1000)}, [0.3]),
        ({"cleaning": CleanOptions(mask_iou=0.8)}, [0.9, 0.8, 0.3]),
        ({"truth": "truth", "max_truth_iou": 0.5}, [0.8, 0.7, 0.3]),
        ({"truth": "truth", "min_truth_iou": 0.5}, [0.9]),
    ],
)
def test_what_is_chosen(samples, options, expected):
    assert chosen(samples, **options) == expected


def test_labels_masks_and_sources_are_carried_along(samples):
    chosen(samples, cleaning=CleanOptions(mask_iou=0.8))
    proposals, out = (samples.first()[f].detections for f in ("proposals", "out"))
    assert [d.label for d in out] == ["a", "b", "c"]
    assert [d["source"] for d in out] == [proposals[k].id for k in (0, 1, 3)]
    assert out[2].mask.all()
    assert out[2].mask.shape == (40, 40)
    assert out[2].bounding_box == pytest.approx(proposals[3].bounding_box)
    chosen(samples, "named", label="cell")
    assert samples.distinct("named.detections.label") == ["cell"]


def test_labels_can_be_added_to_those_there_are(samples):
    chosen(samples, "truth", truth="truth", max_truth_iou=0.5, existing="append")
    assert [d.label for d in samples.first()["truth"].detections] == ["known", "b", "b", "c"]


def test_what_cannot_be_is_refused(samples):
    with pytest.raises(ValueError, match=r"nothing is no field .* \(there are: proposals, truth\)"):
        list(promote(samples, "nothing", "out"))
    with pytest.raises(ValueError, match="needs a field of ground truth"):
        list(promote(samples, "proposals", "out", PromoteOptions(max_truth_iou=0.5)))
    with pytest.raises(ValueError, match="labels in truth already"):
        list(promote(samples, "proposals", "truth"))
    assert "out" not in samples.get_field_schema()
