"""Whether the process that began something is still at it, or was killed, or is to end."""

from __future__ import annotations

import os
import socket
import time

import fiftyone as fo
import fiftyone.core.odm as foo
import psutil

from fiftyone_plugin.fiftyone_private import id_of

STOPS = "fastsam.stops"


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


class StopSign:
    """Whether somebody asked the runs on a dataset to end, in whatever process they work.

    Parameters
    ----------
    dataset : fo.Dataset
    """

    def __init__(self, dataset: fo.Dataset) -> None:
        self._dataset = dataset
        self._before = self._count()
        self._next = 0.0

    def is_up(self) -> bool:
        """Whether that was asked since this was made. The database is asked once a second."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + 1
        return self._count() != self._before

    def put_up(self) -> None:
        """Ask it."""
        known = {"_id": id_of(self._dataset)}
        foo.get_db_conn()[STOPS].update_one(known, {"$inc": {"count": 1}}, upsert=True)

    def _count(self) -> int:
        sign = foo.get_db_conn()[STOPS].find_one({"_id": id_of(self._dataset)})
        return int(sign["count"]) if sign else 0
