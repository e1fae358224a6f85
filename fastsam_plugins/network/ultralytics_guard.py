"""Ultralytics behind one door: what the engine uses of it, and nothing that it does unasked.

Imported as it comes, ultralytics looks up a public name server, writes a settings file into the
person's home, and replaces PIL's ``Image.open`` by one that installs a package when a file is no
image. Its trainer tells an analytics server of every run, fetches a font, and reports to whatever
experiment tracker is installed. The engine takes every name of ultralytics from here, where none of
that happens::

    from fastsam_plugins.network.ultralytics_guard import SegmentationModel

What a person's own use of ultralytics in the same process notices: where they imported it first,
nothing, except that a training of ours keeps their trackers out while it runs. Where the engine was
first, ultralytics believes for the rest of the process that there is no network: it installs no
packages, looks for no updates and sends no statistics, and ``Image.open`` stays PIL's own. Their
settings hold in either case, and are not written unless they change one.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

_HOMES = {
    "Conv": "nn.modules.conv",
    "Instances": "utils.instance",
    "E2ELoss": "utils.loss",
    "Segment": "nn.modules.head",
    "Segment26": "nn.modules.head",
    "SegmentLoss26": "utils.loss",
    "SegmentationModel": "nn.tasks",
    "SegmentationTrainer": "models.yolo.segment",
    "crop_mask": "utils.ops",
    "get_flops": "utils.torch_utils",
    "make_anchors": "utils.tal",
    "parse_model": "nn.tasks",
    "resample_segments": "utils.ops",
    "strip_optimizer": "utils.torch_utils",
    "unwrap_model": "utils.torch_utils",
    "v8SegmentationLoss": "utils.loss",
    "xyxy2xywh": "utils.ops",
    "yaml_model_load": "nn.tasks",
}
"""Every name of ultralytics that the engine uses, and the module of it."""

_FORBIDDEN = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
_lock = threading.RLock()
_entered = False


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(module(_HOMES[name]), name)


_THREADS = "OMP_NUM_THREADS"  # it makes that 1, which others mind, and processes begun later


def module(name: str) -> Any:
    """A module of ultralytics by its name within it, such as ``utils.loss``.

    Raises
    ------
    ImportError
        If ultralytics is not installed, or its version has no such module.
    """
    with _lock:
        if "ultralytics" not in sys.modules:
            _enter()
        return importlib.import_module(f"ultralytics.{name}")


def entered() -> bool:
    """Whether ultralytics was imported through here, and not by a person's program."""
    return _entered


def config_folder() -> Path:
    """The folder of a person's ultralytics settings, which may not exist."""
    own = os.environ.get("YOLO_CONFIG_DIR")
    if own:
        return Path(own).expanduser() / "Ultralytics"
    if sys.platform == "win32":
        return _home() / "AppData" / "Roaming" / "Ultralytics"
    if sys.platform == "darwin":
        return _home() / "Library" / "Application Support" / "Ultralytics"
    return Path(os.environ.get("XDG_CONFIG_HOME") or _home() / ".config") / "Ultralytics"


def _home() -> Path:
    # As ``paths.home``: imported here, mypy would no longer know the names of this module.
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.sep)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Within this, ultralytics' trainer contacts nobody, installs nothing and starts no tracker.

    It holds for all of the process: for a training that a person runs beside ours, too.
    """
    checks, data = module("utils.checks"), module("data.utils")
    callbacks = module("utils.callbacks")
    with (
        mock.patch.dict(os.environ, _FORBIDDEN),  # for processes that load images
        mock.patch.object(checks, "ONLINE", False),
        mock.patch.object(checks, "AUTOINSTALL", False),
        mock.patch.object(callbacks, "add_integration_callbacks", _add_none),
        mock.patch.object(data, "check_font", _add_none),  # for plots, of which we have none
    ):
        yield


def _add_none(*_: Any) -> None:
    pass


def _enter() -> None:
    """Import ultralytics, offline, with a copy of the person's settings for the time being."""
    global _entered
    from PIL import Image

    _entered = True
    folder = config_folder()
    image_open = Image.open
    silence = logging.Filter("nothing is called so")
    log = logging.getLogger("ultralytics")
    with tempfile.TemporaryDirectory(prefix="fastsam-") as place:
        copy = Path(place) / "Ultralytics"
        copy.mkdir()
        with contextlib.suppress(OSError):  # there are none, or none that can be read
            shutil.copyfile(folder / "settings.json", copy / "settings.json")
        log.addFilter(silence)  # it tells of the copy as if it were new
        before = {n: os.environ.get(n) for n in (*_FORBIDDEN, "YOLO_CONFIG_DIR", _THREADS)}
        os.environ |= {**_FORBIDDEN, "YOLO_CONFIG_DIR": place}
        try:
            utils = importlib.import_module("ultralytics.utils")
        finally:
            log.removeFilter(silence)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            Image.open = image_open
    file = folder / "settings.json"
    utils.SETTINGS.file = utils.SETTINGS.file_path = file
    for name, loaded in list(sys.modules.items()):
        if name.partition(".")[0] == "ultralytics":
            own: dict[str, Any] = {"USER_CONFIG_DIR": folder, "SETTINGS_FILE": file}
            for constant in own.keys() & vars(loaded).keys():
                setattr(loaded, constant, own[constant])
