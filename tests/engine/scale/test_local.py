"""local.py: shards one after another, kept as they are done."""

from __future__ import annotations

import threading

import pytest

from fastsam_plugins.scale import jobs, local
from fastsam_plugins.scale.inputs import items
from fastsam_plugins.scale.results import Results
from fastsam_plugins.scale.segmenter import Segmenter
from tests.engine.scale.stored import hashes


def begun(results, settings, photos, size, model):
    return jobs.begin(results, settings, False, items([str(photos)]), size,
                      lambda _: jobs.running(model), print)  # fmt: skip


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_rows_are_the_same_whatever_the_shards(photos, tmp_path, model, settings, size):
    results = Results(str(tmp_path / "out"))
    missing = begun(results, settings, photos, size, model)
    steps: list[tuple[int, int]] = []
    counts = list(local.run(results, Segmenter(model, settings), missing,
                            lambda *step: steps.append(step)))  # fmt: skip
    assert [c.images for c in counts] == [size] * (7 // size) + [7 % size] * (7 % size > 0)
    assert (len(steps), sum(errors for _, errors in steps)) == (7, 1)
    assert results.missing() == []
    other = Results(str(tmp_path / "other"))
    for _ in local.run(other, Segmenter(model, settings),
                       begun(other, settings, photos, 2, model)):  # fmt: skip
        pass
    assert hashes(results.address) == hashes(other.address)
    assert len(hashes(results.address)) == 7


def test_who_stops_asking_keeps_what_is_written(photos, tmp_path, model, settings):
    results = Results(str(tmp_path / "out"))
    missing = begun(results, settings, photos, 2, model)
    for counts in local.run(results, Segmenter(model, settings), missing):
        assert counts.images == 2
        break
    there = results.done()
    assert there
    assert results.missing() == [k for k in range(4) if k not in there]
    list(local.run(results, Segmenter(model, settings), results.missing()))
    assert len(hashes(results.address)) == 7
    assert not [t for t in threading.enumerate() if t.name.startswith("fastsam-read")]


def test_a_shard_that_cannot_be_written_ends_the_run(photos, tmp_path, model, settings):
    results = Results(str(tmp_path / "out"))
    missing = begun(results, settings, photos, 2, model)
    (tmp_path / "out" / "shards").write_text("no folder")
    with pytest.raises(OSError, match=r"cannot write .*part-000000"):
        list(local.run(results, Segmenter(model, settings), missing))
