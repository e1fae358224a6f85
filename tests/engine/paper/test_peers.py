"""OpenCV's contributed modules as peers; where they are installed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.evaluation.regions import Regions, overlaps
from fastsam_plugins.geometry import xyxy_to_xywh
from fastsam_plugins.masks.edge_map import ridges
from fastsam_plugins.paper import peers

contributed = pytest.mark.skipif(
    not hasattr(cv2, "ximgproc"), reason="needs opencv-contrib-python-headless"
)
BOX = [30, 20, 90, 70]


@pytest.fixture
def picture(tmp_path):
    image = np.full((100, 130, 3), 40, np.uint8)
    image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 200
    Image.fromarray(image).save(tmp_path / "box.png")
    return tmp_path / "box.png"


def best(boxes):
    both = (Regions(xyxy_to_xywh(np.array(b, np.float64).reshape(-1, 4))) for b in (BOX, boxes))
    return overlaps(*both, 0.0).max()


@pytest.mark.parametrize("angle", [0, 30, 60, 90, 120, 150])
def test_orientation_is_across_the_edge(angle):
    y, x = np.mgrid[:61, :61] - 30.0
    across = np.radians(angle)
    distance = x * np.cos(across) + y * np.sin(across)
    line = np.exp(-(distance**2) / 4).astype(np.float32)
    found = peers.orientation(line)[30, 30]
    assert abs(np.sin(found - across)) < 0.05


def test_what_is_missing_is_said_with_its_remedy(monkeypatch):
    monkeypatch.delattr(cv2, "ximgproc", raising=False)
    assert not peers.installed()
    assert "opencv-contrib-python-headless" in peers.MISSING


@contributed
def test_selective_search_proposes_what_stands_out(picture):
    assert best(peers.selective_search(picture)) > 0.9


@contributed
def test_selective_search_ranks_the_same_every_time(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    Image.fromarray(noise).resize((200, 160)).save(tmp_path / "noise.png")
    first, second = (peers.selective_search(tmp_path / "noise.png") for _ in range(2))
    assert len(first) > 20
    assert np.array_equal(first, second)


@contributed
def test_edge_boxes_propose_what_edges_surround(picture):
    edges = peers.sobel(peers.read_image(picture)).astype(np.float32)
    assert best(peers.edge_boxes(ridges(edges, 2.0))) > 0.7
