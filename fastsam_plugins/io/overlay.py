"""Overlays, and figures to draw curves in."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.masks.label_image import LabelRows
from fastsam_plugins.messages import install, one_line
from fastsam_plugins.segmentation import Segmentation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_STRIP = 1 << 19  # pixels of a picture that are painted together


def colors(count: int) -> NDArray[np.uint8]:
    """Distinct, stable colours (count, 3): hues at the golden angle, two brightnesses."""
    hues = (np.arange(count) * 0.61803398875) % 1
    rgb = [colorsys.hsv_to_rgb(h, 0.75, 1.0 if i % 2 else 0.8) for i, h in enumerate(hues)]
    return np.rint(np.array(rgb).reshape(-1, 3) * 255).astype(np.uint8)


def overlay(
    image: NDArray[np.uint8] | WindowedImage,
    seg: Segmentation,
    points: Any = None,
    boxes: Any = None,
    captions: Sequence[str] = (),
    opacity: float = 0.5,
) -> NDArray[np.uint8]:
    """Paint instances over an image: a tint each, its outline, and the prompts.

    Parameters
    ----------
    image : uint8 array (H, W, 3), or WindowedImage
        Not changed.
    seg : Segmentation
        Small instances lie on top.
    points : list of (x, y, label), optional
        Foreground points are drawn green, background points red.
    boxes : list of (x1, y1, x2, y2), optional
    captions : list of str, optional
        Words for each instance, written on it.
    opacity : float
        Of the tint, 0 to 1.
    """
    out = np.empty((*seg.shape, 3), np.uint8)
    done = 0
    for strip in overlay_strips(image, seg, points, boxes, captions, opacity):
        out[done : done + len(strip)] = strip
        done += len(strip)
    return out


def overlay_strips(
    image: NDArray[np.uint8] | WindowedImage,
    seg: Segmentation,
    points: Any = None,
    boxes: Any = None,
    captions: Sequence[str] = (),
    opacity: float = 0.5,
) -> Iterator[NDArray[np.uint8]]:
    """The picture that :func:`overlay` paints, in strips (h, W, 3) from the top down."""
    if tuple(image.shape) != (*seg.shape, 3):
        raise ValueError(f"the image is {image.shape}, that of the instances {(*seg.shape, 3)}")
    labels = LabelRows(seg)
    palette = np.concatenate([np.zeros((1, 3), np.uint8), colors(len(seg))])
    stamps = _stamps(seg, points, boxes, captions)
    height, width = seg.shape
    step = max(_STRIP // width, 1)
    for y0 in range(0, height, step):
        y1 = min(y0 + step, height)
        above, below = max(y0 - 1, 0), min(y1 + 1, height)
        numbers = labels[above:below]  # an outline depends on the rows beside it
        edge = _outlines(numbers)[y0 - above : y1 - above]
        numbers = numbers[y0 - above : y1 - above]
        strip = np.array(image[y0:y1, 0:width])
        covered = numbers > 0
        tint = palette[numbers[covered]]
        strip[covered] = strip[covered] * (1 - opacity) + tint * opacity
        strip[edge] = palette[numbers[edge]]
        for stamp in stamps:
            stamp.put(strip, y0)
        yield strip


@dataclass
class _Stamp:
    """Pixels (h, w, 3) laid over a picture at (x, y); of some of them, if ``where`` says which."""

    x: int
    y: int
    pixels: NDArray[np.uint8]
    where: Any = True

    def put(self, strip: NDArray[np.uint8], first: int) -> None:
        """Lay it over a strip whose first row has that number."""
        height, width = self.pixels.shape[:2]
        y0, y1 = max(self.y, first), min(self.y + height, first + len(strip))
        x0, x1 = max(self.x, 0), min(self.x + width, strip.shape[1])
        if y0 >= y1 or x0 >= x1:
            return
        own = slice(y0 - self.y, y1 - self.y), slice(x0 - self.x, x1 - self.x)
        where = np.broadcast_to(self.where, self.pixels.shape[:2])[own]
        np.copyto(strip[y0 - first : y1 - first, x0:x1], self.pixels[own], where=where[..., None])


def _stamps(seg: Segmentation, points: Any, boxes: Any, captions: Sequence[str]) -> list[_Stamp]:
    """Prompts and words, to be laid over a picture in this order."""
    line = max(2, max(seg.shape) // 300)
    stamps: list[_Stamp] = []
    for box in boxes if boxes is not None else ():
        stamps += _frame([int(v) for v in box], line)
    for x, y, label in points if points is not None else ():
        stamps.append(_spot(x, y, (0, 220, 0) if label else (230, 0, 0), line))
    if len(captions):
        boxed = seg.tight_boxes().tolist()
        for (x0, y0, x1, y1), words in zip(boxed, captions, strict=False):
            stamps.append(_plate(words, ((x0 + x1) / 2, (y0 + y1) / 2), seg.shape))
    return stamps


def _frame(box: Sequence[int], line: int) -> list[_Stamp]:
    """The four sides of a box, its corners included, as wide inwards as the line."""
    x0, y0, x1, y1 = box
    if x1 < x0 or y1 < y0:
        raise ValueError(
            f"a box is x1,y1,x2,y2 with x1 <= x2 and y1 <= y2, got {x0},{y0},{x1},{y1}"
        )
    wide, high = x1 - x0 + 1, y1 - y0 + 1
    yellow = np.array([255, 255, 0], np.uint8)

    def side(x: int, y: int, w: int, h: int) -> _Stamp:
        return _Stamp(x, y, np.broadcast_to(yellow, (h, w, 3)))

    across, down = min(line, wide), min(line, high)
    return [
        side(x0, y0, wide, down),
        side(x0, y1 + 1 - down, wide, down),
        side(x0, y0, across, high),
        side(x1 + 1 - across, y0, across, high),
    ]


def _spot(x: float, y: float, fill: tuple[int, int, int], line: int) -> _Stamp:
    from PIL import Image, ImageDraw

    low, high = (int(x - 2 * line), int(y - 2 * line)), (int(x + 2 * line), int(y + 2 * line))
    size = (high[0] - low[0] + 1, high[1] - low[1] + 1)
    drawn, shape = Image.new("RGB", size), Image.new("L", size)
    corners, width = (0, 0, size[0] - 1, size[1] - 1), max(1, line // 2)
    ImageDraw.Draw(drawn).ellipse(corners, fill=fill, outline=(255, 255, 255), width=width)
    ImageDraw.Draw(shape).ellipse(corners, fill=1, outline=1, width=width)
    return _Stamp(*low, np.asarray(drawn), np.asarray(shape) > 0)


def _plate(words: str, centre: tuple[float, float], shape: tuple[int, int]) -> _Stamp:
    """White on a dark plate around a point, moved to where all of it is inside the picture."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(max(10, max(shape) // 45))
    blank = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left, top, right, bottom = blank.textbbox(centre, words, font=font, anchor="mm")
    height, width = shape
    dx = max(2 - left, 0) + min(width - 2 - right, 0)
    dy = max(2 - top, 0) + min(height - 2 - bottom, 0)
    x0, y0 = math.floor(left + dx - 2), math.floor(top + dy - 1)
    size = math.ceil(right + dx + 2) - x0 + 1, math.ceil(bottom + dy + 1) - y0 + 1
    plate = Image.new("RGB", size, (20, 20, 20))
    place = centre[0] + dx - x0, centre[1] + dy - y0
    ImageDraw.Draw(plate).text(place, words, (255, 255, 255), font=font, anchor="mm")
    return _Stamp(x0, y0, np.asarray(plate))


def _outlines(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Labelled pixels (H, W) next to a pixel with another label."""
    edge = np.zeros(labels.shape, np.bool_)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge & (labels > 0)


def figure(
    columns: int, width: float = 5, height: float = 4, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure with rows of plots side by side, each so many inches wide and high.

    It belongs to no window and to no state of ``pyplot``: threads can draw at the same time.

    Raises
    ------
    ValueError
        If matplotlib cannot be imported.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(
            f"pictures of figures need matplotlib ({one_line(error)}): {install()}"
        ) from None

    drawn = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(drawn)
    plots = [drawn.add_subplot(rows, columns, k + 1) for k in range(columns * rows)]
    for plot in plots:
        plot.grid(alpha=0.3)
    return drawn, plots
