"""Make the pictures of the documentation: ``python docs/make_pictures.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fastsam_plugins import FastSAM, Segmentation, read_image
from fastsam_plugins.cli.demo import CONF, DEMO
from fastsam_plugins.datasets.synthetic import KINDS, scene
from fastsam_plugins.io.overlay import overlay
from fastsam_plugins.paths import SAMPLES
from fastsam_plugins.tiling import windows

HEIGHT = 260
CLICKED = 190  # pixels a row of clicks is high
DOCS = Path(__file__).parent


CLICKS = (  # (x, y, label)
    ("coffee.jpg", [(280, 60, 1), (280, 240, 1), (270, 150, 1), (330, 300, 0), (190, 160, 1)]),
    ("ihc.jpg", [(230, 80, 1), (120, 140, 1), (50, 60, 1), (350, 30, 0), (200, 230, 1)]),
)


def clicks() -> None:
    """What is predicted after each of five clicks."""
    model = FastSAM("FastSAM-n", device="cpu")
    rows = []
    for name, asked in CLICKS:
        image = read_image(SAMPLES / name)
        seg, pictures = model.segment(image), []
        width = round(image.shape[1] * CLICKED / image.shape[0])
        for k in range(1, len(asked) + 1):
            points, labels = [c[:2] for c in asked[:k]], [c[2] for c in asked[:k]]
            answer = seg.predict(points, labels, multimask=False)
            shown = Image.fromarray(overlay(image, answer, points=asked[:k]))
            pictures.append(np.asarray(shown.resize((width, CLICKED))))
        rows.append(np.hstack(pictures))
    total = max(r.shape[1] for r in rows)
    sheet = [np.pad(r, ((0, 6), (0, total - r.shape[1]), (0, 0)), constant_values=255)
             for r in rows]  # fmt: skip
    Image.fromarray(np.vstack(sheet)).save(DOCS / "clicks.jpg", quality=80)


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


def large() -> None:
    """What each window sees of coins, and what comes out."""
    coins = read_image(DEMO[0].path)
    image = np.asarray(Image.fromarray(coins).resize((3 * coins.shape[1], 3 * coins.shape[0])))
    model = FastSAM("FastSAM-n", device="cpu")
    places = windows(image.shape[:2], model.imgsz, 0.25)
    strips, gap = [], 20
    for top in sorted({y0 for _, y0, _, _ in places}):
        row = []
        for x0, y0, x1, y1 in places:
            if y0 == top:
                seen = image[y0:y1, x0:x1]
                drawn = overlay(seen, model.segment(seen, conf=CONF))
                row.append(np.pad(drawn, ((0, gap), (0, gap), (0, 0)), constant_values=255))
        strips.append(np.hstack(row))
    sheet = np.vstack(strips)
    whole = overlay(image, model.segment_tiled(image, conf=CONF))
    pictures = []
    for picture in (sheet, whole):
        width = round(picture.shape[1] * 2 * HEIGHT / picture.shape[0])
        pictures.append(np.asarray(Image.fromarray(picture).resize((width, 2 * HEIGHT))))
    Image.fromarray(np.hstack(pictures)).save(DOCS / "large.jpg", quality=85)


if __name__ == "__main__":
    demo()
    clicks()
    synthetic()
    large()
