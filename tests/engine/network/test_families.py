"""Other families and many classes: the masks are ultralytics' own of the same file."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins import FastSAM, read_image
from fastsam_plugins.network import weights
from fastsam_plugins.network.checkpoints import WeightsError
from fastsam_plugins.options import SegmentOptions, WeightsOptions
from fastsam_plugins.paths import SAMPLES
from support import oracle

NETWORKS = [("yolov8n-seg", 80), ("yolo11n-seg", 5), ("yolo26n-seg", 1), ("yolo26n-seg", 80)]
SETTINGS = {"imgsz": 192, "conf": 0.3, "iou": 0.7, "max_det": 60}


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda p: f"{p[0]} {p[1]}")
def network(request, tmp_path_factory):
    """A checkpoint that ultralytics wrote."""
    name, classes = request.param
    path = tmp_path_factory.mktemp("network") / f"{name}-{classes}.pt"
    return oracle.untrained(name, classes, path)


@pytest.fixture(scope="module")
def picture():
    return read_image(SAMPLES / "coins.png")


def test_the_masks_are_those_of_ultralytics(network, picture):
    theirs = oracle.predict_as_yolo(network, picture, **SETTINGS)
    model = FastSAM(network, "cpu", "torch", agnostic=True)
    options = SegmentOptions(full_frame=False, **SETTINGS)
    ours = model.segment(picture, options)
    assert len(ours) == len(theirs) > 20
    assert ours.scores == pytest.approx(theirs.boxes.conf.numpy(), abs=1e-4)
    assert ours.boxes == pytest.approx(theirs.boxes.xyxy.numpy(), abs=0.05)
    masks = theirs.masks.data.numpy().astype(bool)
    assert masks.any((1, 2)).sum() > 10
    for mine, its in zip(ours.masks(), masks, strict=True):
        assert (mine != its).sum() <= 3 + 0.01 * its.sum()  # where the mask hardly has an edge


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_other_backends_give_the_same(network, picture, backend):
    """All that masks and answers to prompts are made of, anchor by anchor."""
    canvas = picture[None, :160, :192]
    models = [
        FastSAM(network, "cpu", b, precision="f32", agnostic=True) for b in ("torch", backend)
    ]
    (expected,), (found,) = (model.backend.run(canvas, 0.0) for model in models)
    assert len(found.scores) == len(expected.scores) == 20 * 24 + 10 * 12 + 5 * 6
    assert found.scores == pytest.approx(expected.scores, abs=1e-3)
    assert found.corners == pytest.approx(expected.corners, abs=0.05)
    for name in ("coefficients", "prototypes"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-3, abs=1e-3)


def test_many_classes_are_refused_unless_any_is_an_object(network):
    classes = int(network.stem.rpartition("-")[2])
    for _ in range(2):  # before and after it is known
        if classes == 1:
            assert weights.load(network).facts.classes == 1
        else:
            with pytest.raises(WeightsError, match=f"knows {classes} classes.*--agnostic"):
                weights.load(network)
        assert weights.load(network, WeightsOptions(agnostic=True)).facts.classes == classes


def test_boxes_without_bins_reach_any_length(network, picture, recwarn):
    model = FastSAM(network, "cpu", "torch", agnostic=True)
    model.segment(np.zeros((64, 1200, 3), np.uint8), imgsz=1216)
    short = [w for w in recwarn if "are cut short" in str(w.message)]
    assert bool(short) == ("26" not in network.stem)
