"""downloads.py against a real server on this machine, which misbehaves as told."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastsam_plugins.network import weights
from fastsam_plugins.options import WeightsOptions
from tests.tiny_network import error_of

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = WeightsOptions(connect_timeout=0.5, read_timeout=0.5)


class Server:
    """Serves one body, or answers as told by ``mode``."""

    def __init__(self, body: bytes) -> None:
        self.body, self.mode, self.ranges = body, "right", True
        self.requests: list[tuple[str, str | None]] = []
        self.over = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                server.requests.append((self.path, asked))
                with contextlib.suppress(OSError):  # who asked has gone
                    getattr(server, "answer_" + server.mode.replace(" ", "_"))(self, asked)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/mirror/"

    def head(self, handler, length, status=200, **headers):
        handler.send_response(status)
        handler.send_header("Connection", "close")
        if length is not None:
            handler.send_header("Content-Length", str(length))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    def send(self, handler, asked, body, upto=None, share=None):
        """The part that was asked for, or less of it."""
        start = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked and self.ranges else 0
        if start >= len(body) and start:
            self.head(handler, 0, 416)
            return
        if asked and self.ranges:
            place = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.head(handler, len(body) - start, 206, Content_Range=place)
        else:
            self.head(handler, len(body))
        if share:
            upto = int((len(body) - start) * share)
        handler.wfile.write(body[start:][:upto])

    def answer_right(self, handler, asked):
        self.send(handler, asked, self.body)

    def answer_cut(self, handler, asked):
        self.send(handler, asked, self.body, share=1 / 3)

    def answer_cut_at_once(self, handler, asked):
        self.send(handler, asked, self.body, upto=0)

    def answer_wrong(self, handler, asked):
        self.send(handler, asked, bytes(reversed(self.body)))

    def answer_web_page(self, handler, asked):
        self.head(handler, 21, Content_Type="text/html; charset=utf-8")
        handler.wfile.write(b"<html>sign in!</html>")

    def answer_web_page_in_disguise(self, handler, asked):
        self.head(handler, 21)
        handler.wfile.write(b"<html>sign in!</html>")

    def answer_cut_without_length(self, handler, asked):
        self.head(handler, None)
        handler.wfile.write(self.body[:1000])

    def answer_nothing(self, handler, asked):
        self.head(handler, 0)

    def answer_404(self, handler, asked):
        self.head(handler, 0, 404)

    def answer_500(self, handler, asked):
        self.head(handler, 0, 500)

    def answer_416(self, handler, asked):
        self.head(handler, 0, 416)

    def answer_redirect_loop(self, handler, asked):
        self.head(handler, 0, 302, Location=handler.path)

    def answer_redirect_to_a_file(self, handler, asked):
        self.head(handler, 0, 302, Location="file:///etc/passwd")

    def answer_redirect_to_nobody(self, handler, asked):
        self.head(handler, 0, 302, Location="http://127.0.0.1:9/FastSAM-s.pt")

    def answer_more_than_there_is(self, handler, asked):
        self.head(handler, 10**15)
        handler.wfile.write(self.body)

    def answer_silence(self, handler, asked):
        self.over.wait(60)

    def answer_stall(self, handler, asked):
        self.send(handler, asked, self.body, upto=50_000)
        self.over.wait(60)

    def answer_drip(self, handler, asked):
        self.head(handler, len(self.body))
        for k in range(len(self.body)):
            handler.wfile.write(self.body[k : k + 1])
            if self.over.wait(0.05):
                return

    def answer_headers_letter_by_letter(self, handler, asked):
        for letter in b"HTTP/1.1 200 OK\r\nContent-" * 100:
            handler.wfile.write(bytes([letter]))
            if self.over.wait(0.05):
                return

    def answer_slowly(self, handler, asked):
        self.head(handler, len(self.body))
        for k in range(0, len(self.body), 5000):
            handler.wfile.write(self.body[k : k + 5000])
            time.sleep(0.03)


@pytest.fixture
def server(checkpoint, monkeypatch):
    made = Server(checkpoint.read_bytes())
    thread = threading.Thread(target=made.http.serve_forever)
    thread.start()
    monkeypatch.setenv(weights.MIRROR_VARIABLE, made.url)
    yield made
    made.over.set()
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture
def home(tmp_path, monkeypatch, checkpoint):
    """Where the weights are to be; the tiny network passes for those of FastSAM-s."""
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "kept"))
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    known = weights.Official("FastSAM-s", digest, checkpoint.stat().st_size, "")
    monkeypatch.setitem(weights.OFFICIAL, "fastsam-s", known)
    return tmp_path / "kept" / "FastSAM-s.pt"


def left(home):
    """What lies where the weights are to be, but for the lock."""
    if not home.parent.exists():
        return []
    return sorted(p.name for p in home.parent.iterdir() if not p.name.endswith(".lock"))


def fails(options=QUICK):
    with pytest.raises(weights.WeightsError) as caught:
        weights.load("FastSAM-s", options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


def test_weights_are_downloaded_once(server, home, capfd):
    assert weights.load("FastSAM-s").path == home
    assert home.read_bytes() == server.body
    assert server.requests == [("/mirror/FastSAM-s.pt", None)]
    assert f"downloading it to {home}" in capfd.readouterr().err
    assert weights.resolve("fastsam-s.pt") == home
    assert len(server.requests) == 1
    assert left(home) == ["FastSAM-s.pt"]


REFUSED = {  # what the server does: what is said, what is left
    "404": ("the server says 404", []),
    "500": ("the server says 500", []),
    "416": ("the server says 416", []),
    "redirect loop": ("from one address to the next", []),
    "redirect to a file": ("No connection adapters", []),
    "redirect to nobody": ("no connection", []),
    "web page": ("the server sent a web page", []),
    "web page in disguise": ("the server sent another file", ["FastSAM-s.pt.rejected"]),
    "wrong": ("the server sent another file", ["FastSAM-s.pt.rejected"]),
    "nothing": ("the server sent another file", ["FastSAM-s.pt.rejected"]),
    "cut without length": ("the server sent another file", ["FastSAM-s.pt.rejected"]),
    "more than there is": ("no such file", []),
    "cut at once": ("the connection ended after 0 bytes", ["FastSAM-s.pt.part"]),
    "silence": ("hardly anything came for 0.5 s", []),
    "stall": ("hardly anything came for 0.5 s", ["FastSAM-s.pt.part"]),
    "drip": ("hardly anything came for 0.5 s", ["FastSAM-s.pt.part"]),
    "headers letter by letter": ("hardly anything came for 0.5 s", []),
}


@pytest.mark.parametrize("mode", REFUSED)
def test_what_goes_wrong_is_said_leaves_no_such_file_and_does_not_last(mode, server, home):
    said, remains = REFUSED[mode]
    server.mode = mode
    message = fails()
    assert said in message, message
    assert f"copy the file to {home}" in message
    assert weights.MIRROR_VARIABLE in message
    assert left(home) == remains
    server.mode = "right"
    assert weights.load("FastSAM-s").sha256 == weights.OFFICIAL["fastsam-s"].sha256
    assert "FastSAM-s.pt.part" not in left(home)


@pytest.mark.parametrize("mode", ["wrong", "web page", "web page in disguise", "nothing"])
def test_what_is_no_network_is_not_allowed_either(mode, server, home):
    server.mode = mode
    fails(WeightsOptions(allow_unknown_weights=True))
    assert "FastSAM-s.pt" not in left(home)


def test_another_network_is_used_where_that_is_allowed(server, home, monkeypatch):
    known = weights.Official("FastSAM-s", "0" * 64, 1, "")
    monkeypatch.setitem(weights.OFFICIAL, "fastsam-s", known)
    assert "another file: its SHA-256 is " in fails()
    assert left(home) == ["FastSAM-s.pt.rejected"]
    assert weights.load("FastSAM-s", WeightsOptions(allow_unknown_weights=True)).path == home
    assert "is not the known FastSAM-s" in fails(), "allowed once is not allowed for ever"


def test_a_cut_download_goes_on_by_itself(server, home):
    server.mode = "cut"  # a third of what is missing each time
    assert "the connection ended after" in fails()
    starts = [asked for _, asked in server.requests]
    assert starts[0] is None
    assert all(re.match(r"bytes=\d+-$", asked) for asked in starts[1:])
    assert len(starts) == 4
    kept = (home.parent / "FastSAM-s.pt.part").stat().st_size
    server.mode = "right"
    weights.load("FastSAM-s")
    assert server.requests[-1][1] == f"bytes={kept}-"
    assert left(home) == ["FastSAM-s.pt"]


def test_a_server_that_cannot_go_on_begins_anew(server, home):
    server.mode, server.ranges = "cut", False
    fails()
    server.mode = "right"
    assert weights.load("FastSAM-s").path == home
    assert home.read_bytes() == server.body


@pytest.mark.parametrize("size", [10_000, 10_000_000])
def test_a_part_of_another_file_does_no_harm(size, server, home):
    home.parent.mkdir()
    (home.parent / "FastSAM-s.pt.part").write_bytes(b"x" * size)
    assert weights.load("FastSAM-s").path == home
    assert left(home) == ["FastSAM-s.pt"]


def test_a_part_that_is_complete_only_gets_its_name(server, home):
    home.parent.mkdir()
    (home.parent / "FastSAM-s.pt.part").write_bytes(server.body)
    assert weights.load("FastSAM-s").path == home
    assert server.requests == []


def test_two_processes_download_once(server, home):
    server.mode = "slowly"
    known = weights.OFFICIAL["fastsam-s"]
    program = (
        "from fastsam_plugins.network import weights\n"
        f"weights.OFFICIAL['fastsam-s'] = weights.Official('FastSAM-s', {known.sha256!r}, 1, '')\n"
        "print(weights.resolve('FastSAM-s'))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program], stdout=-1, stderr=-1, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=100) for process in both]
    assert [out.strip() for out, _ in said] == [str(home)] * 2, said
    assert [path for path, _ in server.requests] == ["/mirror/FastSAM-s.pt"]
    assert sum("waiting for it" in err for _, err in said) <= 1
    assert left(home) == ["FastSAM-s.pt"]


def test_a_killed_download_goes_on(server, home):
    server.mode = "slowly"
    program = "from fastsam_plugins.network import weights; weights.resolve('FastSAM-s')"
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    part = home.parent / "FastSAM-s.pt.part"
    while not (part.exists() and part.stat().st_size > 20_000):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert left(home) == ["FastSAM-s.pt.part"]
    server.mode = "right"
    assert weights.load("FastSAM-s").path == home
    assert re.match(r"bytes=[1-9]\d{4,}-", server.requests[-1][1])


# --- disks --------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(home):
    """A disk of 64 kB, mounted where the weights are to be."""
    home.parent.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(home.parent)]
    if os.name == "nt" or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("only an administrator may mount a disk")
    yield home
    subprocess.run(["umount", str(home.parent)], check=True)


def test_a_full_disk_is_said_and_made_free_again(server, small_disk):
    assert "No space left on device" in fails()
    assert left(small_disk) == []


def test_a_folder_that_cannot_be_written_is_said(server, small_disk):
    words = ["mount", "-o", "remount,ro", str(small_disk.parent)]
    subprocess.run(words, check=True)
    message = fails()
    assert "Read-only file system" in message
    assert weights.FOLDER_VARIABLE in message


def test_a_file_in_place_of_the_folder_is_said(server, home):
    home.parent.write_text("a file")
    assert "File exists" in fails()


# --- what stands for a server -------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_folder_may_stand_for_the_server(prefix, checkpoint, home, tmp_path, monkeypatch):
    (tmp_path / "FastSAM-s.pt").write_bytes(checkpoint.read_bytes())
    monkeypatch.setenv(weights.MIRROR_VARIABLE, f"{prefix}{tmp_path}")
    assert weights.load("FastSAM-s").path == tmp_path / "FastSAM-s.pt"
    (tmp_path / "FastSAM-s.pt").write_bytes(b"else")
    assert "is not the known FastSAM-s" in fails()
    (tmp_path / "FastSAM-s.pt").unlink()
    assert f"there is no {tmp_path / 'FastSAM-s.pt'}, where" in fails()


@pytest.mark.parametrize("place", ["http://127.0.0.1:9", "http://nobody.invalid", "http://["])
def test_a_server_that_is_not_there(place, home, monkeypatch):
    monkeypatch.setenv(weights.MIRROR_VARIABLE, place)
    assert f"copy the file to {home}" in error_of("FastSAM-s")
