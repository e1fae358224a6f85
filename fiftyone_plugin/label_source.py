"""A FiftyOne dataset's labels as training data: ``fastsam train fiftyone:DATASET/FIELD``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo

from fastsam_plugins.datasets.sources import Labelled
from fiftyone_plugin.labels import fields, mask, objects, shape_of, whole


def read(name: str) -> Iterator[Labelled]:
    """Every image of a dataset with the instances of a label field.

    Crowd regions and lines that enclose nothing are no instances: they are counted as dropped.

    Parameters
    ----------
    name : str
        ``DATASET/FIELD``, or ``DATASET`` if it has one field of instances.

    Raises
    ------
    ValueError
        If there is no such dataset or field; the message lists what there is.
    """
    dataset, field = _find(name)
    dataset.compute_metadata(overwrite=False, progress=False)
    for sample in dataset.select_fields(field).iter_samples():
        shape = shape_of(sample)
        if shape is None:  # FiftyOne could not read it; who needs the file finds out why
            yield Labelled(Path(sample.filepath), (0, 0))
            continue
        out = Labelled(Path(sample.filepath), shape)
        one_each, left_out = whole(objects(sample[field]))
        out.dropped += left_out
        for one in one_each:
            out.keep(mask(one, out.shape))
            if file := getattr(one, "mask_path", None):
                out.labels.append(Path(file))
        yield out


def _find(name: str) -> tuple[fo.Dataset, str]:
    if fo.dataset_exists(name):
        dataset, field = fo.load_dataset(name), ""
    else:
        start, _, field = name.rpartition("/")
        if not fo.dataset_exists(start):
            known = ", ".join(fo.list_datasets()) or "none"
            raise ValueError(f"there is no FiftyOne dataset {start or name} (there are: {known})")
        dataset = fo.load_dataset(start)
    usable = fields(dataset)
    if (field and field not in usable) or (not field and len(usable) != 1):
        known = ", ".join(usable) or "none"
        raise ValueError(
            f"name the field of instances of FiftyOne dataset {dataset.name}, "
            f"as fiftyone:{dataset.name}/FIELD (there are: {known})"
        )
    return dataset, field or usable[0]
