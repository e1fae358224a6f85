"""A second generator of scenes, from which the tiny CLIP learned nothing: crowds, large and small.

The words are those of :mod:`support.tiny_clip.scenes`. All else is drawn in another way: grounds of
gradients, stripes, checks and spots; shapes that are stretched, slanted, thicker or thinner, shaded
and rimmed; sides from 5 % to 35 % of the image's; neighbours that nearly touch.
"""

from __future__ import annotations

import cv2
import numpy as np

from support.tiny_clip.scenes import COLORS, SHAPES, Scene

FINE = 4  # outlines are drawn this much larger, then reduced


def crowd(
    seed: int,
    index: int,
    shape: tuple[int, int] = (384, 512),
    count: tuple[int, int] = (12, 24),
    radii: tuple[float, float] = (0.03, 0.17),
) -> Scene:
    """Draw scene ``index`` of a seed.

    Parameters
    ----------
    shape : (H, W)
    count : (int, int)
        Fewest and most objects.
    radii : (float, float)
        Smallest and largest, as shares of the image's shorter side.
    """
    rng = np.random.default_rng([seed, index, 2])
    image = ground(rng, shape)
    taken = np.zeros(shape, np.bool_)
    masks: list[np.ndarray] = []
    names: list[tuple[str, str]] = []
    wanted = int(rng.integers(count[0], count[1] + 1))
    sizes = np.sort(np.exp(rng.uniform(*np.log(radii), wanted)))[::-1] * min(shape)
    for radius in sizes.tolist():  # the large ones first, while there is room
        for _ in range(60):
            name = (str(rng.choice(list(COLORS))), str(rng.choice(SHAPES)))
            x, y = rng.uniform(radius + 1, (shape[1] - radius - 1, shape[0] - radius - 1))
            if name in names:
                continue
            mask = outline(rng, name[1], shape, (x, y), radius)
            if taken[mask].any():
                continue
            taken |= cv2.dilate(mask.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
            paint(rng, image, mask, name[0])
            masks.append(mask)
            names.append(name)
            break
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.8))
    image += rng.normal(0, rng.uniform(0, 7), image.shape).astype(np.float32)
    order = rng.permutation(len(masks))  # else the first would be the largest
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    return Scene(pixels, np.array(masks)[order], [names[k] for k in order])


def ground(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Something to lie on, float32 (H, W, 3): between two dull colours, in one of four ways."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / min(shape)
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    pitch = rng.uniform(4, 16)
    kind = rng.choice(["gradient", "stripes", "checks", "spots"])
    if kind == "gradient":
        field = along
    elif kind == "stripes":
        field = np.sin(2 * np.pi * pitch * along)
    elif kind == "checks":
        field = np.sign(np.sin(np.pi * pitch * along) * np.sin(np.pi * pitch * across))
    else:
        field = cv2.GaussianBlur(rng.normal(size=shape).astype(np.float32), (0, 0), 60 / pitch)
    field = (field - field.min()) / np.ptp(field)
    middle = rng.uniform(60, 200)
    ends = middle + rng.uniform(8, 45) * np.array([[-1], [1]]) + rng.normal(0, 14, (2, 3))
    return np.asarray(ends[0] + field[..., None] * (ends[1] - ends[0]), np.float32)


def outline(
    rng: np.random.Generator, kind: str, shape: tuple[int, int], centre: tuple, radius: float
) -> np.ndarray:
    """A shape of some proportions, stretched, slanted and turned, as a bool mask (H, W)."""
    rings = [_corners(rng, kind)]
    if kind == "ring":
        rings.append(rings[0] * rng.uniform(0.45, 0.68))
    stretch = np.diag([1.0, rng.uniform(0.75, 1.0)]) @ [[1.0, rng.uniform(-0.15, 0.15)], [0, 1.0]]
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    large = np.zeros((shape[0] * FINE, shape[1] * FINE), np.uint8)
    moved = [(ring @ stretch @ turn * radius + centre) * FINE for ring in rings]
    cv2.fillPoly(large, [np.rint(ring).astype(np.int32) for ring in moved], 255)
    return cv2.resize(large, shape[::-1], interpolation=cv2.INTER_AREA) > 127


def paint(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, color: str) -> None:
    """Fill a mask with a colour that is a little off, shaded from one side, and maybe rimmed."""
    y, x = np.nonzero(mask)
    angle = rng.uniform(0, 2 * np.pi)
    side = x * np.cos(angle) + y * np.sin(angle)
    shade = (side - side.mean()) / max(float(np.ptp(side)), 1) * rng.uniform(0, 50)
    image[y, x] = np.array(COLORS[color]) + rng.normal(0, 10, 3) + shade[:, None]
    if rng.random() < 0.3:
        inner = cv2.erode(mask.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
        image[mask & ~inner] *= rng.uniform(0.6, 0.9)


def _corners(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Corners (K, 2) of a shape within the unit circle."""
    if kind == "cross":
        a = rng.uniform(0.22, 0.4)
        arm = [(a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1)]
        return np.array([*arm, *((-x, -y) for x, y in arm)]) / np.hypot(1, a)
    count = {"square": 4, "triangle": 3, "star": 10}.get(kind, 72)
    steps = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radii = np.ones(count)
    if kind == "star":
        radii[1::2] = rng.uniform(0.36, 0.5)
    return radii[:, None] * np.stack([np.cos(steps), np.sin(steps)], 1)
