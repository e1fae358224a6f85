"""Answers: a mask for every click, box, scribble or rough mask, each from the one before.

An answer is a map of logits over a window of the image. The first comes from the proposals under
the prompt; every further click looks at a window about the last answer and corrects it. What all
clicks but the last gave is kept, so that the next one costs one step.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder import closed_form
from fastsam_plugins.decoder.answer import Answer, View
from fastsam_plugins.decoder.encoding import Encoding
from fastsam_plugins.decoder.pins import pinned
from fastsam_plugins.decoder.windows import (
    CLIP,
    GRID,
    Click,
    Pyramid,
    around,
    dots,
    filled,
    in_input,
    resampled,
    sampled,
)
from fastsam_plugins.geometry import Box, Window, box_iou
from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.masks.local import LocalMasks
from fastsam_plugins.masks.sampling import CELL, Floats
from fastsam_plugins.masks.sources import Rows
from fastsam_plugins.prompts import to_pixels

ALTERNATIVES = 3
GROW = 1.5  # a window's sides, in those of what it is about
GROW_BOX = 1.35
CORRECTED = 0.35  # the decoder's share of an answer to a first click
_NEAR = 0.3  # of a click's hill: some two cells
_KEPT = 64  # answers of one image
_AGREES = 0.1  # what another click inside is worth, as predicted IoU


class Prompter:
    """Answers to prompts about one image.

    Parameters
    ----------
    encoding : Encoding
        Without a decoder, proposals are chosen by confidence and stability, and corrected in closed
        form.
    image : uint8 array (H, W, 3), or WindowedImage, or None
        RGB; an array may be a smaller copy.
    """

    def __init__(
        self,
        encoding: Encoding,
        image: NDArray[np.uint8] | WindowedImage | None,
    ) -> None:
        self.encoding, self.decoder = encoding, encoding.decoder
        self.shape, self.image = encoding.source.shape, image
        gray = np.full((*self.shape, 3), 114, np.uint8) if image is None else image
        self._pixels = Pyramid(gray, self.shape)
        self._known: OrderedDict[object, list[Answer]] = OrderedDict()

    def answers(
        self,
        steps: Sequence[tuple[Click, ...]],
        box: Box | None = None,
        mask: Answer | None = None,
        most: int = ALTERNATIVES,
    ) -> list[Answer]:
        """Masks for one object, the one with the highest expected IoU first.

        Parameters
        ----------
        steps : sequence of tuples of clicks
            Clicks of one step come together, as those of a scribble do.
        box : (x0, y0, x1, y1), optional
        mask : Answer, optional
            What is there already.
        most : int
            How many masks a first click may give.
        """
        steps = tuple(steps)
        key = steps, box, mask and mask.key, most if len(steps) == 1 else 1
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        before: list[Answer] = [mask] if mask is not None else []
        if len(steps) > 1 or (steps and box is not None and mask is None):
            # What a person saw, who did not turn to another: the best of one.
            before = self.answers(steps[:-1], box, mask, 1)
        found = self._step(steps, box, before[0] if before else None, most)
        self._known[key] = found
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found

    def _step(
        self,
        steps: tuple[tuple[Click, ...], ...],
        box: Box | None,
        before: Answer | None,
        most: int,
    ) -> list[Answer]:
        clicks = [click for step in steps for click in step]
        wanted = [c for c in clicks if c[2]]
        if before is None and box is None and not wanted:
            return []
        given: Rows = np.zeros(0, np.int64)
        worth: dict[int, float] = {}
        unwanted: int | None = None
        if before is None and box is not None:
            given = self.in_box(box)
        elif clicks:
            last = clicks[-1] if before is not None else wanted[-1]
            rows, expected = self.candidates(clicks, last)
            if last[2]:
                given, worth = rows, dict(zip(rows.tolist(), expected.tolist(), strict=True))
            elif len(rows):
                unwanted = int(rows[0])
        if before is None and len(given) > 1:
            given = self.encoding.proposals.different(given, most)
        choices: list[int | None] = [int(r) for r in given[: 1 if before else most]] or [None]
        windows = [self.window_about(before, box, clicks, row) for row in choices]
        made = self._made(windows, clicks, before, box, choices, unwanted)
        if before is None and box is None and self.decoder is not None:
            made = [self._first(a, row, worth) for a, row in zip(made, choices, strict=True)]
        if before is not None and self.decoder is not None and steps:
            made = [kept(a, before, steps[-1]) for a in made]
        made = [Answer(pinned(a.map, a.window, clicks), a.window, a.iou) for a in made]
        if not wanted:
            made = [self._seen(a, box, before) for a in made]
        return sorted(made, key=lambda a: -a.iou)

    def _seen(self, answer: Answer, box: Box | None, before: Answer | None) -> Answer:
        """An answer that has a pixel: of a box or a mask too small for the decoder, that itself."""
        if len(masks([answer], self.shape).runs(0)):
            return answer
        if before is not None:
            given = resampled(before.map, before.window, answer.window, -CLIP)
            y, x = np.unravel_index(int(given.argmax()), given.shape)
            x0, y0, x1, y1 = answer.window
            spot = (float(x0 + (x + 0.5) * (x1 - x0) / GRID),
                    float(y0 + (y + 0.5) * (y1 - y0) / GRID))  # fmt: skip
        else:
            assert box is not None
            given = np.where(filled(answer.window, box) > 0, np.float32(1), np.float32(-CLIP))
            spot = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        inside = [
            min(max(v, 0.5), side - 0.5) for v, side in zip(spot, self.shape[::-1], strict=True)
        ]
        values = np.maximum(answer.map, given)
        return Answer(
            pinned(values, answer.window, [(inside[0], inside[1], 1)]), answer.window, answer.iou
        )

    def _first(self, answer: Answer, row: int | None, worth: Mapping[int, float]) -> Answer:
        """An answer to a first click: mostly the proposal, a little of what the decoder made of it.

        Either knows what the other does not: which object is meant shows with the second click.
        """
        if row is None:
            return answer
        place = self._place()
        start = resampled(self.encoding.proposals.logits(row), place, answer.window, -CLIP)
        mixed = (1 - CORRECTED) * start + CORRECTED * np.clip(answer.map, -CLIP, CLIP)
        return Answer(mixed, answer.window, min((answer.iou + worth[row]) / 2, 1.0))

    def _place(self) -> list[float]:
        """What of the image the prototypes cover, xyxy."""
        letterbox = self.encoding.source.letterbox
        corners = letterbox.to_image([[0, 0], letterbox.input_shape[::-1]])
        return [float(v) for v in corners.ravel()]

    def _made(
        self,
        windows: Sequence[Window],
        clicks: Sequence[Click],
        before: Answer | None,
        box: Box | None,
        rows: Sequence[int | None],
        unwanted: int | None,
    ) -> list[Answer]:
        views = [self.view(w, clicks, before, box, row, unwanted)
                 for w, row in zip(windows, rows, strict=True)]  # fmt: skip
        if self.decoder is None:
            return [closed_form.answer(self.encoding, v, clicks, before, row)
                    for v, row in zip(views, rows, strict=True)]  # fmt: skip
        maps, ious = self.decoder.refine(
            np.stack([np.moveaxis(v.coarse, 0, 2) for v in views]),
            np.stack([np.moveaxis(v.fine, 0, 2) for v in views]),
            np.stack([v.extent for v in views]),
        )
        triples = zip(maps, windows, ious.tolist(), strict=True)
        return [Answer(m, w, iou) for m, w, iou in triples]

    def candidates(self, clicks: Sequence[Click], last: Click) -> tuple[Rows, Floats]:
        """Proposals under one click that no click of the other kind is in, best first.

        Their expected IoU (K,) comes with them.
        """
        proposals = self.encoding.proposals
        pixel = to_pixels(np.array([last[:2]]))[0]
        rows = proposals.under(pixel)
        if not len(rows):
            return rows, np.zeros(0, np.float32)
        if self.decoder is None:
            worth = closed_form.worth(proposals, rows)
        else:
            worth = self.decoder.rank(proposals.evidence(rows, pixel))
        others = [c for c in clicks if c != last]
        pixels = to_pixels(np.array([c[:2] for c in others]).reshape(-1, 2))
        held = proposals.source.contains(rows, pixels)
        for inside, other in zip(held.T, others, strict=True):
            if other[2] != last[2]:
                worth = worth - inside
            elif last[2]:
                worth = worth + _AGREES * inside
        order = np.argsort(-worth, kind="stable")
        order = order[worth[order] > 0]
        return rows[order], worth[order]

    def in_box(self, box: Box) -> Rows:
        """The proposal that fits a box best, if one does at all."""
        proposals = self.encoding.proposals
        if not len(proposals):
            return np.zeros(0, np.int64)
        fit = box_iou(np.array([box]), proposals.boxes)[0]
        best = int(np.argmax(fit + 0.1 * proposals.scores))
        return np.array([best]) if fit[best] > 0.3 else np.zeros(0, np.int64)

    def window_about(
        self,
        before: Answer | None,
        box: Box | None,
        clicks: Sequence[Click],
        row: int | None,
        wider: float = 1.0,
    ) -> Window:
        """About the box, the last answer, the proposal and the clicks."""
        near: list[tuple[float, ...]] = [] if box is None else [box]
        if before is not None:
            part = _bounds(before, self.shape)
            if part is not None:
                near.append(part)
        if row is not None and box is None and (before is None or clicks[-1][2]):
            near.append(tuple(self.encoding.proposals.boxes[row].tolist()))
        known = bool(near)
        near += [(x - 1, y - 1, x + 1, y + 1) for x, y, label in clicks if label or not known]
        if not known:  # nothing but clicks: a part of the image about them
            side = 0.15 * max(self.shape)
            x, y = clicks[0][:2]
            near.append((x - side, y - side, x + side, y + side))
        low, high = np.array(near)[:, :2].min(0), np.array(near)[:, 2:].max(0)
        first = box is not None and before is None
        return around(
            (*low.tolist(), *high.tolist()), wider * (GROW_BOX if first else GROW),
            self.encoding.source.letterbox,
        )  # fmt: skip

    def view(
        self,
        window: Window,
        clicks: Sequence[Click],
        before: Answer | None,
        box: Box | None,
        row: int | None,
        unwanted: int | None,
    ) -> View:
        """What the decoder sees of a window."""
        letterbox = self.encoding.source.letterbox
        cells = in_input(window, letterbox)
        height, width = letterbox.input_shape
        corners = cells / (np.array([width, height] * 2) / CELL)
        prototypes = np.moveaxis(self.encoding.source.prototypes, 2, 0)
        coarse = [sampled(m.astype(np.float32), corners, GRID // 2) for m in self.encoding.maps]
        coarse.append(sampled(prototypes, corners, GRID // 2))
        rgb = (self._pixels.cells(window) / 255 - 0.45) * 3
        whole = 0.0, 0.0, float(self.shape[1]), float(self.shape[0])
        last = np.zeros((GRID, GRID), np.float32)
        if before is not None:
            clipped = np.clip(before.map, -CLIP, CLIP)
            last = np.tanh(resampled(clipped, before.window, window, -CLIP) / 2)
        fine = [
            *np.moveaxis(rgb, 2, 0), *dots(window, clicks), last, self._shown(row, window),
            np.zeros_like(last) if box is None else filled(window, box), filled(window, whole),
            self._shown(unwanted, window),
        ]  # fmt: skip
        scale = float(letterbox.scale.mean())
        sides = (window[2] - window[0]) * scale / 128, (window[3] - window[1]) * scale / 128
        extent = [*np.log(sides), float(box is not None), np.log1p(len(clicks)) - 1]
        return View(
            window,
            corners,
            np.concatenate(coarse).astype(np.float32),
            np.stack(fine).astype(np.float32),
            np.array(extent, np.float32),
            len(prototypes),
        )

    def _shown(self, row: int | None, window: Window) -> Floats:
        """A proposal's logits in a window, squashed; 0 where there is none."""
        if row is None:
            return np.zeros((GRID, GRID), np.float32)
        grid = self.encoding.proposals.logits(row)
        return np.tanh(resampled(grid, self._place(), window, -CLIP) / 2)


def _bounds(answer: Answer, shape: tuple[int, int]) -> Box | None:
    """The box around an answer's cells; None where it has none."""
    rows, columns = np.flatnonzero((answer.map > 0).any(1)), np.flatnonzero((answer.map > 0).any(0))
    if not len(rows):
        return None
    x0, y0, x1, y1 = answer.window
    fx, fy = (x1 - x0) / GRID, (y1 - y0) / GRID
    return (
        max(x0 + fx * float(columns[0]), 0), max(y0 + fy * float(rows[0]), 0),
        min(x0 + fx * float(columns[-1] + 1), shape[1]),
        min(y0 + fy * float(rows[-1] + 1), shape[0]),
    )  # fmt: skip


def kept(answer: Answer, before: Answer, clicks: Sequence[Click]) -> Answer:
    """An answer of which only changes under new clicks are taken: the rest stays as it was."""
    old = resampled(before.map, before.window, answer.window, -CLIP)
    changed = (answer.map > 0) != (old > 0)
    _, parts = cv2.connectedComponents(changed.astype(np.uint8), connectivity=8)
    near = dots(answer.window, clicks).max(0) > _NEAR
    meant = np.isin(parts, np.unique(parts[near & changed]))
    stays = changed & ~meant
    return Answer(np.where(stays, old, answer.map), answer.window, answer.iou)


def masks(answers: Sequence[Answer], shape: tuple[int, int]) -> LocalMasks:
    """Answers as a mask source."""
    maps = np.array([a.map for a in answers], np.float32).reshape(-1, GRID, GRID)
    return LocalMasks(maps, np.array([a.window for a in answers], np.int64), shape)
