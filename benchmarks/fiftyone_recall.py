"""Recall by ``evaluate_proposals`` and by FiftyOne's ``evaluate_detections``, of the same samples.

And what ``evaluate_detections`` takes with a method that does nothing: to load and save samples.

    python -m benchmarks.fiftyone_recall [--samples 200] [--proposals 100] [--truths 20]

Random boxes with random masks; a database of its own is made, and deleted.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before FiftyOne is imported.
os.environ["FIFTYONE_DATABASE_DIR"] = tempfile.mkdtemp()
os.environ |= {"FIFTYONE_DO_NOT_TRACK": "true", "FIFTYONE_SHOW_PROGRESS_BARS": "false"}

import click
import fiftyone as fo
import numpy as np
from fiftyone.core import service
from fiftyone.utils.eval.detection import DetectionEvaluation, DetectionEvaluationConfig
from PIL import Image

from fiftyone_plugin import recall

# It would join any database that another FiftyOne of this person's runs.
service.MultiClientService.start = service.Service.start

SIZE, SIDE = 400, 40


class NothingConfig(DetectionEvaluationConfig):
    """Of a method that finds no matches."""

    def __init__(self, pred_field: str, gt_field: str, **kwargs: Any) -> None:
        super().__init__(pred_field, gt_field, iou=kwargs["iou"], classwise=kwargs["classwise"])

    @property
    def method(self) -> str:
        """Its name."""
        return "nothing"


class Nothing(DetectionEvaluation):
    """What it does to every sample."""

    def evaluate(self, doc: fo.Sample, eval_key: str | None = None) -> list[Any]:
        """Leave it."""
        return []


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
    """Print the seconds of each, and those of this process; figures have to be the same."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = made(Path(folder) / "black.png", samples, proposals, truths)

        def evaluated(method: type[DetectionEvaluationConfig]) -> Any:
            return dataset.evaluate_detections(
                "found", gt_field="truth", eval_key="run", method=method, progress=False
            )

        def operated() -> Any:
            list(recall.run(dataset, "found", "truth", "run"))
            return dataset.load_evaluation_results("run")

        ways: dict[str, Callable[[], Any]] = {
            "evaluate_proposals": operated,
            "evaluate_detections": lambda: evaluated(recall.ProposalRecallConfig),
            "  that does nothing": lambda: evaluated(NothingConfig),
        }
        summaries = []
        for name, way in ways.items():
            start, own = time.perf_counter(), time.process_time()
            results = way()
            wall, own = time.perf_counter() - start, time.process_time() - own
            print(f"{name}  {wall:.1f} s, {own:.1f} s of this process")
            summaries.append(getattr(results, "summary", None))
            dataset.delete_evaluation("run")  # so that the next has no more to load than this one
        assert summaries[0] == summaries[1]
        dataset.delete()


if __name__ == "__main__":
    main()
