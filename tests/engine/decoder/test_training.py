"""A decoder is trained; its networks learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from fastsam_plugins.datasets.sources import read
from fastsam_plugins.decoder import training, weights
from fastsam_plugins.decoder.modules import opened
from fastsam_plugins.decoder.network import Decoder
from fastsam_plugins.training.options import DecoderOptions
from tests.conftest import disks

OPTIONS = DecoderOptions(minutes=0, batch=2, imgsz=160)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, coins):
    folder = tmp_path_factory.mktemp("labels")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    Image.fromarray(coins).save(folder / "images" / "a.png")
    ids = np.zeros(coins.shape[:2], np.uint8)
    for k, disk in enumerate(disks(coins.shape[:2], [(58, 43, 24), (110, 40, 20)])):
        ids[disk] = k + 1
    Image.fromarray(ids).save(folder / "masks" / "a.png")
    return list(read(folder))


@pytest.fixture(scope="module")
def examples(model, labelled):
    return training.encoded(model, labelled, OPTIONS, lambda _: None)


def test_a_trained_decoder_is_one_for_its_network(model, labelled, tmp_path):
    told = []
    path = tmp_path / f"a{weights.ENDING}"
    assert training.train_decoder(model, labelled, path, OPTIONS, told.append) == path
    assert weights.read(path).network == model.network.sha256
    assert "1 images with 2 objects; 0 left out" in told[0]


def test_what_proposals_are_worth_is_learned(examples):
    """On what it was trained with, the order by worth is better than that by confidence."""
    rng = np.random.default_rng(0)
    evidence, truth = training._pairs(examples, rng)
    ranker = Decoder(training.ranking(examples * 8, rng, lambda _: None), "")
    worth = ranker.rank(evidence)
    assert np.corrcoef(worth, truth)[0, 1] > np.corrcoef(evidence[:, 0], truth)[0, 1]


def test_the_loss_is_least_for_the_target():
    target = torch.zeros(1, 64, 64)
    target[0, 20:40, 20:40] = 1
    right, wrong = (12 * target - 6, 6 - 12 * target)
    losses = [float(training._loss(maps, target)) for maps in (right, 0 * target, wrong)]
    assert losses[0] < 0.05 < losses[1] < losses[2]


def test_objects_in_cells_lie_where_the_network_sees_them(examples):
    example = examples[0]
    encoding = example.prompter.encoding
    cells = training._in_cells(example.mask(0), encoding)
    height, width, _ = encoding.source.prototypes.shape
    y, x = np.nonzero(cells.reshape(height, width))
    box = encoding.source.letterbox
    centre = box.to_image(np.array([x.mean() + 0.5, y.mean() + 0.5]) * 4)
    assert centre == pytest.approx((58, 43), abs=2)


def test_nothing_to_learn_from_is_told(model, tmp_path):
    with pytest.raises(ValueError, match="nothing to learn from"):
        training.train_decoder(model, [], tmp_path / f"a{weights.ENDING}", OPTIONS)


def test_a_training_goes_on_from_a_decoder(model, examples, labelled, tmp_path):
    """One small step later it is still nearly the bundled one, which a new one is far from."""
    path = tmp_path / f"a{weights.ENDING}"
    told = []
    options = OPTIONS.replace(start="FastSAM-n")
    training.train_decoder(model, labelled, path, options, told.append)
    assert "going on from the decoder given" in told
    session = training._drawing(examples, np.random.default_rng(0))()

    def maps(file):
        arrays = weights.read(file).arrays
        features = tuple(len(f) for f in examples[0].features)
        with torch.no_grad():
            refiner = opened(arrays, features, 32).eval()
            return training._pass(refiner, [session])[1]

    found = maps(path)
    training.train_decoder(model, labelled, path, OPTIONS, told.append)
    expected, new = maps(weights.named("FastSAM-n")), maps(path)
    assert (found - expected).abs().mean() < 0.5 * (new - expected).abs().mean()


def test_a_decoder_to_go_on_from_that_is_none_is_told(model, labelled, tmp_path):
    (tmp_path / "b").write_bytes(b"no decoder")
    path = tmp_path / f"a{weights.ENDING}"
    for start, said in (("none", "there is no decoder"), ("b", "is no decoder")):
        options = OPTIONS.replace(start=str(tmp_path / start))
        with pytest.raises(ValueError, match=said):
            training.train_decoder(model, labelled, path, options)
