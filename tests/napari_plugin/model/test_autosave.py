"""Sessions that are saved by themselves: nothing that was not opened is ever written over."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastsam_plugins.io import atomic
from napari_plugin.model import saving
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.session_folder import SessionFolder
from tests.napari_plugin.model.sessions import (
    RECORD,
    SHAPE,
    Opening,
    click,
    commit,
    contents,
    count,
)


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
