"""Proposals for a FiftyOne dataset with ground truth, and how much of that they find.

The images are drawn; with a dataset of yours: ``dataset = fo.load_dataset(NAME)``.
"""

from pathlib import Path

import fiftyone as fo
from PIL import Image

from fastsam_plugins import Segmentation, SegmentOptions
from fastsam_plugins.datasets.synthetic import KINDS, scene
from fiftyone_plugin import segment_job
from fiftyone_plugin.labels import detections
from fiftyone_plugin.recall import run

SIDE = 256
dataset = fo.Dataset()  # kept only with dataset.persistent = True
for kind in KINDS:
    drawn = scene(0, 1, SIDE, kind)
    path = Path(f"{kind}.png").absolute()
    Image.fromarray(drawn.image).save(path)
    truth = detections(Segmentation.from_runs(drawn.masks, (SIDE, SIDE)))
    dataset.add_sample(fo.Sample(filepath=str(path), ground_truth=truth))

for report in segment_job.everything(
    dataset, "proposals", "FastSAM-n", SegmentOptions(conf=0.001, max_det=1000, imgsz=SIDE)
):
    print(f"{report.done} of {report.total} images")
list(run(dataset, "proposals", "ground_truth", "recall"))
summary = dataset.load_evaluation_results("recall").summary
print(f"mask AR@1000: {summary['mask AR@1000']:.2f}")
# fo.launch_app(dataset).wait() shows them, and which objects were missed
