"""Nobody is contacted, nothing is installed and no port is open that was not asked for.

Every command runs in a fresh process that writes down what it does with sockets and processes (see
tests/spy), and again where there is no network at all: with the same results.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.paths import SAMPLES

SPY = Path(__file__).parents[1] / "spy"
COINS = SAMPLES / "coins.png"
QUICK = ("--imgsz", "160", "--device", "cpu", "--conf", "0.2")
FASTSAM = [sys.executable, "-m", "fastsam_plugins"]
# A network of nobody: it has its own loopback, and leads nowhere.
ALONE = "import fcntl, os, socket, struct, sys\n" \
    "with socket.socket() as s: fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'lo', 0x41))\n" \
    "os.execv(sys.argv[1], sys.argv[1:])"  # fmt: skip


@functools.cache
def without_network() -> list[str]:
    """What to put before a command so that it has no network; empty where that is not allowed."""
    for flags in ("-n", "-rn"):
        words = ["unshare", flags, sys.executable, "-c", ALONE]
        if shutil.which("unshare") and not subprocess.run([*words, "/bin/true"]).returncode:
            return words
    return []


def environment(home: Path, **more: str) -> dict[str, str]:
    """Of a person who set nothing: no variable keeps a library from anything."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("YOLO_", "FIFTYONE_", "HF_", "PYTEST", "CI"))}  # fmt: skip
    places = {"HOME": str(home), "PYTHONPATH": str(SPY), "FASTSAM_SPY": str(home / "spy.log"),
              "OMP_NUM_THREADS": "1"}  # fmt: skip
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        kept.pop(name, None)
    return {**kept, **places, **more}


def spied(home: Path) -> list[dict]:
    log = home / "spy.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def is_outside(host: str) -> bool:
    """Whether a host is any but this machine."""
    if host in ("None", "localhost", ""):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def faults(events: list[dict]) -> list[dict]:
    """Those of the events that nobody asked for."""
    found = []
    for event in events:
        kind, said = event["event"], event["said"]
        if kind in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
            bad = re.search(r"\b(pip|uv|conda|curl|wget|git)\b", " ".join(said))
        elif kind.startswith("socket.get"):
            bad = is_outside(said[0])
        else:  # an address: a tuple of host and port, or the path of a local socket
            host = re.match(r"\('([^']*)', \d+", said[-1])
            bad = host and (is_outside(host[1]) or (kind == "socket.bind" and not host[1]))
        if bad:
            found.append(event)
    return found


def run(home: Path, *words: str | Path, before: list[str] = [], **more: str):  # noqa: B006
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [*before, *map(str, words)], env=environment(home, **more), cwd=home, timeout=280,
        capture_output=True, text=True,
    )  # fmt: skip


def test_the_spy_sees_what_is_done(tmp_path):
    program = (
        "import socket, subprocess, urllib.request\n"
        "for host in ('127.0.0.1', 'nobody.invalid'):\n"
        "    try: socket.create_connection((host, 9), timeout=1)\n"
        "    except OSError: pass\n"
        "subprocess.run(['true', 'pip install x'])\n"
        "socket.socket().bind(('', 0))"
    )
    assert run(tmp_path, sys.executable, "-c", program).returncode == 0
    found = [(event["event"], event["said"][0]) for event in faults(spied(tmp_path))]
    assert found == [
        ("socket.getaddrinfo", "nobody.invalid"),
        ("subprocess.Popen", "true"),
        ("socket.bind", "('', 0)"),
    ]


TRAIN = ("--epochs", "1", "--imgsz", "64", "--batch", "2", "--workers", "0", "--device", "cpu")
COMMANDS = {
    "segment": (["segment", COINS, "-o", "found.json", *QUICK], "found.json"),
    "overlay": (["segment", COINS, "-o", "found.png", *QUICK], "found.png"),
    "edges": (["edges", COINS, "-o", "edges", *QUICK], "edges/coins.png"),
    "models": (["models"], None),
    "doctor": (["doctor"], None),
    "measure": (["evaluate", "everything", "PICTURES", "--imgsz", "64", "--device", "cpu"], None),
    "train": (["train", "PICTURES", "-o", "trained", *TRAIN], "trained/run/results.csv"),
}


def test_trying_what_is_fastest_contacts_nobody(tmp_path):
    """OpenVINO sends statistics of what it converts, where nobody forbade it."""
    home = tmp_path / "home"
    done = run(home, *FASTSAM, "segment", COINS, "-o", "found.json", *QUICK,
               FASTSAM_BACKEND="", FASTSAM_CACHE_DIR="")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "trying once which of torch f32 and openvino f32" in done.stderr
    assert faults(spied(home)) == []
    made = {p.name for p in home.iterdir()} - {"spy.log", "found.json", ".cache", ".config"}
    assert made == set(), "no folder of Intel's either"
    assert (home / ".cache" / "fastsam-plugins").is_dir()


def outcome(name: str, home: Path, printed: str):
    """What came of a command in a folder."""
    file = COMMANDS[name][1]
    content = (home / file).read_bytes() if file else printed
    if name == "train":  # but for the time it took
        content = [line.split(b",")[:1] + line.split(b",")[2:] for line in content.splitlines()]
    return content


@functools.cache
def results(name: str, folder: Path, pictures: Path):
    words = [pictures if word == "PICTURES" else word for word in COMMANDS[name][0]]
    home = folder / name
    done = run(home, *FASTSAM, *words)
    assert done.returncode == 0, done.stderr
    return home, outcome(name, home, done.stdout.replace(str(home), ""))


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_contact_nobody(name, pictures, tmp_path_factory):
    home, _ = results(name, tmp_path_factory.getbasetemp(), pictures)
    assert faults(spied(home)) == []
    assert not (home / ".config" / "Ultralytics").exists(), "no settings of ultralytics' either"


def test_without_a_network_commands_give_the_same(pictures, tmp_path, tmp_path_factory):
    """One after another in one process, each in a folder of its own."""
    before = without_network() or pytest.skip("no network namespaces here (unshare)")
    commands = {
        name: [str(pictures) if word == "PICTURES" else str(word) for word in words]
        for name, (words, _) in COMMANDS.items()
    }
    program = f"""
import contextlib, os
from fastsam_plugins.cli.main import main
for name, words in {commands!r}.items():
    os.mkdir(name)
    os.chdir(name)
    with open("printed", "w") as file, contextlib.redirect_stdout(file):
        try:
            main(words)
        except SystemExit as end:
            assert not end.code, (name, end.code)
    os.chdir("..")
"""
    done = run(tmp_path, sys.executable, "-c", program, before=before)
    assert done.returncode == 0, done.stderr
    assert faults(spied(tmp_path)) == []
    assert not (tmp_path / ".config" / "Ultralytics").exists()
    for name in COMMANDS:
        _, found = results(name, tmp_path_factory.getbasetemp(), pictures)
        printed = (tmp_path / name / "printed").read_text().replace(str(tmp_path), "")
        assert outcome(name, tmp_path / name, printed) == found, name


def test_text_without_weights_says_how_to_get_them_and_asks_nobody(tmp_path):
    pytest.importorskip("open_clip")
    words = ["segment", COINS, "-o", "found.json", "--text", "a coin", *QUICK]
    done = run(tmp_path, *FASTSAM, *words)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ViT-B-32/openai is not on this machine: `fastsam models ")
    assert len(done.stderr.splitlines()) == 1
    assert faults(spied(tmp_path)) == []


PLUGINS = (
    "napari_plugin.view.widget",
    "napari_plugin.inference.serve",
    "fiftyone_plugin.operators",
)


@pytest.mark.parametrize("name", PLUGINS)
def test_plugins_contact_nobody(name, tmp_path):
    pytest.importorskip(name.partition("_")[0])
    # FiftyOne would send its statistics, and does so a little later.
    program = f"import {name}, time; time.sleep(3)"
    places = {}
    if name.startswith("fiftyone"):
        places = {"FIFTYONE_DATABASE_DIR": str(tmp_path / "database"),
                  "FIFTYONE_DATABASE_NAME": f"fastsam-privacy-{os.getpid()}"}  # fmt: skip
    done = run(tmp_path, sys.executable, "-c", program, QT_QPA_PLATFORM="offscreen", **places)
    assert done.returncode == 0, done.stderr
    assert faults(spied(tmp_path)) == []


NO_IMAGES = {
    "empty": b"", "cut": b"\x89PNG\r\n\x1a\n", "heif": b"\0\0\0\x18ftypheic\0\0\0\0mif1",
    "text": b"no image",
}  # fmt: skip


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_a_file_that_is_no_image_installs_nothing(first, tmp_path):
    """Ultralytics would pip-install a decoder: through us never, and not behind our back either."""
    paths = [tmp_path / f"{name}.png" for name in NO_IMAGES]
    for path, content in zip(paths, NO_IMAGES.values(), strict=True):
        path.write_bytes(content)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "fine.png")
    program = f"""
import PIL.Image
own = PIL.Image.open
{"import ultralytics" if first == "theirs" else ""}
from fastsam_plugins import FastSAM, ImageError, read_image
from fastsam_plugins.evaluation import edge_files
from fastsam_plugins.datasets import sources
from fastsam_plugins.training import data
FastSAM("FastSAM-n", device="cpu").segment(read_image({str(tmp_path / "fine.png")!r}))
for path in {[str(path) for path in paths]!r}:
    try:
        read_image(path)
    except ImageError as error:
        print(error)
    if {first!r} == "ours":
        try:
            PIL.Image.open(path)
        except OSError:
            assert PIL.Image.open is own
"""
    done = run(tmp_path, sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    assert all(str(path) in done.stdout for path in paths)
    allowed = ["one.one.one.one"] if first == "theirs" else []  # their own import's
    asked = [event["said"][0] for event in faults(spied(tmp_path))]
    assert [host for host in asked if host not in (*allowed, "dns.google")] == []
    assert first == "theirs" or asked == []


def test_a_persons_settings_of_ultralytics_hold_and_are_not_written(tmp_path):
    """Read as they are, old or new, and what they set later goes where it always went."""
    config = tmp_path / ".config" / "Ultralytics"
    config.mkdir(parents=True)
    written = json.dumps({"settings_version": "0.0.8", "runs_dir": "/mine", "sync": True})
    (config / "settings.json").write_text(written)
    program = """
from fastsam_plugins import FastSAM
FastSAM("FastSAM-n", device="cpu")
from ultralytics import SETTINGS
from ultralytics.utils import SETTINGS_FILE
print(SETTINGS["runs_dir"], SETTINGS["sync"], SETTINGS_FILE.read_text(), sep="\\n")
SETTINGS.update(runs_dir="/other")
"""
    done = run(tmp_path, sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["/mine", "True", written]
    assert json.loads((config / "settings.json").read_text())["runs_dir"] == "/other"


def test_a_training_beside_a_persons_ultralytics_contacts_nobody(pictures, tmp_path):
    """They imported it first, with statistics on: ours sends none, and leaves theirs on."""
    program = f"""
import ultralytics
from ultralytics.utils import checks, events
events.events.enabled = checks.ONLINE = True
before = checks.AUTOINSTALL
open({str(tmp_path / "spy.log")!r}, "w").close()
from fastsam_plugins.training.options import TrainOptions
from fastsam_plugins.training.train import train
from pathlib import Path
options = TrainOptions(imgsz=64, epochs=1, batch=2, step=2, workers=0)
train([{str(pictures)!r}], Path("trained"), options, "cpu")
assert events.events.enabled and checks.ONLINE and checks.AUTOINSTALL == before
"""
    done = run(tmp_path, sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    assert faults(spied(tmp_path)) == []


def test_ultralytics_is_imported_through_one_door():
    found = []
    for package in ("fastsam_plugins", "fiftyone_plugin", "napari_plugin"):
        for path in (SPY.parents[1] / package).rglob("*.py"):
            if path.name != "ultralytics_guard.py" and re.search(
                r"^\s*(from|import) ultralytics|import_module\(\W*ultralytics",
                path.read_text(),
                re.M,
            ):
                found.append(str(path))
    assert found == []
