"""Edges of the network and of classical ways, by one evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.paper import edges


@pytest.mark.parametrize("way", [edges.sobel, edges.canny, edges.felzenszwalb])
def test_classical_edges_lie_where_the_picture_changes(way):
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, 40:] = 200
    strength = way(image)
    assert strength.shape == (60, 80)
    assert strength.min() >= 0
    assert 0.1 < strength.max() <= 1
    assert abs(int(strength[30].argmax()) - 40) <= 3  # smoothed first, some of them
    assert strength[:, :30].max() == 0


def test_all_ways_are_measured_on_the_same_images(setting):
    found = edges.edges(setting)
    assert [name.split(",")[0] for name, _ in found.rows] == [
        "FastSAM-n", "FastSAM-n as in the paper", "Sobel filter", "Canny", "Felz-Hutt",
    ]  # fmt: skip
    ods = [values[0] for _, values in found.rows]
    assert ods[0] > max(ods[1:]), "the truth is its own"
    assert ods[1] > 60, "and its borders are there as in the paper too"
    assert (setting.pictures / "edges.png").stat().st_size > 1000


def test_a_pair_that_cannot_be_used_is_left_out_and_named(setting, data):
    folder = data / "bsds500"
    for part, name in (("images", "coins.jpg"), ("groundTruth", "coins.mat")):
        for new in ("a", "b"):
            file = folder / part / name
            file.with_stem(new).write_bytes(file.read_bytes())
    (folder / "images" / "a.jpg").write_bytes(b"no image")
    (folder / "groundTruth" / "b.mat").write_bytes(b"no matrix")
    pairs = [(folder / "images" / f"{n}.jpg", folder / "groundTruth" / f"{n}.mat") for n in
             ("a", "b", "coins")]  # fmt: skip
    usable, failed = edges._usable(setting, pairs)
    assert usable == pairs[2:]
    assert "a.jpg" in failed[pairs[0][0]]
    assert str(pairs[1][1]) in failed[pairs[1][0]], "the file itself, not a copy"


def test_faint_edges_are_seen():
    strength = np.zeros((50, 50))
    strength[20] = np.linspace(0.001, 0.1, 50)
    shown = edges._visible(strength)
    assert shown.max() == 1
    assert shown[20, 30] > 0.5
    assert not shown[:20].any()
    assert not edges._visible(np.zeros((5, 5))).any()
