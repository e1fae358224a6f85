"""Samples and their labels as a view shows them: filtered, limited to some, with words mapped.

A run writes while it reads, and what it writes may move samples out of a view, or others into its
limits. So the samples are listed once, and each is then read through the stages that change
labels alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import fiftyone as fo
import fiftyone.core.stages as fos
from bson import ObjectId

from fiftyone_plugin import documents
from fiftyone_plugin.fiftyone_private import dataset_of, is_generated, is_grouped_by_view, stages

ABOUT_SAMPLES = (
    fos.Exclude, fos.ExcludeBy, fos.ExcludeFields, fos.Exists, fos.Flatten, fos.GeoNear,
    fos.GeoWithin, fos.GroupBy, fos.Limit, fos.Match, fos.MatchLabels, fos.MatchTags, fos.Select,
    fos.SelectBy, fos.SelectFields, fos.Shuffle, fos.Skip, fos.SortBy, fos.SortBySimilarity,
    fos.Take,
)  # fmt: skip
"""Stages that choose, order or gather samples, and leave the labels of each as they are."""


class ShownLabels:
    """What a view shows of the labels of its samples.

    Parameters
    ----------
    view : dataset or view
        Of image samples, see :func:`images`.
    """

    def __init__(self, view: fo.Dataset | fo.DatasetView) -> None:
        self._view, self._dataset = view, dataset_of(view)
        told = [s for s in stages(view) if not isinstance(s, ABOUT_SAMPLES)]
        self._slices = [s for s in told if isinstance(s, fos.SelectGroupSlices)]
        self._others = [s for s in told if not isinstance(s, fos.SelectGroupSlices)]
        self._is_free = any(isinstance(s, fos.Concat | fos.Mongo) for s in told)

    def sample(self, sample: str) -> Any:
        """A sample with its labels.

        Raises
        ------
        KeyError
            If it was deleted, or the view shows nothing of it any more.
        """
        if not self._others:
            return self._dataset[sample]
        if self._is_free:  # such stages may do anything
            return self._view[sample]
        view = self._dataset.view()
        for stage in self._slices:
            view = view.add_stage(stage)
        view = view.select(sample)
        for stage in self._others:
            view = view.add_stage(stage)
        return view[sample]


def having(view: Any, only: Collection[str], fields: list[str]) -> Any:
    """The samples that have some labels, by id.

    Raises
    ------
    ValueError
        If an id is none, or no label of the fields has it.
    """
    wrong = next((i for i in only if not isinstance(i, str) or not ObjectId.is_valid(i)), None)
    if wrong is not None:
        raise ValueError(f"only must hold ids of labels, got {wrong!r}")
    chosen = view.match_labels(ids=list(only), fields=fields or None)
    if not documents.count(chosen):
        where = " or ".join(fields) or "these samples"
        raise ValueError(f"no label of {where} has an id that only names")
    return chosen


def images(view: fo.Dataset | fo.DatasetView) -> fo.Dataset | fo.DatasetView:
    """The image samples of a dataset or view; of groups made by a view, all of each.

    Raises
    ------
    ValueError
        If it has none.
    """
    if not isinstance(view, fo.Dataset | fo.DatasetView):
        raise ValueError(f"this works on a dataset or view, not on {type(view).__name__}")
    if is_generated(view):
        raise ValueError("this is a view of patches, frames or clips: take one of samples")
    if is_grouped_by_view(view):
        view = view.flatten()
    if view.media_type == "group":
        view = view.select_group_slices(media_type="image")
    elif view.media_type not in ("image", None):
        raise ValueError(f"this segments images, and these samples are of type {view.media_type}")
    if not documents.count(view):
        raise ValueError("there are no samples to work on")
    return view
