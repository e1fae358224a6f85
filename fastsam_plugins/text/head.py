"""Instances seen by what the network kept: a small head that gives the vector a CLIP would give.

CLIP looks at no pixel: a text costs its text tower and one product. The head is trained for one
network and one CLIP by :mod:`fastsam_plugins.text.head_training`. What it is told of an instance is
its vector for exemplars (:mod:`fastsam_plugins.exemplars`: kept features under the mask, its size
and proportions), the mean and spread of its colours, and its form as a small picture.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sampling import Floats
from fastsam_plugins.messages import one_line
from fastsam_plugins.network.downloads import sha256_of
from fastsam_plugins.options import TextOptions

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation
    from fastsam_plugins.text.clip import Clip

ENDING = ".text-head.safetensors"
VERSION = "1"
LAYERS = 3
TRAIN = "train one with fastsam train-text-head"
_FORM = 12  # cells along a side of a mask's small picture
FAR = 6.0  # standard deviations: what lies further off is taken for that


@dataclass(frozen=True, eq=False)
class TextHead:
    """A trained head.

    Attributes
    ----------
    arrays : mapping of float32 arrays
        ``mean`` and ``scale`` (C,) of its inputs, ``0.weight`` (H, C), ``0.bias`` (H,) and so on.
    decoder : str
        SHA-256 of the decoder whose kept features it reads.
    clip : str
        Fingerprint of the CLIP that it stands for.
    sha256 : str
        Of its own file.
    """

    arrays: Mapping[str, Floats]
    decoder: str
    clip: str
    sha256: str = ""

    def __call__(self, told: Floats) -> Floats:
        """Unit vectors (N, D) for what is told of instances (N, C)."""
        x = np.clip((told - self.arrays["mean"]) * self.arrays["scale"], -FAR, FAR)
        for k in range(LAYERS):
            x = x @ self.arrays[f"{k}.weight"].T + self.arrays[f"{k}.bias"]
            if k < LAYERS - 1:
                x = np.maximum(x, 0)
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        return np.asarray(x / np.maximum(norms, 1e-12), np.float32)


def features(seg: Segmentation, options: TextOptions, clip: Clip) -> Floats:
    """Unit vectors (N, D) of instances; NaN for masks of less than ``options.min_pixels``.

    They are kept with the image, and in the file of a kept segmentation.

    Raises
    ------
    ValueError
        If there is no head, it is for another network or CLIP, or there is nothing that it reads.
    """
    head = named(options)
    encoding = seg.encoding
    if encoding is None:
        raise ValueError(
            "features=head reads what the network made of the image, and these instances came "
            "without it (from windows, or a file of masks): use features=crops"
        )
    if encoding.decoder is None or encoding.decoder.sha256 != head.decoder:
        raise ValueError(f"{options.head} was made for another network or decoder: {TRAIN}")
    if clip.fingerprint != head.clip:
        raise ValueError(f"{options.head} was made for another CLIP than {clip.name}: {TRAIN}")
    known = encoding.spoken.get(head.sha256)
    if known is not None and seg.source is encoding.source:
        out = known[seg.rows]
        out[seg.areas < options.min_pixels] = np.nan
        return out
    if seg.image_features is None:
        raise ValueError("features=head looks at colours: add the image with with_image(image)")
    place = {row: i for i, row in enumerate(seg.rows.tolist())}
    return seg.image_features.remembered(
        seg.source, seg.rows, head.sha256, options.min_pixels,
        lambda rows: head(told(seg[[place[row] for row in rows.tolist()]])),
    )  # fmt: skip


def kept(seg: Segmentation) -> dict[str, Floats]:
    """Vectors (N, D) by the SHA-256 of heads, where they are known of all instances."""
    found = {}
    if seg.encoding is not None and seg.source is seg.encoding.source:
        found = {name: table[seg.rows] for name, table in seg.encoding.spoken.items()}
    if seg.image_features is not None:
        found |= seg.image_features.of_heads(seg.source, seg.rows)
    return {name: table for name, table in found.items() if np.isfinite(table).all()}


def told(seg: Segmentation) -> Floats:
    """What a head is told of instances (N, C)."""
    looks = np.zeros((len(seg), 6 + _FORM**2), np.float32)
    for i in range(len(seg)):
        if len(mask := seg.runs(i)):
            box = R.bounds(mask, seg.shape[0])
            inside = R.to_bitmap(mask, seg.shape, box).view(np.uint8)
            looks[i] = np.concatenate([_colours(seg.image, box, inside), _form(inside)])
    return np.concatenate([seg.embeddings, looks], 1)


def _colours(image: Any, box: Window, inside: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean and spread of red, green and blue under a mask (6,), from 0 to 1."""
    import cv2

    x0, y0, x1, y1 = box
    seen = np.ascontiguousarray(image[y0:y1, x0:x1])
    return np.concatenate(cv2.meanStdDev(seen, mask=inside))[:, 0] / 255


def _form(inside: NDArray[np.uint8]) -> Floats:
    """A mask in the middle of a square, as a small picture of it."""
    import cv2

    height, width = inside.shape
    side = max(height, width)
    square = np.zeros((side, side), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = inside
    return cv2.resize(square, (_FORM, _FORM), interpolation=cv2.INTER_AREA).ravel()


# --- on disk ------------------------------------------------------------------------------------


def named(options: TextOptions) -> TextHead:
    """The head that the options name, or ValueError."""
    if options.head is None:
        raise ValueError(f"features=head needs the file of a head (head): {TRAIN}")
    path = Path(options.head).expanduser()
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _read(path, stamp)


@functools.lru_cache(maxsize=4)
def _read(path: Path, stamp: int) -> TextHead:
    """``stamp`` is the file's time: what was trained anew is read anew."""
    return read(path)


def write(path: Path, arrays: Mapping[str, NDArray], decoder: str, clip: str) -> None:
    """Write the arrays of a head, in half precision."""
    from safetensors.numpy import save

    from fastsam_plugins.io import atomic  # here, since that room reads this one

    half = {k: np.ascontiguousarray(v, np.float16) for k, v in arrays.items()}
    about = {"version": VERSION, "decoder": decoder, "clip": clip}
    atomic.write_bytes(path, save(half, metadata={"text_head": json.dumps(about)}))


def read(path: str | Path) -> TextHead:
    """Read a head; no code in the file is run.

    Raises
    ------
    ValueError
        If the file is no head; one line that says why.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with safe_open(path, "numpy") as content:
            said = (content.metadata() or {}).get("text_head")
            if said is None:
                raise ValueError("it holds something else")
            about = json.loads(said)
            arrays = {k: content.get_tensor(k).astype(np.float32) for k in content.keys()}  # noqa: SIM118
        if about["version"] != VERSION:
            raise ValueError(f"it is of version {about['version']}, this reads {VERSION}")
        if not all(np.isfinite(v).all() for v in arrays.values()):
            raise ValueError("its parameters are not all finite")
        _check(arrays)
        return TextHead(arrays, str(about["decoder"]), str(about["clip"]), sha256_of(path))
    except FileNotFoundError:
        raise ValueError(f"there is no head {path}: {TRAIN}") from None
    except (KeyError, OSError, SafetensorError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no head for texts: {one_line(error)}") from None


def _check(arrays: Mapping[str, Floats]) -> None:
    """That layers are there and fit each other."""
    if arrays["mean"].ndim != 1 or arrays["scale"].shape != arrays["mean"].shape:
        raise ValueError(f"its scale is of shape {arrays['scale'].shape}")
    size = len(arrays["mean"])
    for k in range(LAYERS):
        weight, bias = arrays[f"{k}.weight"], arrays[f"{k}.bias"]
        if bias.ndim != 1 or weight.shape != (len(bias), size):
            raise ValueError(f"its layer {k} is of shapes {weight.shape} and {bias.shape}")
        size = len(bias)
