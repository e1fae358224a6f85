"""Weights: a name -> a verified file -> a safely loaded network.

Checkpoints of ultralytics are pickles, which can run any code when loaded. Here none runs:
``torch.load(weights_only=True)`` sees an explicit list of names, every one of them replaced by an
inert record. From the records come the parameters and the architecture, and the network is built
anew from those. That loads files of any ultralytics version, old ``ultralytics.yolo`` names too.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

BUNDLED = Path(__file__).parent / "assets" / "FastSAM-n.safetensors"
DOWNLOADS = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
MIRROR_VARIABLE = "FASTSAM_WEIGHTS_URL"


@dataclass(frozen=True)
class Official:
    """Weights that the paper's authors published, as ultralytics hosts them."""

    name: str
    sha256: str | None
    about: str

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name}.pt"


OFFICIAL = {
    w.name.lower(): w
    for w in (
        Official(
            "FastSAM-s",
            # Read from a public pointer file; not verified against a download.
            "c9f78716a81c7aff0d608ccc73e1b82ab3aaad86005049f6a92106a0be6d0844",
            "YOLOv8s-seg trained on 2 % of SA-1B, 24 MB, imgsz 1024",
        ),
        Official("FastSAM-x", None, "YOLOv8x-seg trained on 2 % of SA-1B, 145 MB, imgsz 1024"),
    )
}


class WeightsError(RuntimeError):
    """Weights cannot be found, read or used; the message says what to do."""


@dataclass(frozen=True)
class Network:
    """A loaded network and what is known about it.

    Attributes
    ----------
    module : torch.nn.Module
        In float32 and eval mode, batch normalisation fused.
    name : str
    path : path
    sha256 : str
    imgsz : int
        The input size it was trained for, in pixels.
    reg_max : int
        Bins of the box head: a side of a box lies at most ``reg_max - 1`` strides from its anchor.
    stride : int
        Coarsest stride in pixels.
    """

    module: torch.nn.Module
    name: str
    path: Path
    sha256: str
    imgsz: int
    reg_max: int
    stride: int


@dataclass
class Checkpoint:
    """What a file holds: parameters, and what is needed to build their network."""

    state: dict[str, torch.Tensor]
    architecture: dict[str, Any]
    imgsz: int
    classes: int
    notes: dict[str, str] = field(default_factory=dict)


def resolve(name: str | Path) -> Path:
    """The file that a model name or path stands for, downloaded if need be.

    Raises
    ------
    WeightsError
        If there is no such file or name, or the download fails.
    """
    key = str(name).lower().removesuffix(".pt").removesuffix(".safetensors")
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if key == "fastsam-n":
        return BUNDLED
    if key in OFFICIAL:
        return _download(OFFICIAL[key])
    known = ", ".join(["FastSAM-n", *(w.name for w in OFFICIAL.values())])
    raise WeightsError(f"no weights at {name}: give a path to a .pt or .safetensors, or {known}")


def local_path(weights: Official) -> Path:
    """Where official weights are kept: ultralytics' weights folder."""
    from ultralytics.utils import SETTINGS, USER_CONFIG_DIR

    # Ultralytics' default is relative, so it moves with the working folder: anchor it, or every
    # folder would download anew.
    return Path(USER_CONFIG_DIR) / SETTINGS["weights_dir"] / weights.file


def _download(weights: Official) -> Path:
    path = local_path(weights)
    if path.is_file():
        return path
    from ultralytics.utils.downloads import safe_download

    base = os.environ.get(MIRROR_VARIABLE, DOWNLOADS).rstrip("/")
    url = f"{base}/{weights.file}"
    try:
        safe_download(url, file=path.name, dir=path.parent, min_bytes=1e5, progress=True)
    except (ConnectionError, OSError) as error:
        reason = str(error).strip().removeprefix("❌").strip()
        raise WeightsError(
            f"could not download {weights.name} from {url} ({reason}): copy the file to {path}, "
            f"or set {MIRROR_VARIABLE} to a server that has it, or use FastSAM-n, which is bundled"
        ) from None
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load(name: str | Path) -> Network:
    """Load a network by name or path.

    Raises
    ------
    WeightsError
        If the file cannot be found, is damaged, holds anything but parameters of a known kind, or
        is not a one-class segmentation network.
    """
    path = resolve(name)
    digest = sha256_of(path)
    official = OFFICIAL.get(path.stem.lower())
    if official is not None and official.sha256 != digest:
        expected = official.sha256 or "none on record"
        warnings.warn(
            f"{path}: SHA-256 {digest} is not the known one of {official.name} ({expected})",
            stacklevel=2,
        )
    checkpoint = read(path)
    module, reg_max = _build(checkpoint, path)
    stride = int(module.stride.max())
    return Network(module, path.stem, path, digest, checkpoint.imgsz, reg_max, stride)


def read(path: Path) -> Checkpoint:
    """Read a .pt or .safetensors file without running any code in it."""
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_pickle(path)


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write parameters in half precision, with the architecture, as safetensors."""
    import torch
    from safetensors.torch import save_file

    state = {
        k: v.to(torch.float16).contiguous() if v.is_floating_point() else v.contiguous()
        for k, v in checkpoint.state.items()
        if not k.endswith("num_batches_tracked")
    }
    metadata = {
        "architecture": json.dumps(checkpoint.architecture),
        "imgsz": str(checkpoint.imgsz),
        "classes": str(checkpoint.classes),
        **checkpoint.notes,
    }
    save_file(state, path, metadata=metadata)


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            notes = dict(stream.metadata() or {})
            state = {k: stream.get_tensor(k) for k in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged or no safetensors file: {error}") from None
    try:
        architecture = json.loads(notes.pop("architecture"))
        imgsz, classes = int(notes.pop("imgsz")), int(notes.pop("classes"))
    except (KeyError, ValueError):
        raise WeightsError(
            f"{path} does not say which network it is for: write it with `fastsam train` or "
            "fastsam_plugins.weights.save"
        ) from None
    return Checkpoint(state, architecture, imgsz, classes, notes)


# --- pickles ------------------------------------------------------------------------------------


class _Record:
    """Stands for any object in a pickle: keeps its state and does nothing."""

    def __init__(self, *args: Any) -> None:
        self.args = args


def _names(prefixes: str, classes: str) -> set[str]:
    return {f"{p}.{c}" for p in prefixes.split() for c in classes.split()}


# All that checkpoints of YOLOv8-seg networks name, from the first releases to today's.
ALLOWED = (
    _names("torch.nn.modules.container", "Sequential ModuleList")
    | _names("torch.nn.modules.conv", "Conv2d ConvTranspose2d")
    | _names("torch.nn.modules.batchnorm", "BatchNorm2d")
    | _names("torch.nn.modules.activation", "SiLU")
    | _names("torch.nn.modules.pooling", "MaxPool2d")
    | _names("torch.nn.modules.upsampling", "Upsample")
    | _names("torch.nn.modules.linear", "Identity")
    | _names(
        "ultralytics.nn.modules ultralytics.nn.modules.conv ultralytics.nn.modules.block "
        "ultralytics.nn.modules.head ultralytics.yolo.nn.modules",
        "Conv Concat Bottleneck C2f SPPF Proto DFL Detect Segment",
    )
    | _names("ultralytics.nn.tasks ultralytics.yolo.nn.tasks", "SegmentationModel")
    | _names("ultralytics.utils ultralytics.yolo.utils", "IterableSimpleNamespace")
    | _names("ultralytics.utils.loss", "v8SegmentationLoss v8DetectionLoss BboxLoss DFLoss")
    | _names("ultralytics.utils.tal", "TaskAlignedAssigner")
    | _names("torch.nn.modules.loss", "BCEWithLogitsLoss")
    | _names("numpy.core.multiarray numpy._core.multiarray", "scalar")
    | _names("numpy", "dtype")
    | _names("numpy.dtypes", "Float64DType Float32DType Int64DType")
    | _names("pathlib", "PosixPath WindowsPath Path")
)


def _read_pickle(path: Path) -> Checkpoint:
    import torch

    try:
        named = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except (RuntimeError, ValueError, EOFError, OSError, pickle.UnpicklingError):
        raise WeightsError(
            f"{path} is truncated or no PyTorch checkpoint: delete it and download it again"
        ) from None
    unknown = sorted(named - ALLOWED)
    if unknown:
        raise WeightsError(
            f"{path} refers to {', '.join(unknown[:3])}, which weights of FastSAM do not need: "
            "it was not loaded, because it could run code"
        )
    records = [(type(n.rpartition(".")[2], (_Record,), {}), n) for n in sorted(named)]
    try:
        with torch.serialization.safe_globals(records):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        first = str(error).splitlines()[0]
        raise WeightsError(f"{path} is damaged, download it again ({first})") from None

    if not isinstance(content, dict):
        raise WeightsError(f"{path} is not a checkpoint of ultralytics: it has no model in it")
    model = content.get("ema") or content.get("model")
    architecture = getattr(model, "yaml", None)
    if not isinstance(model, _Record) or not isinstance(architecture, dict):
        raise WeightsError(f"{path} is not a checkpoint of ultralytics: it has no model in it")
    if type(model).__name__ != "SegmentationModel":
        raise WeightsError(
            f"{path} holds a {type(model).__name__}, which predicts no masks: FastSAM needs a "
            "YOLOv8-seg network"
        )
    arguments = content.get("train_args")
    arguments = arguments if isinstance(arguments, dict) else vars(arguments or _Record())
    imgsz = arguments.get("imgsz", 1024)
    names = getattr(model, "names", None)
    classes = len(names) if isinstance(names, dict | list) else int(architecture.get("nc", 80))
    return Checkpoint(_state(model), architecture, int(imgsz), classes)


def _state(module: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """Parameters and buffers of a recorded module, named as ``state_dict`` names them."""
    found = {}
    for kind in ("_parameters", "_buffers"):
        for name, value in getattr(module, kind, {}).items():
            if value is not None:
                found[prefix + name] = value.detach()
    for name, child in getattr(module, "_modules", {}).items():
        if child is not None and name != "criterion":
            found |= _state(child, f"{prefix}{name}.")
    return found


# --- building -----------------------------------------------------------------------------------

_KEYS = ("backbone", "head", "scales", "scale", "depth_multiple", "width_multiple", "max_channels")
_LAYERS = {"Conv", "C2f", "SPPF", "Concat", "nn.Upsample", "Segment"}


def clean_architecture(architecture: dict[str, Any], reg_max: int, path: Path) -> dict[str, Any]:
    """The parts of an ultralytics model description that say what the network is.

    Ultralytics evaluates other keys (``activation``) as code: they are left out here.
    """
    layers = [*architecture.get("backbone", ()), *architecture.get("head", ())]
    kinds = [layer[2] for layer in layers]
    if not kinds or kinds[-1] != "Segment":
        raise WeightsError(
            f"{path} predicts no masks: FastSAM needs a YOLOv8-seg network, whose head is Segment"
        )
    strange = sorted({str(k) for k in kinds} - _LAYERS)
    if strange:
        raise WeightsError(f"{path} has layers that YOLOv8-seg has not: {', '.join(strange)}")
    kept = {k: architecture[k] for k in _KEYS if k in architecture}
    return {**kept, "nc": 1, "reg_max": reg_max}


def _build(checkpoint: Checkpoint, path: Path) -> tuple[torch.nn.Module, int]:
    import torch
    from ultralytics.nn.tasks import SegmentationModel

    bins = [v for k, v in checkpoint.state.items() if k.endswith("dfl.conv.weight")]
    reg_max = int(bins[0].shape[1]) if bins else 16
    architecture = clean_architecture(checkpoint.architecture, reg_max, path)
    if checkpoint.classes != 1:
        raise WeightsError(
            f"{path} knows {checkpoint.classes} classes: FastSAM is class-agnostic, use weights "
            "trained with one class (`fastsam train` makes them)"
        )
    # Initialising a network draws random numbers: leave the caller's generator as it was.
    with torch.random.fork_rng(devices=[]):
        module = SegmentationModel(architecture, ch=3, nc=1, verbose=False)
    state = {k: v.float() if v.is_floating_point() else v for k, v in checkpoint.state.items()}
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: parameters and architecture do not fit ({str(error).splitlines()[1].strip()})"
        ) from None
    missing = [k for k in missing if not k.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise WeightsError(
            f"{path}: parameters and architecture do not fit ({len(missing)} missing, "
            f"{len(unexpected)} unknown)"
        )
    module.eval()
    module.fuse(verbose=False)
    return module.requires_grad_(False), reg_max
