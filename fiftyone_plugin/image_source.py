"""Images of a FiftyOne dataset: ``fastsam batch fiftyone:DATASET``, or ``...DATASET/VIEW``."""

from __future__ import annotations

from collections.abc import Iterator

import fiftyone as fo

from fiftyone_plugin.views import images


def read(name: str) -> Iterator[str]:
    """The files of the image samples of a dataset, or of a view that was saved with it, in order.

    Parameters
    ----------
    name : str
        ``DATASET``, or ``DATASET/VIEW``.

    Raises
    ------
    ValueError
        If there is no such dataset or view; the message lists what there is.
    """
    yield from images(_find(name)).values("filepath")


def _find(name: str) -> fo.Dataset | fo.DatasetView:
    if fo.dataset_exists(name):
        return fo.load_dataset(name)
    start, _, view = name.rpartition("/")
    if not fo.dataset_exists(start):
        known = ", ".join(fo.list_datasets()) or "none"
        raise ValueError(f"there is no FiftyOne dataset {start or name} (there are: {known})")
    dataset = fo.load_dataset(start)
    if not dataset.has_saved_view(view):
        known = ", ".join(dataset.list_saved_views()) or "none"
        raise ValueError(f"FiftyOne dataset {start} has no saved view {view} (there are: {known})")
    return dataset.load_saved_view(view)
