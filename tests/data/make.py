"""Draw these images again: ``python -m tests.data.make``; README.md says what they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

from fastsam_plugins.datasets.synthetic import Scene, scene
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.outlines import outlines

FOLDER = Path(__file__).parent / "dev"
SIDE = 192
SEED = 2023
NUCLEI = {"fluorescent_0.png": 0, "fluorescent_1.png": 1, "stained_2.jpg": 2, "stained_3.jpg": 3}
EVERYDAY = (("leaves", 0), ("leaves", 1), ("leaves", 2), ("roofs", 3))
MAPS = {"gray.tif": 4, "colour.tif": 5}  # of roofs
HALF_A_METRE = (0.5, 0, 733601, 0, -0.5, 3725139)  # per pixel, north up


def main() -> None:
    """Draw all."""
    nuclei = {name: scene(SEED, k, SIDE, "nuclei") for name, k in NUCLEI.items()}
    save("nuclei", nuclei, as_rle)
    everyday = {f"{kind}_{k}.jpg": scene(SEED, k, SIDE, kind) for kind, k in EVERYDAY}
    save("coco", everyday, as_polygons)
    maps = {name: scene(SEED, k, SIDE, "roofs") for name, k in MAPS.items()}
    save("geo", maps, as_rle)


def as_rle(mask: R.Runs) -> dict:
    """The exact mask."""
    return rle.encode([mask], (SIDE, SIDE))[0]


def as_polygons(mask: R.Runs) -> dict | list[list[float]]:
    """As people draw, to about a pixel; what has holes as RLE."""
    import shapely

    polygons = outlines(mask, (SIDE, SIDE))
    if any(len(rings) > 1 for rings in polygons):
        return as_rle(mask)
    drawn = [shapely.simplify(shapely.Polygon(rings[0]), 0.6) for rings in polygons]
    return [np.round(shapely.get_coordinates(p)[:-1], 2).ravel().tolist() for p in drawn]


def save(name: str, scenes: dict[str, Scene], segmentation: Callable) -> None:
    """A folder of images and the COCO file of what is on them."""
    folder = FOLDER / name
    pictures = folder if name == "geo" else folder / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for number, (file, drawn) in enumerate(scenes.items(), 1):
        write(pictures / file, drawn.image)
        images.append({"id": number, "file_name": file, "width": SIDE, "height": SIDE})
        for mask in drawn.masks:
            x0, y0, x1, y1 = map(int, R.bounds(mask, SIDE))
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                 "area": int(R.area(mask)), "bbox": [x0, y0, x1 - x0, y1 - y0],
                 "segmentation": segmentation(mask)}
            )  # fmt: skip
        print(name, file, len(drawn.masks))
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "object"}],
    }
    text = json.dumps(content, separators=(",", ":")).replace('{"id"', '\n{"id"')
    (folder / "instances.json").write_text(text + "\n")


def write(path: Path, pixels: np.ndarray) -> None:
    """In the format of its name, gray where that says so."""
    if path.stem.startswith(("gray", "fluorescent")):
        pixels = pixels.mean(-1).astype(np.uint8)
    if path.suffix != ".tif":
        Image.fromarray(pixels).save(path, quality=85, optimize=True)
        return
    bands = np.atleast_3d(pixels).transpose(2, 0, 1)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(bands), height=SIDE, width=SIDE, dtype="uint8",
        crs="EPSG:32616", transform=rasterio.Affine(*HALF_A_METRE), compress="deflate",
        predictor=2, photometric="minisblack" if len(bands) == 1 else "rgb",
    ) as file:  # fmt: skip
        file.write(bands)


if __name__ == "__main__":
    main()
