"""Instances like an example: a vector for each, from what was kept, and which are near it.

A vector is the mean of the network's features under the mask, as the decoder keeps them (of a
network without a decoder, of its prototypes), and three numbers of the mask: its size, its form
and how much of its box it fills. It needs neither the image nor the network again, and instances of
different images can be compared where one network looked at both.
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder.encoding import Encoding
from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.pooling import Pooling
from fastsam_plugins.masks.sampling import Floats
from fastsam_plugins.options import ExemplarOptions

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation

FITS = 0.5  # IoU from which on an instance is what a box is about
_SIZE, _FORM, _FILL = 0.5, 0.5, 1.5  # what the numbers of a mask weigh beside its features
_USUAL = math.log(55), 0.0, 0.7  # side in input pixels, form, and fill of a usual mask


def embeddings(seg: Segmentation) -> Floats:
    """A vector of length one for every instance, (N, C); zeros where a mask is empty."""
    encoding = encoding_of(seg)
    known = encoding.vectors if seg.source is encoding.source else {}
    for i, row in enumerate(seg.rows.tolist()):
        if row not in known:
            known[row] = _vector(seg.runs(i), _pooling(encoding), encoding.source.letterbox)
    vectors = [known[row] for row in seg.rows.tolist()]
    return np.array(vectors, np.float32).reshape(len(seg), _length(encoding))


def encoding_of(seg: Segmentation) -> Encoding:
    """What is known of an image's features, or ValueError."""
    if seg.encoding is None:
        raise ValueError(
            "likeness needs what the network made of the image, and these instances came without "
            "it (from windows, a file of masks, or merged, cleaned or predicted ones that were "
            "kept on disk): add it with with_encoding(model.segment(image))"
        )
    return seg.encoding


def likeness(seg: Segmentation, like: Any) -> Floats:
    """How like an example every instance is, (N,); of several examples, the most like counts."""
    return np.asarray(_cosines(seg, examples(seg, like)).max(1), np.float32)


def similar(
    seg: Segmentation, like: Any, options: ExemplarOptions
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which instances are like an example, the most like first, and like which one (K,)."""
    cosines = _cosines(seg, examples(seg, like))
    best = cosines.max(1)
    # An example is one by itself, whatever rounding makes of it.
    chosen = np.flatnonzero((best >= options.threshold - 1e-6) & (seg.areas > 0))
    chosen = chosen[np.argsort(-best[chosen], kind="stable")]
    chosen = chosen[: options.top_k or len(chosen)]
    return chosen, cosines[chosen].argmax(1)


def examples(seg: Segmentation, like: Any) -> Floats:
    """The vectors (K, C) that an example stands for; see :meth:`Segmentation.similar`."""
    length = _length(encoding_of(seg))
    if hasattr(like, "source"):
        if not len(like):
            raise ValueError("the example has no instance: give one at least")
        encoding_of(like)
        if _kind(like) != _kind(seg):
            raise ValueError("the example comes from another network: segment both with one")
        vectors = like.embeddings
    elif isinstance(like, numbers.Integral) and not isinstance(like, bool):
        vectors = seg[int(like)].embeddings
    else:
        given = np.asarray(like)
        if given.dtype.kind not in "iuf" or not np.isfinite(given).all():
            raise ValueError(f"an example is of finite numbers, not {like!r:.60}")
        if given.shape in ((2,), (4,)):
            vectors = _at(seg, given).embeddings
        elif given.ndim in (1, 2) and given.size and given.shape[-1] == length:
            vectors = np.asarray(given.reshape(-1, length), np.float32)
        else:
            raise ValueError(
                "an example is the number of an instance, a point (x, y), a box (x0, y0, x1, y1), "
                f"a segmentation, or vectors of {length} numbers, not an array {given.shape}"
            )
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError("the example is empty: give one that has pixels")
    return np.asarray(vectors / norms, np.float32)


def _at(seg: Segmentation, place: NDArray[Any]) -> Segmentation:
    """The instance at a point or in a box; where there is none, what is predicted."""
    is_point = place.shape == (2,)
    prompt: dict[str, Any] = {"points" if is_point else "boxes": [place.tolist()]}
    how = {"points_mode": "smallest"} if is_point else {"min_iou": FITS}
    found = seg.select(**prompt, **how)
    if not len(found) and _is_pictured(seg):
        found = seg.predict(**prompt, multimask=False)
    if not len(found):
        where = ", ".join(f"{v:g}" for v in place.tolist())
        raise ValueError(f"there is no instance at ({where}): lower conf, or add the image")
    return found


def _is_pictured(seg: Segmentation) -> bool:
    return seg.image is not None or encoding_of(seg).picture is not None


def _cosines(seg: Segmentation, vectors: Floats) -> Floats:
    return np.einsum("nc,kc->nk", seg.embeddings, vectors)


def _kind(seg: Segmentation) -> tuple[str, int]:
    """Of which network vectors are, as far as it is known."""
    encoding = encoding_of(seg)
    return encoding.decoder.sha256 if encoding.decoder else "", _length(encoding)


def _length(encoding: Encoding) -> int:
    """How many numbers a vector has."""
    maps = encoding.maps or [np.moveaxis(encoding.source.prototypes, 2, 0)]
    return sum(len(m) for m in maps) + 3


def _pooling(encoding: Encoding) -> Pooling:
    """The kept features as maps of one size, made once."""
    import cv2

    if not encoding.pooling:
        maps = encoding.source.prototypes
        if encoding.maps:
            height, width = encoding.maps[0].shape[1:]
            scales = [np.moveaxis(m, 0, 2).astype(np.float32) for m in encoding.maps]
            same = [cv2.resize(s, (width, height)).reshape(height, width, -1) for s in scales]
            maps = np.concatenate(same, 2)
        encoding.pooling.append(Pooling(maps, encoding.source.letterbox))
    known: Pooling = encoding.pooling[0]
    return known


def _vector(mask: R.Runs, pooling: Pooling, letterbox: Letterbox) -> Floats:
    if not len(mask):
        return np.zeros(pooling.count + 3, np.float32)
    x0, y0, x1, y1 = R.bounds(mask, letterbox.image_shape[0])
    (across, down), area = letterbox.scale.tolist(), R.area(mask)
    width, height = (x1 - x0) * across, (y1 - y0) * down
    told = (
        _SIZE * (math.log(area * across * down) / 2 - _USUAL[0]),
        _FORM * (math.log(width / height) - _USUAL[1]),
        _FILL * (area * across * down / (width * height) - _USUAL[2]),
    )
    features = pooling.sums(mask)
    seen = features / max(float(np.linalg.norm(features)), 1e-12)
    vector = np.concatenate([seen, told])
    return np.asarray(vector / np.linalg.norm(vector), np.float32)
