"""Checkpoint files, read without running any code in them.

Checkpoints of ultralytics are pickles, which can run any code when loaded. Here none runs:
``torch.load(weights_only=True)`` sees an explicit list of names, every one of them replaced by an
inert record. From the records come the parameters and the architecture. That reads files of any
ultralytics version, old ``ultralytics.yolo`` names too.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_plugins.limits import DEFAULT, too_much_memory
from fastsam_plugins.messages import one_line
from fastsam_plugins.options import LimitOptions

if TYPE_CHECKING:
    import torch


class WeightsError(RuntimeError):
    """Weights cannot be found, read or used; the message says what to do."""


SIDES = 32, 8192  # pixels of the longest side of a network's input

# All that is not ultralytics' own in a model description:
SHAPE_TERMS = "shape_terms"
"""How many coefficients are those of :mod:`fastsam_plugins.network.shape_terms`."""
EFFICIENTNET = "efficientnet"
"""Of which size the backbone is, if it is one of :mod:`fastsam_plugins.network.efficientnet`."""


@dataclass
class Checkpoint:
    """What a file holds: parameters, and what is needed to build their network."""

    state: dict[str, torch.Tensor]
    architecture: dict[str, Any]
    imgsz: int
    classes: int
    notes: dict[str, str] = field(default_factory=dict)


def read(path: Path, limits: LimitOptions | None = None) -> Checkpoint:
    """Read a .pt or .safetensors file without running any code in it.

    Raises
    ------
    WeightsError
        If it is damaged, or holds or unpacks to more than it may.
    """
    size = path.stat().st_size
    if problem := too_much_memory(size, limits or DEFAULT):
        raise WeightsError(f"{path} {problem}: raise it if you trust the file")
    if path.suffix == ".safetensors":
        checkpoint = _read_safetensors(path)
    else:
        _check_archive(path)
        checkpoint = _read_pickle(path)
    # Views can show a number many times: made whole, it would be there as often.
    shown = sum(v.numel() * v.element_size() for v in checkpoint.state.values())
    if shown > size:
        raise WeightsError(
            f"{path} is damaged: it holds {size} bytes, and its parameters are {shown}"
        )
    if not SIDES[0] <= checkpoint.imgsz <= SIDES[1]:
        raise WeightsError(
            f"{path} is for inputs of {checkpoint.imgsz} px: FastSAM's are {SIDES[0]} to {SIDES[1]}"
        )
    return checkpoint


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is: PyTorch compresses nothing."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except Exception:  # none, or a damaged one: who reads it says so
        return
    if unpacked > path.stat().st_size:
        raise WeightsError(
            f"{path} has {path.stat().st_size} bytes that unpack to {unpacked}: PyTorch writes no "
            "such files, it was not loaded"
        )


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write parameters in half precision, with the architecture, as safetensors."""
    import torch
    from safetensors.torch import save as serialized

    from fastsam_plugins.io import atomic

    state = {
        k: v.to(torch.float16).contiguous() if v.is_floating_point() else v.contiguous()
        for k, v in _kept(checkpoint.state).items()
    }
    metadata = {
        "architecture": json.dumps(checkpoint.architecture),
        "imgsz": str(checkpoint.imgsz),
        "classes": str(checkpoint.classes),
        **checkpoint.notes,
    }
    atomic.write_bytes(path, serialized(state, metadata=metadata))


def average(paths: Sequence[Path]) -> Checkpoint:
    """The mean of the parameters of several trainings that began with the same weights.

    It is often better than each of them (Wortsman et al. 2022, "Model soups", arXiv:2203.05482).

    Raises
    ------
    WeightsError
        If a file cannot be read, or the networks are not of one kind.
    """
    import torch

    first, *others = networks = [read(path) for path in paths]
    kind = _kind(first)
    for path, other in zip(paths[1:], others, strict=True):
        if _kind(other) != kind:
            raise WeightsError(
                f"{path} holds another network than {paths[0]}: no mean of them works"
            )
    names = kind[0]
    mean = {name: torch.stack([c.state[name].float() for c in networks]).mean(0) for name in names}
    return Checkpoint(mean, first.architecture, first.imgsz, first.classes)


def _kept(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What files written here hold: all that the network's answers depend on."""
    return {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}


def _kind(checkpoint: Checkpoint) -> tuple[dict[str, Any], dict[str, Any]]:
    """What networks must share for their parameters to mean the same."""
    shapes = {name: value.shape for name, value in _kept(checkpoint.state).items()}
    own = {key: checkpoint.architecture.get(key) or None for key in (SHAPE_TERMS, EFFICIENTNET)}
    return shapes, own


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
        if not isinstance(architecture, dict):
            raise ValueError("it is no description")
    except (KeyError, ValueError, RecursionError):
        raise WeightsError(
            f"{path} does not say which network it is for: write it with `fastsam train` or "
            "fastsam_plugins.network.checkpoints.save"
        ) from None
    return Checkpoint(state, architecture, imgsz, classes, notes)


# --- pickles ------------------------------------------------------------------------------------


class _Record:
    """Stands for any object in a pickle: keeps its state and does nothing."""

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):  # numpy's dtypes keep a tuple
            self.__dict__.update(state)


def _names(prefixes: str, classes: str) -> set[str]:
    return {f"{p}.{c}" for p in prefixes.split() for c in classes.split()}


# All that checkpoints of YOLOv8-seg, YOLO11-seg and YOLO26-seg networks name, from the first
# releases to today's.
ALLOWED = (
    _names("torch.nn.modules.container", "Sequential ModuleList")
    | _names("torch.nn.modules.conv", "Conv2d ConvTranspose2d")
    | _names("torch.nn.modules.batchnorm", "BatchNorm2d")
    | _names("torch.nn.modules.activation", "ReLU6 SiLU")
    | _names("torch.nn.modules.pooling", "MaxPool2d")
    | _names("torch.nn.modules.upsampling", "Upsample")
    | _names("torch.nn.modules.linear", "Identity")
    | _names(
        "ultralytics.nn.modules ultralytics.nn.modules.conv ultralytics.nn.modules.block "
        "ultralytics.nn.modules.head ultralytics.yolo.nn.modules",
        "Conv DWConv Concat Bottleneck C2f C3k C3k2 Attention PSABlock C2PSA SPPF Proto Proto26 "
        "DFL Detect Segment Segment26",
    )
    # The first is what it was called when older checkpoints were written.
    | _names("fastsam_plugins.shape fastsam_plugins.network.shape_terms", "ShapedSegment")
    | _names("fastsam_plugins.network.efficientnet", "InvertedResidual")
    | _names("ultralytics.nn.tasks ultralytics.yolo.nn.tasks", "SegmentationModel DetectionModel")
    | _names("ultralytics.utils ultralytics.yolo.utils", "IterableSimpleNamespace")
    | _names(
        "ultralytics.utils.loss",
        "v8SegmentationLoss v8DetectionLoss BboxLoss DFLoss E2ELoss SegmentLoss26 BCEDiceLoss",
    )
    | _names("ultralytics.utils.tal", "TaskAlignedAssigner SegTaskAlignedAssigner")
    | _names("torch.nn.modules.loss", "BCEWithLogitsLoss")
    | _names("numpy.core.multiarray numpy._core.multiarray", "scalar")
    | _names("numpy", "dtype")
    | _names("numpy.dtypes", "Float64DType Float32DType Int64DType")
    | _names("pathlib pathlib._local", "PosixPath WindowsPath Path")
)


_PROCESS = threading.Lock()


@contextlib.contextmanager
def _allow_only(records: list[Any]) -> Iterator[None]:
    """Let pickles name these records and nothing else.

    The list is the process's, and ``torch.serialization.safe_globals`` only adds to it: what others
    put there (ultralytics puts whole networks) would be made for real instead of recorded.
    """
    import torch

    with _PROCESS:
        others = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(records)
        try:
            yield
        finally:
            # Parts of torch that were imported meanwhile have added theirs.
            added = [g for g in torch.serialization.get_safe_globals() if g not in records]
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals([*others, *added])


def _read_pickle(path: Path) -> Checkpoint:
    import torch

    try:
        with _allow_only([]):
            named = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception as error:  # damaged bytes break the parser in any way
        raise WeightsError(
            f"{path} is no PyTorch checkpoint, or a truncated one: give weights, or get them again"
        ) from error
    unknown = sorted(named - ALLOWED)
    if unknown:
        raise WeightsError(
            f"{path} refers to {', '.join(unknown[:3])}, which weights of FastSAM do not need: "
            "it was not loaded, because it could run code"
        )
    records = [(type(n.rpartition(".")[2], (_Record,), {}), n) for n in sorted(named)]
    try:
        with _allow_only(records):
            content = torch.load(path, map_location="cpu", weights_only=True)
        return _checkpoint(content, path)
    except WeightsError:
        raise
    except Exception as error:  # damaged bytes break the parser in any way
        raise WeightsError(f"{path} is damaged ({one_line(error)}): get the file again") from error


def _checkpoint(content: Any, path: Path) -> Checkpoint:
    if not isinstance(content, dict):
        raise WeightsError(f"{path} is not a checkpoint of ultralytics: it has no model in it")
    model = content.get("model") if content.get("ema") is None else content["ema"]
    architecture = getattr(model, "yaml", None)
    if not isinstance(model, _Record) or not isinstance(architecture, dict):
        raise WeightsError(f"{path} is not a checkpoint of ultralytics: it has no model in it")
    if type(model).__name__ != "SegmentationModel":
        raise WeightsError(
            f"{path} holds a {type(model).__name__}, which predicts no masks: FastSAM needs a "
            "YOLOv8-seg, YOLO11-seg or YOLO26-seg network"
        )
    arguments = content.get("train_args")
    arguments = arguments if isinstance(arguments, dict) else vars(arguments or _Record())
    imgsz = arguments.get("imgsz", 1024)
    names = getattr(model, "names", None)
    classes = len(names) if isinstance(names, dict | list) else int(architecture.get("nc", 80))
    return Checkpoint(_state(model), architecture, int(imgsz), classes)


_MOST_ARRAYS = 100_000  # the largest YOLOv8 has some hundred


def _state(
    module: Any, prefix: str = "", visited: list[int] | None = None
) -> dict[str, torch.Tensor]:
    """Parameters and buffers of a recorded module, named as ``state_dict`` names them."""
    state = {}
    visited = [] if visited is None else visited
    visited.append(id(module))
    if len(visited) > _MOST_ARRAYS:  # modules that hold each other are as many as their paths
        raise ValueError("its modules have no end")
    for kind in ("_parameters", "_buffers"):
        for name, value in getattr(module, kind, {}).items():
            if value is not None:
                state[prefix + name] = value.detach()
    for name, child in getattr(module, "_modules", {}).items():
        if child is not None and name != "criterion":
            state |= _state(child, f"{prefix}{name}.", visited)
    return state
