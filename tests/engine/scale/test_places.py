"""places.py: files here and objects in a store, through the same words."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from fastsam_plugins.scale import places


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("s3://bucket/a", True), ("gs://b", True), ("file:///tmp/a", False), ("/tmp/a", False),
     ("C:/a", False), ("a://b c", True), ("fiftyone:a", False)],
)  # fmt: skip
def test_addresses_are_told_from_paths(text, is_one):
    assert places.is_address(text) == is_one


def test_a_file_address_is_a_path(tmp_path):
    assert places.local(f"file://{tmp_path}/a%20b") == f"{tmp_path}/a b"


def test_files_here_are_written_read_listed_and_deleted(tmp_path):
    folder = str(tmp_path / "new")
    assert places.files(folder) == []
    place = places.join(folder, "deep", "a.bin")
    places.write_bytes(place, b"one")
    places.write_bytes(place, b"two")
    assert places.read_bytes(place) == b"two"
    assert places.files(folder) == [place]
    assert places.is_folder(folder)
    with places.fetched(place) as path:
        assert path == Path(place)
    places.delete(place)
    places.delete(place)
    with pytest.raises(FileNotFoundError):
        places.read_bytes(place)


def test_a_store_is_as_a_folder(store):
    place = "s3://bucket/a/b c%20#?.bin"  # what is in a name is no part of an address
    places.write_bytes(place, b"one")
    assert places.read_bytes(place) == b"one"
    assert places.files("s3://bucket/a") == [place]
    assert places.files("s3://bucket/none") == []
    assert (places.is_folder("s3://bucket/a"), places.is_folder(place)) == (True, False)
    with places.fetched(place) as path:
        assert path.read_bytes() == b"one"
    assert not path.exists()
    places.delete(place)
    places.delete(place)
    with pytest.raises(FileNotFoundError):
        places.read_bytes(place)


def test_a_bucket_is_a_folder_and_one_that_is_not_there_is_not_empty(store):
    assert places.is_folder("s3://bucket")
    assert places.files("s3://bucket") == []
    places.write_bytes("s3://bucket/a.bin", b"one")
    assert places.files("s3://bucket") == ["s3://bucket/a.bin"]
    for address in ("s3://nothere", "s3://nothere/photos/"):
        with pytest.raises(places.StoreError, match="there is no bucket s3://nothere"):
            places.files(address)


def test_an_empty_path_is_not_the_folder_where_one_stands():
    with pytest.raises(ValueError, match="an empty path names nothing"):
        places.local("")


def test_the_end_of_a_file_and_of_an_object(store, tmp_path):
    for place in (str(tmp_path / "a.bin"), "s3://bucket/a.bin"):
        places.write_bytes(place, b"0123456789")
        assert places.tail(place, 4) == b"6789"
        assert places.tail(place, 40) == b"0123456789"
    with pytest.raises(FileNotFoundError):
        places.tail("s3://bucket/none", 4)


@pytest.mark.filterwarnings("ignore:.*cannot be reached")  # where the machine is slow
def test_a_store_that_is_away_is_waited_for(store, monkeypatch):
    places.write_bytes("s3://bucket/a", b"x" * 1000)
    store.kill()
    monkeypatch.setattr(places, "PATIENCE", 0.0)
    with pytest.raises(places.StoreError, match="s3://bucket/a cannot be used: "):
        places.read_bytes("s3://bucket/a")
    monkeypatch.setattr(places, "PATIENCE", 60.0)
    again = threading.Timer(1.0, store.start)
    again.start()
    assert len(places.read_bytes("s3://bucket/a")) == 1000
    again.join()


def test_what_a_store_refuses_is_not_tried_again():
    tried = []

    def work():
        tried.append(time.monotonic())
        raise OSError("AWS Error ACCESS_DENIED during GetObject operation")

    with pytest.raises(places.StoreError, match="ACCESS_DENIED"):
        places.patiently(work, "s3://bucket/a")
    assert len(tried) == 1


def test_what_fails_now_and_then_succeeds(monkeypatch):
    monkeypatch.setattr(places, "FIRST_WAIT", 0.001)
    fails = [OSError("SLOW_DOWN"), OSError("connection reset")]

    def work():
        if fails:
            raise fails.pop()
        return "here"

    assert places.patiently(work, "s3://bucket/a") == "here"


def test_who_waits_for_a_store_is_told_once(monkeypatch):
    monkeypatch.setattr(places, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(places, "SILENCE", 0.0)
    fails = [OSError("connection refused")] * 4

    def work():
        if fails:
            raise fails.pop()
        return "here"

    with pytest.warns(UserWarning, match=r"s3://told cannot be reached.*300 s") as seen:
        assert places.patiently(work, "s3://told/a/b.png") == "here"
    assert [str(w.message) for w in seen] == [
        "s3://told cannot be reached, and is tried for 300 s more: connection refused"
    ]


def test_a_store_of_fsspec_s_is_one_too():
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    places.write_bytes("memory://folder/a.bin", b"one")
    assert places.read_bytes("memory://folder/a.bin") == b"one"


def test_a_store_has_a_name():
    with pytest.raises(ValueError, match="s3:// names no bucket"):
        places.files("s3://")


def test_what_is_no_store_is_one_line():
    with pytest.raises(ValueError, match="nothing://here is no address"):
        places.read_bytes("nothing://here/a")
