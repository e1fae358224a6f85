"""Kept segmentations: found again by what the network saw, and by nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.network.weights import BUNDLED
from fastsam_plugins.options import SegmentOptions, TileOptions
from napari_plugin.inference.result_cache import ResultCache, digest

PIXELS = np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3)
OPTIONS = SegmentOptions()


def test_a_digest_names_pixels_shape_model_and_options(tmp_path):
    own = tmp_path / "own.safetensors"
    own.write_bytes(BUNDLED.read_bytes())
    first = digest(PIXELS, (30, 40), "FastSAM-n", OPTIONS)
    assert digest(PIXELS.copy(), (30, 40), "fastsam-n", SegmentOptions()) == first
    changed = PIXELS.copy()
    changed[-1, -1, -1] += 1
    others = {
        digest(changed, (30, 40), "FastSAM-n", OPTIONS),
        digest(PIXELS, (60, 80), "FastSAM-n", OPTIONS),
        digest(PIXELS.reshape(40, 30, 3), (30, 40), "FastSAM-n", OPTIONS),
        digest(PIXELS, (30, 40), "FastSAM-s", OPTIONS),
        digest(PIXELS, (30, 40), str(own), OPTIONS),
        digest(PIXELS, (30, 40), "FastSAM-n", OPTIONS.replace(conf=0.1)),
        digest(PIXELS, (30, 40), "FastSAM-n", OPTIONS, backend="torch"),
        digest(PIXELS, (30, 40), "FastSAM-n", OPTIONS, precision="f32"),
        digest(PIXELS, (30, 40), "FastSAM-n", OPTIONS, TileOptions()),
        digest(PIXELS, (30, 40), "FastSAM-n", OPTIONS, TileOptions(tile=512)),
    }
    assert len(others | {first}) == 11


def test_results_outlive_the_program(dummy, tmp_path):
    seg = dummy()
    ResultCache(tmp_path / "made").put("a", seg)
    again = ResultCache(tmp_path / "made").get("a")
    assert np.array_equal(again.masks(), seg.masks())
    assert ResultCache(tmp_path / "made").get("b") is None


def test_without_a_folder_nothing_is_written(dummy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = ResultCache()
    seg = dummy()
    results.put("a", seg)
    assert results.get("a") is seg
    assert not list(tmp_path.iterdir())


def test_what_was_not_used_for_longest_goes_first(dummy, tmp_path):
    one = dummy()
    size = sum(a.nbytes for a in one.source.arrays(one.rows[:0]).values())
    results = ResultCache(memory=2 * size)
    for name in "abc":
        results.put(name, dummy())
        results.get("a")
    assert results.get("a") is not None
    assert results.get("b") is None
    assert results.get("c") is not None


def test_the_folder_stays_within_its_size(dummy, tmp_path):
    import os

    ResultCache(tmp_path).put("a", dummy())
    size = (tmp_path / "a.npz").stat().st_size
    results = ResultCache(tmp_path, disk=int(2.5 * size))
    for k, name in enumerate("abcd"):
        results.put(name, dummy())
        os.utime(tmp_path / f"{name}.npz", (k, k))
    assert sorted(p.stem for p in tmp_path.iterdir()) == ["c", "d"]


def test_a_damaged_file_is_as_good_as_none(tmp_path, caplog):
    (tmp_path / "a.npz").write_bytes(b"nonsense")
    assert ResultCache(tmp_path).get("a") is None
    assert "segmenting again" in caplog.text


def test_a_folder_that_cannot_be_written_costs_no_result(dummy, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    results = ResultCache(tmp_path / "file" / "results")
    seg = dummy()
    results.put("a", seg)
    assert results.get("a") is seg
    assert "cannot keep a result" in caplog.text


@pytest.mark.parametrize("name", ["FastSAM-s", "FastSAM-x"])
def test_weights_that_are_not_here_are_not_downloaded_for_a_digest(name):
    assert digest(PIXELS, (30, 40), name, OPTIONS)


def test_any_damage_to_a_file_means_that_there_is_none(dummy, tmp_path):
    """Cut, flipped and mixed up: the answer is the right one or none, and never an exception."""
    import random

    seg = dummy()
    ResultCache(tmp_path).put("a", seg)
    good, chance, answers = (tmp_path / "a.npz").read_bytes(), random.Random(0), []
    for k in range(300):
        made = bytearray(good)
        if k % 3 == 0:
            del made[chance.randrange(len(made)) :]
        else:
            # Headers lie at the beginnings and the end: a flip there says more than one in numbers.
            for _ in range(chance.choice([1, 3, 30])):
                made[chance.choice([chance.randrange(len(made)), -chance.randrange(1, 900)])] ^= (
                    1 << chance.randrange(8)
                )
        (tmp_path / "a.npz").write_bytes(made)
        found = ResultCache(tmp_path).get("a")
        answers.append(found is None)
        if found is not None:  # only what says nothing was damaged
            assert np.array_equal(found.masks(), seg.masks())
            assert np.array_equal(found.scores, seg.scores)
    assert set(answers) == {True, False}


def test_a_kept_folder_that_may_not_be_changed_or_read_costs_nothing(dummy, tmp_path, monkeypatch):
    import os

    ResultCache(tmp_path).put("a", dummy())

    def refuse(*args, **how):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    assert ResultCache(tmp_path).get("a") is not None
    (tmp_path / "b.npz").mkdir()
    assert ResultCache(tmp_path).get("b") is None


def test_two_writers_of_one_result_leave_a_whole_one(dummy, tmp_path):
    import threading

    seg, found = dummy(), []

    def work():
        for _ in range(30):
            ResultCache(tmp_path).put("a", seg)
            found.append(ResultCache(tmp_path).get("a"))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 90
    assert all(one is not None for one in found)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_full_disk_costs_the_cache_and_not_the_result(dummy, tmp_path, monkeypatch, caplog):
    results, seg, real = ResultCache(tmp_path), dummy(), np.savez
    results.put("a", seg)
    good = (tmp_path / "a.npz").read_bytes()

    def full(stream, **arrays):
        real(stream, boxes=arrays["boxes"])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    results.put("a", seg)
    results.put("b", seg)
    assert results.get("b") is seg
    assert "No space left" in caplog.text
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.npz": good}
