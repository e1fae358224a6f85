"""A disk that fills up: what was there stays, nothing half is left, one line says so."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastsam_plugins import io
from fastsam_plugins.io import Georeference, ImageResult, OutputError, atomic, npz
from fastsam_plugins.network import checkpoints, weights
from fastsam_plugins.segmentation import Segmentation
from tests.conftest import UTM

resource = pytest.importorskip("resource", reason="this system sets no limits")
PLACE = Georeference("EPSG:32616", UTM)


@contextlib.contextmanager
def no_room_beyond(size):
    """No file can grow beyond so many bytes, as on a full disk."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def scattered(count):
    """Objects that compress badly."""
    rng = np.random.default_rng(count)
    runs = []
    for _ in range(count):
        starts = np.sort(rng.choice(500 * 500 // 2, 40, replace=False)) * 2
        runs.append(np.stack([starts, starts + 1], 1).astype(np.int64))
    seg = Segmentation.from_runs(runs, (500, 500))
    image = rng.integers(0, 255, (500, 500, 3), np.uint8)
    return ImageResult(Path("image.tif"), image, seg, PLACE)


def write_kept(result, path):
    npz.write(result.segmentation, path)


def write_weights(result, path):
    checkpoint = checkpoints.read(weights.BUNDLED)
    checkpoint.notes = {"instances": str(len(result.segmentation))}
    checkpoints.save(checkpoint, path)


WRITERS = {
    **dict.fromkeys(("json", "csv", "gpkg", "geojson", "tif", "png"),
                    lambda result, path: io.write_results([result], path)),
    "npz": write_kept,
    "safetensors": write_weights,
}  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="this system sets no limits")
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("ending", WRITERS)
def test_a_full_disk_leaves_what_was_there(tmp_path, ending, share):
    write, path = WRITERS[ending], tmp_path / f"a.{ending}"
    write(scattered(60), path)
    before, size = path.read_bytes(), path.stat().st_size
    assert size > 2000
    with no_room_beyond(int(share * size)), pytest.raises(OutputError) as told:
        write(scattered(61), path)
    assert str(told.value).startswith(f"cannot write {path}: ")
    assert "is no GeoPackage" not in str(told.value)  # it is one
    assert "\n" not in str(told.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    new = tmp_path / f"new.{ending}"
    with no_room_beyond(int(share * size)), pytest.raises(OutputError) as told:
        write(scattered(61), new)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 400
    assert not new.exists()
    write(scattered(61), path)
    assert path.read_bytes() != before


@pytest.mark.parametrize("what", [b"", b"no database", b"SQLite format 3\0 and then nothing"])
def test_what_is_no_geopackage_is_not_lost(tmp_path, what):
    path = tmp_path / "a.gpkg"
    path.write_bytes(what)
    if not what:  # as a killed writer of old left it: nothing is lost by it
        io.write_results([scattered(3)], path)
        assert path.stat().st_size > 2000
        return
    with pytest.raises(OutputError, match="no GeoPackage that can be added to"):
        io.write_results([scattered(3)], path)
    assert path.read_bytes() == what


def test_libraries_that_do_not_say_so_have_it_said_for_them(tmp_path, monkeypatch):
    def write():
        with atomic.replacing(tmp_path / "a.gpkg"):
            raise OSError("no such table")

    monkeypatch.setattr(atomic.shutil, "disk_usage", lambda path: SimpleNamespace(free=4096))
    with pytest.raises(OutputError, match=r"no such table \(the disk has 4 kB left\)"):
        write()


def test_a_geopackage_that_another_program_writes_is_left_to_it(tmp_path):
    import sqlite3

    path = tmp_path / "a.gpkg"
    io.write_results([scattered(3)], path)
    other = sqlite3.connect(path)
    other.execute("pragma journal_mode = wal")
    other.execute("create table mine (a)")
    other.commit()
    before = path.read_bytes()
    with pytest.raises(OutputError, match="another program has it open"):
        io.write_results([scattered(4)], path)
    assert path.read_bytes() == before
    assert list(other.execute("select name from sqlite_master where name = 'mine'"))
    other.close()
    io.write_results([scattered(4)], path)


def test_two_programs_add_layers_to_one_geopackage(tmp_path):
    """Each finds its own in it, whoever comes first."""
    import sqlite3
    import subprocess

    code = (
        "import sys, dataclasses; from pathlib import Path\n"
        "from tests.engine.io.test_full_disk import scattered, io\n"
        "for k in range(6):\n"
        "    one = dataclasses.replace(scattered(5), path=Path(f'{sys.argv[2]}{k}.tif'))\n"
        "    io.write_results([one], sys.argv[1])\n"
    )
    path = tmp_path / "a.gpkg"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, path, name], cwd=Path(__file__).parents[3])
        for name in "ab"
    ]
    assert [w.wait(120) for w in writers] == [0, 0]
    with contextlib.closing(sqlite3.connect(path)) as database:
        names = {n for (n,) in database.execute("select table_name from gpkg_contents")}
    assert names == {f"{name}{k}" for name in "ab" for k in range(6)}
    assert [p.name for p in tmp_path.iterdir()] == ["a.gpkg"]


def test_names_of_files_need_not_be_utf8(tmp_path):
    odd = Path("caf\udce9.png")  # as Python names a file of Latin-1
    result = scattered(3)
    named = ImageResult(odd, result.image, result.segmentation)
    for ending in ("json", "csv", "geojson"):
        io.write_results([named], tmp_path / f"a.{ending}")
        assert (tmp_path / f"a.{ending}").read_bytes().decode()
    atomic.write_json(tmp_path / "b.json", {"name": "é"})
    assert "é" in (tmp_path / "b.json").read_text(encoding="utf-8")
