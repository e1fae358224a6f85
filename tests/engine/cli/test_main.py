"""The command as people and scripts use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from fastsam_plugins import __version__, io
from fastsam_plugins.cli import common, demo, doctor, main
from fastsam_plugins.messages import install
from fastsam_plugins.network import checkpoints, weights
from fastsam_plugins.options import (
    PRESETS,
    DataOptions,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TileOptions,
    TrainOptions,
    WeightsOptions,
)
from fastsam_plugins.parameters import parameters
from fastsam_plugins.paths import SAMPLES

COINS = SAMPLES / "coins.png"
QUICK = ("--imgsz", "160", "--device", "cpu", "--conf", "0.2")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.delenv("FASTSAM_DEBUG", raising=False)


def run(*words):
    return CliRunner().invoke(main.main, [str(w) for w in words])


def done(*words):
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result


def command(*words, **environment):
    """The command in a process of its own, as after installing: nothing imported, no settings."""
    return subprocess.run(
        [sys.executable, "-m", "fastsam_plugins", *(str(w) for w in words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )


# --- segment ------------------------------------------------------------------------------------


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
    read, write = io.read_image, io.write.write_instances
    monkeypatch.setattr(io, "read_image", lambda *a, **k: events.append("read") or read(*a, **k))
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


def test_a_mean_of_weights_does_not_replace_one_of_them(tmp_path):
    weights_file = tmp_path / "a.safetensors"
    weights_file.write_bytes(weights.BUNDLED.read_bytes())
    result = run("average", weights_file, weights.BUNDLED, "-o", weights_file)
    assert "would overwrite the input" in one_error(result)
    assert weights_file.read_bytes() == weights.BUNDLED.read_bytes()


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


def test_standard_output_holds_json_and_nothing_else(tmp_path):
    """In a fresh process and home, where ultralytics has much to say."""
    result = command(
        "segment", COINS, "-o", tmp_path / "a.json", *QUICK, "--json",
        YOLO_CONFIG_DIR=str(tmp_path / "home"),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["model"] == "FastSAM-n"
    assert told["files"] == [str(tmp_path / "a.json")]
    assert "Segmenting" in result.stderr


# --- flags --------------------------------------------------------------------------------------


def parse(subcommand, words):
    parent = click.Context(main.main, **main.main.context_settings)
    return subcommand.make_context(subcommand.name, words, parent=parent)


@pytest.mark.parametrize(
    ("subcommand", "options", "words"),
    [
        (main.segment, SegmentOptions, ["a.png", "-o", "b.png"]),
        (main.segment, PromptOptions, ["a.png", "-o", "b.png"]),
        (main.segment, ReadOptions, ["a.png", "-o", "b.png"]),
        (main.segment, TileOptions, ["a.png", "-o", "b.png"]),
        (main.train, TrainOptions, [__file__]),
    ],
    ids=["SegmentOptions", "PromptOptions", "ReadOptions", "TileOptions", "TrainOptions"],
)
def test_every_option_has_a_flag_of_its_default_and_help(subcommand, options, words):
    context = parse(subcommand, words)
    flags = {f.name: f for f in subcommand.params if isinstance(f, click.Option)}
    for p in parameters(options):
        assert context.params[p.name] == p.default
        dashed = p.name.replace("_", "-")
        assert f"--{dashed}" in flags[p.name].opts
        assert p.help in flags[p.name].help
        assert p.unit in flags[p.name].help
        if p.type is bool:
            assert flags[p.name].secondary_opts == [f"--no-{dashed}"]
    assert common.pick(options, dict(context.params)) == options()


def test_a_flag_changes_its_option():
    words = ["a.png", "-o", "b.png", "--conf", "0.1", "--no-full-frame", "--max-det", "7"]
    context = parse(main.segment, words)
    expected = SegmentOptions(conf=0.1, full_frame=False, max_det=7)
    assert common.pick(SegmentOptions, dict(context.params)) == expected


@pytest.mark.parametrize("name", ["", "segment", "demo", "models", "doctor", "train"])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_on_standard_output(name, flag):
    result = done(*name.split(), flag)
    assert result.stdout.startswith("Usage: ")
    assert result.stderr == ""


def test_version_is_told():
    assert done("--version").stdout.split()[-1] == __version__


# --- bad input ----------------------------------------------------------------------------------


def one_error(result):
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = [x for x in result.stderr.splitlines() if x.startswith("Error: ")]
    assert result.stderr.rstrip().endswith(line)
    return line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{tmp}/nowhere.png", "-o", "{tmp}/a.png"], "no file"),
        ([__file__, "-o", "{tmp}/a.png"], "not an image"),
        (["{tmp}", "-o", "{tmp}/a.png"], "folder"),
        ([COINS, "-o", "{tmp}/a.jpg"], ".png overlay"),
        ([COINS, COINS, "-o", "{tmp}/a.png"], "{{stem}}"),
        ([COINS], "--output"),
        (["-o", "{tmp}/a.png"], "IMAGES"),
        ([COINS, "-o", "{tmp}/a.png", "--conf", "7"], "conf must be between 0 and 1, got 7"),
        ([COINS, "-o", "{tmp}/a.png", "--conf", "high"], "not a valid float"),
        ([COINS, "-o", "{tmp}/a.png", "--conf", "nan"], "conf must be a number"),
        ([COINS, "-o", "{tmp}/a.png", "--imgsz", "1"], "imgsz must be between 32 and 8192"),
        ([COINS, "-o", "{tmp}/a.png", "--batch", "0"], "batch must be at least 1"),
        ([COINS, "-o", "{tmp}/a.png", "--rank", "size"], "size"),
        ([COINS, "-o", "{tmp}/a.png", "--box", "90,20,10,80"], "upside down"),
        ([COINS, "-o", "{tmp}/a.png", "--box", "1,2,3"], "X1,Y1,X2,Y2"),
        ([COINS, "-o", "{tmp}/a.png", "--point", "1;2"], "X,Y[,0|1]"),
        ([COINS, "-o", "{tmp}/a.png", "--point", "1"], "X,Y[,0|1]"),
        ([COINS, "-o", "{tmp}/a.png", "--point", "1,2,3"], "labels must be 1"),
        ([COINS, "-o", "{tmp}/a.png", "--point", "nan,2"], "finite"),
        ([COINS, "-o", "{tmp}/a.png", "--model", "FastSAM-q"], "FastSAM-n, FastSAM-s, FastSAM-x"),
        ([COINS, "-o", "{tmp}/a.png", "--model", __file__], "no PyTorch checkpoint"),
        ([COINS, "-o", "{tmp}/a.png", "--device", "gpu"], "device must be auto"),
        ([COINS, "-o", "{tmp}/a.png", "--bands", "0,1,9"], "bands"),
        ([COINS, "-o", "{tmp}/a.png", "--tiled", "--bands", "0,1,9"], "bands"),
        ([COINS, "-o", "{tmp}/a.png", "--tiled", "--overlap", "0.9"], "between 0 and 0.5, got 0.9"),
        (
            [COINS, "-o", "{tmp}/a.png", "--tile", "512"],
            "--tile is about windows: it needs --tiled",
        ),
        ([COINS, "-o", "{tmp}/a.png", "--bandz", "0,1,9"], "--bandz"),
        ([COINS, "-o", "{tmp}/file/a.png", *QUICK], "file"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_bad_input_is_one_line(words, message, tmp_path):
    (tmp_path / "file").touch()
    result = run("segment", *(str(w).replace("{tmp}", str(tmp_path)) for w in words))
    assert message.replace("{{", "{").replace("}}", "}") in one_error(result)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_unknown_command_is_one_line():
    assert "segmment" in one_error(run("segmment"))


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
    (data, output, options, device, trusted, reading) = started[0]
    assert reading == DataOptions()
    assert (data, output, device) == ((__file__,), tmp_path, "auto")
    assert trusted == WeightsOptions()
    assert options == TrainOptions(**{**PRESETS[preset], "epochs": 7})
    assert f"{preset} {PRESETS[preset]['epochs']}" in " ".join(done("train", "-h").stdout.split())


def test_a_traceback_is_shown_when_asked_for(tmp_path):
    words = "segment", tmp_path / "nowhere.png", "-o", tmp_path / "a.png"
    plain, debug = command(*words), command(*words, FASTSAM_DEBUG="1")
    assert plain.returncode == 1
    assert plain.stderr.splitlines() == [f"Error: there is no file {tmp_path / 'nowhere.png'}"]
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr
    assert "ImageError" in debug.stderr


# --- doctor, models, demo -----------------------------------------------------------------------


def test_the_doctor_finds_the_engine_well():
    found = {f["name"]: f for f in json.loads(done("doctor", "--json").stdout)}
    assert found["fastsam-plugins"]["detail"] == __version__
    assert all(f["ok"] for f in found.values() if f["needed"])
    assert found["FastSAM-n"]["ok"]
    text = done("doctor").stdout
    assert all(name in text for name in found)
    assert "MISSING" not in text


def test_the_doctor_mends_what_is_missing():
    missing = doctor._package("no-such-package", install("napari"))
    assert not missing.ok
    for f in doctor.examine():
        assert f.ok or f.mend
        assert "\n" not in f.detail


def test_the_doctor_only_names_extras_that_there_are():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    named = {f.mend.split("[")[1].split("]")[0] for f in doctor.examine() if "[" in f.mend}
    assert named <= set(project["optional-dependencies"])


def test_the_doctor_works_where_opencv_does_not(tmp_path):
    """The commonest fault of a bare machine: a system library that OpenCV needs."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object')")
    result = command("doctor", "--json", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1, result.stderr
    found = {f["name"]: f for f in json.loads(result.stdout)}
    assert "libGL.so.1" in found["opencv"]["detail"]
    assert "opencv" in found["opencv"]["mend"]
    assert found["torch"]["ok"]


def test_damaged_bundled_weights_are_found_and_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "BUNDLED", tmp_path / "FastSAM-n.safetensors")
    weights.BUNDLED.write_bytes(b"cut")
    result = run("doctor")
    assert result.exit_code == 1
    (line,) = [x for x in result.stdout.splitlines() if "FastSAM-n" in x]
    assert line.startswith("MISSING")
    assert "checkout -- fastsam_plugins/assets/FastSAM-n.safetensors" in line


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


def test_the_demo_writes_every_format_and_tells_times(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "entry_points", lambda group: [])  # adapters have their own tests
    result = done("demo", "-o", tmp_path / "out", "--device", "cpu", "--json")
    report = json.loads(result.stdout)
    assert [r["image"] for r in report] == [s.file for s in demo.DEMO]
    written = {Path(f) for r in report for f in r["files"]} | {tmp_path / "out" / "coco.json"}
    assert set((tmp_path / "out").iterdir()) == written
    assert len(written) == 4 * len(demo.DEMO) + 1
    for entry in report:
        assert entry["instances"] > 0
        assert entry["point"] == entry["box"] == 1, "the samples' prompts lie on something"
        assert entry["segment_ms"] > entry["point_ms"] > 0
        assert entry["segment_ms"] > entry["box_ms"] > 0
        assert f"{entry['image']}: {entry['instances']} instances in" in result.stderr


def test_evaluate_proposals_prints_its_figures_and_nothing_else(tmp_path, coins):
    image = {"id": 1, "file_name": "coins.png", "width": 384, "height": 303}
    mask = {"size": [303, 384], "counts": [0, 303 * 10, 303 * 374]}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 3030,
                  "bbox": [0, 0, 10, 303], "segmentation": mask}  # fmt: skip
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    truth.write_text(json.dumps({"images": [image], "annotations": [annotation]}))
    results.write_text(json.dumps([{**annotation, "score": 0.5}]))
    for kind in ("bbox", "segm"):
        printed = done("evaluate", "proposals", truth, results, "--iou-type", kind, "--json").stdout
        found = json.loads(printed)
        assert list(found) == [
            "AR@10", "AR@100", "AR@1000", "AUC", "AR@1000/small", "AR@1000/medium",
            "AR@1000/large", "images", "ground_truths", "proposals", "iou_type",
        ]  # fmt: skip
        assert found["AR@1000"] == found["AR@1000/medium"] == 1
        assert found["AR@1000/large"] is None
        assert found["iou_type"] == kind
    assert "AR@1000" in done("evaluate", "proposals", truth, results).stdout
    assert "not JSON" in one_error(run("evaluate", "proposals", __file__, results))
