"""Whether the process that began something is still at it, or was killed."""

from __future__ import annotations

import os
import socket

import psutil


def here() -> str:
    """This process, as :func:`is_alive` knows it: its machine, number, and when it began."""
    return f"{socket.gethostname()} {os.getpid()} {_began(os.getpid())}"


def is_alive(process: str) -> bool:
    """Whether a process still runs; of another machine's that cannot be known: it may."""
    host, number, began = process.rsplit(" ", 2)
    if host != socket.gethostname():
        return True
    return began == _began(int(number))


def _began(number: int) -> str:
    try:
        return f"{psutil.Process(number).create_time():.2f}"
    except psutil.NoSuchProcess:
        return "never"
