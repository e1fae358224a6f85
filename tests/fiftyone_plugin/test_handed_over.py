"""Segment everything on a real Ray cluster: the labels are those of this process."""

from __future__ import annotations

import pytest

pytest.importorskip("ray", reason="ray is not installed")

import fiftyone.operators as foo

from fiftyone_plugin.operators import SegmentEverything
from fiftyone_plugin.parameters import HandOverOptions
from tests.fiftyone_plugin.test_batch_load import told

QUICK = {"imgsz": 160, "conf": 0.2, "backend": "torch"}


@pytest.fixture
def segment():
    return SegmentEverything()


def test_a_cluster_writes_what_this_process_writes(samples, segment, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert isinstance(segment, foo.Operator)
    direct = segment(samples, field="direct", keep=False, **QUICK)
    place = {"cluster": "local", "results": str(tmp_path / "out")}
    report = segment(samples, field="handed", **QUICK, **place)
    assert (report.done, report.instances) == (direct.done, direct.instances)
    assert list(report.failed) == list(direct.failed)
    samples.reload()
    for sample in samples.exists("direct"):
        pairs = zip(told(sample["handed"]), told(sample["direct"]), strict=True)
        assert all((one[0], *one[2:]) == (two[0], *two[2:]) for one, two in pairs)
    with pytest.raises(ValueError, match=r"was made with conf 0\.2, and now it is 0\.3"):
        segment(samples, field="more", **QUICK | {"conf": 0.3}, **place)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cluster": "auto"}, "go together"),
        ({"results": "/out"}, "go together"),
        ({"cluster": "auto", "results": "out"}, "must be an address or in full"),
    ],
)
def test_half_a_hand_over_is_refused(given, said, samples, segment):
    with pytest.raises(ValueError, match=said):
        HandOverOptions(**given)
    with pytest.raises(ValueError, match=said):
        segment(samples, field="handed", **given)
