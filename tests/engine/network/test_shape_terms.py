"""Masks whose outline is drawn in their box."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ultralytics.nn.tasks import SegmentationModel

from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.network import checkpoints, shape_terms, weights
from tests.tiny_network import describe

INPUT = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))

pytestmark = pytest.mark.usefixtures("one_thread")


def build(terms=6):
    torch.manual_seed(0)
    described = describe(**{checkpoints.SHAPE_TERMS: terms})
    model = SegmentationModel(described, nc=1, verbose=False)
    for layer in model.modules():  # as if trained
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.bias.data.normal_()
            layer.weight.data.uniform_(0.5, 2)
    shape_terms.give(model)
    return model.eval().requires_grad_(False)


def outputs(model):
    with torch.inference_mode():
        predictions, prototypes = model(INPUT)[0]
    return predictions, prototypes


def masks(predictions, prototypes):
    return torch.einsum("bca,bchw->bahw", predictions[:, 5:], prototypes)


sides = st.floats(1, 100)


@given(
    st.lists(st.floats(-5, 5), min_size=6, max_size=6),
    st.floats(0, 120), st.floats(0, 120), sides, sides,
)  # fmt: skip
def test_in_the_image_it_is_the_same_quadric_as_in_the_box(terms, x, y, width, height):
    terms = torch.tensor([terms])
    centre_and_size = torch.tensor([[x, y, width, height]])
    corners = torch.tensor([[x - width / 2, y - height / 2, x + width / 2, y + height / 2]])
    in_box = shape_terms.quadrics(terms, corners, 128, 120)
    over_maps = shape_terms.in_image(terms[..., None], centre_and_size[..., None], 128, 120)
    in_image = torch.einsum(
        "bca,bchw->bahw", over_maps, shape_terms.maps(torch.zeros(1, 32, 128, 120))
    )
    # What is far outside the box is large and of no interest.
    near = in_box.abs() < 50
    rounding = 1e-6 * float(over_maps.abs().max()) * 4 + 1e-4
    assert not near.any() or (in_box - in_image[0]).abs()[near].max() < rounding


def test_it_starts_with_the_ellipse_within_the_box():
    letterbox = Letterbox.fit((256, 512), 512)
    box = np.array([[40, 20, 360, 220]], np.float32)
    terms = shape_terms.in_image(
        torch.tensor([shape_terms.START])[..., None],
        torch.tensor([[[200.0], [120.0], [320.0], [200.0]]]) / 4,
        64,
        128,
    )
    maps = shape_terms.maps(torch.zeros(1, 32, 64, 128))[0].numpy()
    mask = PrototypeMasks(maps, terms[..., 0].numpy(), box, letterbox)
    y, x = np.mgrid[:256, :512] + 0.5
    inside = ((x - 200) / 160) ** 2 + ((y - 120) / 100) ** 2 < 1
    decoded = R.to_bitmap(mask.runs(0), (256, 512)).astype(bool)
    assert (decoded != inside).sum() < 0.002 * inside.sum()


def test_the_head_gives_outlines_as_coefficients_over_maps():
    """All else is what ultralytics' head gives, and a mask is its prototypes plus its quadric."""
    with_terms, without = outputs(build()), outputs(build(terms=0))
    assert torch.equal(with_terms[0][:, :-6], without[0][:, :-6])
    assert torch.equal(with_terms[1][:, :-6], without[1][:, :-6])
    logits = masks(*with_terms)
    terms = without[0][:, -6:]
    rest = torch.einsum("bca,bchw->bahw", without[0][:, 5:-6], without[1][:, :-6])
    for image in range(2):
        box = without[0][image, :4].T / 4
        corners = torch.cat([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], 1)
        quadrics = shape_terms.quadrics(terms[image].T, corners, 16, 24)
        difference = (logits[image] - rest[image] - quadrics).abs()
        assert (difference <= 1e-4 * (1 + quadrics.abs())).all()


def test_ellipses_take_the_place_of_the_prototypes_used_least():
    model = build()
    head = model.model[-1]
    unused = [1, 4, 7, 12, 20, 31]
    for layers in head.cv4:
        layers[-1].weight.data[unused] = 0
        layers[-1].bias.data[unused] = 0
    plain = copy.deepcopy(model)
    plain.model[-1].__class__ = shape_terms.Segment
    before = masks(*outputs(plain))
    shape_terms.begin(model)
    predictions, prototypes = outputs(model)
    after = torch.einsum("bca,bchw->bahw", predictions[:, 5:-6], prototypes[:, :-6])
    assert torch.allclose(before, after, atol=1e-4)
    boxes = predictions[:, :4] / 4
    start = torch.tensor(shape_terms.START)[None, :, None].expand(2, 6, boxes.shape[2])
    assert torch.allclose(predictions[:, -6:], shape_terms.in_image(start, boxes, 16, 24))


def test_saved_and_loaded_the_network_answers_as_before(tmp_path):
    model = build().half()
    state = dict(model.state_dict())
    checkpoint = checkpoints.Checkpoint(state, model.yaml, imgsz=64, classes=1)
    checkpoints.save(checkpoint, tmp_path / "a.safetensors")
    torch.save({"model": model, "train_args": {"imgsz": 64}}, tmp_path / "a.pt")
    expected = outputs(copy.deepcopy(model).float())
    for ending in ("safetensors", "pt"):
        loaded = outputs(weights.load(tmp_path / f"a.{ending}").module)
        assert torch.allclose(loaded[0], expected[0], rtol=1e-3, atol=1e-2), ending
        assert torch.allclose(loaded[1], expected[1], atol=1e-3), ending


def test_another_number_of_terms_is_refused_in_one_line(tmp_path):
    model = build()
    checkpoint = checkpoints.Checkpoint(
        dict(model.state_dict()), {**model.yaml, "shape_terms": 9}, imgsz=64, classes=1
    )
    checkpoints.save(checkpoint, tmp_path / "a.safetensors")
    with pytest.raises(
        checkpoints.WeightsError, match=r"shape_terms is 9, this version knows 6\)$"
    ):
        weights.load(tmp_path / "a.safetensors")


def test_checkpoints_that_name_this_module_as_it_was_called_are_read(tmp_path, monkeypatch):
    model = build()
    monkeypatch.setattr(shape_terms.ShapedSegment, "__module__", "fastsam_plugins.shape")
    with monkeypatch.context() as once:
        once.setitem(sys.modules, "fastsam_plugins.shape", shape_terms)
        torch.save({"model": model.half(), "train_args": {"imgsz": 64}}, tmp_path / "old.pt")
    loaded = weights.load(tmp_path / "old.pt").module
    assert isinstance(loaded.model[-1], shape_terms.ShapedSegment)
    torch.testing.assert_close(outputs(loaded)[1], outputs(model.float())[1], rtol=1e-2, atol=1e-2)
