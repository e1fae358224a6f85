"""`fastsam demo` where FiftyOne is installed: a database of its own, and the App."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from fastsam_plugins.messages import install
from fiftyone_plugin import demo

COMMAND = [sys.executable, "-m", "fastsam_plugins", "demo", "--device", "cpu"]


@pytest.fixture
def home(tmp_path):
    """The environment of a person whose FiftyOne is set up otherwise."""
    own = tmp_path / "home"
    own.mkdir()
    config = own / "config.json"
    config.write_text(json.dumps({"database_uri": "mongodb://nobody.invalid:1"}))
    places = {"HOME": str(own), "FIFTYONE_CONFIG_PATH": str(config),
              "FIFTYONE_DATABASE_DIR": str(own / "database"),
              "FIFTYONE_PRIVATE_DATABASE_PORT": "1",
              "OMP_NUM_THREADS": "1"}  # fmt: skip
    return {**os.environ, **places}


def test_the_demo_makes_a_dataset_and_shows_it_without_touching_the_users(home, tmp_path, dataset):
    # `dataset`: meanwhile another FiftyOne of this person's runs a database.
    output = tmp_path / "demo"
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(
            [*COMMAND, "-o", str(output), "--app"], env=home, stdout=log, stderr=log,
            start_new_session=True, cwd=tmp_path,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 200
        while not (at := re.search(r"The App is at (http\S+)", (tmp_path / "log").read_text())):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.5)
        assert at[1].startswith("http://127.0.0.1:")
        listening = {c.laddr.ip for c in connections(process.pid) if c.status == "LISTEN"}
        assert listening
        assert all(ipaddress.ip_address(ip).is_loopback for ip in listening), listening
        outside = [c.raddr for c in connections(process.pid)
                   if c.raddr and not ipaddress.ip_address(c.raddr.ip).is_loopback]  # fmt: skip
        assert outside == []
        with urllib.request.urlopen(at[1], timeout=30) as answer:
            assert b"<title>" in answer.read()
        os.kill(process.pid, signal.SIGINT)
        process.wait(200)  # MongoDB writes what it holds: on a busy machine not at once
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    text = (tmp_path / "log").read_text()
    assert re.search(r"FiftyOne: \d{3} proposals on 6 images; mask AR@100 is 0\.[4-9]", text), text
    assert "Traceback" not in text
    told = [text.index(line) for line in ("Starting FiftyOne and", "FiftyOne: ", "Starting the App",
                                          "The App is at")]  # fmt: skip
    assert told == sorted(told), "what is waited for is said before"
    assert (output / "fiftyone" / "plugins" / "fastsam-plugins" / "fastsam").is_dir()
    assert list((output / "fiftyone" / "database").glob("*.wt"))  # MongoDB's files
    assert not (tmp_path / "home" / "database").exists()


def connections(process):
    """Of a process and all that it started."""
    found = psutil.Process(process)
    everyone = [found, *found.children(recursive=True)]
    return [c for p in everyone for c in p.net_connections(kind="inet")]


def test_an_app_that_runs_already_is_left_alone(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(demo, "PORT", taken.getsockname()[1])
        assert demo._free_port("127.0.0.1") not in (0, demo.PORT)
    assert demo._free_port("127.0.0.1") == demo.PORT
    for nowhere in ("192.0.2.1", "nobody.invalid", ""):
        if nowhere:
            with pytest.raises(ValueError, match=f"one of this machine, got '{nowhere}'"):
                demo._free_port(nowhere)


def test_a_slow_start_is_waited_for_and_a_dead_one_is_not(monkeypatch):
    from fiftyone.core import service

    class Child:
        code = None

        def poll(self):
            return self.code

    class Slow(service.Service):
        service_name = "server"

        def __init__(self):
            self._disabled, self.child = True, Child()

    answers = [service.ServiceListenTimeout("server")] * 3 + [4711]

    def wait(self, port=None, timeout=60):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(service.Service, "_wait_for_child_port", wait)
    patiently = demo._patient(service)
    assert patiently(Slow()) == 4711
    answers[:] = [service.ServiceListenTimeout("server")] * 9
    dead = Slow()
    dead.child.code = 1
    with pytest.raises(ValueError, match="server process ended before it answered"):
        patiently(dead)
    assert len(answers) == 8
    monkeypatch.setattr(demo, "PATIENCE", -1.0)
    with pytest.raises(ValueError, match="did not answer in"):
        patiently(Slow())


def test_the_app_needs_fiftyone(tmp_path):
    """FiftyOne hidden, as where it is not installed."""
    program = (
        "import importlib.util as u, sys; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'fiftyone' else found(name, *a)\n"
        "from fastsam_plugins.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--app", "-o", str(tmp_path / "out")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().endswith(f"Error: --app needs FiftyOne: {install('fiftyone')}")
    assert not (tmp_path / "out").exists()
