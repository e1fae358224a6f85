"""Labels as the dictionaries that the database holds, read and written past mongoengine.

FiftyOne's own objects are made, checked and looked through for changes one by one: with hundreds
of instances per image that takes longer than the network. What is written here, FiftyOne reads as
its own, and the other way round.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import fiftyone as fo
from bson import ObjectId
from pymongo import UpdateOne

from fastsam_plugins.masks.polygons import keyhole_polygon
from fiftyone_plugin.labels import Instance

Document = dict[str, Any]

SAMPLES = 32  # read together: bounds the memory that their masks take


@functools.cache
def _blank(kind: Any) -> Document:
    """A label of some kind with nothing in it, as FiftyOne writes it."""
    return {k: v for k, v in kind().to_mongo().to_dict().items() if k != "_id"}


def detection(found: Instance, mask: bytes | str) -> Document:
    """An instance as a Detection, with its mask (see :mod:`packing`) or a file of it."""
    own = {
        "bounding_box": found.bounding_box,
        "mask" if isinstance(mask, bytes) else "mask_path": mask,
    }
    return {**_blank(fo.Detection), "_id": ObjectId(), **found.attributes, **own}


def polyline(found: Instance) -> Document:
    """An instance as a filled outline; parts and holes are joined to it by bridges."""
    height, width = found.shape
    # FiftyOne rounds to whole pixels when it fills them: halves would go either way.
    outline = (keyhole_polygon(found.runs, found.shape) - 0.25) / (width, height)
    drawn = {"points": [outline.tolist()], "closed": True, "filled": True}
    return {**_blank(fo.Polyline), "_id": ObjectId(), **found.attributes, **drawn}


def label(kind: Any, objects: Sequence[Document]) -> Document:
    """Detections or Polylines of objects."""
    return {**_blank(kind), kind._LABEL_LIST_FIELD: list(objects)}


def objects(label: Document | None) -> list[Document]:
    """The objects of Detections or Polylines, or of one Detection or Polyline."""
    if label is None:
        return []
    for name in ("detections", "polylines"):
        if name in label:
            return list(label[name])
    return [label]


def read(view: fo.Dataset | fo.DatasetView, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Id and some fields' values of every sample, a few samples at a time."""
    ids = view.values("id")
    for start in range(0, len(ids), SAMPLES):
        chunk = view.select(ids[start : start + SAMPLES], ordered=True)
        yield from zip(*chunk.values(["id", *names], _raw=True), strict=True)


@dataclass
class Change:
    """New values of one sample.

    Attributes
    ----------
    fields : dict
        Value by field of the sample.
    objects : dict
        By path of a list of objects: values by attribute, by the object's id.
    """

    fields: Document = field(default_factory=dict)
    objects: dict[str, dict[str, Document]] = field(default_factory=dict)

    def pipeline(self) -> list[Document]:
        """The change as MongoDB does it, which finds objects by their ids, wherever they are."""
        now = datetime.now(UTC).replace(tzinfo=None)
        new: Document = {k: {"$literal": v} for k, v in self.fields.items()}
        for path, changes in self.objects.items():
            if not changes:
                continue
            ids = {"$literal": [ObjectId(key) for key in changes]}
            place = {"k": {"$indexOfArray": [ids, "$$object._id"]}}
            known = {"$arrayElemAt": [{"$literal": list(changes.values())}, "$$k"]}
            mine = {"$let": {"vars": place, "in": {"$cond": [{"$gte": ["$$k", 0]}, known, {}]}}}
            merged = {"$mergeObjects": ["$$object", mine]}
            new[path] = {"$map": {"input": f"${path}", "as": "object", "in": merged}}
        return [{"$set": {**new, "last_modified_at": now}}]


def declare(dataset: fo.Dataset, fields: dict[str, fo.Field]) -> None:
    """Declare fields, by path. FiftyOne reads the dataset anew after every call: one per depth.

    Raises
    ------
    ValueError
        If one is there and of another type.
    """
    for _, paths in groupby(sorted(fields, key=_depth), _depth):
        dataset._merge_sample_field_schema({path: fields[path] for path in paths})


def _depth(path: str) -> int:
    return path.count(".")


def write(dataset: fo.Dataset, changes: dict[str, Change]) -> None:
    """Change samples, by id. Their fields have to be declared."""
    updates = [UpdateOne({"_id": ObjectId(s)}, c.pipeline()) for s, c in changes.items()]
    if updates:
        dataset._bulk_write(updates, ids=list(changes))
