"""Edge maps from instances."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import sobel

from fastsam_plugins import EdgeOptions, Segmentation
from fastsam_plugins.masks import edge_map
from fastsam_plugins.masks.edge_map import ridges
from tests.conftest import disks


def test_edges_lie_on_the_borders_of_masks():
    masks = disks((60, 80), [(25, 30, 15), (60, 30, 10)])
    found = Segmentation.from_masks(masks).edges()
    assert found.shape == (60, 80)
    assert found.dtype == np.float32
    assert found.max() == 1
    y, x = np.nonzero(found > 0.5)
    to_first = np.hypot(x - 25, y - 30) - 15
    to_second = np.hypot(x - 60, y - 30) - 10
    assert np.minimum(abs(to_first), abs(to_second)).max() < 1.6
    for distance, radius in ((to_first, 15), (to_second, 10)):
        turns = np.arctan2(y - 30, x - (25 if radius == 15 else 60))[abs(distance) < 1.6]
        assert len(np.unique(np.round(turns * 2))) >= 12, "all around"


def test_where_a_box_cuts_a_mask_is_no_edge(dummy):
    """The probability goes on beyond the box: what is found is the slope of the uncut map."""
    seg = dummy((90, 120), 1)
    x0, y0, x1, y1 = seg.boxes[0].round().astype(int)
    uncut = sobel(1 / (1 + np.exp(-seg.logits(0))))
    found = seg.edges(thin=False)
    inside = np.zeros((90, 120), bool)
    inside[max(y0, 1) : y1, max(x0, 1) : x1] = True
    inside[[0, -1]] = inside[:, [0, -1]] = False
    scale = found[inside].max() / uncut[inside].max()
    assert np.allclose(found[inside], scale * uncut[inside], atol=1e-4)
    cut = sobel(np.where(inside, 1 / (1 + np.exp(-seg.logits(0))), 0))
    assert abs(found - scale * cut)[inside].max() > 0.05, "the border of the box would be an edge"


def test_probabilities_are_used_where_there_are_any(dummy):
    seg = dummy((90, 120), 12)
    soft = seg.edges(thin=False)
    hard = Segmentation.from_masks(seg.masks(), seg.scores).edges(thin=False)
    assert np.isfinite(soft).all()
    assert len(np.unique(soft)) > 10 * len(np.unique(hard))


def test_confidence_weighs_edges_if_asked_to():
    masks = disks((60, 80), [(20, 30, 12), (58, 30, 12)])
    seg = Segmentation.from_masks(masks, [1.0, 0.25])
    even, weighed = seg.edges(), seg.edges(by_confidence=True)
    assert even[:, 45:].max() == even[:, :35].max() == 1
    assert weighed[:, 45:].max() == pytest.approx(0.25)


def test_nothing_gives_an_empty_map():
    found = Segmentation.empty((20, 30)).edges()
    assert found.shape == (20, 30)
    assert not found.any()


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90, 130])
def test_ridges_are_thin_and_whole_in_every_direction(angle):
    """A blurred line keeps one or two pixels across and loses none along."""
    y, x = np.mgrid[:81, :81] - 40.0
    across = x * np.sin(np.radians(angle)) - y * np.cos(np.radians(angle))
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    line = np.exp(-(across**2) / 8).astype(np.float32)
    kept = ridges(line, smoothing=2.0) > 1e-3
    inside = abs(along) < 30
    assert abs(across[kept & inside]).max() < 1.1
    filled = np.unique(np.round(along[kept & inside]))
    step = max(abs(np.cos(np.radians(angle))), abs(np.sin(np.radians(angle))))
    assert len(filled) >= 59 * step - 1


def test_options_are_checked():
    with pytest.raises(ValueError, match="smoothing must be"):
        EdgeOptions(smoothing=0)


@pytest.mark.parametrize("thin", [True, False])
@pytest.mark.parametrize("logits", [True, False])
def test_strips_of_a_large_map_are_those_of_the_whole(thin, logits, dummy, monkeypatch):
    seg = dummy((140, 120), 12)
    seg = seg if logits else Segmentation.from_masks(seg.masks(), seg.scores)
    whole = seg.edges(thin=thin, by_confidence=True)
    for pixels in (1, 1500, 3000):
        monkeypatch.setattr(edge_map, "_STRIP", pixels)
        found = seg.edges(thin=thin, by_confidence=True)
        assert np.allclose(found, whole, atol=1e-6)
        assert np.array_equal(edge_map.to_uint16(whole), np.round(whole * 65535).astype(np.uint16))


def test_a_large_map_takes_little_more_memory_than_itself():
    """It took 106 bytes per pixel, 10 GB of an image of 12000 x 8000 pixels."""
    seg = Segmentation.from_masks(disks((2500, 3500), [(1200, 1200, 1150), (2800, 900, 500)]))
    seg[:1].edges()
    tracemalloc.start()
    try:
        found = seg.edges()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < found.nbytes + 200e6


def test_as_in_the_paper_edges_are_the_borders_of_masks_and_of_nothing_else(model, coins):
    seg = model.segment(coins, conf=0.4)
    found = seg.edges(cropped=True)
    assert found.max() == 1
    border = np.zeros(seg.shape, bool)
    for i in range(len(seg)):
        mask = seg.mask(i)
        border |= ndimage.binary_dilation(mask, np.ones((3, 3)))
        assert (found > 0)[ndimage.binary_dilation(mask, np.ones((3, 3))) & ~mask].any()
    assert not found[~border].any()
    assert not found[seg.mask(0) & ndimage.binary_erosion(seg.mask(0), iterations=8)].any()
    whole = seg.edges(cropped=True, thin=False)
    assert np.array_equal(found[found > 0], whole[found > 0])
    assert (found > 0).sum() < 0.7 * (whole > 0).sum()


def test_as_in_the_paper_there_is_no_edge_where_a_box_cuts_a_mask(model, coins):
    seg = model.segment(coins, conf=0.05)
    cut = 0
    for i in range(len(seg)):
        found = seg[[i]].edges(cropped=True, thin=False)
        x0, y0, x1, y1 = seg.boxes[i]
        mask = seg.mask(i)
        columns = np.ceil(x0).astype(int), np.ceil(x1).astype(int) - 1
        rows = np.ceil(y0).astype(int), np.ceil(y1).astype(int) - 1
        cut += sum(mask[:, x].sum() > 5 for x in columns) + sum(mask[y].sum() > 5 for y in rows)
        assert not found[:, columns].any()
        assert not found[rows, :].any()
    assert cut > 5, "some boxes do cut masks"
