"""An index of labels by which FiftyOne sorts them by similarity, in the App and from Python.

FiftyOne's own ``compute_similarity`` has it, with our vectors in place of a model's: of the exact
mask of each label, not of its box cut out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import FastSAM
from fastsam_plugins.options import LimitOptions, ReadOptions, SegmentOptions
from fiftyone_plugin import documents
from fiftyone_plugin.fiftyone_private import dataset_of
from fiftyone_plugin.parameters import IndexOptions
from fiftyone_plugin.sample_segmenter import SampleSegmenter, given_names
from fiftyone_plugin.save_job import GONE, Report
from fiftyone_plugin.similar_labels import Vectors, ask_kept, check_field
from fiftyone_plugin.views import ShownLabels, having, images


def build(
    view: fo.Dataset | fo.DatasetView,
    options: IndexOptions,
    model: FastSAM | str | None = None,
    reading: ReadOptions | None = None,
    limits: LimitOptions | None = None,
    only: Collection[str] | None = None,
    asked: Collection[str] | None = None,
) -> Iterator[Report]:
    """Make an index of the labels that a view shows, wholly or not at all.

    Parameters
    ----------
    view : dataset or view
    options : IndexOptions
    model : FastSAM or str, optional
        Instead of that of the options: a loaded network.
    reading, limits : options
    only : collection of str, optional
        Ids of labels: no others are in the index.
    asked : collection of str, optional
        Names of the settings that what was kept has to fit; by default all.

    Returns
    -------
    iterator of Report
        The same one, before the first sample and after each. The work is done as it is iterated.

    Raises
    ------
    ValueError
        At once, if there is no such field, or an index of this name that is not to be replaced.
    """
    view = images(view)
    dataset = dataset_of(view)
    check_field(dataset, options.labels)
    there = dataset.has_brain_run(options.brain_key)
    if there and not options.overwrite:
        raise ValueError(
            f"there is a run {options.brain_key} already: name another, or overwrite it"
        )
    if there and dataset.get_brain_info(options.brain_key).config.type != "similarity":
        raise ValueError(f"{options.brain_key} is no index of similarity: name another")
    view = view.exists(options.labels) if only is None else having(view, only, [options.labels])
    segmenter = SampleSegmenter(
        model or options.model, SegmentOptions(imgsz=options.imgsz), reading, None, limits,
        options.batch,
    )  # fmt: skip
    looks = {"model", "imgsz", *given_names(reading or ReadOptions())}
    if asked is None:
        asked = {"imgsz"} if options.imgsz else given_names(reading)
    settings = segmenter.settings
    kept = ask_kept(view, options.proposals, {n: settings[n] for n in looks & set(asked)})
    shown = ShownLabels(view)

    def work() -> Iterator[Report]:
        report = Report(total=documents.count(view))
        yield report
        items = list(zip(*view.values(["id", "filepath"]), strict=True))
        vectors: list[NDArray[np.float32]] = []
        ids: list[tuple[str, str]] = []
        for result in segmenter.segment_rest(items, kept, report, True):
            report.check_stop()
            report.done += 1
            error = result.error
            if result.seg is not None:
                try:
                    label = shown.sample(result.sample)[options.labels]
                except KeyError:  # FiftyOne's word for a sample that it does not find
                    error = GONE
                else:
                    found = Vectors(label, result.seg, only)
                    report.left_out += found.left_out
                    vectors.append(found.vectors)
                    ids += [(result.sample, i) for i in found.ids]
            if error:
                report.fail(result.file, result.sample, error)
            yield report
        if not ids:
            reasons = "; ".join([*report.failed.values(), *report.left_out][:1])
            raise ValueError(
                f"{options.labels} has no label to compare{reasons and ': ' + reasons}"
            )
        save(dataset, options, np.concatenate(vectors), ids)
        report.instances, report.figures = len(ids), f"in the index {options.brain_key}"
        yield report

    return work()


def save(
    dataset: fo.Dataset,
    options: IndexOptions,
    vectors: NDArray[np.float32],
    ids: list[tuple[str, str]],
) -> None:
    """Hand vectors of labels, and ids of their samples and of themselves, to FiftyOne."""
    import fiftyone.brain as fob

    if dataset.has_brain_run(options.brain_key):
        dataset.delete_brain_run(options.brain_key)
    # With its own metric FiftyOne takes the mean of all vectors off first, so that the order hangs
    # on what else is there. Distances of vectors of length one are in the order of their cosines.
    index: Any = fob.compute_similarity(
        dataset, patches_field=options.labels, embeddings=False, brain_key=options.brain_key,
        backend="sklearn", metric="euclidean",
    )  # fmt: skip
    index.add_to_index(vectors, [s for s, _ in ids], label_ids=[i for _, i in ids])
    index.save()
