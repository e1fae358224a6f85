"""Which of our files the database names: in labels of any dataset and depth, and anywhere else.

A field that was cloned or renamed, a dataset that was cloned, a saved view of patches, an attribute
somebody added: all hold the name of a file as text. Names are unique, so that it is enough to look
for them, wherever they stand.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import fiftyone.core.odm as foo
from bson import ObjectId

NAME = re.compile(rb"[0-9a-f]{32}\.(?:png|npz)")
"""A file of a mask, or of what was kept, as :mod:`fiftyone_plugin.mask_files` names it."""

PIXELS = ("ArrayField", "VectorField", "PolylinePointsField", "KeypointsField")
"""Fields of numbers: they take nearly all the space, and name nothing."""


def used() -> set[str]:
    """Names of files that the database holds. It is read once, without pixels."""
    database = foo.get_db_conn()
    leave_out = _pixels(database)
    files: set[bytes] = set()
    for name in database.list_collection_names():
        if name.startswith(("fs.", "system.")):  # results of runs, in pieces: numbers and ids
            continue
        paths = leave_out.get(name)
        stages = [{"$unset": paths}] if paths else []
        for batch in database[name].aggregate_raw_batches(stages):
            files.update(NAME.findall(batch))
    return {name.decode() for name in files}


def identity() -> str:
    """What tells this database from any other."""
    return str(foo.get_db_conn().config.find_one({}, {"_id": 1})["_id"])


def datasets() -> set[str]:
    """Ids of the datasets there are, those of saved views included."""
    return {str(d["_id"]) for d in foo.get_db_conn().datasets.find({}, {"_id": 1})}


def labels(samples: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything at the top of the samples with some ids, in any dataset, without pixels."""
    database = foo.get_db_conn()
    leave_out = _pixels(database)
    wanted = {"$match": {"_id": {"$in": [ObjectId(s) for s in samples if ObjectId.is_valid(s)]}}}
    for dataset in database.datasets.find({}, {"sample_collection_name": 1}):
        name = dataset.get("sample_collection_name")
        stages = [wanted, *([{"$unset": leave_out[name]}] if name in leave_out else [])]
        for document in database[name].aggregate(stages) if name else ():
            for value in document.values():
                if isinstance(value, dict):
                    yield str(document["_id"]), value


def _pixels(database: Any) -> dict[str, list[str]]:
    """By collection: paths of the fields of numbers."""
    by_collection: dict[str, list[str]] = {}
    for dataset in database.datasets.find({}):
        for fields, collection in (
            ("sample_fields", dataset.get("sample_collection_name")),
            ("frame_fields", dataset.get("frame_collection_name")),
        ):
            paths = sorted(_paths(dataset.get(fields) or []))
            if collection and paths:
                by_collection[collection] = paths
    return by_collection


def _paths(fields: list[dict[str, Any]], start: str = "") -> Iterator[str]:
    for field in fields:
        path = start + (field.get("db_field") or field["name"])
        if str(field.get("ftype")).endswith(PIXELS):
            yield path
        else:
            yield from _paths(field.get("fields") or [], f"{path}.")
