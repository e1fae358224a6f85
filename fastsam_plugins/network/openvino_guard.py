"""OpenVINO behind one door, at which it is kept from sending statistics.

It sends some to Google when it is imported and whenever it converts a network, unless a file in the
person's home says no, or the machine is one that tests programs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock


@contextlib.contextmanager
def openvino() -> Iterator[Any]:
    """The module, which sends nothing within this.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    with mock.patch.dict(os.environ, {"CI": "true"}):
        yield importlib.import_module("openvino")
