"""Make the pictures of the documentation: ``python docs/make_pictures.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fastsam_plugins import FastSAM, Segmentation, read_image
from fastsam_plugins.demo import CONF, DEMO
from fastsam_plugins.draw import overlay
from fastsam_plugins.training.synthetic import KINDS, scene

HEIGHT = 260
DOCS = Path(__file__).parent


def demo() -> None:
    """Each sample segmented, prompted by a point, and prompted by a box."""
    model = FastSAM("FastSAM-n", device="cpu")
    rows = []
    for sample in DEMO:
        image = read_image(sample.path)
        seg = model.segment(image, conf=CONF)
        by_point = seg.select(points=[sample.point], points_mode="best")
        by_box = seg.select(boxes=[sample.box])
        pictures = (
            overlay(image, seg),
            overlay(image, by_point, points=[(*sample.point, 1)]),
            overlay(image, by_box, boxes=[sample.box]),
        )
        width = round(image.shape[1] * HEIGHT / image.shape[0])
        rows.append(np.hstack([Image.fromarray(p).resize((width, HEIGHT)) for p in pictures]))
    total = max(r.shape[1] for r in rows)
    white = {"constant_values": 255}
    sheet = [np.pad(r, ((0, 6), (0, total - r.shape[1]), (0, 0)), **white) for r in rows]
    Image.fromarray(np.vstack(sheet)).save(DOCS / "demo.png", optimize=True)


def synthetic() -> None:
    """Scenes of each kind, with their masks."""
    crops = [read_image(sample.path) for sample in DEMO]
    rows = []
    for kind in KINDS:
        row = []
        for index in range(3):
            drawn = scene(0, index, HEIGHT, kind, crops)
            seg = Segmentation.from_runs(drawn.masks, drawn.image.shape[:2])
            row += [drawn.image, overlay(drawn.image, seg)]
        rows.append(np.hstack(row))
    Image.fromarray(np.vstack(rows)).save(DOCS / "synthetic.jpg", quality=85)


if __name__ == "__main__":
    demo()
    synthetic()
