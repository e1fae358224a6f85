import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastsam_plugins.io import atomic


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "deep" / "a.csv"
    with atomic.replacing(path) as part:
        assert part.name == path.name  # libraries go by the ending
        part.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert names(path.parent) == ["a.csv"]


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def write() -> None:
        with atomic.replacing(path) as part:
            part.write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_a_file_keeps_its_rights_and_a_new_one_has_the_usual(tmp_path):
    mask = os.umask(0o027)
    try:
        path = tmp_path / "a.json"
        atomic.write_text(path, "1")
        assert path.stat().st_mode & 0o777 == 0o640
        path.chmod(0o604)
        atomic.write_text(path, "2")
        assert path.stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(mask)


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    original, link = tmp_path / "original", tmp_path / "link"
    original.write_text("mine")
    link.symlink_to(original)
    atomic.write_text(link, "new")
    assert (original.read_text(), link.read_text()) == ("mine", "new")
    hard = tmp_path / "hard"
    os.link(original, hard)
    atomic.write_text(hard, "new")
    assert original.read_text() == "mine"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (".", "it is a folder"),
        ("file/a.json", "File exists|its folder is a file"),
        ("/dev/null", "it is no regular file"),
        ("x" * 300, "File name too long"),
        (f"new/{'x' * 300}", "File name too long"),
        (f"new/{'x' * 300}/a.json", "File name too long"),
    ],
)
@pytest.mark.parametrize("write", [lambda p: atomic.write_text(p, "1"), atomic.check_writable])
def test_what_cannot_be_written_is_said_in_one_line(tmp_path, monkeypatch, path, reason, write):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    with pytest.raises(atomic.OutputError, match=reason) as told:
        write(Path(path))
    assert str(told.value).startswith("cannot write ")
    assert "\n" not in str(told.value)
    assert names(tmp_path) == ["file"]
    assert Path("/dev/null").is_char_device()


def test_nothing_written_is_an_error(tmp_path):
    path = tmp_path / "a.gpkg"
    with pytest.raises(atomic.OutputError, match="nothing was written"), atomic.replacing(path):
        pass
    with (
        pytest.raises(atomic.OutputError, match="nothing was written"),
        atomic.replacing(path) as p,
    ):
        p.touch()
    assert names(tmp_path) == []
    atomic.write_bytes(path, b"")  # where that is what there is to write
    assert path.read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_of_the_file_that_was_asked_for(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def write() -> None:
        with atomic.replacing(path) as part:
            part.write_text("new")
            with open("/dev/full", "w") as full:
                full.write("x")

    with pytest.raises(atomic.OutputError, match=f"cannot write {path}: No space left") as told:
        write()
    assert told.value.errno == errno.ENOSPC
    assert path.read_text() == "old"


def test_errors_of_other_files_stay_what_they_are(tmp_path):
    missing = tmp_path / "missing"
    with (
        pytest.raises(FileNotFoundError, match="missing"),
        atomic.replacing(tmp_path / "a") as part,
    ):
        part.write_bytes(missing.read_bytes())


KILLED = """
import sys, time
from fastsam_plugins.io import atomic
with atomic.replacing(sys.argv[1]) as part:
    part.write_text("half")
    print("half", flush=True)
    time.sleep(60)
"""


def test_a_kill_leaves_the_old_file_and_the_next_writer_tidies_up(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    writer = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"half\n"
    atomic.write_text(tmp_path / "b.json", "beside")
    assert len(names(tmp_path)) == 3  # what a living writer is at stays
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert path.read_text() == "old"
    atomic.write_text(tmp_path / "b.json", "beside")
    assert names(tmp_path) == ["a.json", "b.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_only_folders_are_taken_for_what_killed_writers_left(tmp_path):
    planted = tmp_path / f"{atomic.PREFIX}{atomic._here()}-4000004-ee{atomic.SUFFIX}"
    os.mkfifo(planted)
    code = "import sys; from fastsam_plugins.io import atomic; atomic.write_text(sys.argv[1], '')"
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.json"], check=True, timeout=60)
    assert names(tmp_path) == sorted([planted.name, "a.json"])


def test_folders_go_again_if_nothing_comes_of_them(tmp_path):
    (tmp_path / "there").mkdir()
    for path in (tmp_path / "new" / "folder" / "a.json", tmp_path / "there" / "too" / "a.json"):
        with pytest.raises(atomic.OutputError), atomic.replacing(path):
            pass
    with pytest.raises(KeyError), atomic.replacing_folder(tmp_path / "new" / "data"):
        raise KeyError
    assert [p.name for p in tmp_path.rglob("*")] == ["there"]
    kept = tmp_path / "full" / "a.txt"
    with contextlib.suppress(KeyError), atomic.making(kept.parent):
        kept.write_text("of use")
        raise KeyError
    assert kept.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_folder_that_fills_the_disk_is_named(tmp_path):
    def fill():
        with atomic.replacing_folder(tmp_path / "data"), open("/dev/full", "w") as stream:
            stream.write("x" * 100_000)

    with pytest.raises(atomic.OutputError, match=r"cannot write .*data: No space left on device"):
        fill()
    assert names(tmp_path) == []


def test_two_writers_and_a_reader_never_meet_a_torn_file(tmp_path):
    path = tmp_path / "a.json"
    code = (
        "import sys; from fastsam_plugins.io import atomic\n"
        "for _ in range(60): atomic.write_text(sys.argv[1], sys.argv[2] * 100_000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, path, c]) for c in "ab"]
    seen = set()
    while any(w.poll() is None for w in writers):
        if path.exists():
            seen.add(path.read_text())
        time.sleep(0)
    assert [w.wait() for w in writers] == [0, 0]
    assert seen <= {"a" * 100_000, "b" * 100_000}
    assert seen


def test_outputs_are_told_from_inputs_by_whatever_name(tmp_path):
    image = tmp_path / "a.tif"
    image.write_text("mine")
    (tmp_path / "link.tif").symlink_to(image)
    os.link(image, tmp_path / "hard.tif")
    (tmp_path / "sub").mkdir()
    for name in ("a.tif", "link.tif", "hard.tif", "sub/../a.tif"):
        with pytest.raises(ValueError, match="would overwrite the input"):
            atomic.check_apart([tmp_path / name], [image])
    with pytest.raises(ValueError, match="would overwrite the input"):
        atomic.check_apart([tmp_path / "new.tif"], [tmp_path / "sub" / ".." / "new.tif"])
    atomic.check_apart([tmp_path / "b.tif"], [image])


def test_many_files_in_one_folder_are_not_listed_for_each_of_them(tmp_path, monkeypatch):
    for k in range(1000):
        (tmp_path / str(k)).touch()
    listed = []
    scandir = os.scandir

    def counted(path="."):
        listed.append(str(path) == str(tmp_path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    for k in range(200):
        atomic.write_bytes(tmp_path / f"{k}.txt", b"1", flush=False)
    assert 1 <= sum(listed) <= 200 * 64 / 1000 + 1
