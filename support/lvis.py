"""A small set of LVIS's form from COCO instances of any categories.

python -m support.lvis SOURCE FOLDER
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import click


def as_lvis(truth: dict[str, Any], rare: int = 1, common: int = 3) -> dict[str, Any]:
    """The same images and masks; categories of images' n-th objects, told by how many have them.

    LVIS calls a category rare that up to 10 images have, common up to 100; here it is ``rare`` and
    ``common``. Object n of the i-th image gets category n modulo i, so that the first categories
    are in all images and the last one in one.
    """
    places = {image["id"]: i for i, image in enumerate(truth["images"], 1)}
    seen: dict[Any, int] = defaultdict(int)
    having: dict[int, set[Any]] = defaultdict(set)
    annotations = []
    for annotation in truth["annotations"]:
        if annotation.get("iscrowd"):
            continue
        image = annotation["image_id"]
        category = 1 + seen[image] % places[image]
        seen[image] += 1
        having[category].add(image)
        kept = {k: annotation[k] for k in ("id", "image_id", "bbox", "area", "segmentation")}
        annotations.append(kept | {"category_id": category})
    images = [
        {"id": i["id"], "height": i["height"], "width": i["width"],
         "coco_url": f"http://images.example/val2017/{i['file_name']}",
         "neg_category_ids": [], "not_exhaustive_category_ids": []}
        for i in truth["images"]
    ]  # fmt: skip
    categories = [
        {"id": c, "name": f"kind {c}", "image_count": len(of),
         "frequency": "r" if len(of) <= rare else "c" if len(of) <= common else "f"}
        for c, of in sorted(having.items())
    ]  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": categories}


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def main(source: Path, folder: Path) -> None:
    """Make FOLDER, with lvis.json and images/, of SOURCE, with instances.json and images/."""
    if not ((source / "instances.json").is_file() and (source / "images").is_dir()):
        raise click.UsageError(f"{source} needs instances.json and images/")
    if folder.exists():
        raise click.UsageError(f"{folder} is there already: name a new folder")
    made = as_lvis(json.loads((source / "instances.json").read_text()))
    shutil.copytree(source / "images", folder / "images")
    (folder / "lvis.json").write_text(json.dumps(made))


if __name__ == "__main__":
    main()
