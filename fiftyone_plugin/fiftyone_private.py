"""Every private name of FiftyOne that is used, each once, and why no public one does.

A new version of FiftyOne may change them unannounced: what breaks then is here. What FiftyOne calls
by a private name of ours (``_from_dict`` in :mod:`fiftyone_plugin.recall`) stays where it belongs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import fiftyone as fo
from bson import ObjectId
from fiftyone.core import service
from pymongo.collection import Collection

Samples: TypeAlias = "fo.Dataset | fo.DatasetView"


def dataset_of(samples: Samples) -> fo.Dataset:
    """The dataset that holds the samples of a view, or the dataset itself."""
    # `load_dataset(view.dataset_name)` writes into the database when it was loaded, and gives
    # another object where FiftyOne keeps no singletons; of patches, frames and clips, which have a
    # dataset of their own, it gives the one they were made of.
    return samples._dataset


def is_generated(samples: Samples) -> bool:
    """Whether they are patches, frames or clips: samples that FiftyOne made and will delete."""
    # Their views have public classes, but the datasets that hold them are like any other.
    return bool(samples._is_generated)


def is_grouped_by_view(samples: Samples) -> bool:
    """Whether a view made groups of samples, which have no slices then."""
    # Its media type is that of groups with slices.
    return bool(samples._is_dynamic_groups)


def stages(samples: Samples) -> list[Any]:
    """What a view does, step by step; nothing for a dataset."""
    # There is no public name.
    return list(samples._stages) if isinstance(samples, fo.DatasetView) else []


def id_of(dataset: fo.Dataset) -> ObjectId:
    """What a dataset keeps while its name changes."""
    # There is no public name.
    return dataset._doc.id


def collection(dataset: fo.Dataset) -> Collection[Any]:
    """A dataset's samples as MongoDB has them."""
    # Public names go through an object per label, which takes longer than the network.
    return dataset._sample_collection


def raw_values(samples: Samples, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Fields' values of every sample, as the database holds them."""
    # Without it, `values` makes an object of every label.
    return zip(*samples.values(list(names), _raw=True), strict=True)


def reload(dataset: fo.Dataset, samples: Sequence[str]) -> None:
    """Have samples that the program holds in memory show what was changed."""
    # `dataset.reload()` takes back what a person changed in others and did not save yet.
    fo.Sample._reload_docs(collection(dataset).name, sample_ids=list(samples))


def port_wait() -> Callable[..., int]:
    """How FiftyOne waits for a port of a process that it started."""
    # There is no public setting: it gives up after a minute.
    return service.Service._wait_for_child_port


def use_port_wait(wait: Callable[..., int]) -> None:
    """Have FiftyOne wait otherwise."""
    service.Service._wait_for_child_port = wait
