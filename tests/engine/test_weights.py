"""weights.py: names, downloads from a server on this machine, and the bundled file."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from safetensors import safe_open
from ultralytics.utils import SETTINGS

from fastsam_plugins import weights
from tests.tiny_network import error_of

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", ["nowhere.pt", "FastSAM-q", "", "."])
def test_a_name_without_weights_lists_the_names_there_are(name):
    message = error_of(name)
    assert "FastSAM-n, FastSAM-s, FastSAM-x" in message


def test_an_unknown_hash_of_official_weights_warns_and_loads(checkpoint, tmp_path):
    path = tmp_path / "FastSAM-s.pt"
    path.write_bytes(checkpoint.read_bytes())
    with pytest.warns(UserWarning, match=rf"SHA-256 {weights.sha256_of(path)} is not the known"):
        assert weights.load(path).name == "FastSAM-s"


# --- downloads ----------------------------------------------------------------------------------


class Server:
    """A web server on this machine that serves one body, or answers as told."""

    def __init__(self, body: bytes) -> None:
        self.body, self.status, self.cut = body, 200, False
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(server.body)))
                self.end_headers()
                half = len(server.body) // 2
                self.wfile.write(server.body[:half] if server.cut else server.body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/mirror/"


@pytest.fixture
def server(checkpoint, monkeypatch):
    made = Server(checkpoint.read_bytes())
    assert len(made.body) > 100_000
    thread = threading.Thread(target=made.http.serve_forever)
    thread.start()
    monkeypatch.setenv(weights.MIRROR_VARIABLE, made.url)
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The file that official weights are to be downloaded to."""
    monkeypatch.setitem(SETTINGS, "weights_dir", str(tmp_path / "kept"))
    path = weights.local_path(weights.OFFICIAL["fastsam-s"])
    assert path == tmp_path / "kept" / "FastSAM-s.pt"
    return path


@pytest.mark.filterwarnings("ignore:.*is not the known one")
def test_official_weights_are_downloaded_once(server, home):
    assert weights.load("FastSAM-s").path == home
    assert home.read_bytes() == server.body
    assert server.requests == ["/mirror/FastSAM-s.pt"]
    assert weights.resolve("fastsam-s.pt") == home
    assert len(server.requests) == 1


@pytest.mark.filterwarnings("ignore:.*is not the known one")
def test_a_folder_may_stand_for_the_server(checkpoint, home, tmp_path, monkeypatch):
    (tmp_path / "FastSAM-s.pt").write_bytes(checkpoint.read_bytes())
    monkeypatch.setenv(weights.MIRROR_VARIABLE, str(tmp_path))
    assert weights.load("FastSAM-s").path == tmp_path / "FastSAM-s.pt"


@pytest.mark.parametrize("fault", ["not found", "closed port", "cut", "error page"])
def test_a_failed_download_says_where_to_put_the_file(fault, server, home, monkeypatch):
    if fault == "not found":
        server.status = 404
    elif fault == "cut":
        server.cut = True
    elif fault == "error page":
        server.body = b"<html>not here</html>"
    else:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        monkeypatch.setenv(weights.MIRROR_VARIABLE, f"http://127.0.0.1:{port}")
    message = error_of("FastSAM-s")
    assert f"copy the file to {home}" in message
    assert weights.MIRROR_VARIABLE in message
    assert list(home.parent.iterdir()) == []  # no half of a file either


# --- the bundled file ---------------------------------------------------------------------------


def test_the_bundled_weights_are_small_and_say_what_they_are():
    assert weights.BUNDLED.stat().st_size <= 8e6
    with safe_open(weights.BUNDLED, framework="pt") as stream:
        notes = stream.metadata()
    assert notes["classes"] == "1"
    network = weights.load("fastsam-n")
    assert network.path == weights.BUNDLED
    assert str(network.imgsz) == notes["imgsz"]
    assert network.module.model[-1].nc == 1
    assert weights.resolve("FastSAM-n.pt") == weights.BUNDLED
