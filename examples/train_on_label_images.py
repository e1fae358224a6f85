"""One epoch on a folder of images and label images: python train_on_label_images.py [FOLDER].

FOLDER has ``images/NAME.png`` and ``labels/NAME.png``: 0 is background, 1, 2, ... are objects.
Without one, eight small scenes are drawn. Real trainings take more: docs/training.md.
"""

import sys
from pathlib import Path

from PIL import Image

from fastsam_plugins import FastSAM, Segmentation, TrainOptions, read_image
from fastsam_plugins.datasets.synthetic import scene
from fastsam_plugins.training.train import train

SIDE = 128


def main() -> None:
    """Train, then segment the first image by the new weights."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "nuclei")
    if len(sys.argv) == 1:
        for kind in ("images", "labels"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        for k in range(8):
            drawn = scene(0, k, SIDE, "nuclei")
            labels = Segmentation.from_runs(drawn.masks, (SIDE, SIDE)).labels()
            Image.fromarray(drawn.image).save(folder / "images" / f"{k}.png")
            Image.fromarray(labels.astype("uint8")).save(folder / "labels" / f"{k}.png")
    options = TrainOptions(weights="FastSAM-n", imgsz=SIDE, epochs=1, batch=4, step=4, workers=0)
    weights = train([folder], Path("training"), options)
    image = read_image(min((folder / "images").iterdir()))
    print(weights, FastSAM(weights).segment(image))


if __name__ == "__main__":  # training may start processes that import this file again
    main()
