"""Label images: which pixels belong to which instance, by one rule wherever they are read.

What a file holds is decided by what it is:

- one bit per pixel, one value, or soft edges: a **mask**, whose connected parts are the instances;
- whole numbers, a palette's too: **ids**, of which each is an instance and 0 is background;
- colours: each is an instance; black is background, or white where nothing is black.

Void, and so no instance, are: what the file says is no data, what is transparent, numbers below 0,
and the highest value of a type (255, 65535) where it only outlines the others or stands apart from
them: by more than twice the largest step between them; in a palette image, unless the ids go on up
to it. Of colours white that outlines the others is void, and VOC's own (224, 224, 192).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io.raw_values import Stored, read_stored
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import LabelKind, LimitOptions

_VOC_VOID = (224, 224, 192)
_OUTLINE = 7  # pixels: an outline is no wider
_SPECK = 4  # pixels: where half of the colours cover less, they are no instances

Numbers = NDArray[np.integer]
Bitmap = NDArray[np.bool_]


@dataclass
class LabelImage:
    """The instances of a label image.

    Attributes
    ----------
    shape : (H, W)
    masks : list of run arrays
    read_as : str
        ``ids``, ``colors`` or ``a mask``.
    void : list of str
        What was taken as no instance besides the background.
    """

    shape: R.Shape
    masks: list[R.Runs]
    read_as: str
    void: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        void = ", ".join(self.void)
        return f"{self.read_as}; {void} taken as void" if void else self.read_as


def read(
    path: str | Path, labels: LabelKind = "auto", limits: LimitOptions | None = None
) -> LabelImage:
    """Read a label image.

    Parameters
    ----------
    path : path
        An image of any format, or ``.npy``.
    labels : str
        ``auto`` decides as above. ``ids``: every number is an instance; ``void255``: but 255 (of
        colours, white); ``colors``: every colour; ``mask``: every connected part of what is not
        background.
    limits : LimitOptions, optional

    Raises
    ------
    ValueError
        If it cannot be read, or does not say which pixel belongs to which instance; one line that
        names it and what to do.
    """
    try:
        return decode(read_stored(path, limits), labels)
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError(f"{path} {error}") from None


def read_parts(paths: Iterable[Path], limits: LimitOptions | None = None) -> LabelImage:
    """Read images of one instance each.

    Raises
    ------
    ValueError
        As :func:`read`, and if their sizes differ.
    """
    masks: list[R.Runs] = []
    shape: R.Shape | None = None
    for path in paths:
        stored = read_stored(path, limits)
        try:
            foreground, _ = _foreground(stored)
        except ValueError as error:
            raise ImageError(f"{path} {error}") from None
        shape = shape or _shape(foreground)
        if _shape(foreground) != shape:
            raise ImageError(f"{path} has size {foreground.shape}, the masks beside it {shape}")
        masks.append(R.from_bitmap(foreground))
    return LabelImage(shape or (0, 0), masks, "a file for each mask")


def decode(stored: Stored, labels: LabelKind = "auto") -> LabelImage:
    """The instances that stored values stand for; see :func:`read`."""
    stored = _flat(stored)
    gray = _gray(stored.values)
    if gray is None and stored.lossy and labels != "mask":
        raise ValueError(
            "has colours that JPEG changed: save the labels as PNG, or read what is not black as "
            "one mask with --labels mask"
        )
    colors = _colors(stored, gray, labels)
    if labels == "mask" or (labels == "auto" and colors is None and _is_mask(gray, stored)):
        return _parts(*_foreground(stored))
    if colors is not None:
        numbers, void = _of_colors(colors, stored, labels)
        read_as, outlined = "colors", False
    elif gray is None:
        raise ValueError("has colours, not ids: read it with --labels colors")
    else:
        numbers, void = _of_numbers(gray, stored)
        read_as, last = "ids", _last_value(numbers, stored, labels)
        outlined = last is not None
        if outlined:
            numbers = np.where(numbers == last, 0, numbers)
            void.append(str(last))
    if labels == "auto" and not outlined and len(_values(numbers)) <= 1:
        return _parts(numbers != 0, void)
    masks = list(R.from_labels(numbers).values())
    return LabelImage(_shape(numbers), masks, read_as, void)


def _flat(stored: Stored) -> Stored:
    """The same without a channel of its own for gray."""
    values = stored.values
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3):
        return replace(stored, values=values)
    raise ValueError(
        f"is not a label image: it has the shape {stored.values.shape}, and one number or one "
        "colour for each pixel is needed"
    )


def _shape(image: NDArray) -> R.Shape:
    return int(image.shape[0]), int(image.shape[1])


def _values(numbers: NDArray) -> NDArray:
    """The different numbers but 0, in order."""
    values = np.unique(numbers)
    return values[values != 0]


def _parts(foreground: Bitmap, void: list[str]) -> LabelImage:
    from skimage.measure import label

    masks = list(R.from_labels(np.asarray(label(foreground))).values())
    return LabelImage(_shape(foreground), masks, "a mask", void)


# --- numbers ------------------------------------------------------------------------------------


def _gray(values: NDArray) -> NDArray | None:
    """One number per pixel, of colours too if all are gray; None if they are not."""
    if values.ndim == 2:
        return values
    first = values[..., 0]
    same = np.array_equal(first, values[..., 1]) and np.array_equal(first, values[..., 2])
    return first if same else None


def _voids(values: NDArray, stored: Stored) -> tuple[Bitmap, list[str]]:
    """Pixels that are no data or below 0, and what to say of them."""
    away, void = np.zeros(values.shape, np.bool_), list[str]()

    def take(which: Bitmap, text: str) -> None:
        nonlocal away
        if (which & ~away & (values != 0)).any():
            void.append(text)
        away |= which

    if stored.hidden is not None:
        take(stored.hidden, "transparent or masked pixels")
    if stored.nodata is not None and not np.isnan(stored.nodata):
        take(values == stored.nodata, f"no data ({stored.nodata:g})")
    if values.dtype.kind == "f":
        take(~np.isfinite(values), "NaN")
    if values.dtype.kind in "if":
        below = values < 0
        below_zero = _values(values[below & ~away])
        take(below, f"{below_zero[0]:g}" if len(below_zero) == 1 else "numbers below 0")
    return away, void


def _of_numbers(gray: NDArray, stored: Stored) -> tuple[Numbers, list[str]]:
    away, void = _voids(gray, stored)
    kept = np.where(away, gray.dtype.type(0), gray)
    if kept.dtype.kind == "f":
        if (kept != np.floor(kept)).any():
            raise ValueError(
                "holds numbers with fractions, which are no ids: save the labels as whole numbers, "
                "or read what is above 0.5 as one mask with --labels mask"
            )
        kept = kept.astype(np.int64)
    if kept.dtype.kind not in "bui":
        raise ValueError(f"is not a label image: its values are {kept.dtype}")
    return kept, void


def _last_value(numbers: Numbers, stored: Stored, labels: LabelKind) -> int | None:
    """The value that is void by its place at the end of its type, if there is one."""
    if labels == "void255":
        return 255 if (numbers == 255).any() else None
    kind = stored.values.dtype
    if labels != "auto" or kind.kind not in "ui":
        return None
    last = int(np.iinfo(kind).max)
    where = numbers == last
    if not where.any():
        return None
    others = _values(np.where(where, 0, numbers)).astype(np.float64)
    if not len(others):
        return None
    if stored.palette is not None:
        void = others[-1] < last - 1
    else:
        void = last - others[-1] > 2 * np.diff(others, prepend=0).max()
    return last if void or _outlines(where, numbers) else None


def _outlines(where: Bitmap, numbers: NDArray) -> bool:
    """Whether pixels are thin everywhere and lie around most of the other instances."""
    import cv2

    square = np.ones((_OUTLINE, _OUTLINE), np.uint8)
    padded = np.pad(where.astype(np.uint8), _OUTLINE)
    if cv2.erode(padded, square).any():
        return False
    near = cv2.dilate(where.astype(np.uint8), np.ones((3, 3), np.uint8)) != 0
    others = _values(np.where(where, 0, numbers))
    touched = _values(np.where(where | ~near, 0, numbers))
    return len(others) > 0 and 2 * len(touched) > len(others)


# --- masks --------------------------------------------------------------------------------------


def _is_mask(gray: NDArray | None, stored: Stored) -> bool:
    if gray is None:
        return False
    if gray.dtype.kind == "f":
        finite = gray[np.isfinite(gray)]
        fractions = (finite != np.floor(finite)).any()
        return bool(fractions and finite.min() >= 0 and finite.max() <= 1)
    return gray.dtype == np.bool_ or stored.lossy or _soft(gray)


def _top(gray: NDArray) -> int:
    """What white is in an image of whole numbers: 255, or the highest of its type."""
    return 255 if gray.max(initial=0) <= 255 else int(np.iinfo(gray.dtype).max)


def _soft(gray: NDArray) -> bool:
    """Whether an image is white on black with soft edges: what lies between is nowhere even."""
    if gray.dtype.kind != "u":
        return False
    top = _top(gray)
    bright = gray[gray > top // 2]
    if not bright.size or np.median(bright) < 0.98 * top:
        return False
    between = (gray > 0) & (gray < top)
    count = int(between.sum())
    if not count:
        return False
    even = between[1:-1, 1:-1].copy()
    height, width = gray.shape
    for y in range(3):
        for x in range(3):
            even &= gray[y : y + height - 2, x : x + width - 2] == gray[1:-1, 1:-1]
    return int(even.sum()) < 0.1 * count


def _foreground(stored: Stored) -> tuple[Bitmap, list[str]]:
    """What is not background in a mask (H, W)."""
    stored = _flat(stored)
    colors = _colors(stored, _gray(stored.values), "auto")
    values = stored.values if colors is None else colors
    gray = values.max(2) if values.ndim == 3 else values
    away, void = _voids(gray, stored)
    kept = np.where(away, gray.dtype.type(0), gray)
    most = kept.max(initial=0)
    if kept.dtype.kind == "f":
        limit = 0.5 if most <= 1 else 0
    elif kept.dtype.kind == "u" and most > _top(kept) // 2 and len(_values(kept)) > 1:
        limit = _top(kept) // 2
    else:
        limit = 0
    return kept > limit, void


# --- colours ------------------------------------------------------------------------------------


def _colors(stored: Stored, gray: NDArray | None, labels: LabelKind) -> NDArray | None:
    """Colours (H, W, 3) if they say what is what, else None."""
    if stored.palette is not None and gray is not None:
        palette = np.zeros((max(256, int(gray.max(initial=0)) + 1), 3), np.uint8)
        palette[: len(stored.palette)] = stored.palette
        used = np.unique(gray)
        # As programs write that choose the entries themselves: numbers mean nothing there.
        elsewhere = palette[0].any() and not palette[used].any(1).all()
        return palette[gray] if labels == "colors" or (labels == "auto" and elsewhere) else None
    return stored.values if gray is None and labels != "ids" else None


def _of_colors(colors: NDArray, stored: Stored, labels: LabelKind) -> tuple[Numbers, list[str]]:
    if colors.dtype.kind not in "ui" or colors.dtype.itemsize > 2:
        raise ValueError(f"is not a label image: its colours are {colors.dtype}")
    red, green, blue = (colors[..., k].astype(np.int64) for k in range(3))
    codes = red << 32 | green << 16 | blue
    bright = int(np.iinfo(colors.dtype).max)
    white = bright << 32 | bright << 16 | bright
    if not (codes == 0).any():
        codes[codes == white] = 0
    if stored.hidden is not None:
        codes[stored.hidden] = 0
    void = []
    voc = _VOC_VOID[0] << 32 | _VOC_VOID[1] << 16 | _VOC_VOID[2]
    for code, name, is_void in (
        (voc, f"colour {_VOC_VOID}", labels == "auto"),
        (white, "white", labels == "void255" or labels == "auto"),
    ):
        where = codes == code
        if is_void and where.any() and (code == voc or labels == "void255" or
                                        _outlines(where, codes)):  # fmt: skip
            codes[where] = 0
            void.append(name)
    values, counts = np.unique(codes[codes != 0], return_counts=True)
    if labels == "auto" and len(values) > 16 and np.median(counts) < _SPECK:
        raise ValueError(
            f"has {len(values)} colours, most of a few pixels only, as photographs and soft edges "
            "have: save labels without smoothing, or say --labels colors or mask"
        )
    return codes, void
