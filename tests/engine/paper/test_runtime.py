"""Running time by number of points, and of peers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsam_plugins.paper import runtime


def test_grids_cover_the_image():
    for count in (1, 10, 256):
        points = runtime.grid((30, 40), count)
        assert points.shape == (count, 2)
        assert (points > 0).all()
        assert (points < (40, 30)).all()
    assert len(np.unique(runtime.grid((30, 40), 256), axis=0)) == 256


@pytest.mark.filterwarnings("ignore:FastSAM-n has reg_max 16")  # at the paper's 1024 px
def test_the_network_is_timed_by_both_modes(setting, monkeypatch):
    monkeypatch.setattr(runtime, "seconds", lambda work: (work() and 0.0) or 0.5)
    found = runtime.run_time(setting)
    assert [name.split(", ")[-1] for name, _ in found.rows] == ["`union`", "`each`"]
    assert all(v == (500.0,) * 6 for _, v in found.rows)


def test_a_peer_is_its_encoder_once_and_its_decoder_often(monkeypatch):
    spent = iter([2.0, 0.001, 0.01, 0.036, 0.064])  # encoder; 1, 10, 36 and 64 points

    def seconds(work):
        assert work() is not None
        return next(spent)

    monkeypatch.setattr(runtime, "seconds", seconds)
    times = runtime._peer("MobileSAM", torch.device("cpu"))
    assert np.allclose(times, [2001, 2010, 2100, 2256, 3024, 6096])
