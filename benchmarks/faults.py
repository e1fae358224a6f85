"""Kills `fastsam segment` in the middle, for every format: what lies under the final names?

    python -m benchmarks.faults [--moments 14] [--seed 0]

Each format: the run is killed (kill -9) at so many moments spread over its time, and interrupted
(Ctrl+C) at as many, in an empty folder and over files of a run before. Every file under a final
name must be whole: equal to that of an undisturbed run, or to what was there. The control is a
plain ``open(path, "w")`` of the same bytes in small pieces, killed as often.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

FORMATS = ("all.json", "all.csv", "all.gpkg", "{stem}.geojson", "{stem}.tif", "{stem}.png")
COUNT, SIDE = 6, 320


def images(folder: Path) -> list[Path]:
    """Georeferenced pieces of a sample image."""
    import rasterio
    from rasterio.transform import from_origin

    from fastsam_plugins import read_image
    from fastsam_plugins.paths import SAMPLES

    image = read_image(SAMPLES / "ihc.jpg")
    paths = []
    for k in range(COUNT):
        path = folder / f"{k}.tif"
        piece = np.moveaxis(image[20 * k : 20 * k + SIDE, 20 * k : 20 * k + SIDE], 2, 0)
        with rasterio.open(
            path, "w", driver="GTiff", height=SIDE, width=SIDE, count=3, dtype="uint8",
            crs="EPSG:32616", transform=from_origin(5e5, 4e6, 1, 1),
        ) as file:  # fmt: skip
            file.write(piece)
        paths.append(path)
    return paths


def segment(paths: list[Path], output: Path) -> None:
    """The command, in this process."""
    from fastsam_plugins.cli.main import main as command

    signal.signal(signal.SIGINT, signal.default_int_handler)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    words = ["segment", *map(str, paths), "-o", str(output), "--imgsz", "160", "--conf", "0.01"]
    command.main(words)


def plain(content: bytes, output: Path) -> None:
    """The control: a file written as most programs do."""
    with open(output, "wb") as file:
        for start in range(0, len(content), 4096):
            file.write(content[start : start + 4096])
            file.flush()
            time.sleep(0.0005)


def run(target, given: tuple, seconds: float | None = None, how: int = signal.SIGKILL) -> float:
    """Run in a process of its own, ended after so many seconds; how long it took."""
    process = multiprocessing.get_context("fork").Process(target=target, args=given)
    begun = time.perf_counter()
    process.start()
    process.join(seconds)
    if process.is_alive():
        os.kill(process.pid, how)
        process.join(60)
        assert not process.is_alive()
    return time.perf_counter() - begun


def contents(folder: Path) -> dict[str, object]:
    """What lies under final names; of a GeoPackage, which notes the time, its rows."""
    found: dict[str, object] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            continue
        found[path.name] = rows(path) if path.suffix == ".gpkg" else path.read_bytes()
    return found


def rows(path: Path) -> object:
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        names = [n for (n,) in database.execute("select table_name from gpkg_contents")]
        return {n: database.execute(f'select * from "{n}"').fetchall() for n in sorted(names)}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--moments", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    from fastsam_plugins import FastSAM  # loaded once, and forked

    FastSAM("FastSAM-n", "cpu")
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    (root / "in").mkdir()
    paths = images(root / "in")
    before = {p: p.read_bytes() for p in paths}
    print(f"{'format':<16}{'ended':>6}{'whole':>7}{'half':>6}{'old kept':>10}{'left over':>11}")
    for name in FORMATS:
        folder = root / "out"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        took = run(segment, (paths, folder / name))
        expected = contents(folder)
        assert expected, name
        seen: Counter[str] = Counter()
        for over in (False, True):
            for how in (signal.SIGKILL, signal.SIGINT):
                for moment in np.linspace(0.02, 1.0, given.moments) * took:
                    shutil.rmtree(folder)
                    folder.mkdir()
                    if over:
                        for file in expected:
                            (folder / file).write_bytes(b"what was there")
                        if name.endswith(".gpkg"):  # empty, since anything else is refused
                            (folder / name).write_bytes(b"")
                    run(segment, (paths, folder / name), moment + rng.uniform(0, 0.05 * took), how)
                    seen["ended"] += 1
                    for file in folder.iterdir():
                        if file.is_dir():
                            seen["left over"] += 1
                        elif over and file.read_bytes() in (b"what was there", b""):
                            seen["old kept"] += 1
                        else:
                            whole = contents(folder)[file.name] == expected[file.name]
                            seen["whole" if whole else "half"] += 1
        print(
            f"{name:<16}{seen['ended']:>6}{seen['whole']:>7}{seen['half']:>6}"
            f"{seen['old kept']:>10}{seen['left over']:>11}",
            flush=True,
        )
    content = os.urandom(400_000)
    took = run(plain, (content, root / "plain"))
    half = 0
    for moment in np.linspace(0.02, 1.0, given.moments) * took:
        (root / "plain").unlink(missing_ok=True)
        run(plain, (content, root / "plain"), moment)
        half += (root / "plain").exists() and (root / "plain").read_bytes() != content
    print(f"control, a plain open() and write(): {half} of {given.moments} half")
    assert {p: p.read_bytes() for p in paths} == before
    print("inputs unchanged")
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
