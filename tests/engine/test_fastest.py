"""What ``auto`` runs: tried once, as good as PyTorch, and the fastest of those."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from fastsam_plugins import FastSAM, fastest, paths
from fastsam_plugins.fastest import Trial
from fastsam_plugins.network import backends, weights


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Nothing is known yet, and nothing said what ``auto`` is; what is said is listed."""
    monkeypatch.delenv(fastest.VARIABLE)
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path / "kept"))
    return []


def choose(network, asked, backend="auto", precision="auto"):
    return fastest.choose(network, "cpu", fastest.possible(backend, precision, "cpu"), asked.append)


def test_it_is_tried_once_and_written_down(asked):
    network = weights.load("FastSAM-n")
    chosen = choose(network, asked, "auto", "auto")
    assert asked == [
        "FastSAM-n: trying once which of "
        + " and ".join(" ".join(p) for p in backends.possible("auto", "auto", "cpu"))
        + " is fastest here, and as good ..."
    ]
    trials = fastest.known(network, "cpu", fastest.possible("auto", "auto", "cpu"))
    assert trials
    assert [(t.backend, t.precision) for t in trials] == backends.possible("auto", "auto", "cpu")
    assert all(t.passed for t in trials if t.precision == "f32")
    assert all(t.mean_iou > 0.9999 for t in trials if t.precision == "f32")
    best = min((t for t in trials if t.passed), key=lambda t: t.seconds)
    assert chosen == (best.backend, best.precision)
    assert choose(network, asked, "auto", "auto") == chosen
    assert len(asked) == 1
    assert str(FastSAM(device="cpu", say=asked.append)).startswith("FastSAM-n by ")
    assert len(asked) == 1


def test_what_is_not_as_good_is_not_taken_however_fast(asked):
    """Trials of other weights, as they could have come out."""
    network = weights.load("FastSAM-n")
    possible = backends.possible("auto", "auto", "cpu")
    good = [Trial(*one, seconds=2.0 + k, mean_iou=1.0, recall_change=0.0)
            for k, one in enumerate(possible)]  # fmt: skip
    name = fastest._name(network, "cpu", possible)
    for wrong in ({"mean_iou": 0.9899}, {"recall_change": -0.0031}, {"recall_change": 0.0031}):
        last = msgspec.structs.replace(good[-1], seconds=0.001, **wrong)
        fastest.cache.keep(name, msgspec.json.encode([*good[:-1], last]))
        assert choose(network, asked, "auto", "auto") == possible[0]
        assert str(last).endswith("(not as good)")
    last = msgspec.structs.replace(good[-1], seconds=0.001)
    fastest.cache.keep(name, msgspec.json.encode([*good[:-1], last]))
    assert choose(network, asked, "auto", "auto") == possible[-1]
    assert asked == []


def test_starts_at_the_same_moment_try_once_and_take_the_same(asked, monkeypatch):
    network = weights.load("FastSAM-n")
    tried, of = [], fastest._Comparison.of
    monkeypatch.setattr(fastest._Comparison, "of", lambda n: tried.append(1) or of(n))

    def chosen(_):
        return choose(network, asked, "auto", "f32")

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(chosen, range(3)))) == 1
    assert len(tried) == 1


def test_where_none_is_as_good_the_plainest_is_taken(asked):
    network = weights.load("FastSAM-n")
    possible = backends.possible("openvino", "auto", "cpu")
    bad = [Trial(*one, seconds=1.0, mean_iou=0.5, recall_change=0.0) for one in possible]
    fastest.cache.keep(fastest._name(network, "cpu", possible), msgspec.json.encode(bad))
    assert choose(network, asked, "openvino", "auto") == possible[0]


def test_who_says_what_he_wants_gets_it_at_once(asked):
    network = weights.load("FastSAM-n")
    assert choose(network, asked, "torch", "auto") == ("torch", "f32")
    assert choose(network, asked, "openvino", "f32") == ("openvino", "f32")
    assert asked == []
    with pytest.raises(ValueError, match="precision must be one of auto, f32, bf16, f16, got 'x'"):
        choose(network, asked, "auto", "x")
    with pytest.raises(ValueError, match="nothing here runs a network in bf16 on cpu by onnx"):
        choose(network, asked, "onnx", "bf16")


def test_a_variable_says_what_auto_is(asked, monkeypatch):
    monkeypatch.setenv(fastest.VARIABLE, "torch")
    network = weights.load("FastSAM-n")
    assert choose(network, asked, "auto", "auto") == ("torch", "f32")
    monkeypatch.setenv(fastest.VARIABLE, "steam")
    with pytest.raises(
        ValueError, match=r"backend must be one of auto, .*\(FASTSAM_BACKEND is steam"
    ):
        choose(network, asked, "auto", "auto")


def test_the_second_start_needs_no_pytorch(asked):
    script = """
import sys
from fastsam_plugins import FastSAM, read_image
from fastsam_plugins.paths import SAMPLES
model = FastSAM(device="cpu", backend="openvino", precision="f32")
seg = model.segment(read_image(SAMPLES / "coins.png"), conf=0.2)
point = seg.boxes[0, :2] / 2 + seg.boxes[0, 2:] / 2
seg.predict(points=[point])
print(len(seg) > 10, len(seg.select(points=[point])) > 0, "torch" in sys.modules)
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=os.environ,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert said == ["True True True\n", "True True False\n"]
