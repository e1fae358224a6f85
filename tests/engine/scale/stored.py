"""A store that speaks S3, and what results hold."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from fastsam_plugins.options import SegmentOptions
from tests.conftest import ROOT

SMALL = SegmentOptions(imgsz=160, conf=0.2)


def hashes(address) -> dict[str, str]:
    """A hash of every row by image; none is there twice."""
    from fastsam_plugins.scale.results import Results

    found: dict[str, str] = {}
    for row in Results(str(address)).rows():
        name = row["image"].rpartition("/")[2]
        assert name not in found
        kept = {k: v for k, v in row.items() if k not in ("image", "error")}
        found[name] = hashlib.sha256(repr(sorted(kept.items())).encode()).hexdigest()
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Store:
    """An S3 server in a process of its own, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        (folder / "bucket").mkdir(parents=True)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "support" / "s3_server.py", self.folder, str(self.port)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdout
        assert b"port" in self.process.stdout.readline()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def put(folder: Path, address: str) -> None:
    """The files of a folder into a store."""
    from fastsam_plugins.scale import places

    for name in sorted(os.listdir(folder)):
        places.write_bytes(f"{address}/{name}", (folder / name).read_bytes())
