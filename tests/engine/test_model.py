"""All-instance segmentation: parity with ultralytics, batches, determinism."""

from __future__ import annotations

import random
import sys
import threading
import warnings

import numpy as np
import pytest
import torch
from ultralytics.models.fastsam.utils import adjust_bboxes_to_image_border

from fastsam_plugins import FastSAM, read_image
from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.images.reduced_image import ReducedImage
from fastsam_plugins.instances import instances
from fastsam_plugins.masks import runs as R
from fastsam_plugins.model import _say
from fastsam_plugins.network.interrupting import Interrupted
from fastsam_plugins.network.output import Output
from fastsam_plugins.network.weights import BUNDLED
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.paths import SAMPLES
from support import oracle

SETTINGS = {"imgsz": 320, "conf": 0.05, "iou": 0.9, "max_det": 300}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("oracle") / "FastSAM-n.pt"
    return oracle.as_ultralytics_checkpoint(BUNDLED, path)


def images():
    paths = sorted(p for p in SAMPLES.iterdir() if p.suffix in (".png", ".jpg"))
    return {p.name: read_image(p) for p in paths}


def check_parity(model, checkpoint, name, image):
    theirs = oracle.predict(checkpoint, image, **SETTINGS)
    ours = model.segment(image, SegmentOptions(full_frame=False, **SETTINGS))
    assert len(ours) == len(theirs) > 0, name
    assert ours.scores == pytest.approx(theirs.boxes.conf.numpy(), abs=1e-4), name
    # They move edges within 20 px onto the border after the masks are made: do the same to ours.
    moved = adjust_bboxes_to_image_border(torch.from_numpy(ours.boxes.copy()), image.shape[:2])
    fills = (theirs.boxes.xyxy == torch.tensor([0, 0, *image.shape[1::-1]])).all(1)
    assert moved[~fills].numpy() == pytest.approx(theirs.boxes.xyxy[~fills].numpy(), abs=0.05), name
    masks = theirs.masks.data.numpy().astype(bool)
    for i in range(len(ours)):
        mask = ours.mask(i)
        # Only rounding may differ: coefficients of small objects' outlines are large and cancel.
        rounding = 1e-6 * np.abs(ours.source.arrays(ours.rows[[i]])["coefficients"]).max()
        assert (np.abs(ours.source.logits(ours.rows[i])[mask != masks[i]]) < rounding).all()
        assert (mask != masks[i]).sum() <= 3 + 0.001 * mask.sum(), (name, i)
    points = np.random.default_rng(0).uniform(0, image.shape[1::-1], (2000, 2))
    x, y = np.floor(points).astype(int).T
    assert (ours.contains(points) == masks[:, y, x]).mean() >= 0.999, name
    return len(ours)


def test_same_instances_and_masks_as_ultralytics_on_the_samples(model, checkpoint):
    assert sum(check_parity(model, checkpoint, *item) for item in images().items()) > 50


def test_same_instances_and_masks_as_ultralytics_on_data(model, checkpoint, data):
    folders = [data / "dev" / kind / "images" for kind in ("coco", "nuclei")]
    paths = [path for folder in folders for path in sorted(folder.iterdir())[:4]]
    found = [check_parity(model, checkpoint, p.name, read_image(p)) for p in paths]
    assert len(found) == 8
    assert sum(found) > 200


def test_a_result_does_not_depend_on_its_batch(model):
    """Others treat the first image of a batch only, or pad all to one size."""
    pictures = list(images().values())
    pictures += [pictures[0][:200, :130], pictures[1][50:51, :, :1], pictures[0].mean(-1)]
    pictures += [pictures[0][::-1]]  # of the first one's size: they share a forward pass
    together = list(model.segment_many(iter(pictures), batch=len(pictures), **SETTINGS))
    assert len(together) == len(pictures)
    for picture, seg in zip(pictures, together, strict=True):
        alone = model.segment(picture, **SETTINGS)
        assert seg.shape == picture.shape[:2]
        assert len(alone) == len(seg)
        assert seg.scores == pytest.approx(alone.scores, abs=1e-4)
        assert seg.boxes == pytest.approx(alone.boxes, abs=0.05)


def test_batches_are_read_no_further_ahead_than_needed(model, coins):
    read = []

    def source():
        for k in range(5):
            read.append(k)
            yield coins

    found = model.segment_many(source(), batch=2, imgsz=64)
    next(found)
    assert read == [0, 1]


def test_segmenting_twice_gives_the_same(model, coins):
    a, b = (model.segment(coins, conf=0.001, max_det=1000) for _ in range(2))
    assert np.array_equal(a.boxes, b.boxes)
    assert np.array_equal(a.scores, b.scores)


def test_a_thousand_instances_and_no_clock(model, coins):
    seg = model.segment(coins, conf=0.0, iou=1.0, max_det=1000, min_area=0)
    assert len(seg) == 1000
    assert (np.diff(seg.scores) <= 0).all()


def test_channel_order_is_rgb_and_the_image_is_not_changed(model):
    coffee = read_image(SAMPLES / "coffee.jpg")
    before = coffee.copy()
    seg = model.segment(coffee, **SETTINGS)
    assert np.array_equal(coffee, before)
    swapped = model.segment(coffee[:, :, ::-1], **SETTINGS)
    assert seg.scores.tolist() != swapped.scores.tolist(), "the network sees the colours"


def test_gray_and_sixteen_bit_images_are_seen_as_their_eight_bit_twins(model, coins):
    gray = coins[:, :, 0]
    plain = model.segment(coins, **SETTINGS)
    assert np.array_equal(model.segment(gray, **SETTINGS).scores, plain.scores)
    deep = np.clip(gray.astype(np.uint16) * 200, 0, 65535)
    assert len(model.segment(deep, **SETTINGS)) > 0


def test_an_image_without_objects_gives_an_empty_segmentation(model):
    seg = model.segment(np.full((50, 70, 3), 128, np.uint8), conf=0.99)
    assert len(seg) == 0
    assert seg.shape == (50, 70)
    assert len(seg.select(points=[(3, 3)])) == 0


def test_masks_are_never_empty_unless_asked(model, coins):
    seg = model.segment(coins, conf=0.001, max_det=1000)
    assert (seg.areas > 0).all()
    assert (model.segment(coins, conf=0.001, min_area=400).areas >= 400).all()


def test_loading_and_segmenting_leave_global_state_alone(coins):
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    FastSAM("FastSAM-n", device="cpu").segment(coins, imgsz=64)
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, grad)


def test_a_short_box_head_is_told_once(coins):
    model = FastSAM("FastSAM-n", device="cpu")
    with pytest.warns(
        UserWarning, match="reg_max 16: boxes longer than 960 of the input's 1024 px"
    ):
        model.segment(coins, imgsz=1024, conf=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.segment(coins, imgsz=1024, conf=0.9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "gpu"}, "device must be auto, cpu"),
        ({"device": "cuda:99"}, "there is no device"),
        ({"backend": "jax"}, "backend must be one of auto, torch"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message):
        FastSAM("FastSAM-n", **settings)


def prediction(boxes, scores, side=64):
    """Network output that says just these boxes (xyxy in input pixels), with masks all over."""
    coefficients = np.zeros((len(boxes), 32), np.float32)
    coefficients[:, 0] = 1
    return Output(
        np.array(boxes, np.float32),
        np.array(scores, np.float32),
        coefficients,
        np.ones((32, side // 4, side // 4), np.float32),
    )


def test_the_full_frame_rule_acts_before_masks_on_every_image_and_can_be_switched_off():
    """Others apply it after the masks are cut, or to the first image of a batch only."""
    letterbox = Letterbox.fit((64, 64), 64)
    output = prediction([[1, 1, 63, 62], [10, 10, 20, 20], [2, 2, 63, 63]], [0.9, 0.8, 0.7])
    options = SegmentOptions(iou=1.0, min_area=0)
    before = output.corners.copy()
    seg = instances(output, letterbox, options)
    assert seg.boxes.tolist() == [[0, 0, 64, 64], [10, 10, 20, 20], [0, 0, 64, 64]]
    assert seg.areas.tolist() == [64 * 64, 100, 64 * 64]
    assert np.array_equal(output.corners, before)
    plain = instances(output, letterbox, options.replace(full_frame=False))
    assert plain.boxes[0].tolist() == [1, 1, 63, 62]
    assert plain.areas[0] == 62 * 61


def test_a_reduced_copy_gives_answers_in_the_pixels_of_the_image(model, coins):
    import cv2

    height, width = coins.shape[:2]
    whole = model.segment(coins, imgsz=320)
    half = cv2.resize(coins, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    seg = model.segment(half, imgsz=320, shape=(height, width))
    assert seg.shape == (height, width)
    assert abs(len(seg) - len(whole)) <= 3
    ious = [R.ious(whole.runs(i), [seg.runs(j) for j in range(len(seg))]).max() for i in range(9)]
    assert np.median(ious) > 0.9


def test_the_network_stops_in_the_middle(model, coins):
    asked = []

    def stop():
        asked.append(True)
        return len(asked) > 10

    with pytest.raises(Interrupted), model.interruptible(stop):
        model.segment(coins, imgsz=64)
    assert len(asked) == 11
    assert len(model.segment(coins, imgsz=320)) > 0, "and works again afterwards"
    assert len(asked) == 11
    with model.interruptible(lambda: False):
        assert len(model.segment(coins, imgsz=320)) > 0


@pytest.mark.parametrize("count", [1, 4], ids=["one image", "side by side"])
def test_who_stops_the_network_stops_nobody_else(model, coins, count):
    begun, stopped, over = (threading.Event() for _ in range(3))

    def segment():
        return len(list(model.segment_many([coins] * count, imgsz=160)))

    def stoppable():
        with model.interruptible(stopped.is_set):
            assert segment() == count
            begun.set()
            over.wait(60)
            segment()

    def stopping():
        with pytest.raises(Interrupted):
            stoppable()
        ended.append(True)

    ended = []
    other = threading.Thread(target=stopping)
    other.start()
    assert begun.wait(60)
    stopped.set()
    assert segment() == count, "in this thread, while the other one wants to stop"
    over.set()
    other.join(60)
    assert ended


@pytest.mark.parametrize("count", [1, 4], ids=["one image", "side by side"])
def test_images_side_by_side_stop_too(model, coins, count):
    asked = []

    def stop():
        asked.append(True)
        return len(asked) > 200

    def segment():
        with model.interruptible(stop):
            return list(model.segment_many([coins] * 20, imgsz=160, batch=count))

    with pytest.raises(Interrupted):
        segment()


def test_two_who_may_stop_the_network_do_not_know_of_each_other(model, coins):
    with model.interruptible(lambda: False):
        with pytest.raises(Interrupted), model.interruptible(lambda: True):
            pass
        assert model.segment(coins, imgsz=160) is not None


def test_max_det_counts_after_diversity(model, coins):
    """Not the first few by confidence, of which some are one coin, but of all."""
    many = model.segment(coins, conf=0.01, max_det=1000)
    few = model.segment(coins, conf=0.01, max_det=10, diverse=0.9)
    assert len(few) == 10
    expected = many.diversify(0.9)[:10]
    assert np.allclose(few.boxes, expected.boxes)
    assert np.allclose(few.scores, expected.scores)
    tiled = model.segment_tiled(coins, tile=256, imgsz=256, conf=0.1, diverse=0.9)
    assert (np.diff(tiled.scores) <= 0).all()


def test_where_standard_error_is_closed_results_stay_clean(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    _say("trying once ...")
    assert capsys.readouterr().out == ""


def test_reduced_images_go_with_others_and_keep_what_is_whole(model, coins):
    half, shape = np.ascontiguousarray(coins[::2, ::2]), coins.shape[:2]
    alone = model.segment(half, imgsz=160, shape=shape)
    images = [coins, ReducedImage(half, shape), ReducedImage(half, shape, coins)]
    for batch in (1, 3):
        plain, small, both = model.segment_many(images, batch=batch, imgsz=160)
        assert plain.shape == small.shape == both.shape == shape
        # Not to the bit: how many threads a batch gets, and its sums, are the machine's.
        for seg in (small, both):
            assert np.allclose(seg.boxes, alone.boxes, atol=0.01)
            assert np.allclose(seg.areas, alone.areas, rtol=0.01, atol=2)
        assert small.image is None
        assert np.array_equal(both.image, coins)
        assert plain.areas.sum() != pytest.approx(alone.areas.sum(), rel=0.001)
