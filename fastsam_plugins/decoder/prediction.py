"""Prompts as users give them, made into steps of a :class:`Prompter`; its answers as masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins.decoder.answer import Answer
from fastsam_plugins.decoder.encoding import Encoding
from fastsam_plugins.decoder.prompter import ALTERNATIVES, Prompter, masks
from fastsam_plugins.decoder.windows import GRID, Click, around, averaged
from fastsam_plugins.geometry import Box
from fastsam_plugins.masks.local import LocalMasks
from fastsam_plugins.masks.sampling import Floats
from fastsam_plugins.prompts import check_boxes, check_labels, check_points

_ONE_BY_ONE = 32  # points that are answered one after another; more come together
_STROKE = 24  # clicks that a scribble becomes at most


def prompter(encoding: Encoding, image: Any) -> Prompter:
    """The one that answers for an image, and remembers what it has answered."""
    if not encoding.asked or encoding.asked[0].image is not image:
        encoding.asked[:] = [Prompter(encoding, image)]
    known: Prompter = encoding.asked[0]
    return known


def predict(
    encoding: Encoding,
    image: Any,
    points: ArrayLike | None,
    labels: ArrayLike | None,
    boxes: ArrayLike | None,
    mask: NDArray[np.bool_] | Answer | None,
    scribbles: Sequence[Any] | None,
    multimask: bool,
) -> tuple[LocalMasks, Floats, NDArray[np.int64]]:
    """Masks, their expected IoU (K,) and the box that each answers (K,).

    See :meth:`fastsam_plugins.Segmentation.predict`.
    """
    if points is None and boxes is None and mask is None and not len(_listed(scribbles)):
        raise ValueError("predict needs points, boxes, scribbles or a mask")
    if points is None and labels is not None:
        raise ValueError("labels say which points are foreground: they need points")
    shape = encoding.source.shape
    steps = _steps(points, labels, scribbles, shape)
    places = None if boxes is None else check_boxes(boxes)
    if places is not None and not len(places) and (steps or mask is not None):
        places = None
    if places is not None and len(places) > 1 and (steps or mask is not None):
        raise ValueError(
            f"points, scribbles and a mask go with one box, and there are {len(places)}: ask once "
            "for each"
        )
    before = _painted(mask, encoding) if mask is not None else None
    most = ALTERNATIVES if multimask else 1
    asked = prompter(encoding, image)
    if places is None:
        found = [asked.answers(steps, None, before, most)]
    else:
        found = [
            asked.answers(steps, box, before, most) if box or steps or before else []
            for box in (_inside(b, shape) for b in places.tolist())
        ]
    chosen = [(a, i) for i, answers in enumerate(found) for a in answers[:most]]
    return (
        masks([a for a, _ in chosen], shape),
        np.array([a.iou for a, _ in chosen], np.float32),
        np.array([i for _, i in chosen], np.int64),
    )


def given(mask: Any) -> Any:
    """A mask as a user has it: a bitmap, or the answer that a segmentation of one holds."""
    if mask is None or isinstance(mask, np.ndarray) or not hasattr(mask, "source"):
        return mask if mask is None else np.asarray(mask)
    if len(mask) != 1:
        raise ValueError(f"mask must be one instance, got {len(mask)}")
    row = int(mask.rows[0])
    if isinstance(mask.source, LocalMasks) and mask.source.maps.shape[1:] == (GRID, GRID):
        window = tuple(mask.source.windows[row].tolist())
        return Answer(mask.source.maps[row], window, float(mask.scores[0]))
    return mask.mask(0)


def _inside(box: Sequence[float], shape: tuple[int, int]) -> Box | None:
    """What of a box lies in the image; None if nothing does."""
    x0, y0, x1, y1 = box
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, shape[1]), min(y1, shape[0])
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _steps(
    points: ArrayLike | None,
    labels: ArrayLike | None,
    scribbles: Sequence[Any] | None,
    shape: tuple[int, int],
) -> list[tuple[Click, ...]]:
    """Points one after another, then scribbles; without what lies outside the image."""
    steps: list[tuple[Click, ...]] = []
    if points is not None:
        xy = check_points(points)
        foreground = check_labels(labels, len(xy))
        clicks = [
            (x, y, int(f)) for (x, y), f in zip(xy.tolist(), foreground.tolist(), strict=True)
        ]
        steps = [(c,) for c in clicks] if len(clicks) <= _ONE_BY_ONE else [tuple(clicks)]
    for k, scribble in enumerate(_listed(scribbles)):
        try:
            steps.append(_stroke(scribble, max(shape) / 64))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"scribbles[{k}] must be a line of points (K, 2), or one and a label, 1 or "
                f"0: {error}"
            ) from None
    height, width = shape
    inside = [tuple(c for c in s if 0 <= c[0] < width and 0 <= c[1] < height) for s in steps]
    return [s for s in inside if s]


def _listed(scribbles: Any) -> list[Any]:
    if scribbles is None:
        return []
    try:
        return list(scribbles)
    except TypeError:
        raise ValueError(
            f"scribbles must be a list of lines of points (K, 2), got {scribbles!r:.40}"
        ) from None


def _stroke(scribble: Any, apart: float) -> tuple[Click, ...]:
    """A line of points (K, 2), or one and a label, as clicks every ``apart`` pixels or so."""
    line, label = scribble, 1
    if isinstance(scribble, tuple | list) and len(scribble) == 2 and np.ndim(scribble[1]) == 0:
        line, label = scribble
    if label not in (0, 1):
        raise ValueError(f"its label is {label!r:.40}")
    xy = check_points(line)
    if not len(xy):
        return ()
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    count = int(np.clip(np.ceil(lengths[-1] / apart) + 1, 2, _STROKE)) if lengths[-1] else 1
    at = np.linspace(0, lengths[-1], count)
    x, y = (np.interp(at, lengths, xy[:, k]) for k in (0, 1))
    return tuple((a, b, int(label)) for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _painted(mask: NDArray[np.bool_] | Answer, encoding: Encoding) -> Answer:
    """What is there already, as an answer."""
    if isinstance(mask, Answer):
        return mask
    shape = encoding.source.shape
    bitmap = np.asarray(mask)
    if bitmap.shape != shape or bitmap.dtype.kind not in "bui":
        hint = ": give mask > 0" if bitmap.dtype.kind == "f" else ""
        raise ValueError(
            f"mask must be a bool array of {shape}, got {bitmap.dtype} {bitmap.shape}{hint}"
        )
    rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
    if not len(rows):
        raise ValueError("mask has no pixel: give the part of the image that is meant")
    x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    window = around((x0, y0, x1, y1), 1.5, encoding.source.letterbox)
    part = (bitmap[y0:y1, x0:x1] != 0).astype(np.float32)
    return Answer(12 * averaged(part, (x0, y0, x1, y1), window, 0.0) - 6, window, 0.5)
