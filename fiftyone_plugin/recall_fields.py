"""What a run of recall is known by in the database, and the fields that it writes."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.core.odm as foo

from fiftyone_plugin import labels
from fiftyone_plugin.fiftyone_private import collection, id_of


def check_unused(dataset: fo.Dataset, truth: str, proposals: str, key: str) -> None:
    """Refuse a name under which the person keeps something that a run would write over."""
    own: set[str] = set()
    if dataset.has_evaluation(key):
        own.update(dataset.get_evaluation_info(key).config.build().get_fields(dataset, key))
    known = dataset.get_field_schema(flat=True)
    for path in written(dataset, truth, proposals, key):
        # Attributes of labels need not be declared to be there.
        if path not in own and (path in known or _is_used(dataset, path)):
            what = "a field" if "." not in path else "an attribute of your labels"
            raise ValueError(f"{path} is {what}: name the run otherwise than {key}")


def written(dataset: fo.Dataset, truth: str, proposals: str, key: str) -> dict[str, Any]:
    """What a run writes, and of what type it is."""
    paths = [labels.path(dataset, f) for f in (truth, proposals)]
    own = {f"{key}{name}": fo.IntField for name in ("_tp", "_fp", "_fn")}
    own[f"{key}_recall"] = fo.FloatField
    for path in paths:
        own |= {f"{path}.{key}": fo.StringField, f"{path}.{key}_id": fo.StringField}
        own |= {f"{path}.{key}_iou": fo.FloatField}
    return own | {f"{paths[0]}.{key}_rank": fo.IntField, f"{paths[0]}.{key}_size": fo.StringField}


def _is_used(dataset: fo.Dataset, path: str) -> bool:
    name, _, rest = path.partition(".")
    path = f"{dataset.get_field(name).db_field}.{rest}" if rest else name
    return collection(dataset).find_one({path: {"$exists": True}}, {"_id": 1}) is not None


def has_results(dataset: fo.Dataset, key: str) -> bool:
    """Whether an evaluation came to its end."""
    run = foo.get_db_conn().runs.find_one(known_by(dataset, key), {"results": 1})
    return bool(run and run.get("results"))


def known_by(dataset: fo.Dataset, key: str) -> dict[str, Any]:
    """What tells an evaluation from all other runs in the database."""
    return {"_dataset_id": id_of(dataset), "key": key, "config.gt_field": {"$exists": True}}
