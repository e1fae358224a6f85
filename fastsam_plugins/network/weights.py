"""Weights: a name -> a verified file -> a network, built anew from what the file holds.

What is in a file is read by :mod:`fastsam_plugins.network.checkpoints`, which runs no code of it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import url2pathname

import msgspec

from fastsam_plugins import cache, paths
from fastsam_plugins.limits import DEFAULT
from fastsam_plugins.messages import one_line
from fastsam_plugins.network import ultralytics_guard
from fastsam_plugins.network.checkpoints import (
    EFFICIENTNET,
    SHAPE_TERMS,
    Checkpoint,
    WeightsError,
    read,
)
from fastsam_plugins.network.downloads import fetch, sha256_of
from fastsam_plugins.options import LimitOptions, WeightsOptions
from fastsam_plugins.paths import BUNDLED

if TYPE_CHECKING:
    import torch

DOWNLOADS = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
MIRROR_VARIABLE = "FASTSAM_WEIGHTS_URL"
FOLDER_VARIABLE = "FASTSAM_WEIGHTS_DIR"
_VERSION = 2  # of what is kept about networks


@dataclass(frozen=True)
class Official:
    """Weights that the paper's authors published, as ultralytics hosts them."""

    name: str
    sha256: str
    size: int
    about: str

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name}.pt"


# SHA-256 and sizes as public lock files of several projects have them (FastSAM-s of release 8.4.0
# and before, FastSAM-x of 8.2.0); not compared with a download of our own.
OFFICIAL = {
    w.name.lower(): w
    for w in (
        Official(
            "FastSAM-s",
            "c9f78716a81c7aff0d608ccc73e1b82ab3aaad86005049f6a92106a0be6d0844",
            23_851_578,
            "YOLOv8s-seg trained on 2 % of SA-1B, 24 MB, imgsz 1024",
        ),
        Official(
            "FastSAM-x",
            "752cadc2828edb1cd4bc4f9eb587100631af06ea2108f4c9ed56df4755701e76",
            144_972_346,
            "YOLOv8x-seg trained on 2 % of SA-1B, 145 MB, imgsz 1024",
        ),
    )
}


class Facts(msgspec.Struct, frozen=True):
    """What is known about a network without building it.

    Attributes
    ----------
    imgsz : int
        The input size it was trained for, in pixels.
    reg_max : int
        Bins of the box head: a side of a box lies at most ``reg_max - 1`` strides from its anchor;
        1 where there are none, and boxes of any size.
    stride : int
        Coarsest stride in pixels.
    channels : int
        Of the first layer, or of that of a YOLOv8-seg network which takes as much memory.
    classes : int
        That it was trained with.
    """

    imgsz: int
    reg_max: int
    stride: int
    channels: int
    classes: int


@dataclass(frozen=True)
class Network:
    """A network: its file, what is known about it, and, once it is asked for, itself."""

    name: str
    path: Path
    sha256: str
    facts: Facts
    limits: LimitOptions | None = None

    @property
    def imgsz(self) -> int:
        """The input size it was trained for, in pixels."""
        return self.facts.imgsz

    @property
    def stride(self) -> int:
        """Coarsest stride in pixels."""
        return self.facts.stride

    @property
    def reg_max(self) -> int:
        """Bins of the box head."""
        return self.facts.reg_max

    @cached_property
    def module(self) -> torch.nn.Module:
        """In float32 and eval mode, batch normalisation fused.

        Raises
        ------
        WeightsError
            If the file is another one by now.
        """
        if sha256_of(self.path) != self.sha256:
            raise WeightsError(f"{self.path} has changed since it was read: load it again")
        return _build(_checked(self.path, self.limits), self.path, self.limits or DEFAULT)[0]


def resolve(name: str | Path, options: WeightsOptions | None = None) -> Path:
    """The file that a model name or path stands for, downloaded if need be, and verified.

    Raises
    ------
    WeightsError
        If there is no such file or name, the download fails, or a file that is named like official
        weights holds something else.
    """
    return _resolve(name, WeightsOptions.of(options))[0]


def _resolve(name: str | Path, options: WeightsOptions) -> tuple[Path, str]:
    source = known(name)
    path = source if isinstance(source, Path) else _download(source, options)
    return path, _verify(path, options)


def _verify(path: Path, options: WeightsOptions) -> str:
    """SHA-256 of a file, which is the known one if it has a known name."""
    digest = sha256_of(path)
    official = OFFICIAL.get(path.stem.lower())
    if official is not None and official.sha256 != digest and not options.allow_unknown_weights:
        raise WeightsError(
            f"{path} is not the known {official.name} (SHA-256 {digest}, not {official.sha256}): "
            "remove it if it is a damaged download, give it another name if it is a network of "
            "your own, or use it as it is with --allow-unknown-weights "
            "(allow_unknown_weights=True in Python)"
        )
    return digest


def known(name: str | Path) -> Path | Official:
    """The file that a name or path stands for, or the official weights; nothing is downloaded.

    Raises
    ------
    WeightsError
        If there is no such file or name.
    """
    key = str(name).lower().removesuffix(".pt").removesuffix(".safetensors")
    path = Path(name).expanduser()
    try:
        if path.is_file():
            return path.absolute()  # it may be read, or read again, from another working folder
    except OSError as error:  # a name that is too long for any file
        raise WeightsError(f"no weights at {str(name)[:60]}...: {error.strerror}") from None
    if key == "fastsam-n":
        return BUNDLED
    if key in OFFICIAL:
        return OFFICIAL[key]
    names = ", ".join(["FastSAM-n", *(w.name for w in OFFICIAL.values())])
    raise WeightsError(f"no weights at {name}: give a path to a .pt or .safetensors, or {names}")


def folder() -> Path:
    """Where official weights are downloaded to."""
    return paths.named(FOLDER_VARIABLE) or paths.data() / "weights"


def local_path(weights: Official) -> Path:
    """Where official weights are, or will be downloaded to.

    Earlier versions kept them in ultralytics' weights folder: what is right there is used.
    """
    path = folder() / weights.file
    earlier = _earlier_folder() / weights.file
    if not path.is_file() and earlier.is_file() and sha256_of(earlier) == weights.sha256:
        return earlier
    return path


class _Settings(msgspec.Struct):
    """What is of interest here in ultralytics' settings."""

    weights_dir: str = "weights"


def _earlier_folder() -> Path:
    place = ultralytics_guard.config_folder()
    try:
        settings = msgspec.json.decode((place / "settings.json").read_bytes(), type=_Settings)
    except (OSError, msgspec.DecodeError):  # there are none, or none that ultralytics could read
        settings = _Settings()
    return place / settings.weights_dir


def _download(weights: Official, options: WeightsOptions) -> Path:
    path = local_path(weights)
    if path.is_file():
        return path
    base = os.environ.get(MIRROR_VARIABLE) or DOWNLOADS
    url = f"{base.rstrip('/')}/{weights.file}"
    if not url.startswith(("http://", "https://")):  # a folder may stand for the server
        place = Path(url2pathname(url[5:]) if url.startswith("file:") else url).expanduser()
        if place.is_file():
            return place
        raise WeightsError(f"there is no {place}, where {MIRROR_VARIABLE} says {weights.name} is")
    print(f"{weights.name} is not here yet: downloading it to {path}", file=sys.stderr)
    try:
        fetch(url, path, weights.sha256, weights.size, options, read)
    except OSError as error:
        reason = one_line(error)
        raise WeightsError(
            f"could not download {weights.name} from {url} ({reason}): copy the file to {path}, "
            f"or set {MIRROR_VARIABLE} to a server that has it, or {FOLDER_VARIABLE} to a folder "
            "that can be written, or use FastSAM-n, which is bundled"
        ) from None
    return path


def read_checked(
    name: str | Path, options: WeightsOptions | None = None, limits: LimitOptions | None = None
) -> tuple[Checkpoint, Path, str]:
    """What the file of a name or path holds, the file, and its SHA-256.

    Raises
    ------
    WeightsError
        If the file cannot be found, is not what its name says, is damaged, or holds parameters
        that are no finite numbers.
    """
    path, digest = _resolve(name, WeightsOptions.of(options))
    return _checked(path, limits), path, digest


def _checked(path: Path, limits: LimitOptions | None) -> Checkpoint:
    checkpoint = read(path, limits)
    wrong = [k for k, v in checkpoint.state.items() if not v.isfinite().all()]
    if wrong:
        raise WeightsError(
            f"{path} holds parameters that are no finite numbers ({wrong[0]}"
            + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else "")
            + "): its training went astray, use weights of an earlier epoch"
        )
    return checkpoint


def load(
    name: str | Path, options: WeightsOptions | None = None, limits: LimitOptions | None = None
) -> Network:
    """Find a network by name or path, and build it, unless that was done before on this machine.

    Raises
    ------
    WeightsError
        If the file cannot be found, is damaged, holds anything but parameters of a known kind, is
        named like official weights and is something else, is no segmentation network, or one of
        many classes without ``agnostic``.
    """
    options = WeightsOptions.of(options)
    path, digest = _resolve(name, options)
    kept = f"{cache.key(digest, _VERSION)}.network"
    try:
        facts = msgspec.json.decode(cache.peek(kept) or b"", type=Facts)
        _check_classes(facts.classes, path, options)
        return Network(path.stem, path, digest, facts, limits)
    except msgspec.DecodeError:  # nothing is known yet
        pass
    checkpoint = _checked(path, limits)
    _check_classes(checkpoint.classes, path, options)
    module, reg_max = _build(checkpoint, path, limits or DEFAULT)
    channels = _channels(module)
    stride = int(module.stride.max())
    facts = Facts(checkpoint.imgsz, reg_max, stride, channels, checkpoint.classes)
    cache.keep(kept, msgspec.json.encode(facts))
    network = Network(path.stem, path, digest, facts, limits)
    network.__dict__["module"] = module  # as cached_property keeps it
    return network


def _channels(module: Any) -> int:
    """Those of the first layer, by which the layers near the input grow."""
    from fastsam_plugins.network import efficientnet

    if module.yaml.get(EFFICIENTNET):
        return efficientnet.AS_WIDE_AS
    return int(next(module.parameters()).shape[0])


def _check_classes(count: int, path: Path, options: WeightsOptions) -> None:
    if count != 1 and not options.agnostic:
        raise WeightsError(
            f"{path} knows {count} classes, FastSAM none: take the likeliest for any object with "
            "--agnostic (agnostic=True in Python), or use weights trained with one class "
            "(`fastsam train` makes them)"
        )


# --- building -----------------------------------------------------------------------------------

_KEYS = ("backbone", "head", "scales", "scale", "depth_multiple", "width_multiple", "max_channels",
         "end2end", SHAPE_TERMS, EFFICIENTNET)  # fmt: skip


def describe(checkpoint: Checkpoint, path: Path, limits: LimitOptions = DEFAULT) -> dict[str, Any]:
    """The parts of an ultralytics model description that say what the network is.

    Ultralytics evaluates other keys (``activation``) as code: they are left out here.

    Raises
    ------
    WeightsError
        If it is none of a network that can be used, or of another than the parameters are of.
    """
    from fastsam_plugins.network import architecture as described

    bins = [v for k, v in checkpoint.state.items() if k.endswith("dfl.conv.weight")]
    try:
        reg_max = int(bins[0].shape[1]) if bins else 1
        wanted = _clean(checkpoint.architecture, path)
        wanted |= {"nc": checkpoint.classes, "reg_max": reg_max}
        described.check(wanted, checkpoint.state, limits)
    except WeightsError:
        raise
    except Exception as error:  # a description may be wrong in any way
        raise WeightsError(f"{path} describes no network that works ({one_line(error)})") from error
    return wanted


def _clean(architecture: dict[str, Any], path: Path) -> dict[str, Any]:
    from fastsam_plugins.network import families

    layers = [*architecture.get("backbone", ()), *architecture.get("head", ())]
    kinds = [layer[2] for layer in layers]
    if not kinds or kinds[-1] not in families.HEADS:
        raise WeightsError(
            f"{path} predicts no masks: FastSAM needs a YOLOv8-seg, YOLO11-seg or YOLO26-seg "
            "network, whose head is Segment or Segment26"
        )
    strange = sorted({str(k) for k in kinds} - families.LAYERS)
    if strange:
        raise WeightsError(
            f"{path} has layers that YOLOv8-seg, YOLO11-seg and YOLO26-seg have not: "
            f"{', '.join(strange)}"
        )
    return {k: architecture[k] for k in _KEYS if k in architecture}


def _build(
    checkpoint: Checkpoint, path: Path, limits: LimitOptions = DEFAULT
) -> tuple[torch.nn.Module, int]:
    import torch

    from fastsam_plugins.network import families
    from fastsam_plugins.network.ultralytics_guard import SegmentationModel

    architecture = describe(checkpoint, path, limits)
    try:
        # Initialising draws random numbers: leave the caller's generator as it was.
        with torch.random.fork_rng(devices=[]):
            module = SegmentationModel(architecture, ch=3, verbose=False)
        families.complete(module)
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
    families.as_usual(module)
    module.fuse(verbose=False)
    return module.requires_grad_(False), architecture["reg_max"]
