"""The instances of samples, from the network or from what was kept."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fastsam_plugins import ReadOptions, SegmentOptions, read_image
from fastsam_plugins.io import read_for_network
from fastsam_plugins.options import LimitOptions, TileOptions
from fiftyone_plugin import segment_job
from fiftyone_plugin.kept_files import Kept
from fiftyone_plugin.model import FastSAMModel
from fiftyone_plugin.sample_segmenter import SampleSegmenter
from fiftyone_plugin.save_job import Report

REDUCED = ReadOptions(reduced=True)
SEGMENTING = SegmentOptions(conf=0.25, max_det=40, imgsz=320)

pytestmark = pytest.mark.usefixtures("one_thread")


def test_settings_are_all_that_decide_and_given_are_those_of_the_caller():
    bare = SampleSegmenter()
    tiled = SampleSegmenter(segmenting=SEGMENTING, tiling=TileOptions())
    assert (bare.given, bare.settings["model"], bare.settings["tiled"]) == (set(), "FastSAM-n", 0)
    assert bare.settings["conf"] == SegmentOptions().conf
    assert tiled.settings["tiled"]
    assert tiled.settings["conf"] == 0.25
    assert {"conf", "imgsz", "overlap"} <= tiled.given
    assert not {"bands", "model"} & tiled.given
    assert "bands" in SampleSegmenter(reading=ReadOptions()).given


def test_weights_that_there_are_not_are_refused_at_once():
    with pytest.raises(ValueError, match="model must be text, got 5"):
        SampleSegmenter(5)
    with pytest.raises(Exception, match="nowhere"):
        SampleSegmenter("nowhere.pt")


def test_the_limits_of_a_loaded_network_hold_unless_others_are_given(samples, model):
    few = LimitOptions(max_pixels=1000)
    with pytest.raises(ValueError, match="pixels"):
        SampleSegmenter(model, limits=few).read(samples.first().filepath)
    assert SampleSegmenter(model).read(samples.first().filepath).shape == (303, 384, 3)


def test_what_was_kept_comes_first_and_the_rest_is_segmented(samples, model):
    ids = samples.values("id")
    items = list(zip(ids, samples.values("filepath"), strict=True))
    *_, _ = segment_job.everything(samples.select(ids[2]), "kept", model, SEGMENTING)
    segmenter = SampleSegmenter(model, SEGMENTING, batch=1)
    found = list(segmenter.segment_rest(items, Kept(samples, "kept"), Report(), True))
    assert [r.sample for r in found] == [ids[2], *ids[:2]]
    assert [bool(r.error) for r in found] == [False, False, True]
    for result in (found[0], found[1]):
        direct = model.segment(read_image(result.file), SEGMENTING)
        assert np.array_equal(result.seg.areas, direct.areas)


def test_reduced_photos_are_segmented_and_asked_in_words_whole(coins, model, tmp_path):
    photo = tmp_path / "large.jpg"
    Image.fromarray(coins).resize((1536, 1212)).save(photo, quality=95)
    small = read_for_network(photo, lambda: 320, REDUCED)
    expected = model.segment(small.pixels, SEGMENTING, small.shape)
    segmenter = SampleSegmenter(model, SEGMENTING, REDUCED)
    (result,) = segmenter.segment(iter([("id", str(photo))]), Report())
    assert len(expected) > 10
    assert np.array_equal(result.seg.areas, expected.areas)
    assert result.seg.image is None, "words and predictions have it read then"
    assert segmenter.read(str(photo)).shape == (1212, 1536, 3)
    with pytest.raises(ValueError, match="reduced is about images looked at whole"):
        SampleSegmenter(model, reading=REDUCED, tiling=TileOptions())


def test_a_model_of_fiftyone_reads_reduced_photos_too(coins, model, tmp_path):
    photo = tmp_path / "large.jpg"
    Image.fromarray(coins).resize((1536, 1212)).save(photo, quality=95)
    small = read_for_network(photo, lambda: 320, REDUCED)
    expected = model.segment(small.pixels, SEGMENTING, small.shape)
    applied = FastSAMModel(model, SEGMENTING, reading=REDUCED)
    item = applied.build_get_item()({"filepath": str(photo)})
    assert item.image.pixels.shape == (303, 384, 3)
    assert len(applied.predict(item).detections) == len(expected)
