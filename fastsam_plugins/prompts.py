"""Prompts as values, from Python, flags, labels and clicks alike; read and checked in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins.geometry import Box
from fastsam_plugins.options import PromptOptions, TextOptions

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation
    from fastsam_plugins.text.clip import Clip

Point = tuple[float, float]
Texts = str | Sequence[str]


@dataclass(frozen=True)
class PointPrompt:
    """Points that ask together.

    Attributes
    ----------
    points : tuple of (x, y)
        In pixels.
    labels : tuple of int
        One for each point: 1 foreground, 0 background; all foreground by default.

    Raises
    ------
    ValueError
        If they are no such numbers.

    Examples
    --------
    >>> PointPrompt.parse(["320,240", "10,10,0"])
    PointPrompt(points=((320.0, 240.0), (10.0, 10.0)), labels=(1, 0))
    """

    points: tuple[Point, ...]
    labels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        xy = check_points(self.points)
        labels = check_labels(self.labels, len(xy))
        object.__setattr__(self, "points", tuple((x, y) for x, y in xy.tolist()))
        object.__setattr__(self, "labels", tuple(labels.astype(int).tolist()))

    @classmethod
    def parse(cls, texts: Sequence[str]) -> PointPrompt:
        """From texts of the form ``X,Y`` or ``X,Y,LABEL``."""
        given = [_parsed(text, "X,Y[,0|1]", (2, 3)) for text in texts]
        labels = tuple(v[2] if len(v) > 2 else 1 for v in given)
        return cls(tuple((v[0], v[1]) for v in given), labels)  # type: ignore[arg-type]

    def select(self, seg: Segmentation, options: PromptOptions | None = None) -> Segmentation:
        """What they select; see :meth:`fastsam_plugins.Segmentation.select`."""
        return seg.select(self.points, self.labels, options=options)

    def answer(self, seg: Segmentation, options: PromptOptions | None = None) -> Segmentation:
        """What they select, or predict if the options say so."""
        options = PromptOptions.of(options)
        if not options.predict:
            return self.select(seg, options)
        if options.points_mode != "each":
            return seg.predict(self.points, self.labels, multimask=False)
        return seg.predict_each(self.points, self.labels)


@dataclass(frozen=True)
class BoxPrompt:
    """Boxes that ask for an instance each, if there are points among those that they allow.

    Attributes
    ----------
    boxes : tuple of (x1, y1, x2, y2)
        In pixels.
    points : PointPrompt, optional

    Raises
    ------
    ValueError
        If they are no such numbers, or upside down.

    Examples
    --------
    >>> BoxPrompt.parse(["10,20,110,220"])
    BoxPrompt(boxes=((10.0, 20.0, 110.0, 220.0),), points=None)
    """

    boxes: tuple[Box, ...]
    points: PointPrompt | None = None

    def __post_init__(self) -> None:
        corners = check_boxes(self.boxes).tolist()
        object.__setattr__(self, "boxes", tuple((a, b, c, d) for a, b, c, d in corners))

    @classmethod
    def parse(cls, texts: Sequence[str], points: PointPrompt | None = None) -> BoxPrompt:
        """From texts of the form ``X1,Y1,X2,Y2``."""
        return cls(tuple(_parsed(text, "X1,Y1,X2,Y2", (4,)) for text in texts), points)  # type: ignore[misc]

    def select(self, seg: Segmentation, options: PromptOptions | None = None) -> Segmentation:
        """What they select; see :meth:`fastsam_plugins.Segmentation.select`."""
        points, labels = (self.points.points, self.points.labels) if self.points else (None, None)
        return seg.select(points, labels, self.boxes, options)

    def answer(self, seg: Segmentation, options: PromptOptions | None = None) -> Segmentation:
        """What they select, or predict if the options say so."""
        options = PromptOptions.of(options)
        if not options.predict:
            return self.select(seg, options)
        points, labels = (self.points.points, self.points.labels) if self.points else (None, None)
        return seg.predict(points, labels, self.boxes, multimask=False)


@dataclass(frozen=True)
class TextPrompt:
    """What to look for in words.

    Attributes
    ----------
    texts, negatives : tuple of str
        An instance that a negative fits better than a text is not selected.

    Raises
    ------
    ValueError
        If there is no text, or an empty one.

    Examples
    --------
    >>> TextPrompt.parse("a dog; a cat;", "grass")
    TextPrompt(texts=('a dog', 'a cat'), negatives=('grass',))
    """

    texts: tuple[str, ...]
    negatives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", tuple(check_texts("text", self.texts)))
        object.__setattr__(self, "negatives", tuple(check_texts("negatives", self.negatives)))

    @classmethod
    def parse(cls, texts: Texts | None, negatives: Texts | None = None) -> TextPrompt | None:
        """From text in which semicolons divide several, or a list of such; None if there is none.

        ValueError if there are only negatives.
        """
        wanted, unwanted = divided("text", texts), divided("negatives", negatives)
        if not wanted and unwanted:
            raise ValueError("negatives need a text")
        return cls(tuple(wanted), tuple(unwanted)) if wanted else None

    def select(
        self,
        seg: Segmentation,
        options: TextOptions | None = None,
        clip: Clip | None = None,
    ) -> Segmentation:
        """What they select; see :meth:`fastsam_plugins.Segmentation.select`."""
        return seg.select(text=self.texts, negatives=self.negatives, options=options, clip=clip)


Prompt = PointPrompt | BoxPrompt | TextPrompt


def parse(
    points: Sequence[str] = (),
    boxes: Sequence[str] = (),
    texts: Sequence[str] = (),
    negatives: Sequence[str] = (),
) -> Prompt | None:
    """The prompt that flags or fields of a form spell; None if there is none.

    Raises
    ------
    ValueError
        If one is not of its form, or a text does not go alone.
    """
    spot = PointPrompt.parse(points) if points else None
    place = BoxPrompt.parse(boxes, spot) if boxes else spot
    words = TextPrompt.parse(texts, negatives)
    if words and place:
        raise ValueError(ALONE)
    return words or place


def parts(prompt: Prompt | None) -> tuple[PointPrompt | None, tuple[Box, ...] | None]:
    """The points and the boxes of a prompt; None where it has none."""
    if isinstance(prompt, BoxPrompt):
        return prompt.points, prompt.boxes
    return (prompt if isinstance(prompt, PointPrompt) else None), None


def each_alone(
    points: ArrayLike, labels: ArrayLike | None = None
) -> Iterator[tuple[int, list[Any], list[int]]]:
    """Every foreground point, by its place, as clicks and labels: itself, and what is background.

    >>> list(each_alone([(1, 2), (3, 4), (5, 6)], [1, 1, 0]))[0]
    (0, [[1.0, 2.0], [5.0, 6.0]], [1, 0])
    """
    xy = check_points(points)
    foreground = check_labels(labels, len(xy))
    unwanted = xy[~foreground].tolist()
    for i in np.flatnonzero(foreground).tolist():
        yield i, [xy[i].tolist(), *unwanted], [1] + [0] * len(unwanted)


def marks(prompt: Prompt | None) -> tuple[list[tuple[float, float, int]], list[Box]]:
    """Points (x, y, label) and boxes to draw on a picture."""
    spot, boxes = parts(prompt)
    pairs = zip(spot.points, spot.labels or (), strict=True) if spot else ()
    return [(x, y, label) for (x, y), label in pairs], list(boxes or ())


ALONE = (
    "a text goes alone: to combine it with points or boxes, select by one and then, among what was "
    "selected, by the other"
)


def divided(name: str, texts: Texts | None) -> list[str]:
    """Texts that semicolons divide, in a text or in each of a list; none in an empty text.

    ValueError if one of a list, or what semicolons divide, is nothing but blanks.
    """
    if isinstance(texts, str):
        texts = [texts] if texts else []
    if texts is not None and not (
        isinstance(texts, Sequence) and all(isinstance(t, str) for t in texts)
    ):
        raise ValueError(f"{name} must be text, or a list of texts, got {texts!r}")
    found = []
    for k, text in enumerate(texts or ()):
        parts = [part.strip() for part in text.split(";") if part.strip()]
        if not parts:
            raise ValueError(f"{name}[{k}] is empty: say what to look for, as in 'a dog'")
        found += parts
    return found


def _parsed(text: str, form: str, counts: tuple[int, ...]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(v) for v in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts:
        raise ValueError(f"{text!r} is not of the form {form}")
    return numbers


# --- checks -------------------------------------------------------------------------------------


def check_points(points: ArrayLike) -> NDArray[np.float64]:
    """Points as (P, 2) floats, or ValueError."""
    xy = _numbers("points", points)
    if not xy.size:
        return np.empty((0, 2))
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise ValueError(f"points must be a list of (x, y) pairs, got an array of shape {xy.shape}")
    return xy


def to_pixels(xy: NDArray[np.float64]) -> NDArray[np.int64]:
    """The pixels (P, 2) that points lie in; what is far outside any image stays outside."""
    return np.floor(np.minimum(np.maximum(xy, -1), 2**30)).astype(np.int64)


def check_labels(labels: ArrayLike | None, count: int) -> NDArray[np.bool_]:
    """Labels as (P,) booleans, True for foreground; all foreground by default; or ValueError."""
    if labels is None:
        return np.ones(count, np.bool_)
    values = np.asarray(labels)
    if values.shape != (count,):
        raise ValueError(f"labels must be {count} numbers, one per point, got shape {values.shape}")
    foreground = values == 1
    if not (foreground | (values == 0)).all():
        raise ValueError("labels must be 1 (foreground) or 0 (background)")
    return foreground


def check_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    """Boxes as (B, 4) floats, or ValueError."""
    xyxy = _numbers("boxes", boxes)
    if not xyxy.size:
        return np.empty((0, 4))
    if xyxy.ndim != 2 or xyxy.shape[1] != 4:
        raise ValueError(
            f"boxes must be a list of (x1, y1, x2, y2), got an array of shape {xyxy.shape}"
        )
    inverted = (xyxy[:, 2:] < xyxy[:, :2]).any(1)
    if inverted.any():
        k = int(inverted.argmax())
        raise ValueError(f"boxes[{k}] is upside down: {xyxy[k].tolist()} should be x1, y1, x2, y2")
    return xyxy


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers in rows of equal length") from None
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be finite numbers")
    return numbers


def check_texts(name: str, text: Texts) -> list[str]:
    """Texts as a list, or ValueError; in one text semicolons divide several."""
    texts: list[Any] = (divided(name, text) or [text]) if isinstance(text, str) else list(text)
    if not texts and name == "text":
        raise ValueError("text names nothing to look for: give one text or more, as in 'a dog'")
    for k, one in enumerate(texts):
        if not isinstance(one, str):
            raise ValueError(f"{name}[{k}] must be text, got {one!r}")
        if not one.strip():
            raise ValueError(f"{name}[{k}] is empty: say what to look for, as in 'a dog'")
    return texts
