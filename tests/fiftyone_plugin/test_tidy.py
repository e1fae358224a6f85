"""``fastsam fiftyone tidy``: what is left of killed runs and deleted datasets, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import fiftyone as fo
import pytest
from click.testing import CliRunner

from fastsam_plugins import SegmentOptions
from fastsam_plugins.cli.main import main
from fiftyone_plugin import mask_files, references, segment_job
from fiftyone_plugin import tidy as rooms
from fiftyone_plugin.parameters import TidyOptions
from fiftyone_plugin.storage import StoreOptions

SEGMENTING = SegmentOptions(conf=0.25, max_det=6, imgsz=320)
NOW = TidyOptions(min_age=0)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """A folder of its own: other tests leave files."""
    monkeypatch.setattr(fo.config, "default_dataset_dir", str(tmp_path / "files"))
    return mask_files.root()


def run(samples, model, field="p"):
    storing = StoreOptions(storage="files")
    list(segment_job.everything(samples, field, model, SEGMENTING, storing=storing))


def files(root):
    return {p for p in root.rglob("*") if p.is_file()}


def tidy(*words):
    result = CliRunner().invoke(main, ["fiftyone", "tidy", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_is_used_is_no_orphan(samples, model, root):
    run(samples, model)
    samples.rename_sample_field("p", "q")
    other = samples.clone()
    samples.delete_sample_field("q")
    before = files(root)
    found = rooms.find(NOW)
    assert (found.files, found.strange) == ([], [])
    other.delete()
    assert set(rooms.find(NOW).files) == before


@pytest.mark.parametrize("what", ["sample", "field", "dataset"])
def test_files_of_what_was_deleted_are_orphans(model, root, what):
    from fastsam_plugins.paths import SAMPLES

    made = fo.Dataset()
    made.add_samples([fo.Sample(filepath=str(SAMPLES / n)) for n in ("coins.png", "ihc.jpg")])
    run(made, model)
    before = files(root)
    sizes = {f: f.stat().st_size for f in before}
    gone = {f for f in before if made.first().id in f.parts} if what == "sample" else before
    if what == "sample":
        made.delete_samples([made.first().id])
    elif what == "field":
        made.delete_sample_field("p")
    else:
        made.delete()
    assert "nothing refers to them; --delete deletes them" in tidy("--min-age", "0")
    assert files(root) == before
    told = json.loads(tidy("--min-age", "0", "--delete", "--json"))
    assert {Path(p) for p in told["files"]} == gone
    assert told["bytes"] == sum(sizes[f] for f in gone)
    assert told["deleted"] is True
    assert files(root) == before - gone
    if what != "sample":
        assert list(root.iterdir()) == []
    if not made.deleted:
        made.delete()


def test_what_killed_writers_left_is_found_and_what_is_young_is_left(samples, model, root):
    run(samples, model)
    used = files(root)
    place = next(f for f in used if f.suffix == ".png")
    orphan = place.with_name("0" * 32 + ".png")
    part = place.parent / ".fastsam-host-1-abc.part" / ("1" * 32 + ".png")
    part.parent.mkdir()
    mine = place.with_name("notes.txt")
    for file in (orphan, part, mine):
        file.write_bytes(b"x")
    assert rooms.find(TidyOptions()).files == []
    long_ago = part.stat().st_mtime - 7200
    for file in (orphan, part, mine):
        os.utime(file, (long_ago, long_ago))
    found = rooms.find(TidyOptions())
    assert set(found.files) == {orphan, part}
    assert found.size == 2
    found.delete()
    assert files(root) == used | {mine}
    assert not part.parent.exists()


def test_another_databases_files_are_left_alone_unless_somebody_says_there_is_none(
    samples, model, root
):
    run(samples, model)
    (own,) = root.glob("*/*")
    other = own.with_name(own.name.replace(references.identity(), "f" * 24))
    old = root / ("e" * 24) / "p"  # of a version that did not say which database
    for copied in (other, old):
        shutil.copytree(own, copied)
        for file in files(copied):  # names are unique
            file.rename(file.with_name(f"{file.stem[::-1]}{file.suffix}"))
    found = rooms.find(NOW)
    assert found.files == []
    assert set(found.strange) == {other, old}
    assert "2 folders were left alone" in CliRunner().invoke(main, ["fiftyone", "tidy"]).stderr
    found = rooms.find(NOW.replace(unknown=True))
    assert set(found.files) == files(other) | files(old)


def test_without_files_there_is_nothing_to_tidy(root):
    assert tidy().startswith("0 files, 0.0 MB")
    assert not root.exists()
