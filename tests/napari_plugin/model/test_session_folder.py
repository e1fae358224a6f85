"""Which saved sessions are of an image."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np

from napari_plugin.model import saving
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.session import Session
from tests.napari_plugin.model.sessions import (
    IMAGE,
    OLD,
    RECORD,
    Opening,
    click,
    commit,
    contents,
)


def test_a_session_that_was_not_opened_is_kept_and_still_offered(tmp_path):
    first = Opening(tmp_path)
    for place in ((70, 10), (15, 30), (55, 30)):
        commit(first.session, *place)
    first.saver.close()
    before = contents(tmp_path)
    for _ in range(3):
        again = Opening(tmp_path)
        assert again.offers()[0].count == 3
        click(again.session, 70, 10)
        again.saver.close()
    assert before.items() <= contents(tmp_path).items()
    assert len(contents(tmp_path)) == 4
    again = Opening(tmp_path)
    assert again.offers()[0].path == first.saver.path, "what has objects before a mere click"
    assert "3 objects" in again.offers()[0].message("plain")


def test_arrays_of_one_name_and_shape_have_sessions_of_their_own(tmp_path):
    first = Opening(tmp_path)
    commit(first.session, 70, 10)
    first.saver.close()
    before = contents(tmp_path)
    other = Opening(tmp_path, np.ascontiguousarray(IMAGE[::-1]))
    (offer,) = other.offers()
    assert offer.why == "changed"
    assert "other pixels" in offer.message("plain")
    commit(other.session, 15, 30)
    assert before.items() <= contents(tmp_path).items()


def test_a_session_is_found_when_its_image_is_called_otherwise(tmp_path):
    first = Opening(tmp_path)
    commit(first.session, 70, 10)
    first.saver.close()
    renamed = Opening(tmp_path, record=dataclasses.replace(RECORD, name="new", path="/moved.tif"))
    assert [(o.path, o.why) for o in renamed.offers()] == [(first.saver.path, "same")]


def test_a_session_of_before_pixels_were_known_is_offered_and_kept(tmp_path):
    shape = (60, 100)
    shutil.copy(OLD, tmp_path)
    record = dataclasses.replace(RECORD, shape=shape)
    window = Opening(tmp_path, np.zeros(shape), record)
    (offer,) = window.offers()
    assert (offer.path.name, offer.why, offer.count) == (OLD.name, "old", 2)
    assert "by its name alone" in offer.message("plain")
    saved = saving.read(offer.path)
    session = Session(ArrayCanvas(np.zeros(shape, np.int32)))
    saving.restore(session, saved)
    assert set(session.objects.known) == {1, 2}
    assert session.objects.canvas.array[20, 80] == 1
    assert session.prompts(()).points == ((60, 30),)
    window.saver.new_file(offer.path)
    window.saver.changed(set())
    assert (tmp_path / f"{OLD.name}.bak").read_bytes() == OLD.read_bytes()
    assert not (tmp_path / OLD.name).exists()


def test_files_that_are_no_sessions_are_left_alone(tmp_path):
    window = Opening(tmp_path)
    name = f"plain-{window.identity.get()}-x.json"
    (tmp_path / name).write_text("{}")
    assert window.offers() == []
    told = []
    window.saver.save(tmp_path / name, None, told.append)
    assert "no session: choose another name" in told[0]
    assert (tmp_path / name).read_text() == "{}"
