"""Endless everything-mode training images with exact masks, drawn from a seed.

Three kinds of scene: *leaves*, shapes of all sizes that occlude one another and have parts
("dead leaves": Lee, Mumford and Huang 2001, "Occlusion Models for Natural Images"); *nuclei*,
blurred blobs in fluorescence or stain; *roofs*, straight-edged blocks with shadows seen from
above. Textures are noise or crops of real images.

Scene k of a seed is always the same, whatever was drawn before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R

Image = NDArray[np.uint8]
Bitmap = NDArray[np.bool_]
Kind = Literal["leaves", "nuclei", "roofs"]
KINDS: tuple[Kind, ...] = ("leaves", "nuclei", "roofs")

MIN_VISIBLE = 24  # pixels: less of an object cannot be recognised


@dataclass(frozen=True)
class Scene:
    """An image with the exact masks of what was drawn on it.

    Attributes
    ----------
    image : uint8 array (size, size, 3)
        RGB.
    masks : list of run arrays
        The visible part of every object; in ``leaves``, of the ground too. The parts of an object
        are objects too, and belong to the object's mask as well.
    kind : str
    """

    image: Image
    masks: list[R.Runs]
    kind: Kind


def scene(
    seed: int, index: int, size: int = 320, kind: Kind | None = None, crops: Sequence[Image] = ()
) -> Scene:
    """Draw one scene.

    Parameters
    ----------
    seed, index : int
        Together they decide everything.
    size : int
        Side of the image in pixels.
    kind : str, optional
        ``leaves``, ``nuclei`` or ``roofs``; by default the index decides, in equal shares.
    crops : sequence of uint8 arrays (H, W, 3)
        Real images whose crops serve as textures, beside noise.
    """
    rng = np.random.default_rng([seed, index])
    kind = kind or KINDS[index % len(KINDS)]
    canvas = _Canvas(rng, size, crops)
    if kind == "leaves":
        _leaves(canvas)
    elif kind == "nuclei":
        _nuclei(canvas)
    else:
        _roofs(canvas)
    return Scene(canvas.photograph(), canvas.masks(), kind)


@dataclass(frozen=True)
class _Patch:
    """Some pixels of a canvas: a window, and which of its pixels."""

    window: tuple[slice, slice]
    bitmap: Bitmap


class _Canvas:
    """Painter's algorithm with an owner for each pixel."""

    def __init__(self, rng: np.random.Generator, size: int, crops: Sequence[Image]) -> None:
        self.rng, self.size, self.crops = rng, size, crops
        self.image = self.texture().astype(np.float32)
        self.owner = np.zeros((size, size), np.int32)
        self.parents: list[int] = [0]
        self.ground_counts = False  # whether what stays bare is an object too
        self.blur, self.grain = rng.uniform(0.3, 0.9), rng.uniform(1, 6)

    def texture(self, contrast: float = 1.0) -> Image:
        """A patch (size, size, 3): a crop of a real image, or noise between two colours."""
        rng = self.rng
        if len(self.crops) and rng.random() < 0.5:
            source = self.crops[int(rng.integers(len(self.crops)))]
            # Small enough to be stuff, not things: an object in a texture has no mask of its own.
            side = int(rng.uniform(0.05, 0.35) * min(source.shape[:2])) + 1
            y = rng.integers(source.shape[0] - side + 1)
            x = rng.integers(source.shape[1] - side + 1)
            return self.resize(source[y : y + side, x : x + side])
        field = np.zeros((self.size, self.size), np.float32)
        for octave in range(1, 6):
            cells = min(2**octave * int(rng.integers(1, 4)), self.size)
            weight = rng.uniform(0, 1) / octave
            field += weight * self.resize(rng.normal(size=(cells, cells)).astype(np.float32))
        field = (field - field.min()) / max(float(np.ptp(field)), 1e-6)
        a = rng.uniform(0, 255, 3)
        b = a + rng.normal(0, 60, 3) * contrast
        return np.clip(a + field[..., None] * (b - a), 0, 255).astype(np.uint8)

    def resize(self, array: NDArray) -> NDArray:
        """Scale to the canvas."""
        return np.asarray(cv2.resize(array, (self.size, self.size), interpolation=cv2.INTER_LINEAR))

    def fill(self, outline: NDArray[np.float64]) -> _Patch:
        """The pixels of a polygon (K, 2)."""
        points = np.rint(outline).astype(np.int32)
        x0, y0 = np.clip(points.min(0), 0, self.size)
        x1, y1 = np.clip(points.max(0) + 1, 0, self.size)
        bitmap = np.zeros((max(y1 - y0, 0), max(x1 - x0, 0)), np.uint8)
        if bitmap.size:
            cv2.fillPoly(bitmap, [points - (x0, y0)], 1)
        return _Patch((slice(y0, y1), slice(x0, x1)), bitmap.astype(np.bool_))

    def swatch(self, paint: NDArray, patch: _Patch) -> NDArray[np.float64]:
        """A random piece of a texture, of a patch's size."""
        h, w = patch.bitmap.shape
        y, x = self.rng.integers(self.size - h + 1), self.rng.integers(self.size - w + 1)
        return np.asarray(paint[y : y + h, x : x + w], np.float64)

    def add(self, patch: _Patch, paint: NDArray, parent: int = 0) -> int:
        """Paint a new object, a part of ``parent`` if that is not 0; returns its number."""
        number = len(self.parents)
        self.parents.append(parent)
        owner, image = self.owner[patch.window], self.image[patch.window]
        where = patch.bitmap & (owner == parent) if parent else patch.bitmap
        owner[where] = number  # a part shows where its whole still does
        paint = np.clip(paint, 0, 255).astype(np.float32)
        image[where] = paint[where] if paint.ndim == 3 else paint
        return number

    def shade(self, patch: _Patch, owner: int, factor: float) -> None:
        """Darken what belongs to an owner."""
        where = patch.bitmap & (self.owner[patch.window] == owner)
        self.image[patch.window][where] *= factor

    def masks(self) -> list[R.Runs]:
        """Visible part of each object, its parts included; slivers are left out."""
        # Column by column, the order of run arrays; a run of one owner after another.
        owner = self.owner.T.ravel()
        starts = np.r_[0, np.flatnonzero(owner[1:] != owner[:-1]) + 1]
        spans = np.stack([starts, np.r_[starts[1:], owner.size]], axis=1)
        own = owner[starts]
        order = np.argsort(own, kind="stable")
        limits = np.searchsorted(own[order], np.arange(len(self.parents) + 1))
        pieces = [spans[order[a:b]] for a, b in itertools.pairwise(limits)]
        families = [[piece] for piece in pieces]
        for number in range(len(self.parents) - 1, 0, -1):
            if self.parents[number]:
                families[self.parents[number]] += families[number]
        first = 0 if self.ground_counts else 1
        unions = [R.union(family) for family in families[first:]]
        return [m for m in unions if R.area(m) >= MIN_VISIBLE]

    def photograph(self) -> Image:
        """The image through a lens and onto a sensor: blurred, lit unevenly, with grain."""
        rng = self.rng
        image = cv2.GaussianBlur(self.image, (0, 0), self.blur)
        light = self.resize(rng.uniform(0.8, 1.1, (3, 3)).astype(np.float32))
        grain = rng.normal(0, self.grain, self.image.shape).astype(np.float32)
        return np.clip(image * light[..., None] + grain, 0, 255).astype(np.uint8)


def _outline(
    rng: np.random.Generator, centre: NDArray, radius: float, wobble: float, corners: int = 0
) -> NDArray[np.float64]:
    """A closed curve (K, 2): an ellipse bent by a few waves, or a star-shaped polygon."""
    count = corners or 48
    angle = np.sort(rng.uniform(0, 2 * np.pi, count)) if corners else _TURN
    distance = np.ones(count)
    if corners:
        distance = rng.uniform(1 - wobble, 1 + wobble, count)
    else:
        for wave in range(2, 6):
            distance += rng.normal(0, wobble / wave) * np.cos(wave * angle + rng.uniform(0, 6.3))
    unit = np.stack([np.cos(angle), np.sin(angle)], 1) * np.maximum(distance, 0.2)[:, None]
    return centre + unit * radius * (1, rng.uniform(0.45, 1)) @ _rotation(rng.uniform(0, np.pi))


_TURN = np.linspace(0, 2 * np.pi, 48, endpoint=False)


def _rotation(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s], [-s, c]])


def _leaves(canvas: _Canvas) -> None:
    rng, size = canvas.rng, canvas.size
    paints = [canvas.texture(rng.uniform(0.2, 1.5)) for _ in range(8)]
    # Some scenes are crowded with small things, in others a few fill the frame.
    smallest, largest = size / rng.uniform(10, 60), size / rng.uniform(1.6, 4)
    canvas.ground_counts = True
    for _ in range(int(rng.integers(0, 4))):  # sky, hills, a table: what objects stand before
        angle = rng.uniform(0, 2 * np.pi)
        centre = size * (0.5 + 0.6 * np.array([np.cos(angle), np.sin(angle)]))
        patch = canvas.fill(_outline(rng, centre, size * rng.uniform(0.3, 0.8), 0.15))
        canvas.add(patch, canvas.swatch(paints[rng.integers(len(paints))], patch))
    for _ in range(int(rng.integers(8, 90))):
        # Sizes by an inverse cube law look alike at every scale (Lee, Mumford and Huang).
        u = rng.uniform()
        radius = 1 / np.sqrt(u / smallest**2 + (1 - u) / largest**2)
        centre = rng.uniform(-0.1, 1.1, 2) * size
        corners = int(rng.choice([0, 0, 3, 4, 5, 7]))
        patch = canvas.fill(_outline(rng, centre, radius, rng.uniform(0, 0.4), corners))
        paint = canvas.swatch(paints[rng.integers(len(paints))], patch)
        number = canvas.add(patch, paint * rng.uniform(0.5, 1.3) + rng.normal(0, 30, 3))
        if radius > size / 20 and rng.random() < 0.6:
            for _ in range(int(rng.integers(1, 4))):
                inner = _outline(
                    rng,
                    centre + rng.normal(0, radius / 3, 2),
                    radius * rng.uniform(0.15, 0.45),
                    0.2,
                )
                canvas.add(canvas.fill(inner), rng.uniform(0, 255, 3), parent=number)


def _nuclei(canvas: _Canvas) -> None:
    rng, size = canvas.rng, canvas.size
    stained = rng.random() < 0.35
    if stained:
        ground, colour = np.array([225, 195, 215.0]), np.array([95, 60, 140.0])
    else:
        level = rng.uniform(2, 40)
        colour = np.full(3, rng.uniform(90, 240)) * (rng.random(3) < 0.8) + 20
        ground = np.full(3, level) if rng.random() < 0.85 else colour + 60
    haze = canvas.texture().mean(-1, keepdims=True) / 255 - 0.5
    canvas.image = np.broadcast_to(ground, canvas.image.shape) + haze * rng.uniform(0, 40)
    canvas.image = np.ascontiguousarray(canvas.image, np.float32)
    radius = size * np.exp(rng.uniform(np.log(0.012), np.log(0.07)))
    spread = rng.uniform(0.05, 0.35)
    count = int(min(rng.uniform(0.05, 0.6) * size**2 / (np.pi * radius**2), 150)) + 1
    clusters = rng.uniform(0, size, (max(1, count // 8), 2))
    speckle = canvas.texture().mean(-1, keepdims=True) / 255 - 0.5
    for _ in range(count):
        centre = rng.uniform(0, size, 2)
        if rng.random() < 0.5:
            centre = clusters[rng.integers(len(clusters))] + rng.normal(0, 3 * radius, 2)
        own = radius * np.exp(rng.normal(0, spread))
        patch = canvas.fill(_outline(rng, centre, own, rng.uniform(0, 0.25)))
        # Cells touch and rarely cover each other: the earlier one stays on top.
        patch = _Patch(patch.window, patch.bitmap & (canvas.owner[patch.window] == 0))
        shade = colour * rng.uniform(0.6, 1.15)
        canvas.add(patch, shade + canvas.swatch(speckle, patch) * rng.uniform(10, 60))
    canvas.blur, canvas.grain = rng.uniform(0.5, 1.6), rng.uniform(0.5, 10)


def _roofs(canvas: _Canvas) -> None:
    rng, size = canvas.rng, canvas.size
    heading = rng.uniform(0, np.pi)
    sun = rng.normal(0, 1, 2)
    sun /= np.linalg.norm(sun)
    side = size * np.exp(rng.uniform(np.log(0.05), np.log(0.2)))
    paints = [canvas.texture(0.3) for _ in range(4)]
    for _ in range(int(rng.integers(5, 60))):
        turn = _rotation(
            heading + (rng.normal(0, 0.05) if rng.random() < 0.8 else rng.uniform(0, 3))
        )
        w, h = side * np.exp(rng.normal(0, 0.3, 2))
        block = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
        if rng.random() < 0.35:  # an L
            a, b = rng.uniform(0.3, 0.7, 2)
            block = np.array([[0, 0], [1, 0], [1, b], [a, b], [a, 1], [0, 1]]) * (w, h) - (
                w / 2,
                h / 2,
            )
        outline = rng.uniform(0, size, 2) + block @ turn
        patch = canvas.fill(outline)
        if (canvas.owner[patch.window][patch.bitmap] != 0).any():
            continue  # roofs do not stand on one another
        shadow = canvas.fill(outline + sun * side * rng.uniform(0.05, 0.35))
        canvas.shade(shadow, 0, rng.uniform(0.3, 0.6))
        paint = canvas.swatch(paints[rng.integers(len(paints))], patch)
        number = canvas.add(patch, paint * rng.uniform(0.6, 1.4))
        if rng.random() < 0.5:  # a gable: one half in the shade
            ridge = outline[1:3].mean(0), outline[[0, -1]].mean(0)
            canvas.shade(canvas.fill(np.vstack([outline[:2], ridge])), number, 0.8)
