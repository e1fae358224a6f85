"""Recall by ``evaluate_proposals`` and by FiftyOne's ``evaluate_detections``, of the same samples.

    python -m benchmarks.fiftyone_recall [--samples 200] [--proposals 100] [--truths 20]

Random boxes with random masks; a database of its own is made, and deleted.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

# Before FiftyOne is imported.
os.environ["FIFTYONE_DATABASE_DIR"] = tempfile.mkdtemp()
os.environ |= {"FIFTYONE_DO_NOT_TRACK": "true", "FIFTYONE_SHOW_PROGRESS_BARS": "false"}

import click
import fiftyone as fo
import numpy as np
from PIL import Image

from fiftyone_plugin import recall

SIZE, SIDE = 400, 40


def made(file: Path, samples: int, proposals: int, truths: int) -> fo.Dataset:
    """A dataset of one image, many times, with objects."""
    rng = np.random.default_rng(0)
    Image.fromarray(np.zeros((SIZE, SIZE, 3), np.uint8)).save(file)

    def objects(count: int) -> fo.Detections:
        return fo.Detections(
            detections=[
                fo.Detection(
                    label="object",
                    confidence=float(rng.random()),
                    mask=rng.random((SIDE, SIDE)) > 0.3,
                    bounding_box=[*(0.8 * rng.random(2)).tolist(), SIDE / SIZE, SIDE / SIZE],
                )
                for _ in range(count)
            ]
        )

    found = fo.Dataset()
    found.add_samples(
        [
            fo.Sample(filepath=str(file), found=objects(proposals), truth=objects(truths))
            for _ in range(samples)
        ],
        progress=False,
    )
    found.compute_metadata(progress=False)
    return found


@click.command()
@click.option("--samples", default=200)
@click.option("--proposals", default=100)
@click.option("--truths", default=20)
def main(samples: int, proposals: int, truths: int) -> None:
    """Print the seconds of both, whose figures have to be the same."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = made(Path(folder) / "black.png", samples, proposals, truths)
        start = time.perf_counter()
        for _ in recall.run(dataset, "found", "truth", "ours"):
            pass
        print(f"evaluate_proposals   {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        theirs = dataset.evaluate_detections(
            "found", gt_field="truth", eval_key="theirs", method=recall.ProposalRecallConfig,
            progress=False,
        )  # fmt: skip
        print(f"evaluate_detections  {time.perf_counter() - start:.1f} s")
        assert theirs.summary == dataset.load_evaluation_results("ours").summary
        dataset.delete()


if __name__ == "__main__":
    main()
