"""Overlays, and figures to draw curves in."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.segmentation import Segmentation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def colors(count: int) -> NDArray[np.uint8]:
    """Distinct, stable colours (count, 3): hues at the golden angle, two brightnesses."""
    hues = (np.arange(count) * 0.61803398875) % 1
    rgb = [colorsys.hsv_to_rgb(h, 0.75, 1.0 if i % 2 else 0.8) for i, h in enumerate(hues)]
    return np.rint(np.array(rgb).reshape(-1, 3) * 255).astype(np.uint8)


def overlay(
    image: NDArray[np.uint8],
    seg: Segmentation,
    points: Any = None,
    boxes: Any = None,
    captions: Sequence[str] = (),
    opacity: float = 0.5,
) -> NDArray[np.uint8]:
    """Paint instances over an image: a tint each, its outline, and the prompts.

    Parameters
    ----------
    image : uint8 array (H, W, 3)
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
    from PIL import Image, ImageDraw, ImageFont

    labels = seg.labels()
    palette = np.concatenate([np.zeros((1, 3), np.uint8), colors(len(seg))])
    tint = palette[labels]
    covered = (labels > 0)[..., None]
    out = np.where(covered, image * (1 - opacity) + tint * opacity, image)
    out = np.where(_outlines(labels)[..., None], tint, out).astype(np.uint8)
    picture = Image.fromarray(out)
    pen = ImageDraw.Draw(picture)
    line = max(2, max(seg.shape) // 300)
    for x0, y0, x1, y1 in boxes if boxes is not None else ():
        pen.rectangle((x0, y0, x1, y1), outline=(255, 255, 0), width=line)
    for x, y, label in points if points is not None else ():
        fill = (0, 220, 0) if label else (230, 0, 0)
        spot = (x - 2 * line, y - 2 * line, x + 2 * line, y + 2 * line)
        pen.ellipse(spot, fill=fill, outline=(255, 255, 255), width=max(1, line // 2))
    font = ImageFont.load_default(max(10, max(seg.shape) // 45)) if captions else None
    boxed = seg.tight_boxes().tolist()
    for (x0, y0, x1, y1), words in zip(boxed, captions, strict=False):
        _write(pen, words, ((x0 + x1) / 2, (y0 + y1) / 2), font)
    return np.asarray(picture)


def _write(pen: Any, words: str, centre: tuple[float, float], font: Any) -> None:
    """White on a dark plate around a point, moved to where all of it is inside the picture."""
    left, top, right, bottom = pen.textbbox(centre, words, font=font, anchor="mm")
    width, height = pen.im.size
    dx = max(2 - left, 0) + min(width - 2 - right, 0)
    dy = max(2 - top, 0) + min(height - 2 - bottom, 0)
    plate = (left + dx - 2, top + dy - 1, right + dx + 2, bottom + dy + 1)
    pen.rectangle(plate, fill=(20, 20, 20))
    pen.text((centre[0] + dx, centre[1] + dy), words, (255, 255, 255), font=font, anchor="mm")


def _outlines(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Labelled pixels (H, W) next to a pixel with another label."""
    edge = np.zeros(labels.shape, np.bool_)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge & (labels > 0)


def figure(columns: int) -> tuple[Figure, list[Axes]]:
    """A figure with plots side by side, each five inches wide and four high.

    It belongs to no window and to no state of ``pyplot``: threads can draw at the same time.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(5 * columns, 4), layout="constrained")
    FigureCanvasAgg(drawn)
    plots = [drawn.add_subplot(1, columns, k + 1) for k in range(columns)]
    for plot in plots:
        plot.grid(alpha=0.3)
    return drawn, plots
