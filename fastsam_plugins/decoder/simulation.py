"""Simulated users: where they click first, and how they go on, as SAM was trained and measured.

Kirillov et al. 2023, "Segment Anything", appendix A; Sofiiuk et al. 2022 for the clicks after the
first: deepest inside the largest error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder.answer import Answer, View
from fastsam_plugins.decoder.prompter import Prompter, masks
from fastsam_plugins.decoder.windows import GRID, Click, around, averaged
from fastsam_plugins.geometry import Box
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sampling import Floats

Bitmap = NDArray[np.bool_]


def depths(mask: Bitmap) -> Floats:
    """How far every pixel is from the outside, in pixels; the image's border is outside."""
    padded = np.pad(mask, 1).astype(np.uint8)
    return np.asarray(
        cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1], np.float32
    )


def deepest(mask: Bitmap) -> tuple[float, float]:
    """Centre (x, y) of the pixel furthest from the outside; the first by rows of equal ones."""
    depth = depths(mask)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(x) + 0.5, float(y) + 0.5


def correction(true: Bitmap, given: Bitmap) -> Click | None:
    """The next click: deepest inside the larger kind of error; None where there is none."""
    missed, extra = true & ~given, given & ~true
    if not missed.any() and not extra.any():
        return None
    foreground = int(missed.sum()) >= int(extra.sum())
    return (*deepest(missed if foreground else extra), int(foreground))


def somewhere(mask: Bitmap, rng: np.random.Generator, share: float) -> tuple[float, float]:
    """Centre of a random pixel that lies at least ``share`` of the greatest depth inside."""
    depth = depths(mask)
    y, x = np.nonzero(depth >= share * depth.max())
    k = rng.integers(len(x))
    return float(x[k]) + 0.5, float(y[k]) + 0.5


def noisy(
    box: Sequence[float], rng: np.random.Generator, shape: R.Shape, share: float = 0.1
) -> Box:
    """A box (x0, y0, x1, y1) drawn by hand, as SAM's were: sides off by a tenth, at most 20 px."""
    sides = np.tile([box[2] - box[0], box[3] - box[1]], 2)
    moved = np.asarray(box) + np.clip(rng.normal(0, share, 4) * sides, -20, 20)
    x, y = np.sort(moved.reshape(2, 2), 0).T  # small ones may turn over
    x0, x1 = np.clip(x, 0, shape[1]).tolist()
    y0, y1 = np.clip(y, 0, shape[0]).tolist()
    return x0, y0, x1, y1


def scribble(mask: Bitmap, rng: np.random.Generator, count: int = 6) -> tuple[Click, ...]:
    """A stroke between two places of an object that stays in it, as clicks."""
    (a, b), (c, d) = somewhere(mask, rng, 0.3), somewhere(mask, rng, 0.3)
    clicks = []
    for t in np.linspace(0, 1, count).tolist():
        x, y = a + (c - a) * t, b + (d - b) * t
        if mask[min(int(y), mask.shape[0] - 1), min(int(x), mask.shape[1] - 1)]:
            clicks.append((x, y, 1))
    return tuple(clicks)


@dataclass(eq=False)
class Session:
    """One object and a user who wants it.

    Attributes
    ----------
    prompter : Prompter
    true : bool array (H, W)
    left : int
        Prompts still to come, this one included.
    """

    prompter: Prompter
    true: Bitmap
    left: int
    rng: np.random.Generator
    clicks: list[Click] = field(default_factory=list)
    box: Box | None = None
    before: Answer | None = None
    row: int | None = None
    unwanted: int | None = None
    target: Floats = field(default_factory=lambda: np.zeros((GRID, GRID), np.float32))

    def start(self) -> None:
        """The first prompt: a click, a box, a stroke, or a rough mask."""
        kind = self.rng.random()
        if kind < 0.22:
            x, y, w, h = cv2.boundingRect(self.true.astype(np.uint8))
            box = float(x), float(y), float(x + w), float(y + h)
            if self.rng.random() < 0.5:
                box = noisy(box, self.rng, self.true.shape)
            if min(box[2] - box[0], box[3] - box[1]) >= 3:
                self.box = box
                rows = self.prompter.in_box(box)
                self.row = int(rows[0]) if len(rows) else None
                return
        if kind < 0.32:
            self.before = self._rough()
            if self.rng.random() < 0.5:
                return
        stroke = scribble(self.true, self.rng) if kind > 0.92 else ()
        self.click(*(stroke or ((*somewhere(self.true, self.rng, self._share()), 1),)))

    def _share(self) -> float:
        return float(self.rng.choice([0.999, 0.0, 0.3, 0.6], p=[0.4, 0.2, 0.2, 0.2]))

    def _rough(self) -> Answer:
        """What somebody painted in a hurry: the true mask, swollen or shrunken and moved a bit."""
        x, y, w, h = cv2.boundingRect(self.true.astype(np.uint8))
        letterbox = self.prompter.encoding.source.letterbox
        window = around((x, y, x + w, y + h), 1.5, letterbox)
        share = self._covered(window)
        size = int(self.rng.integers(1, 5)) * 2 + 1
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        rough = (cv2.dilate if self.rng.random() < 0.5 else cv2.erode)(share, disk)
        moved = np.roll(rough, self.rng.integers(-4, 5, 2), (0, 1))
        noise = cv2.GaussianBlur(self.rng.normal(0, 1, (GRID, GRID)).astype(np.float32), (0, 0), 4)
        values = (moved + 0.4 * noise / max(noise.std(), 1e-6) * 0.5 > 0.5).astype(np.float32)
        return Answer(12 * values - 6, window, 0.5)

    def click(self, *clicks: Click) -> None:
        """Clicks that come together, the last of which is looked under."""
        self.clicks += clicks
        last = self.clicks[-1]
        rows, _ = self.prompter.candidates(self.clicks, last)
        row = int(rows[0]) if len(rows) else None
        if last[2] and len(rows) > 1 and self.before is None and self.rng.random() < 0.4:
            others = self.prompter.encoding.proposals.different(rows, 3)
            row = int(others[self.rng.integers(len(others))])
        self.row, self.unwanted = (row, None) if last[2] else (None, row)

    def view(self) -> View:
        """What the decoder is to see; :attr:`target` becomes what it is to say."""
        window = self.prompter.window_about(
            self.before, self.box, self.clicks, self.row, float(self.rng.uniform(0.85, 1.25))
        )
        self.target = self._covered(window)
        return self.prompter.view(
            window, self.clicks, self.before, self.box, self.row, self.unwanted
        )

    def _covered(self, window: tuple[int, int, int, int]) -> Floats:
        """The share of every cell of a window that the object covers."""
        height, width = self.true.shape
        x0, y0, x1, y1 = window
        a, b, c, d = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        if c <= a or d <= b:
            return np.zeros((GRID, GRID), np.float32)
        part = self.true[b:d, a:c].astype(np.float32)
        return averaged(part, (a, b, c, d), window, 0.0)

    def take(self, answer: Answer) -> float:
        """Take an answer, go on with the next prompt; the answer's IoU."""
        shape: R.Shape = (self.true.shape[0], self.true.shape[1])
        given = R.to_bitmap(masks([answer], shape).runs(0), shape)
        union = int((given | self.true).sum())
        self.before, self.left = answer, self.left - 1
        if self.left > 0:
            following = correction(self.true, given)
            if following is None:
                self.left = 0
            else:
                if self.rng.random() < 0.35:
                    error = self.true & ~given if following[2] else given & ~self.true
                    following = (*somewhere(error, self.rng, 0.5), following[2])
                self.click(following)
        return int((given & self.true).sum()) / union if union else 1.0
