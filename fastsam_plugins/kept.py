"""Segmentations on disk, complete: prompts asked later need no network.

What is kept of an image are prototypes, coefficients and boxes, as numbers of 32 bit: answers are
those that the segmentation itself would have given. Masks that were merged, cleaned or loaded are
kept as run arrays.
"""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_plugins.files import atomic
from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.masks.sources import MaskSource, RunMasks
from fastsam_plugins.segmentation import Segmentation

VERSION = 1


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
    else:
        masks = [seg.runs(i) for i in range(len(seg))]
        arrays["shape"] = np.array(seg.shape)
        arrays["stops"] = np.cumsum([len(m) for m in masks], dtype=np.int64)
        arrays["runs"] = np.concatenate([R.EMPTY, *masks])
    with atomic.replacing(path, flush=False) as part, open(part, "wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def read(path: str | Path) -> Segmentation:
    """Read what :func:`write` wrote. No code in the file is run.

    Raises
    ------
    ValueError
        If there is no such file, or it is no kept segmentation.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = dict(content)
        if int(arrays["version"]) != VERSION:
            raise ValueError(f"it is of version {arrays['version']}, this reads {VERSION}")
        source = _source(arrays)
        seg = Segmentation.from_source(source, arrays["boxes"], arrays["scores"])
        return dataclasses.replace(seg, prompts=arrays["prompts"])
    except FileNotFoundError:
        raise ValueError(f"there is no kept segmentation {path}") from None
    except (KeyError, EOFError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no kept segmentation: {error}") from None


def _source(arrays: dict[str, np.ndarray]) -> MaskSource:
    if "runs" in arrays:
        height, width = arrays["shape"].tolist()
        return RunMasks(np.split(arrays["runs"], arrays["stops"])[:-1], (height, width))
    places: dict[str, Any] = {}
    for field in dataclasses.fields(Letterbox):
        value = arrays[f"letterbox_{field.name}"].tolist()
        places[field.name] = tuple(value) if isinstance(value, list) else value
    letterbox = Letterbox(**places)
    return PrototypeMasks(
        arrays["prototypes"], arrays["coefficients"], arrays["mask_boxes"], letterbox
    )
