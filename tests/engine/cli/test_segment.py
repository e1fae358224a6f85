"""What ``fastsam segment`` does: images in, files out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins import io
from fastsam_plugins.cli import main
from fastsam_plugins.masks.edge_map import to_uint16
from fastsam_plugins.options import (
    ReadOptions,
    SegmentOptions,
)
from fastsam_plugins.paths import SAMPLES
from tests.command import done, one_error, run

ROOT = Path(__file__).parents[3]
COINS = SAMPLES / "coins.png"
QUICK = ("--imgsz", "160", "--device", "cpu", "--conf", "0.2")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def expected(model):
    return model.segment(io.read_image(COINS), imgsz=160, conf=0.2)


@pytest.mark.parametrize("ending", ["png", "json", "tif", "csv"])
def test_segment_writes_what_the_ending_says(ending, expected, tmp_path):
    output = tmp_path / "new" / f"coins.{ending}"
    result = done("segment", COINS, "-o", output, *QUICK)
    assert result.stdout == f"{COINS}: {len(expected)} instances\nWrote {output}\n"
    assert len(expected) > 3
    if ending == "png":
        assert Image.open(output).size == Image.open(COINS).size
    elif ending == "json":
        found = [a["area"] for a in json.loads(output.read_text())["annotations"]]
        assert found == expected.areas.tolist()
    elif ending == "tif":
        assert np.array_equal(tifffile.imread(output), expected.labels())
    else:
        assert len(output.read_text().splitlines()) == 1 + len(expected)


def selected(output, *words):
    done("segment", COINS, "-o", output, *QUICK, *words)
    return [a["segmentation"] for a in json.loads(output.read_text())["annotations"]]


@pytest.mark.parametrize(
    ("words", "filtering", "cleaning"),
    [
        (["--min-score", 0.5], {"min_score": 0.5}, {}),
        (["--max-area", 900, "--nested", "outer"], {"max_area": 900, "nested": "outer"}, {}),
        (["--min-stability", 0.9], {"min_stability": 0.9}, {}),
        (["--max-box-leak", 0.01, "--no-border"], {"max_box_leak": 0.01, "border": False}, {}),
        (["--mask-iou", 0.3, "--containment", 0.5], {}, {"mask_iou": 0.3, "containment": 0.5}),
    ],
)
def test_instances_are_filtered_and_cleaned(words, filtering, cleaning, expected, tmp_path):
    found = selected(tmp_path / "a.json", *words)
    kept = expected.filter(**filtering).clean(min_area=1, **cleaning)
    assert [f["counts"] for f in found] == [r["counts"] for r in kept.rles()]
    assert [f["counts"] for f in found] != [r["counts"] for r in expected.rles()]


def test_holes_are_filled_and_islands_removed(model, tmp_path):
    image, output = SAMPLES / "ihc.jpg", tmp_path / "a.json"
    done("segment", image, "-o", output, *QUICK, "--max-hole", 999, "--max-island", 999)
    found = [a["area"] for a in json.loads(output.read_text())["annotations"]]
    seg = model.segment(io.read_image(image), imgsz=160, conf=0.2)
    assert found == seg.clean(max_hole=999, max_island=999).areas.tolist() != seg.areas.tolist()


def test_points_and_boxes_select(expected, tmp_path):
    output = tmp_path / "a.json"
    points = [(50, 46), (300, 200)]
    found = selected(output, "--point", "50,46", "--point", "300,200,0", "--points-mode", "best")
    assert found == expected.select(points, [1, 0], points_mode="best").rles()
    assert len(found) == 1
    boxes = [(100, 15, 148, 72), (30, 20, 75, 70)]
    words = [w for box in boxes for w in ("--box", ",".join(map(str, box)))]
    found = selected(output, *words)
    assert found == expected.select(boxes=boxes).rles()
    assert len(found) == 2


def test_prompts_are_drawn_on_the_overlay(tmp_path):
    output = tmp_path / "a.png"
    done("segment", COINS, "-o", output, *QUICK, "--point", "50,46", "--point", "200.5,150,0")
    overlay = np.asarray(Image.open(output))
    assert overlay[46, 50].tolist() == [0, 220, 0]
    assert overlay[150, 200].tolist() == [230, 0, 0]


def test_several_images_are_told_apart_by_their_stems(tmp_path):
    result = done(
        "segment", COINS, SAMPLES / "ihc.jpg", "-o", tmp_path / "{stem}.tif", *QUICK, "--json"
    )
    told = json.loads(result.stdout)
    assert [Path(f).name for f in told["files"]] == ["coins.tif", "ihc.tif"]
    for file, image in zip(told["files"], told["images"], strict=True):
        assert tifffile.imread(file).max() == image["instances"]


def test_many_images_are_read_when_it_is_their_turn(tmp_path, monkeypatch):
    names = [tmp_path / f"{k}.png" for k in range(5)]
    for k, name in enumerate(names):
        Image.fromarray(io.read_image(COINS)[:, : 200 + 32 * k]).save(name)
    done("segment", *names, "-o", tmp_path / "once.json", *QUICK, "--batch", "5")
    events = []
    read, write = io.read_for_network, io.write.write_instances
    monkeypatch.setattr(
        io, "read_for_network", lambda *a, **k: events.append("read") or read(*a, **k)
    )
    monkeypatch.setattr(io.write, "write_instances", lambda *a: events.append("write") or write(*a))
    done("segment", *names, "-o", tmp_path / "{stem}.tif", *QUICK, "--batch", "2")
    held = np.cumsum([1 if e == "read" else -1 for e in events])
    assert held[-1] == 0
    assert held.max() <= 3
    done("segment", *names, "-o", tmp_path / "again.json", *QUICK, "--batch", "2")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "once.json").read_text()


def damaged(folder):
    """A cut image, an empty one, one that is none, a folder, and one that is not there."""
    bad = [folder / name for name in ("cut.png", "empty.png", "text.jpg", "folder.png", "no.png")]
    bad[0].write_bytes(COINS.read_bytes()[:5000])
    bad[1].touch()
    bad[2].write_text("hello")
    bad[3].mkdir()
    return bad


@pytest.mark.parametrize("tiled", [(), ("--tiled", "--tile", "200")], ids=["whole", "windows"])
@pytest.mark.parametrize("ending", ["json", "csv", "tif", "png"])
def test_images_that_cannot_be_read_cost_only_themselves(tmp_path, ending, tiled):
    bad = damaged(tmp_path)
    output, alone = (tmp_path / folder / f"{{stem}}.{ending}" for folder in ("out", "alone"))
    if ending in ("json", "csv"):
        output, alone = output.with_name(f"all.{ending}"), alone.with_name(f"all.{ending}")
    good = [COINS, SAMPLES / "ihc.jpg"]
    mixed = [bad[0], bad[1], good[0], bad[2], bad[3], good[1], bad[4]]
    result = run("segment", *mixed, "-o", output, *QUICK, *tiled, "--batch", "2", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert [i["image"] for i in told["images"]] == [str(p) for p in good]
    assert [f["image"] for f in told["failed"]] == [str(p) for p in sorted(bad, key=mixed.index)]
    assert all(f["image"] in f["error"] for f in told["failed"])
    assert "5 of 7 images could not be used" in result.stderr
    assert "Traceback" not in result.stderr
    done("segment", *good, "-o", alone, *QUICK, *tiled)
    written = {p.name: p.read_bytes() for p in output.parent.iterdir()}
    assert written == {p.name: p.read_bytes() for p in alone.parent.iterdir()}
    assert len(written) == (1 if ending in ("json", "csv") else 2)


@pytest.mark.parametrize(("share", "status"), [(0.7, 1), (0.72, 0)])
def test_some_images_may_fail(share, status, tmp_path):
    mixed = [*damaged(tmp_path), COINS, SAMPLES / "ihc.jpg"]
    words = ("-o", tmp_path / "all.json", *QUICK, "--max-errors", share)
    result = run("segment", *mixed, *words)
    assert result.exit_code == status
    assert result.stderr.count("Skipped: ") == 5


def test_where_no_image_can_be_read_nothing_is_written(tmp_path):
    bad = damaged(tmp_path)
    for output in ("out.json", "out.csv", "{stem}.tif"):
        result = run("segment", *bad, "-o", tmp_path / "out" / output, *QUICK)
        assert "5 of 5 images could not be used" in result.stderr
        assert result.exit_code == 1
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert "cut.png is damaged" in one_error(run("segment", bad[0], "-o", tmp_path / "a.csv"))
    result = run("edges", *bad, "-o", tmp_path / "edges", *QUICK)
    assert result.exit_code == 1


@pytest.mark.parametrize("target", ["folder", "file/a.png", "file/sub/a.png", "x" * 300])
def test_an_output_that_cannot_be_written_is_found_before_the_network_runs(
    tmp_path, monkeypatch, target
):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(main, "load", lambda *_: pytest.fail("the network was loaded"))
    output = tmp_path / target
    result = run("segment", COINS, "-o", output.with_name(output.stem + ".png"), *QUICK)
    assert "cannot write" in one_error(result)
    assert (tmp_path / "file").read_text() == "mine"


def test_windows_find_what_the_engine_finds_in_them(model, tmp_path):
    output = tmp_path / "{stem}.json"
    tiling = ("--tiled", "--tile", "200", "--overlap", "0.4", "--no-whole")
    result = done("segment", COINS, "-o", output, *QUICK, *tiling)
    seg = model.segment_tiled(
        io.read_image(COINS), imgsz=160, conf=0.2, tile=200, overlap=0.4, whole=False
    )
    found = json.loads((tmp_path / "coins.json").read_text())["annotations"]
    assert [a["segmentation"] for a in found] == seg.rles()
    assert len(found) > 10
    assert "Segmenting coins.png" in result.stderr


def test_windows_have_overlays_of_the_whole_image(tmp_path):
    output = tmp_path / "a.png"
    done("segment", COINS, "-o", output, *QUICK, "--tiled", "--point", "50,46")
    overlay = np.asarray(Image.open(output))
    assert overlay.shape == io.read_image(COINS).shape
    assert overlay[46, 50].tolist() == [0, 220, 0]


def test_reading_options_reach_the_reader(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 40, 60), np.uint8))
    refused = run("segment", tmp_path / "a.tif", "-o", tmp_path / "b.csv", *QUICK, "--page", "2")
    assert "has 2 pages" in one_error(refused)


@pytest.fixture
def large_photo(tmp_path):
    with Image.open(COINS) as coins:
        coins.convert("RGB").resize((1536, 1212)).save(tmp_path / "large.jpg", quality=95)
    return tmp_path / "large.jpg"


def test_reduced_photos_are_what_the_engine_finds_in_them(model, large_photo, tmp_path):
    small = io.read_for_network(large_photo, lambda: 256, ReadOptions(reduced=True))
    assert small.pixels.shape == (303, 384, 3)
    expected = model.segment(small.pixels, SegmentOptions(imgsz=256), small.shape)
    assert len(expected) > 10
    how = "--imgsz", 256, "--device", "cpu", "--reduced"
    out = tmp_path / "out.json"
    for more, count in (((), len(expected)), (("--box", "100,100,300,300"), 1)):
        done("segment", large_photo, "-o", out, *how, *more)
        written = json.loads(out.read_text())
        assert [written["images"][0][k] for k in ("height", "width")] == [1212, 1536]
        assert len(written["annotations"]) == count
        if not more:
            assert [a["area"] for a in written["annotations"]] == expected.areas.tolist()
    done("segment", large_photo, "-o", tmp_path / "out.png", *how)
    with Image.open(tmp_path / "out.png") as overlay:
        assert overlay.size == (1536, 1212)
    words = "--text", "a red disk", "--clip", ROOT / "support" / "tiny_clip"
    done("segment", large_photo, "-o", out, *how, *words)
    assert len(json.loads(out.read_text())["annotations"]) == 1
    done("edges", large_photo, "-o", tmp_path / "edges", *how)
    with Image.open(tmp_path / "edges" / "large.png") as edges:
        assert np.array_equal(np.asarray(edges), to_uint16(expected.edges()))


@pytest.mark.parametrize("words", [("segment",), ("batch",)])
def test_windows_of_reduced_photos_are_refused(words, large_photo, tmp_path):
    out = tmp_path / "out.json"
    line = one_error(run(*words, large_photo, "-o", out, "--tiled", "--reduced"))
    assert "leave it out, or --tiled" in line
    assert not out.exists()
