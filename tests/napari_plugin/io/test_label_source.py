"""Sessions as training data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.datasets import sources
from fastsam_plugins.masks import runs as R
from fastsam_plugins.training import data as training_data
from fastsam_plugins.training.options import TrainOptions
from napari_plugin.model import saving
from napari_plugin.model.autosave import Saver
from napari_plugin.model.saving import ImageRecord
from tests.napari_plugin.model.sessions import ASIDE, LARGE, SHAPE, click, commit, plain, stack


def saver(session, record, path):
    return Saver(session, lambda: record, path, lambda then, work: then(work()))


def test_the_objects_of_an_image_file(tmp_path):
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "image.png")
    session = plain()
    commit(session, 70, 10)
    click(session, 30, 30)
    session.commit_outlines(())
    record = ImageRecord("image", str(tmp_path / "image.png"), SHAPE, (0, 1))
    told = []
    saver(session, record, tmp_path / "s.json").save(tmp_path / "s.json", None, told.append)
    assert told == [""]
    (labelled,) = sources.read(f"napari:{tmp_path / 's.json'}")
    assert labelled.image == tmp_path / "image.png"
    assert labelled.shape == SHAPE
    first, second = (R.to_bitmap(m, SHAPE) for m in labelled.masks)
    assert np.array_equal(first, ASIDE)
    assert np.array_equal(second, LARGE)
    report = training_data.convert(
        [f"napari:{tmp_path / 's.json'}"], tmp_path / "out", TrainOptions(held_out=0.0)
    )
    assert (report.images, report.instances) == (1, 2)


def test_slices_of_a_stack_are_saved_beside_the_session(tmp_path):
    session = stack()
    commit(session, 70, 10, key=(0,))
    commit(session, 30, 30, key=(2,))
    record = ImageRecord("stack", None, (3, *SHAPE), (1, 2))
    path = tmp_path / "s.json"
    saver(session, record, path).save(
        path, lambda key: np.full((*SHAPE, 3), 10 * key[0], np.uint8), lambda problem: None
    )
    first, second = sources.read(f"napari:{path}")
    assert np.asarray(Image.open(second.image)).tolist() == np.full((*SHAPE, 3), 20).tolist()
    assert np.array_equal(R.to_bitmap(first.masks[0], SHAPE), ASIDE)
    assert len(second.masks) == 1


def test_what_is_missing_is_one_line(tmp_path):
    session = plain()
    record = ImageRecord("image", None, SHAPE, (0, 1))
    path = tmp_path / "s.json"
    saving.write(*saving.snapshot(session, record), path)
    with pytest.raises(ValueError, match="has no objects"):
        list(sources.read(f"napari:{path}"))
    commit(session, 70, 10)
    saving.write(*saving.snapshot(session, record), path)
    with pytest.raises(ValueError, match="knows no image of its objects"):
        list(sources.read(f"napari:{path}"))
    with pytest.raises(ValueError, match="cannot read"):
        list(sources.read(f"napari:{tmp_path / 'none.json'}"))
    assert dataclasses.is_dataclass(record)


def test_autosave_writes_the_last_state_never_two_at_once(tmp_path):
    session, waiting = plain(), []
    record = ImageRecord("image", None, SHAPE, (0, 1))
    path = tmp_path / "s.json"
    made = Saver(session, lambda: record, path, lambda then, work: waiting.append((work, then)))
    session.history.listeners.append(lambda step: made.changed({()} if step.pixels else set()))
    commit(session, 70, 10)
    commit(session, 30, 30)
    click(session, 50, 30)
    assert len(waiting) == 1
    while waiting:
        work, then = waiting.pop()
        then(work())
    saved = saving.read(path)
    assert set(saved.labels[()]) == {1, 2}
    assert saved.prompts[()].points == ((50, 30),)


def test_a_full_disk_is_told_when_a_person_saves_and_survived_by_autosave(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    session, told = plain(), []
    record = ImageRecord("image", None, SHAPE, (0, 1))
    made = saver(session, record, tmp_path / "file" / "s.json")
    commit(session, 70, 10)
    made.changed({()})
    assert "cannot save the session" in caplog.text
    made.save(tmp_path / "file" / "s.json", None, told.append)
    assert "cannot save in" in told[0]
