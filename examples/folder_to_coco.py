"""All images of a folder into one COCO file: python folder_to_coco.py [FOLDER]."""

import sys
from collections.abc import Iterator
from pathlib import Path

from fastsam_plugins import FastSAM, ImageError, read_image
from fastsam_plugins.io import ImageResult, write_results
from fastsam_plugins.paths import SAMPLES

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".tif"))
model = FastSAM("FastSAM-n")


def results() -> Iterator[ImageResult]:
    """One image after the other: only one is held. What cannot be read costs itself only."""
    for path in paths:
        try:
            seg = model.segment(read_image(path), conf=0.25)
        except ImageError as error:
            print(f"Left out: {error}")
            continue
        print(f"{path.name}: {len(seg)} instances")
        yield ImageResult(path, None, seg)


write_results(results(), "instances.json")
