"""Exports and imports lose nothing: no file of the user's, no label, no half of an import."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import fiftyone.core.odm as foo
import pytest
from pymongo.errors import OperationFailure

from fiftyone_plugin import coco_transfer, documents, mask_files
from fiftyone_plugin.storage import StoreOptions
from tests.fiftyone_plugin.conftest import paused
from tests.fiftyone_plugin.test_coco_transfer import exported
from tests.fiftyone_plugin.test_recall import samples as samples

# --- where exports go ---------------------------------------------------------------------------


def test_an_export_says_where_it_wrote_and_replaces_a_file_only_if_told(
    samples, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    report = exported(samples, "proposals", "new/out.json")
    assert report.written == str(tmp_path / "new" / "out.json")
    assert exported(samples, "proposals", "~/out.json").written == str(tmp_path / "home/out.json")
    assert not (tmp_path / "~").exists()
    mine = tmp_path / "mine.json"
    mine.write_text("my ground truth")
    with pytest.raises(ValueError, match=r"there is a file .*mine\.json already"):
        exported(samples, "proposals", mine)
    assert mine.read_text() == "my ground truth"
    *_, report = coco_transfer.export(samples, "proposals", mine, overwrite=True)
    assert len(json.loads(mine.read_text())["images"]) == 3


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_an_export_never_replaces_an_image(samples, tmp_path, link):
    image = samples.first().filepath
    before = Path(image).read_bytes()
    path = tmp_path / "link.json"
    getattr(path, link)(image)
    with pytest.raises(ValueError, match="would overwrite the input"):
        list(coco_transfer.export(samples, "proposals", path, overwrite=True))
    assert Path(image).read_bytes() == before


def test_what_cannot_be_written_is_said_before_the_work(samples, tmp_path):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "folder.json", tmp_path / "file" / "out.json"):
        with pytest.raises(OSError, match="cannot write"):
            coco_transfer.export(samples, "proposals", path)


# --- imports are whole or not at all ------------------------------------------------------------


@pytest.fixture
def file(samples, tmp_path):
    exported(samples, "proposals", tmp_path / "out.json")
    return tmp_path / "out.json"


def state(dataset, field):
    """All that the database holds of a field, by sample."""
    found = dataset._sample_collection.find({}, {field: 1})
    return {str(d["_id"]): d.get(field) for d in found}


@pytest.mark.parametrize("existing", ["refuse", "skip", "overwrite", "append"])
@pytest.mark.parametrize("how", ["file", "database", "stop"])
def test_an_import_that_fails_leaves_the_field_as_it_was(samples, file, existing, how, monkeypatch):
    field = "proposals" if existing != "refuse" else "new"
    if existing == "skip":
        samples.skip(1).set_values("proposals", [None, None])
    before, schema = state(samples, field), set(samples.get_field_schema())
    content = json.loads(file.read_text())
    if how == "file":
        content["annotations"][-1]["segmentation"]["counts"] = "no counts"
        file.write_text(json.dumps(content))
    count = 0
    real = documents.put

    def put(*args, **kwargs):
        nonlocal count
        count += 1
        if how == "database" and count == 2:
            raise OperationFailure("no more")
        return real(*args, **kwargs)

    monkeypatch.setattr(documents, "put", put)
    imported = coco_transfer.import_(samples, field, file, existing=existing, batch=1)
    if how == "stop":
        next(imported), next(imported)
        imported.close()
    else:
        with pytest.raises((ValueError, OperationFailure)):
            list(imported)
    assert (count > 0) == (how != "file")
    samples.reload()
    assert set(samples.get_field_schema()) == schema
    assert state(samples, field) == before or field == "new"
    assert not [n for n in foo.get_db_conn().list_collection_names() if "undo" in n]
    if how != "file":
        monkeypatch.setattr(documents, "put", real)
        *_, report = coco_transfer.import_(samples, field, file, existing=existing)
        assert report.done == report.total > 0
        expected = 2 * 75 if existing == "append" else 75
        assert samples.count(f"{field}.detections") == expected


def test_an_import_that_is_killed_is_taken_back_when_it_is_tried_again(samples, file):
    samples.persistent = True
    program = textwrap.dedent(
        f"""
        import os, signal
        import fiftyone as fo
        from fiftyone_plugin import coco_transfer
        samples = fo.load_dataset({samples.name!r})
        run = coco_transfer.import_(samples, "proposals", {str(file)!r}, existing="append", batch=1)
        for report in run:
            if report.done == 2:
                print("two", flush=True)
                input()
        """
    )
    running = paused(program)
    with pytest.raises(ValueError, match="another import into proposals is going on"):
        list(coco_transfer.import_(samples, "proposals", file, existing="append"))
    running.kill()
    running.communicate()
    samples.reload()
    assert samples.count("proposals.detections") == 75 + 50
    mine = samples.first()  # what somebody changed since is theirs
    mine["proposals"].detections = mine["proposals"].detections[:1]
    mine.save()
    *_, report = coco_transfer.import_(samples, "proposals", file, existing="append")
    assert (report.done, report.failed) == (3, {})
    samples.reload()
    assert [len(d) for d in samples.values("proposals.detections")] == [26, 50, 50]


def test_masks_of_a_failed_import_go_and_those_replaced_stay(samples, file, monkeypatch):
    files = StoreOptions(storage="files")
    list(coco_transfer.import_(samples, "found", file, files))
    before = [Path(p) for p in samples.values("found.detections.mask_path", unwind=True)]
    again = coco_transfer.import_(samples, "found", file, files, existing="overwrite", batch=1)
    next(again), next(again)
    again.close()
    samples.reload()
    folder = mask_files.root() / str(samples._doc.id)
    assert set(folder.rglob("*.png")) == set(before)
    after = samples.values("found.detections.mask_path", unwind=True)
    assert sorted(after) == sorted(map(str, before))
