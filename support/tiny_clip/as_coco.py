"""Drawn scenes as a folder for ``fastsam paper --figure 6``; categories are named `red ring`.

python -m support.tiny_clip.as_coco FOLDER
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click
from PIL import Image

from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from support.tiny_clip.crowds import crowd
from support.tiny_clip.scenes import Scene


def write(folder: Path, scenes: Iterable[Scene]) -> None:
    """Write ``images/`` and ``instances.json``."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    numbers: dict[str, int] = {}
    for k, s in enumerate(scenes):
        Image.fromarray(s.image).save(folder / "images" / f"{k}.png")
        height, width = s.image.shape[:2]
        images.append({"id": k, "file_name": f"{k}.png", "height": height, "width": width})
        for mask, words in zip(s.masks, s.names, strict=True):
            runs = R.from_bitmap(mask)
            x0, y0, x1, y1 = (int(v) for v in R.bounds(runs, height))
            (text,) = rle.encode([runs], (height, width))
            kind = numbers.setdefault(" ".join(words), len(numbers) + 1)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": k, "category_id": kind,
                 "segmentation": text, "area": R.area(runs),
                 "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0}
            )  # fmt: skip
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(truth))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Draw 30 scenes into FOLDER, with instances.json and images/."""
    if folder.exists():
        raise click.UsageError(f"{folder} is there already: name a new folder")
    write(folder, [crowd(97, k) for k in range(30)])


if __name__ == "__main__":
    main()
