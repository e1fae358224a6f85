"""What all commands share: flags, one line for what is wrong, results alone on standard output."""

from __future__ import annotations

import json
import os
import subprocess

import click
import pytest

from fastsam_plugins import __version__
from fastsam_plugins.cli import common, main
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.network import weights
from fastsam_plugins.options import PromptOptions, ReadOptions, SegmentOptions, TileOptions
from fastsam_plugins.parameters import parameters
from fastsam_plugins.paths import SAMPLES
from fastsam_plugins.training.options import TrainOptions
from tests.command import command, done, one_error, run

COINS = SAMPLES / "coins.png"
QUICK = ("--imgsz", "160", "--device", "cpu", "--conf", "0.2")

pytestmark = pytest.mark.usefixtures("one_thread")


# --- flags ----------------------------------------------------------------------------------------


def commands(group, context):
    """All commands of a group, of those within it too."""
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        yield from commands(found, context) if isinstance(found, click.Group) else [found]


def test_no_command_lets_libraries_print_among_its_results():
    found = list(commands(main.main, click.Context(main.main)))
    assert {"segment", "paper", "proposals", "train-decoder", "install"} <= {c.name for c in found}
    assert [c.name for c in found if not isinstance(c, common.Command)] == []


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


# --- errors ---------------------------------------------------------------------------------------


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


def test_a_traceback_is_shown_when_asked_for(tmp_path, monkeypatch):
    words = "segment", tmp_path / "nowhere.png", "-o", tmp_path / "a.png"
    plain = run(*words)
    assert plain.exit_code == 1
    assert plain.stderr.splitlines() == [f"Error: there is no file {tmp_path / 'nowhere.png'}"]
    monkeypatch.setenv("FASTSAM_DEBUG", "1")
    assert type(run(*words).exception) is ImageError, "Python shows it"


# --- what is printed ------------------------------------------------------------------------------


def test_standard_output_holds_json_and_nothing_else(tmp_path):
    """In a fresh process and home, where ultralytics has much to say."""
    result = command(
        "segment", COINS, "-o", tmp_path / "a.json", *QUICK, "--json",
        environment={"YOLO_CONFIG_DIR": str(tmp_path / "home")},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["model"] == "FastSAM-n"
    assert told["files"] == [str(tmp_path / "a.json")]
    assert "Segmenting" in result.stderr


@pytest.fixture
def unread():
    """The end of a pipe whose reader went away."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


TRUTH = {
    "images": [{"id": 1, "height": 20, "width": 30}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 9, 9], "area": 81}],
}
FIGURES = ("evaluate", "proposals", "truth.json", "results.json", "--iou-type", "bbox")


@pytest.mark.parametrize(
    "words",
    [
        ("--help",), ("--version",), ("segment", "--help"), ("fiftyone", "--help"), ("models",),
        ("models", "--json"), ("doctor",), FIGURES,
        ("segment", COINS, "-o", "a.json", *QUICK),
    ],
    ids=lambda words: " ".join(w for w in words if isinstance(w, str))[:20],
)  # fmt: skip
def test_a_command_whose_results_nobody_reads_ends_without_a_word(words, unread, tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    (tmp_path / "results.json").write_text(json.dumps([{**TRUTH["annotations"][0], "score": 1}]))
    result = command(*words, stdout=unread, stderr=subprocess.PIPE, cwd=tmp_path)
    assert result.returncode == 141, result.stderr
    going = "Segmenting", "FastSAM-n by "
    said = [line for line in result.stderr.splitlines() if not line.startswith(going)]
    assert said == []
    if words[:1] == ("segment",) and "-o" in words:  # what was asked for is there all the same
        assert json.loads((tmp_path / "a.json").read_text())["annotations"]


@pytest.mark.parametrize("buffered", ["", "1"])
def test_nor_does_one_whose_messages_nobody_reads(unread, tmp_path, buffered):
    words = "segment", tmp_path / "none.png", "-o", tmp_path / "a.png"
    how = {"environment": {"PYTHONUNBUFFERED": buffered}}
    result = command(*words, stdout=subprocess.PIPE, stderr=unread, **how)
    assert (result.returncode, result.stdout) == (141, "")
    both = command("models", stdout=unread, stderr=unread, **how)
    assert both.returncode == 141


def test_another_broken_pipe_is_a_fault(monkeypatch):
    def broken(_):
        raise BrokenPipeError(32, "a worker")

    monkeypatch.setattr(weights, "local_path", broken)
    assert one_error(run("models")).endswith("a worker")


def test_a_full_disk_behind_results_is_one_line():
    for words in (("--help",), ("models",)):
        with open("/dev/full", "w") as full:
            result = command(*words, stdout=full, stderr=subprocess.PIPE)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        assert "No space left" in line


@pytest.mark.parametrize(
    "words",
    [
        ("edges", SAMPLES / "coins.png", "-o", ""),
        ("segment", SAMPLES / "coins.png", "-o", ""),
        ("demo", "-o", ""),
        ("train", "data", "-o", ""),
        ("average", "FastSAM-n", "-o", ""),
        ("train-decoder", "data", "-o", ""),
        ("train-text-head", "data", "-o", ""),
        ("sample-sa1b", ".", "-o", ""),
        ("paper", "-o", ""),
        ("benchmark", "--picture", ""),
        ("evaluate", "instances", "a.json", "b.json", "-o", ""),
        ("evaluate", "everything", "data", "--plot", ""),
    ],
    ids=lambda words: " ".join(map(str, words[:2])),
)
def test_an_empty_name_to_write_to_is_one_line_and_writes_nothing(words, tmp_path, monkeypatch):
    """Of no variable: "$OUT"; the current folder was meant by nobody."""
    monkeypatch.chdir(tmp_path)
    name = "-o/--output" if words[-2] == "-o" else words[-2]
    assert one_error(run(*words)) == f"Error: {name} is empty: name what to write"
    assert not list(tmp_path.iterdir())
