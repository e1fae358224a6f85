"""Segment everything on a Ray cluster: the same labels, by way of ``fastsam batch``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo

from fastsam_plugins.options import BatchOptions, ClusterOptions
from fastsam_plugins.scale import jobs
from fastsam_plugins.scale.cluster import Cluster
from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.results import Results
from fastsam_plugins.scale.settings import Settings
from fiftyone_plugin import batch_load
from fiftyone_plugin.parameters import Existing, HandOverOptions
from fiftyone_plugin.sample_segmenter import SampleSegmenter
from fiftyone_plugin.save_job import Job, Report
from fiftyone_plugin.storage import StoreOptions

SHARDS = BatchOptions(shard=64)  # small ones: the App shows how far it is when one is done


def everything(
    view: fo.Dataset | fo.DatasetView,
    settings: Settings,
    handing: HandOverOptions,
    storing: StoreOptions,
    field: str,
    existing: Existing = "refuse",
    batch: int = 8,
) -> Iterator[Report]:
    """What :func:`fiftyone_plugin.segment_job.everything` does, on a cluster.

    Images go out in shards, and labels are saved when all are done. A run that is stopped or ended
    has lost nothing: with the same results it goes on.

    Raises
    ------
    ValueError, RuntimeError
        Also if there is no such cluster, or other options made the results.
    """
    SampleSegmenter(settings.running.model)  # weights that there are not are refused at once
    for_labels = storing.replace(keep=False, iou_pred=False)
    job = Job(view, field, for_labels, existing, batch)
    return _done(job, settings, handing)


def _done(job: Job, settings: Settings, handing: HandOverOptions) -> Iterator[Report]:
    report = job.report
    yield report
    results = Results(_place(handing.results))
    with results.alone():
        cluster = Cluster(ClusterOptions(handing.cluster), results, settings, SHARDS.readers)
        try:
            items = (Item(batch_load.image(file)) for _, file in job.items)
            missing = jobs.begin(results, settings, False, items, SHARDS.shard, cluster.start,
                                 lambda _: None)  # fmt: skip
            cluster.fix(jobs.known(results).running)
            report.seen = max(report.total - results.size(missing), 0)
            for _, counts in cluster.run(missing, lambda *_: None):
                report.seen += counts.images
                yield report
                if report.stop:  # what is done is there for the next run
                    report.seen, report.stopped = 0, True
                    return
        finally:
            cluster.close()
    report.seen = 0
    yield from job.save(batch_load.found(job, results))


def _place(results: Any) -> str:
    return str(Path(results).expanduser()) if results.startswith("~") else str(results)
