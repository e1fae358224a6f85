"""Weights: a name -> a verified file -> a network, built anew from what the file holds.

What is in a file is read by :mod:`fastsam_plugins.checkpoints`, which runs no code of it.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_plugins.checkpoints import SHAPE_TERMS, Checkpoint, WeightsError, one_line, read
from fastsam_plugins.limits import DEFAULT
from fastsam_plugins.options import LimitOptions

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


def resolve(name: str | Path) -> Path:
    """The file that a model name or path stands for, downloaded if need be.

    Raises
    ------
    WeightsError
        If there is no such file or name, or the download fails.
    """
    found = known(name)
    return found if isinstance(found, Path) else _download(found)


def known(name: str | Path) -> Path | Official:
    """The file that a name or path stands for, or the official weights; nothing is downloaded.

    Raises
    ------
    WeightsError
        If there is no such file or name.
    """
    key = str(name).lower().removesuffix(".pt").removesuffix(".safetensors")
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if key == "fastsam-n":
        return BUNDLED
    if key in OFFICIAL:
        return OFFICIAL[key]
    names = ", ".join(["FastSAM-n", *(w.name for w in OFFICIAL.values())])
    raise WeightsError(f"no weights at {name}: give a path to a .pt or .safetensors, or {names}")


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
        # A folder may stand for the server: its file is used where it is.
        return safe_download(url, file=path.name, dir=path.parent, min_bytes=1e5, retry=1)
    except (OSError, MemoryError) as error:  # MemoryError is its word for a full disk
        reason = one_line(error).strip("❌ ")
        raise WeightsError(
            f"could not download {weights.name} from {url} ({reason}): copy the file to {path}, "
            f"or set {MIRROR_VARIABLE} to a server that has it, or use FastSAM-n, which is bundled"
        ) from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load(name: str | Path, limits: LimitOptions | None = None) -> Network:
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
    checkpoint = read(path, limits)
    module, reg_max = _build(checkpoint, path, limits or DEFAULT)
    stride = int(module.stride.max())
    return Network(module, path.stem, path, digest, checkpoint.imgsz, reg_max, stride)


# --- building -----------------------------------------------------------------------------------

_KEYS = ("backbone", "head", "scales", "scale", "depth_multiple", "width_multiple", "max_channels",
         SHAPE_TERMS)  # fmt: skip
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


def _build(
    checkpoint: Checkpoint, path: Path, limits: LimitOptions = DEFAULT
) -> tuple[torch.nn.Module, int]:
    import torch
    from ultralytics.nn.tasks import SegmentationModel

    from fastsam_plugins import architecture as described
    from fastsam_plugins import shape

    if checkpoint.classes != 1:
        raise WeightsError(
            f"{path} knows {checkpoint.classes} classes: FastSAM is class-agnostic, use weights "
            "trained with one class (`fastsam train` makes them)"
        )
    bins = [v for k, v in checkpoint.state.items() if k.endswith("dfl.conv.weight")]
    try:
        reg_max = int(bins[0].shape[1]) if bins else 16
        architecture = clean_architecture(checkpoint.architecture, reg_max, path)
        described.check(architecture, checkpoint.state, limits)
        # Initialising draws random numbers: leave the caller's generator as it was.
        with torch.random.fork_rng(devices=[]):
            module = SegmentationModel(architecture, ch=3, nc=1, verbose=False)
        shape.give(module)
    except WeightsError:
        raise
    except Exception as error:  # a description may be wrong in any way
        raise WeightsError(f"{path} describes no network that works ({one_line(error)})") from error
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
