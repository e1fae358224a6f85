"""Segmentations on disk, complete: prompts asked later need no network.

What is kept of an image are prototypes, coefficients and boxes, as numbers of 32 bit: answers are
those that the segmentation itself would have given. Beside them is all that the network proposes,
and its features as the decoder keeps them, from which ``predict`` answers. Masks that were merged,
cleaned or loaded are kept as run arrays, those that were predicted as their maps. What a head for
texts said of the instances is kept too.
"""

from __future__ import annotations

import dataclasses
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import limits as L
from fastsam_plugins.decoder import weights as decoders
from fastsam_plugins.decoder.encoding import Encoding
from fastsam_plugins.decoder.network import SCALES
from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.io import atomic
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.local import LocalMasks
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.masks.sources import MaskSource, RunMasks
from fastsam_plugins.messages import one_line
from fastsam_plugins.options import LimitOptions
from fastsam_plugins.segmentation import Segmentation
from fastsam_plugins.text import head

VERSION = 1
_HEAD = "text_head_"  # and its SHA-256
_AXES = 64  # bytes for each row and column of an image, of where prototypes are sampled


def write(seg: Segmentation, path: str | Path) -> None:
    """Write a segmentation to an ``.npz`` file, in one move: a kill leaves no half of it.

    Parameters
    ----------
    seg : Segmentation
    path : path
        Its folder is made if need be.
    """
    arrays = {"version": np.array(VERSION), "boxes": seg.boxes, "scores": seg.scores,
              "prompts": seg.prompts}  # fmt: skip
    if isinstance(seg.source, PrototypeMasks):
        letterbox = dataclasses.asdict(seg.source.letterbox)
        arrays |= {f"letterbox_{k}": np.array(v) for k, v in letterbox.items()}
        arrays |= seg.source.arrays(seg.rows)
        if seg.encoding is not None and seg.encoding.source.shares(seg.source):
            arrays |= _encoded(seg.encoding)
            arrays |= {f"{_HEAD}{name}": table for name, table in head.kept(seg).items()}
    elif isinstance(seg.source, LocalMasks):
        arrays["shape"] = np.array(seg.shape)
        arrays |= {"maps": seg.source.maps[seg.rows], "windows": seg.source.windows[seg.rows]}
    else:
        masks = [seg.runs(i) for i in range(len(seg))]
        arrays["shape"] = np.array(seg.shape)
        arrays["stops"] = np.cumsum([len(m) for m in masks], dtype=np.int64)
        arrays["runs"] = np.concatenate([R.EMPTY, *masks])
    with atomic.replacing(path, flush=False) as part, open(part, "wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def read(path: str | Path, limits: LimitOptions | None = None) -> Segmentation:
    """Read what :func:`write` wrote. No code in the file is run.

    Raises
    ------
    ValueError
        If there is no such file, it is no kept segmentation, or it asks for more memory than
        :class:`LimitOptions` allow; one line that says which.
    """
    try:
        limits = limits or L.DEFAULT
        arrays = _arrays(Path(path), limits)
        make = _runs if "runs" in arrays else _maps if "maps" in arrays else _prototypes
        source = make(arrays, limits)
        count = len(source)
        boxes = _array(arrays, "boxes", "f", (count, 4))
        scores = _array(arrays, "scores", "f", (count,))
        prompts = _array(arrays, "prompts", "iu", (count,))
        seg = Segmentation.from_source(source, boxes, scores)
        return dataclasses.replace(seg, prompts=prompts, encoding=_encoding(arrays, source))
    except FileNotFoundError:
        raise ValueError(f"there is no kept segmentation {path}") from None
    except (EOFError, MemoryError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no kept segmentation: {one_line(error)}") from None


def _arrays(path: Path, limits: LimitOptions) -> dict[str, NDArray]:
    """All arrays of a file, whose sizes are looked at before memory is taken."""
    if not path.is_file():
        raise FileNotFoundError if not path.exists() else ValueError("it is no file")
    with zipfile.ZipFile(path) as content:
        entries = content.infolist()
        if problem := L.too_much_memory(sum(e.file_size for e in entries), limits):
            raise ValueError(f"it {problem}")
        for entry in entries:
            with content.open(entry) as stream:
                size = _size(stream)
            if size > entry.file_size:
                raise ValueError(f"{entry.filename} is cut off")
    with np.load(path, allow_pickle=False) as content:
        arrays = dict(content)
    if int(_array(arrays, "version", "iu", ())) != VERSION:
        raise ValueError(f"it is of version {arrays['version']}, this reads {VERSION}")
    return arrays


def _size(stream: Any) -> int:
    """The bytes that an array takes, by what stands before it."""
    version = np.lib.format.read_magic(stream)
    header = {(1, 0): np.lib.format.read_array_header_1_0,
              (2, 0): np.lib.format.read_array_header_2_0}.get(version)  # fmt: skip
    if header is None:
        raise ValueError(f"its arrays are of version {version}")
    shape, _, dtype = header(stream)
    return math.prod(shape) * dtype.itemsize


def _array(arrays: dict[str, NDArray], name: str, kinds: str, shape: tuple[int, ...]) -> NDArray:
    """An array of finite numbers of some kinds and a shape, in which -1 stands for any length."""
    if name not in arrays:
        raise ValueError(f"it has no {name}")
    array = arrays[name]
    same = array.ndim == len(shape) and all(
        b in (-1, a) for a, b in zip(array.shape, shape, strict=True)
    )
    if not same or array.dtype.kind not in kinds:
        raise ValueError(f"its {name} are {array.dtype} of shape {array.shape}")
    if kinds == "f" and not np.isfinite(array).all():
        raise ValueError(f"its {name} are not all finite")
    return array


def _runs(arrays: dict[str, NDArray], _: LimitOptions) -> MaskSource:
    shape = R.check_shape(_array(arrays, "shape", "iu", (2,)).tolist())
    stops = _array(arrays, "stops", "iu", (-1,))
    runs = _array(arrays, "runs", "iu", (-1, 2))
    if (np.diff(stops, prepend=0) < 0).any() or (stops[-1] if len(stops) else 0) != len(runs):
        raise ValueError("its stops do not divide its runs")
    masks = np.split(runs, stops)[:-1] if len(stops) else []
    return RunMasks([R.check(mask, shape) for mask in masks], shape)


def _maps(arrays: dict[str, NDArray], limits: LimitOptions) -> MaskSource:
    shape = R.check_shape(_array(arrays, "shape", "iu", (2,)).tolist())
    maps = _array(arrays, "maps", "f", (-1, -1, -1))
    windows = _array(arrays, "windows", "iu", (len(maps), 4)).astype(np.int64)
    if len(windows) and ((windows[:, 2:] <= windows[:, :2]).any() or 0 in maps.shape):
        raise ValueError("its windows are upside down, or its maps empty")
    longest = int(np.abs(windows).max(initial=0))
    if problem := L.too_much_memory(_AXES * (2 * longest + sum(shape)), limits):
        raise ValueError(f"one of its windows {problem}")
    return LocalMasks(maps.astype(np.float32), windows, shape)


def _encoded(encoding: Encoding) -> dict[str, NDArray]:
    """What ``predict`` needs, as arrays: proposals after suppression, and features."""
    proposals = encoding.proposals
    arrays: dict[str, NDArray] = {
        "proposed_boxes": proposals.boxes,
        "proposed_scores": proposals.scores,
        "proposed_coefficients": proposals.source.coefficients,
        "decoder": np.array(encoding.decoder.sha256 if encoding.decoder else ""),
    }
    return arrays | {f"features_{k}": m for k, m in enumerate(encoding.maps)}


def _encoding(arrays: dict[str, NDArray], source: MaskSource) -> Encoding | None:
    if "proposed_boxes" not in arrays or not isinstance(source, PrototypeMasks):
        return None
    boxes = _array(arrays, "proposed_boxes", "f", (-1, 4)).astype(np.float32)
    scores = _array(arrays, "proposed_scores", "f", (len(boxes),)).astype(np.float32)
    size = source.prototypes.shape[2]
    coefficients = _array(arrays, "proposed_coefficients", "f", (len(boxes), size))
    decoder = decoders.known(str(arrays.get("decoder", "")))
    maps = []
    if decoder is not None:
        for k in range(SCALES):
            kept = len(decoder.arrays[f"project.{k}.bias"])
            maps.append(_array(arrays, f"features_{k}", "f", (kept, -1, -1)).astype(np.float16))
            if 0 in maps[-1].shape:
                raise ValueError(f"its features_{k} are empty")
    encoding = Encoding(
        source, boxes, None, scores, coefficients.astype(np.float32), tuple(maps), decoder
    )
    for name in (n for n in arrays if n.startswith(_HEAD)):
        table = _array(arrays, name, "f", (len(source), -1)).astype(np.float32)
        encoding.spoken[name.removeprefix(_HEAD)] = table
    return encoding


def _prototypes(arrays: dict[str, NDArray], limits: LimitOptions) -> MaskSource:
    places: dict[str, Any] = {}
    for field in dataclasses.fields(Letterbox):
        name = f"letterbox_{field.name}"
        value = _array(arrays, name, "iu", (2,) if field.name.endswith("shape") else ()).tolist()
        places[field.name] = tuple(value) if isinstance(value, list) else value
        if np.min(value) < field.name.endswith("shape"):
            raise ValueError(f"its {name} is {value}")
    letterbox = Letterbox(**places)
    if problem := L.too_much_memory(_AXES * sum(letterbox.image_shape), limits):
        raise ValueError(f"its image {problem}")
    prototypes = _array(arrays, "prototypes", "f", (-1, -1, -1))
    coefficients = _array(arrays, "coefficients", "f", (-1, len(prototypes)))
    boxes = _array(arrays, "mask_boxes", "f", (len(coefficients), 4))
    if 0 in prototypes.shape:
        raise ValueError(f"its prototypes are of shape {prototypes.shape}")
    return PrototypeMasks(prototypes, coefficients, boxes, letterbox)
