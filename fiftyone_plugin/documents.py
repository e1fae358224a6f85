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
from typing import Any

import fiftyone as fo
import fiftyone.core.odm as foo
from bson import ObjectId
from pymongo import UpdateOne, WriteConcern

from fastsam_plugins.masks.polygons import keyhole_polygon
from fiftyone_plugin.fiftyone_private import collection, dataset_of, id_of, raw_values, reload
from fiftyone_plugin.labels import LISTS, Instance

Document = dict[str, Any]

SAMPLES = 32  # read together: bounds the memory that their masks take


@functools.cache
def _blank(kind: Any) -> Document:
    """A label of some kind with nothing in it, as FiftyOne writes it."""
    return {k: v for k, v in kind().to_mongo().to_dict().items() if k != "_id"}


def detection(instance: Instance, mask: bytes | str) -> Document:
    """An instance as a Detection, with its mask (see :mod:`.mask_codec`) or a file of it."""
    own = {
        "bounding_box": instance.bounding_box,
        "mask" if isinstance(mask, bytes) else "mask_path": mask,
    }
    return {**_blank(fo.Detection), "_id": ObjectId(), **instance.attributes, **own}


def polyline(instance: Instance) -> Document:
    """An instance as a filled outline; parts and holes are joined to it by bridges."""
    height, width = instance.shape
    # FiftyOne rounds to whole pixels when it fills them: halves would go either way.
    outline = (keyhole_polygon(instance.runs, instance.shape) - 0.25) / (width, height)
    drawn = {"points": [outline.tolist()], "closed": True, "filled": True}
    return {**_blank(fo.Polyline), "_id": ObjectId(), **instance.attributes, **drawn}


def label(kind: Any, objects: Sequence[Document]) -> Document:
    """Detections or Polylines of objects."""
    return {**_blank(kind), LISTS[kind]: list(objects)}


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
        yield from raw_values(chunk, ["id", *names])


@dataclass
class Change:
    """New values of one sample.

    Attributes
    ----------
    fields : dict
        Value by field of the sample.
    objects : dict
        By path of a list of objects: values by attribute, by the object's id.
    more : dict
        Labels to add to what there is, by field.
    when : datetime, optional
        The time of the change, if not now.
    """

    fields: Document = field(default_factory=dict)
    objects: dict[str, dict[str, Document]] = field(default_factory=dict)
    more: Document = field(default_factory=dict)
    when: datetime | None = None

    def pipeline(self) -> list[Document]:
        """The change as MongoDB does it, which finds objects by their ids, wherever they are."""
        now = self.when or datetime.now(UTC).replace(tzinfo=None)
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
        for name, label in self.more.items():
            new[name] = _added(name, label)
        return [{"$set": {**new, "last_modified_at": now}}]


def _added(name: str, label: Document) -> Document:
    """A field's label with the objects of another; what the database holds then is what counts."""
    (key,) = (k for k in ("detections", "polylines") if k in label)
    there = {"$ifNull": [f"${name}.{key}", []]}
    all_objects = {"$concatArrays": [there, {"$literal": label[key]}]}
    rest = {k: v for k, v in label.items() if k != key}
    return {"$mergeObjects": [f"${name}", {"$literal": rest}, {key: all_objects}]}


def declare(dataset: fo.Dataset, fields: dict[str, fo.Field]) -> None:
    """Declare fields, by path.

    Raises
    ------
    ValueError
        If one is there and of another type.
    """
    dataset.add_dynamic_sample_fields(fields)  # FiftyOne reads the dataset anew once per depth


def write(dataset: fo.Dataset, changes: dict[str, Change]) -> None:
    """Change samples, by id. Their fields have to be declared."""
    updates = [UpdateOne({"_id": ObjectId(s)}, c.pipeline()) for s, c in changes.items()]
    if updates:
        foo.bulk_write(updates, collection(dataset))
        reload(dataset, list(changes))


def put(
    dataset: fo.Dataset, sample: str, change: Change, seen: str, only_empty: bool = False
) -> Document | None:
    """Change one sample, and give what stood in a field before, in one step.

    It is in the database's journal when this returns: files of labels that were replaced can go.

    Parameters
    ----------
    dataset, sample, change
    seen : str
        The field.
    only_empty : bool
        Change nothing if the field holds something, whoever wrote it meanwhile.

    Returns
    -------
    dict or None
        With the field, if it was there, but without pixels; None if nothing was changed: the sample
        is gone, or its field is not empty.
    """
    known = {"_id": ObjectId(sample)} | ({seen: None} if only_empty else {})
    paths = ("detections.mask_path", "fastsam", "_cls")
    samples = collection(dataset).with_options(write_concern=WriteConcern(j=True))
    before: Document | None = samples.find_one_and_update(
        known, change.pipeline(), {f"{seen}.{path}": 1 for path in paths}
    )
    return before


def light(dataset: fo.Dataset, name: str, samples: Sequence[str]) -> dict[str, Any]:
    """A field's value by sample, without masks. Samples that are gone are left out."""
    stages: list[Document] = [
        {"$match": {"_id": {"$in": [ObjectId(s) for s in samples]}}},
        {"$project": {name: 1}},
        {"$unset": [f"{name}.detections.mask", f"{name}.polylines.points"]},
    ]
    documents = collection(dataset).aggregate(stages)
    return {str(document["_id"]): document.get(name) for document in documents}


def different(view: fo.Dataset | fo.DatasetView, path: str) -> list[Document]:
    """The different values of a path, declared or not, in the samples of a view."""
    ids = [ObjectId(i) for i in view.values("id")]
    stages: list[Document] = [
        {"$match": {"_id": {"$in": ids}, path: {"$ne": None}}},
        {"$group": {"_id": f"${path}"}},
    ]
    return [group["_id"] for group in collection(dataset_of(view)).aggregate(stages)]


def holding(view: fo.Dataset | fo.DatasetView, name: str) -> list[str]:
    """Ids of the samples of a view that hold something in a field, shown or not."""
    known = {"_id": {"$in": [ObjectId(i) for i in view.values("id")]}, name: {"$ne": None}}
    return [str(d["_id"]) for d in collection(dataset_of(view)).find(known, {"_id": 1})]


def count(view: fo.Dataset | fo.DatasetView) -> int:
    """How many samples there are.

    ``len`` takes a dataset's number from statistics, which are wrong after the database was killed.
    """
    return int(view.count("id"))


def is_declared(dataset: fo.Dataset, name: str) -> bool:
    """Whether a dataset is there and has a field, whatever other processes did meanwhile."""
    known = {"_id": id_of(dataset), "sample_fields.name": name}
    return foo.get_db_conn().datasets.find_one(known, {"_id": 1}) is not None
