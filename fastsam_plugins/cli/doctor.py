"""``fastsam doctor``: what works here, what is missing, and the one command that mends it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastsam_plugins import __version__
from fastsam_plugins.messages import install, one_line, restore
from fastsam_plugins.network import weights
from fastsam_plugins.paths import BUNDLED

OPENCV = "pip install --force-reinstall --no-deps opencv-python-headless"


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``needed`` tells a fault from an option that is not installed."""

    name: str
    ok: bool
    detail: str
    mend: str = ""
    needed: bool = False


def examine() -> list[Finding]:
    """Look at everything."""
    findings = [
        Finding("fastsam-plugins", True, __version__),
        Finding("python", sys.version_info >= (3, 11), platform.python_version(), needed=True),
    ]
    for package, module in (
        ("torch", "torch"),
        ("torchvision", ""),
        ("ultralytics", ""),
        ("openvino", "openvino"),
        ("scikit-image", "skimage.measure"),
        ("numba", "numba"),
        ("numpy", "numpy"),
        ("matplotlib", "matplotlib"),
    ):
        findings.append(_package(package, module, install(), needed=True))
    findings.append(_try("opencv", _opencv, OPENCV, needed=True))
    findings.append(_try("device", _device, "", needed=True))
    findings.append(_try("FastSAM-n", _bundled, restore(BUNDLED), True))
    if findings[-1].ok:
        findings.append(_try("fastest", _fastest, "", True))
    for official in weights.OFFICIAL.values():
        findings.append(_official(official))
    for package, module, extra in (
        ("open_clip_torch", "", "text"),
        ("fiftyone", "", "fiftyone"),
        ("napari", "napari", "napari"),
        ("rasterio", "rasterio", "geo"),
        ("pyogrio", "", "geo"),
        ("pyarrow", "pyarrow", "batch"),
        ("ray", "", "ray"),
        ("onnxruntime", "onnxruntime", "onnx"),
        ("faster-coco-eval", "faster_coco_eval", "evaluation"),
    ):
        findings.append(_package(package, module, install(extra)))
    findings.append(_qt())
    findings.append(_mongod())
    return findings


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """Findings as plain dictionaries."""
    return [asdict(f) for f in findings]


def _package(name: str, module: str, mend: str, needed: bool = False) -> Finding:
    """Whether a package is there and can be imported; without a module, which takes seconds of
    some, the latter is not tried, and that is said."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", mend, needed)
    if not module:
        return Finding(name, True, f"{version}, not tried", needed=needed)
    try:
        _import(module)
    except Exception as error:  # whatever is broken here is what the user came to hear about
        detail = f"{version}, which cannot be imported: {one_line(error)}"
        again = f"pip install --force-reinstall --no-deps {name}=={version}"
        return Finding(name, False, detail, again, needed)
    return Finding(name, True, version, needed=needed)


def _import(module: str) -> None:
    if module != "openvino":
        importlib.import_module(module)
        return
    from fastsam_plugins.network import openvino_guard

    with openvino_guard.openvino():
        pass


def _try(name: str, look: Callable[[], str], mend: str, needed: bool = False) -> Finding:
    try:
        return Finding(name, True, look(), needed=needed)
    except Exception as error:  # whatever is broken here is what the user came to hear about
        first = one_line(error)
        return Finding(name, False, first, mend, needed)


def _opencv() -> str:
    import cv2

    return str(cv2.__version__)


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}"
    if torch.backends.mps.is_available():
        return "mps"
    return f"cpu, {torch.get_num_threads()} threads (no accelerator found)"


def _bundled() -> str:
    network = weights.load("FastSAM-n")
    return f"imgsz {network.imgsz}, reg_max {network.reg_max}, sha256 {network.sha256[:12]}"


def _fastest() -> str:
    """What ``auto`` runs FastSAM-n with, and what it was chosen from."""
    from fastsam_plugins import fastest
    from fastsam_plugins.cli.common import log
    from fastsam_plugins.network.devices import device_name

    network, device = weights.load("FastSAM-n"), device_name("auto")
    fitting = fastest.possible("auto", "auto", device)
    name, precision = fastest.choose(network, device, fitting, log)
    trials = fastest.known(network, device, fitting) or []
    return f"{name} {precision} on {device}: " + "; ".join(str(trial) for trial in trials)


def _official(official: weights.Official) -> Finding:
    path = weights.local_path(official)
    mend = f"fastsam models --download {official.name}"
    if not path.is_file():
        return Finding(official.name, False, f"not downloaded to {path.parent}", mend)
    if weights.sha256_of(path) == official.sha256:
        return Finding(official.name, True, f"{path} (its SHA-256 is the known one)")
    return Finding(official.name, False, f"{path} is another file (by its SHA-256)", "remove it")


def _qt() -> Finding:
    for name in ("PyQt6", "PySide6", "PyQt5"):
        if importlib.util.find_spec(name):
            return Finding("qt", True, name)
    return Finding("qt", False, "no Qt for napari's window", install("gui"))


def _mongod() -> Finding:
    mend = install("mongod")
    spec = importlib.util.find_spec("fiftyone")
    bundled = [Path(p) / "db" / "bin" / "mongod" for p in (spec.submodule_search_locations or ())] \
        if spec else []  # fmt: skip
    for candidate in (*bundled, shutil.which("mongod")):
        if candidate and Path(candidate).is_file():
            return Finding("mongod", True, str(candidate))
    return Finding("mongod", False, "no MongoDB for FiftyOne", mend)
