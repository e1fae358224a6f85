"""OpenVINO behind one door, at which it is kept from sending statistics.

It sends some to Google when it is imported and whenever it converts a network, unless a file in the
person's home says no, or the machine is one that tests programs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from fastsam_plugins import paths

_lock, _beginning = threading.Lock(), threading.Lock()
_inside = 0  # threads that are within it
_before: dict[str, str | None] = {}  # what the environment said before the first of them


_cores: dict[int, Any] = {}  # by process: a parent's is of no use in a child, and never ended


def core() -> Any:
    """OpenVINO itself: one, for the whole process, and to its end.

    It gives the thread that begins it a stack for signals, and takes that away when it ends, in
    whatever thread: the next Ctrl-C, or the end of a child, was a segmentation fault.
    """
    with openvino() as module, _beginning:
        if os.getpid() not in _cores:
            _cores[os.getpid()] = module.Core()
        return _cores[os.getpid()]


@contextlib.contextmanager
def openvino() -> Iterator[Any]:
    """The module, which sends nothing within this.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    global _inside
    with _lock:
        if not _inside:
            # It looks for what a person said in the home, and fails where there is none.
            own = {"CI": "true", "HOME": str(paths.home())}
            _before.update({name: os.environ.get(name) for name in own})
            os.environ.update(own)
        _inside += 1
    try:
        yield importlib.import_module("openvino")
    finally:
        with _lock:  # nothing else is put back: other threads may have changed it meanwhile
            _inside -= 1
            if not _inside:
                for name, value in _before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value
