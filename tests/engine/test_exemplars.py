"""Instances like an example: two kinds of things in one picture, and in several."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fastsam_plugins import Segmentation
from fastsam_plugins.io import npz
from fastsam_plugins.options import ExemplarOptions
from tests.conftest import disks

pytestmark = pytest.mark.usefixtures("one_thread")


def scene(seed, size=256):
    """An image of bright disks and of dark bars on a gray ground, and their masks, disks first."""
    rng = np.random.default_rng(seed)
    places = [(x, y) for x in range(32, size, 64) for y in range(32, size, 64)]
    places = [places[i] for i in rng.permutation(len(places))]
    kinds = disks((size, size), [(x, y, 18) for x, y in places[:8]])
    y, x = np.mgrid[:size, :size] + 0.5
    bars = [(abs(x - u) < 6) & (abs(y - v) < 24) for u, v in places[8:16]]
    masks = np.stack([*kinds, *bars])
    image = np.full((size, size), 128.0)
    image[masks[:8].any(0)], image[masks[8:].any(0)] = 230, 20
    image += rng.normal(0, 6, image.shape)
    return np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, 2), masks


@pytest.fixture(scope="module")
def scenes(model):
    """Two images with masks as they were drawn, and what the network made of either."""
    made = []
    for seed in (0, 1):
        image, masks = scene(seed)
        made.append(Segmentation.from_masks(masks).with_encoding(model.segment(image, imgsz=256)))
    return made


def test_like_is_found_before_unlike(scenes):
    seg = scenes[0]
    for i in range(len(seg)):
        first = seg.similar(i, threshold=-1)
        same = range(8) if i < 8 else range(8, 16)
        assert len(first) == 16
        assert set(first.rows[:8].tolist()) == set(same)
        assert first.rows[0] == i, "an example is itself the most like it"


def test_all_that_are_like_enough_are_found_and_no_others(scenes):
    seg = scenes[0]
    like = seg.likeness(3)
    for threshold in (ExemplarOptions().threshold, 0.9, -1.0):
        expected = np.flatnonzero(like >= threshold)
        assert sorted(seg.similar(3, threshold=threshold).rows.tolist()) == expected.tolist()
    assert set(range(8)) <= set(seg.similar(3).rows.tolist()), "the default finds its own kind"


def test_other_images_are_searched_with_instances_or_vectors(scenes):
    one, other = scenes
    for example in (
        one[2],
        one.embeddings[2],
        one.embeddings[2] * 7,
        [*one.embeddings[2].tolist()],
    ):
        found = other.similar(example, top_k=8)
        assert sorted(found.rows.tolist()) == list(range(8))


def test_several_examples_find_what_is_like_one_of_them(scenes):
    one, other = scenes
    found = other.similar(one[[2, 12]], threshold=0.8)
    assert sorted(found.rows.tolist()) == list(range(16))
    assert len(other.similar(one[2], threshold=0.8)) < 16
    assert (found.prompts == (found.rows >= 8)).all(), "which example each is like"
    assert (np.diff(other.likeness(one[[2, 12]])[found.rows]) <= 0).all()


def test_vectors_are_of_length_one_and_of_the_mask_alone(scenes, model):
    seg = scenes[0]
    vectors = seg.embeddings
    assert vectors.shape == (16, 67)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(seg[5:2:-1].embeddings, vectors[5:2:-1])
    half = seg.mask(0)
    half[:, : int(seg.tight_boxes()[0, [0, 2]].mean())] = False
    other = Segmentation.from_masks(half[None]).with_encoding(seg)
    assert abs(float(other.embeddings[0] @ vectors[0])) < 0.999


def test_what_is_kept_on_disk_has_the_same_vectors(model, coins, tmp_path):
    seg = model.segment(coins, conf=0.25)
    npz.write(seg, tmp_path / "coins.npz")
    again = npz.read(tmp_path / "coins.npz")
    np.testing.assert_allclose(again.embeddings, seg.embeddings, atol=1e-6)
    assert np.array_equal(again.similar(0).rows, seg.similar(0).rows)


def test_points_and_boxes_name_the_instance_there(model, coins):
    seg = model.segment(coins, conf=0.25)
    i = 4
    x0, y0, x1, y1 = seg.boxes[i].tolist()
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    at = seg.select(points=[middle], points_mode="smallest")
    assert np.array_equal(seg.likeness(middle), seg.likeness(at))
    assert np.array_equal(seg.likeness((x0, y0, x1, y1)), seg.likeness(i))


def test_where_nothing_was_found_the_example_is_predicted(model, coins, tmp_path):
    seg = model.segment(coins, conf=0.25)
    x0, y0, x1, y1 = seg.boxes[4].tolist()
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    rest = seg[~seg.contains([middle])[:, 0]]
    assert len(rest.similar(middle)) > 5
    assert len(rest.similar((x0, y0, x1, y1))) > 5
    npz.write(rest, tmp_path / "rest.npz")
    with pytest.raises(ValueError, match=r"^there is no instance at \([0-9., ]+\): lower conf, or"):
        npz.read(tmp_path / "rest.npz").similar(middle)
    with pytest.raises(ValueError, match=r"^there is no instance at \(-50, -50\)"):
        seg.similar((-50, -50))


def test_a_network_without_decoder_has_vectors_too(model, coins):
    decoder, model.decoder = model.decoder, None
    try:
        plain = model.segment(coins, conf=0.25)
    finally:
        model.decoder = decoder
    assert plain.embeddings.shape == (len(plain), 35)
    assert len(plain.similar(0)) > 5
    with pytest.raises(ValueError, match="another network"):
        plain.similar(model.segment(coins, conf=0.25)[0])


def test_top_k_and_threshold_bound_what_is_found(scenes):
    seg = scenes[0]
    assert len(seg.similar(0, top_k=3, threshold=-1)) == 3
    assert np.array_equal(seg.similar(0, threshold=1).rows, [0])
    options = ExemplarOptions(top_k=2, threshold=0)
    assert np.array_equal(seg.similar(0, options).rows, seg.similar(0, top_k=2, threshold=0).rows)


def test_an_empty_mask_is_like_nothing(scenes):
    masks = np.zeros((2, 256, 256), bool)
    masks[1] = scenes[0].mask(0)
    seg = Segmentation.from_masks(masks).with_encoding(scenes[0])
    assert not seg.embeddings[0].any()
    assert np.array_equal(seg.similar(1, threshold=-1).rows, [1])
    with pytest.raises(ValueError, match=r"^the example is empty"):
        seg.similar(0)
    assert len(seg[:0].similar(seg[1])) == 0
    assert seg[:0].embeddings.shape == (0, 67)


@pytest.mark.parametrize(
    ("like", "told"),
    [
        ("coin", "an example is of finite numbers"),
        (None, "an example is of finite numbers"),
        (True, "an example is of finite numbers"),
        ([1.0, float("nan")], "an example is of finite numbers"),
        ([1, 2, 3], r"an example is the number of an instance, .* not an array \(3,\)"),
        (np.zeros((0, 67)), "an example is the number of an instance"),
        (np.zeros(67), "the example is empty"),
        ([9, 9, 3, 3], "boxes"),
    ],
)
def test_what_is_no_example_is_one_line(scenes, like, told):
    with pytest.raises(ValueError, match=told) as caught:
        scenes[0].similar(like)
    assert "\n" not in str(caught.value)


def test_instances_without_features_say_what_to_do(scenes):
    seg = scenes[0]
    plain = Segmentation.from_masks(seg.masks())
    for ask in (lambda: plain.embeddings, lambda: plain.similar(0), lambda: seg.similar(plain[0]),
                lambda: seg.with_encoding(plain)):  # fmt: skip
        with pytest.raises(ValueError, match=r"with_encoding\(model\.segment\(image\)\)$"):
            ask()
    with pytest.raises(ValueError, match=r"has no instance"):
        seg.similar(seg[:0])
    with pytest.raises(IndexError):
        seg.similar(16)
    with pytest.raises(ValueError, match="that of the instances"):
        Segmentation.empty((9, 9)).with_encoding(seg)


def test_segmentations_can_still_be_sent_to_other_processes(scenes):
    seg = scenes[0]
    again = pickle.loads(pickle.dumps(seg))
    assert np.array_equal(again.embeddings, seg.embeddings)
