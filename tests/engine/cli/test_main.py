"""What the commands do: images in, files out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins import io
from fastsam_plugins.cli import main
from fastsam_plugins.masks.edge_map import to_uint16
from fastsam_plugins.network import checkpoints, weights
from fastsam_plugins.options import (
    PRESETS,
    DataOptions,
    ReadOptions,
    SegmentOptions,
    TrainOptions,
    WeightsOptions,
)
from fastsam_plugins.paths import SAMPLES
from tests.command import done, one_error, run

ROOT = Path(__file__).parents[3]
COINS = SAMPLES / "coins.png"
QUICK = ("--imgsz", "160", "--device", "cpu", "--conf", "0.2")

pytestmark = pytest.mark.usefixtures("one_thread")


# --- segment, edges -------------------------------------------------------------------------------


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


def test_edges_of_images_that_can_be_read_are_written(tmp_path):
    bad = damaged(tmp_path)
    result = run("edges", bad[0], COINS, bad[4], "-o", tmp_path / "edges", *QUICK)
    assert result.exit_code == 1
    assert "2 of 3 images could not be used" in result.stderr
    assert [p.name for p in (tmp_path / "edges").iterdir()] == ["coins.png"]


@pytest.mark.parametrize("how", ["stem", "link", "hard link", "spelling", "itself"])
@pytest.mark.parametrize("subcommand", ["segment", "edges"])
def test_no_output_replaces_an_input(tmp_path, how, subcommand):
    first, second = tmp_path / "a.png", tmp_path / "a_b.png"
    for path in (first, second):
        path.write_bytes(COINS.read_bytes())
    (tmp_path / "out").mkdir()
    if how == "link":
        (tmp_path / "out" / "a.png").symlink_to(first)
    elif how == "hard link":
        os.link(second, tmp_path / "out" / "a.png")
    outputs = {"stem": "{stem}_b.png", "spelling": "out/../{stem}.png", "itself": "{stem}.png"}
    output = tmp_path / outputs.get(how, "out/{stem}.png")
    if subcommand == "edges":
        if how == "stem":
            pytest.skip("its outputs have the names of the images")
        output = output.parent
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (first, second)}
    result = run(subcommand, first, second, "-o", output, *QUICK)
    assert "would overwrite the input" in one_error(result)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (first, second)} == before


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


# --- train ----------------------------------------------------------------------------------------


def test_training_on_what_is_not_coco_is_one_line(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    line = one_error(run("train", tmp_path / "a.json", "-o", tmp_path / "out", "--epochs", "1"))
    assert "not a COCO ground truth" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to train on: name DATA, or --resume"),
        (["--resume"], "holds no training to resume"),
        (["--resume", "--epochs", "3"], "--resume keeps the data and options"),
        (["--resume", "--preset", "nano"], "--resume keeps the data and options"),
        (["--resume", __file__], "--resume keeps the data and options"),
        ([__file__, "--synthetic", "2"], "synthetic must be between 0 and 1, got 2.0"),
        ([__file__, "--weights", "nowhere.pt"], "nowhere.pt"),
    ],
)
def test_training_that_cannot_start_is_one_line(words, message, tmp_path):
    assert message in one_error(run("train", *words, "-o", tmp_path / "out"))
    assert list(tmp_path.iterdir()) == [], "nothing was written"


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_recipes_that_help_shows_and_flags_change(preset, monkeypatch, tmp_path):
    from fastsam_plugins.training import train as rooms

    started = []
    monkeypatch.setattr(rooms, "train", lambda *given: started.append(given) or Path("w"))
    done("train", __file__, "-o", tmp_path, "--preset", preset, "--epochs", "7")
    (data, output, options, device, trusted, reading, partial) = started[0]
    assert reading == DataOptions()
    assert partial == ()
    assert (data, output, device) == ((__file__,), tmp_path, "auto")
    assert trusted == WeightsOptions()
    assert options == TrainOptions(**{**PRESETS[preset], "epochs": 7})
    assert f"{preset} {PRESETS[preset]['epochs']}" in " ".join(done("train", "-h").stdout.split())


# --- models, average ------------------------------------------------------------------------------


def test_models_lists_names_and_places():
    rows = json.loads(done("models", "--json").stdout)
    assert [r["name"] for r in rows] == ["FastSAM-n", "FastSAM-s", "FastSAM-x"]
    assert rows[0]["here"]
    text = done("models").stdout
    assert all(r["name"] in text and r["path"] in text for r in rows)


def test_an_unknown_model_cannot_be_downloaded():
    assert "FastSAM-n, FastSAM-s, FastSAM-x" in one_error(run("models", "--download", "FastSAM-q"))


def test_the_mean_of_trainings_is_one_command(tmp_path):
    output = tmp_path / "mean.safetensors"
    assert str(output) in done("average", "FastSAM-n", weights.BUNDLED, "-o", output).stdout
    assert checkpoints.read(output).imgsz == checkpoints.read(weights.BUNDLED).imgsz


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "WEIGHTS"),
        ([weights.BUNDLED], "--output"),
        ([weights.BUNDLED, "-o", "mean.pt"], "must end in .safetensors"),
        (["nowhere.pt", "-o", "mean.safetensors"], "no weights at nowhere.pt"),
    ],
)
def test_a_mean_of_nothing_is_one_line(words, message):
    assert message in one_error(run("average", *words))


def test_a_mean_of_weights_does_not_replace_one_of_them(tmp_path):
    weights_file = tmp_path / "a.safetensors"
    weights_file.write_bytes(weights.BUNDLED.read_bytes())
    result = run("average", weights_file, weights.BUNDLED, "-o", weights_file)
    assert "would overwrite the input" in one_error(result)
    assert weights_file.read_bytes() == weights.BUNDLED.read_bytes()


def test_data_labelled_in_part_are_named_apart(tmp_path, monkeypatch):
    from fastsam_plugins.training import train as rooms

    started = []
    monkeypatch.setattr(rooms, "train", lambda *given: started.append(given) or Path("w"))
    done("train", "a", "-o", tmp_path, "--partial", "b", "--partial", "c")
    done("train", "-o", tmp_path, "--partial", "b")
    assert [(given[0], given[-1]) for given in started] == [(("a",), ("b", "c")), ((), ("b",))]
    line = one_error(run("train", "--resume", "-o", tmp_path, "--partial", "b"))
    assert "--resume keeps the data" in line


def test_several_devices_are_refused(tmp_path):
    line = one_error(run("train", __file__, "-o", tmp_path / "out", "--device", "0,1"))
    assert "a training runs on one device, got 0,1" in line
    assert not (tmp_path / "out").exists()
