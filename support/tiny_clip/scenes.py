"""Coloured shapes over textured backgrounds, with exact masks and words, from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

COLORS = {
    "red": (215, 35, 35),
    "orange": (240, 140, 20),
    "yellow": (240, 225, 45),
    "green": (40, 160, 55),
    "blue": (40, 75, 220),
    "purple": (140, 50, 170),
    "white": (242, 242, 242),
    "black": (16, 16, 16),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")


@dataclass(frozen=True)
class Scene:
    """An image and what is in it.

    Attributes
    ----------
    image : uint8 array (H, W, 3)
    masks : bool array (N, H, W)
    names : list of (color, shape)
        No two objects of a scene have the same.
    """

    image: np.ndarray
    masks: np.ndarray
    names: list[tuple[str, str]]

    @property
    def captions(self) -> list[str]:
        """Words that mean one object each."""
        return [say("a {}", f"{color} {shape}") for color, shape in self.names]


def say(template: str, thing: str) -> str:
    """Put a thing into a sentence, with "an" where it is said."""
    return template.format(thing).replace("a orange", "an orange")


def scene(seed: int, index: int, shape: tuple[int, int] = (256, 256)) -> Scene:
    """Draw scene ``index`` of a seed: four to eight objects that do not touch one another."""
    rng = np.random.default_rng([seed, index])
    height, width = shape
    image = texture(rng, shape).astype(np.float32)
    grain = texture(rng, shape) / 255.0 - 0.5
    taken = np.zeros(shape, np.bool_)
    masks: list[np.ndarray] = []
    names: list[tuple[str, str]] = []
    count = int(rng.integers(4, 9))
    while len(masks) < count:
        name = (str(rng.choice(list(COLORS))), str(rng.choice(SHAPES)))
        radius = rng.uniform(0.075, 0.14) * min(shape)
        x, y = rng.uniform(radius + 2, (width - radius - 2, height - radius - 2))
        mask = draw(name[1], shape, (x, y), radius, rng.uniform(0, 2 * np.pi))
        if name in names or taken[mask].any():
            continue
        taken |= cv2.dilate(mask.view(np.uint8), np.ones((7, 7), np.uint8)) > 0
        paint = np.array(COLORS[name[0]]) + rng.normal(0, 7, 3)
        image[mask] = paint + 30 * grain[mask]
        masks.append(mask)
        names.append(name)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.7))
    image += rng.normal(0, rng.uniform(1, 5), image.shape).astype(np.float32)
    return Scene(np.clip(image, 0, 255).astype(np.uint8), np.array(masks), names)


def texture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Noise of several scales between two dull colours, (H, W, 3)."""
    field = np.zeros(shape, np.float32)
    for octave in range(1, 7):
        cells = int(rng.integers(2, 4)) * 2**octave
        coarse = rng.normal(size=(cells, cells)).astype(np.float32) * rng.uniform(0.3, 1) / octave
        field += cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR)
    field = (field - field.min()) / np.ptp(field)
    gray = rng.uniform(40, 215, 2)
    ends = (gray[:, None] + rng.normal(0, 22, (2, 3))).astype(np.float32)
    mixed = ends[0] + field[..., None] * (ends[1] - ends[0])
    return np.clip(mixed, 0, 255).astype(np.uint8)


def draw(
    kind: str, shape: tuple[int, int], centre: tuple[float, float], radius: float, angle: float
) -> np.ndarray:
    """A shape as a bool mask (H, W)."""
    mask = np.zeros(shape, np.uint8)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = tuple(round(v) for v in centre)
    if kind in ("circle", "ring"):
        cv2.circle(mask, middle, round(radius), 1, -1)
        if kind == "ring":
            cv2.circle(mask, middle, round(0.55 * radius), 0, -1)
        return mask > 0
    corners = np.array(_outline(kind)) * radius @ turn + centre
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 1)
    return mask > 0


def _outline(kind: str) -> list[tuple[float, float]]:
    """Corners of a shape within the unit circle."""
    if kind == "cross":
        a = 0.33
        arm = [(a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1)]
        return [*arm, *((-x, -y) for x, y in arm)]
    count = {"square": 4, "triangle": 3, "star": 10}[kind]
    steps = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radii = np.where(np.arange(count) % 2, 0.42, 1.0) if kind == "star" else np.ones(count)
    return [(float(r * np.cos(t)), float(r * np.sin(t))) for r, t in zip(radii, steps, strict=True)]
