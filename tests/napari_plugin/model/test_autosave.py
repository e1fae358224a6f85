"""Sessions that are saved by themselves: nothing that was not opened is ever written over."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fastsam_plugins.io import atomic
from napari_plugin.model import identity, saving
from napari_plugin.model.autosave import Saver
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.identity import Identity
from napari_plugin.model.saving import ImageRecord
from napari_plugin.model.session import Session
from napari_plugin.model.session_folder import SessionFolder
from tests.napari_plugin.model.sessions import SHAPE, click, commit, plain

IMAGE = np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint16).reshape(SHAPE)
RECORD = ImageRecord("plain", None, SHAPE, (0, 1))
OLD = Path(__file__).parent / "data" / "plain-08228162.json"  # by the code before pixels were known


class Opening:
    """An image that is opened, as the window does, with threads that run when they are told to."""

    def __init__(self, folder, image=IMAGE, record=RECORD, at_once=True):
        self.sessions, self.identity = SessionFolder(folder), Identity([image])
        self.waiting, self.told, self.timers = [], [], []
        self.session, self.record, self.at_once = plain(), record, at_once
        self.saver = Saver(
            self.session, lambda: record, None, self.run, self.sessions, self.identity,
            self.told.append, lambda seconds, act: self.timers.append(act),
        )  # fmt: skip
        self.session.history.listeners.append(
            lambda step: self.saver.changed({()} if step.pixels else set())
        )

    def run(self, then, work):
        if self.at_once:
            then(work())
        else:
            self.waiting.append(lambda: then(work()))

    def offers(self):
        return self.sessions.of(dataclasses.replace(self.record, content=self.identity.get()))

    def reopen(self, path):
        self.saver.flush()
        saved = saving.read(path)
        self.session.attach(None)
        self.session.forget()
        self.session.attach(ArrayCanvas(np.zeros(SHAPE, np.int32)), empty=True)
        saving.restore(self.session, saved)
        self.saver.new_file(path)


def count(path):
    return len(json.loads(Path(path).read_text())["objects"])


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


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


def test_what_was_gone_on_with_is_kept_as_bak_once_for_every_opening(tmp_path):
    states = []
    first = Opening(tmp_path)
    commit(first.session, 70, 10)
    first.saver.close()
    for place in ((15, 30), (55, 30)):
        again = Opening(tmp_path)
        (offer,) = again.offers()
        states.append(offer.path.read_bytes())
        again.reopen(offer.path)
        assert contents(tmp_path)[offer.path.name] == states[-1], "until there is something to save"
        commit(again.session, *place)
        again.saver.close()
    assert sorted(p.read_bytes() for p in tmp_path.glob("*.bak")) == sorted(states)
    (offer,) = Opening(tmp_path).offers()
    assert offer.count == 3
    assert all(count(p) < 3 for p in tmp_path.glob("*.bak"))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_windows_on_one_session_do_not_write_over_each_other(tmp_path, order):
    first = Opening(tmp_path)
    commit(first.session, 70, 10)
    first.saver.close()
    windows = [Opening(tmp_path, at_once=False) for _ in range(2)]
    for window in windows:
        window.reopen(first.saver.path)
    commit(windows[0].session, 15, 30)
    commit(windows[1].session, 55, 30)
    click(windows[1].session, 30, 30)
    for k in order:
        for work in windows[k].waiting:
            work()
    for window in windows:
        window.saver.close()
    found = {p: count(p) for p in tmp_path.glob("*.json")}
    assert sorted(found.values()) == [2, 2]
    assert [count(p) for p in tmp_path.glob("*.bak")] == [1]
    xs = [{p["points"][0][0] for o in json.loads(f.read_text())["objects"]
           for p in o["prompts"].values()} for f in found]  # fmt: skip
    assert sorted(map(sorted, xs)) == [[15, 70], [55, 70]]


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


def test_another_canvas_has_another_file(tmp_path):
    window = Opening(tmp_path)
    commit(window.session, 70, 10)
    commit(window.session, 15, 30)
    before = contents(tmp_path)
    window.saver.new_file()  # the layer of objects was deleted
    window.session.attach(ArrayCanvas(np.zeros(SHAPE, np.int32)))
    commit(window.session, 55, 30)
    assert before.items() <= contents(tmp_path).items()
    assert sorted(count(p) for p in tmp_path.glob("*.json")) == [1, 2]


def test_closing_while_a_save_runs_saves_the_last_state(tmp_path):
    window = Opening(tmp_path, at_once=False)
    commit(window.session, 70, 10)
    commit(window.session, 15, 30)
    window.saver.close()
    assert count(window.saver.path) == 2
    for work in window.waiting:
        work()  # the thread comes late
    assert count(window.saver.path) == 2
    window = Opening(tmp_path, at_once=False)
    window.saver.save(tmp_path / "mine.json", None, window.told.append)
    window.saver.close()
    assert (tmp_path / "mine.json").is_file(), "Save is done before the window is gone"


def test_a_full_disk_is_told_once_nothing_is_lost_and_it_is_tried_again(tmp_path, monkeypatch):
    window = Opening(tmp_path)
    commit(window.session, 70, 10)
    good = window.saver.path.read_bytes()
    real = atomic.write_bytes

    def full(path, content, **how):
        with atomic.replacing(path) as part:
            part.write_bytes(content[: len(content) // 2])
            raise OSError(28, "No space left on device", str(part))

    monkeypatch.setattr(atomic, "write_bytes", full)
    commit(window.session, 15, 30)
    commit(window.session, 55, 30)
    assert len(window.told) == 1
    assert "No space left on device" in window.told[0]
    assert contents(tmp_path) == {window.saver.path.name: good}
    window.timers.pop(0)()
    assert len(window.told) == 1
    monkeypatch.setattr(atomic, "write_bytes", real)
    window.timers.pop(0)()
    assert count(window.saver.path) == 3
    assert "saved again" in window.told[1]


def test_a_folder_that_cannot_be_made_or_read_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    window = Opening(tmp_path / "file" / "sessions")
    assert window.offers() == []
    commit(window.session, 70, 10)
    assert "cannot save the session" in window.told[0]


def test_files_that_are_no_sessions_are_left_alone(tmp_path):
    window = Opening(tmp_path)
    name = f"plain-{window.identity.get()}-x.json"
    (tmp_path / name).write_text("{}")
    assert window.offers() == []
    told = []
    window.saver.save(tmp_path / name, None, told.append)
    assert "no session: choose another name" in told[0]
    assert (tmp_path / name).read_text() == "{}"


def test_saving_over_a_session_of_another_window_keeps_it(tmp_path):
    first, second = Opening(tmp_path), Opening(tmp_path)
    commit(first.session, 70, 10)
    commit(second.session, 15, 30)
    commit(second.session, 55, 30)
    mine = tmp_path / "mine.json"
    told = []
    first.saver.save(mine, None, told.append)
    second.saver.save(mine, None, told.append)
    commit(second.session, 70, 10)
    second.saver.save(mine, None, told.append)
    assert told == ["", "", ""]
    assert count(mine) == 3
    assert [count(p) for p in tmp_path.glob("mine.json*.bak")] == [1]


@pytest.mark.parametrize("link", [None, "symlink_to", "hardlink_to"])
def test_a_session_is_not_saved_over_an_image(tmp_path, link):
    image = tmp_path / "image.json"
    image.write_bytes(b"pixels")
    target = image
    if link:
        target = tmp_path / "other.json"
        getattr(target, link)(image)
    told = []
    Opening(tmp_path).saver.save(target, None, told.append, [image])
    assert "would overwrite the input" in told[0]
    assert image.read_bytes() == b"pixels"


def test_pictures_are_never_written_over_others(tmp_path):
    (tmp_path / "s_images").mkdir()
    mine = tmp_path / "s_images" / "image.png"
    mine.write_bytes(b"mine")
    window = Opening(tmp_path)
    commit(window.session, 70, 10)
    seen = []
    for gray in (10, 20, 20):
        window.saver.save(
            tmp_path / "s.json",
            lambda key, gray=gray: np.full((*SHAPE, 3), gray, np.uint8),
            seen.append,
        )
    assert seen == [""] * 3
    assert mine.read_bytes() == b"mine"
    assert len(list((tmp_path / "s_images").iterdir())) == 3


def test_pictures_are_still_known_after_the_next_change(tmp_path):
    window = Opening(tmp_path)
    commit(window.session, 70, 10)
    window.saver.save(None, lambda key: np.zeros((*SHAPE, 3), np.uint8), window.told.append)
    commit(window.session, 15, 30)
    saved = saving.read(window.saver.path)
    assert (tmp_path / saved.pictures[()]).is_file()
    assert len(saved.objects) == 2


# --- which image it is ---------------------------------------------------------------------------


def test_equal_pixels_have_one_name_and_others_another():
    names = {
        identity.name([a])
        for a in (IMAGE, IMAGE.astype(np.int32), IMAGE.reshape(-1, 40), IMAGE + 1, IMAGE[::-1])
    }
    assert len(names) == 5
    changed = IMAGE.copy()
    changed[13, 7] += 1
    assert identity.name([changed]) != identity.name([IMAGE])
    assert identity.name([np.asfortranarray(IMAGE)]) == identity.name([IMAGE.copy()])


def test_of_what_is_large_or_read_from_files_little_is_read():
    class Counting:
        def __init__(self, array):
            self.array, self.read = array, 0
            self.shape, self.dtype = array.shape, array.dtype

        def __getitem__(self, index):
            part = self.array[index]
            self.read += part.nbytes
            return part

    large = np.random.default_rng(0).integers(0, 255, (5, 3000, 3000, 3), dtype=np.uint8)
    levels = [Counting(large), Counting(large[:, ::4, ::4])]
    first = identity.name(levels)
    assert sum(level.read for level in levels) <= 2 * 16 * 128 * 128 * 3
    assert identity.name([Counting(large.copy()), Counting(large[:, ::4, ::4])]) == first
    assert identity.name([Counting(large[::-1]), Counting(large[::-1, ::4, ::4])]) != first


def test_pixels_that_cannot_be_read_have_no_name_and_are_saved_all_the_same(tmp_path, caplog):
    class Broken:
        shape, dtype = SHAPE, np.dtype(np.uint8)

        def __getitem__(self, index):
            raise RuntimeError("the server is gone")

    window = Opening(tmp_path, Broken())
    commit(window.session, 70, 10)
    assert count(window.saver.path) == 1
    assert "the server is gone" in caplog.text
    assert SessionFolder(tmp_path).of(RECORD)[0].why == "changed"
