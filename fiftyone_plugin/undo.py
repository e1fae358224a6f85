"""What a field held before labels were imported: kept in the database until the import is whole.

Of an import that was killed it is put back when labels are imported into that field again, but for
samples that were changed since.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import fiftyone as fo
import fiftyone.core.odm as foo
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from fiftyone_plugin import documents, references, run_owner
from fiftyone_plugin.fiftyone_private import collection, id_of, reload

OWNER = "owner"
PREFIX = "fastsam.undo."


class Undo:
    """The way back for one field of a dataset.

    Parameters
    ----------
    dataset : fo.Dataset
    field : str

    Attributes
    ----------
    when : datetime
        What the import gives as the time at which it changed samples: those that say so are its.
    """

    def __init__(self, dataset: fo.Dataset, field: str) -> None:
        self.dataset, self.field = dataset, field
        self._name = f"{PREFIX}{id_of(dataset)}.{field}"
        self._before = foo.get_db_conn()[self._name]
        now = datetime.now(UTC).replace(tzinfo=None)
        self.when = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as MongoDB rounds
        self._is_new = field not in dataset.get_field_schema()

    def begin(self) -> None:
        """Put back what an import that was killed has changed.

        Raises
        ------
        ValueError
            If another import into the field is going on.
        """
        owner = self._before.find_one({"_id": OWNER})
        if owner is not None and not run_owner.is_alive(owner["process"]):
            self._put_back(owner["when"])
        try:
            own = {"_id": OWNER, "process": run_owner.here(), "when": self.when}
            self._before.insert_one(own)
        except DuplicateKeyError:
            raise ValueError(
                f"another import into {self.field} is going on: let it end first"
            ) from None

    def note(self, samples: Sequence[str]) -> None:
        """Remember what samples hold, before they are changed."""
        collection(self.dataset).aggregate(
            [
                {"$match": {"_id": {"$in": [ObjectId(s) for s in samples]}}},
                {"$project": {self.field: 1}},
                {"$merge": {"into": self._name, "whenMatched": "keepExisting"}},
            ]
        )

    def back(self) -> None:
        """Put back what was remembered, in samples that nobody changed since."""
        self._put_back(self.when)
        made = self._is_new and documents.is_declared(self.dataset, self.field)
        if made and not documents.count(self.dataset.exists(self.field)):
            self.dataset.delete_sample_field(self.field)

    def _put_back(self, when: datetime) -> None:
        if documents.is_declared(self.dataset, self.field):
            samples = collection(self.dataset)
            ours = [d["_id"] for d in samples.find({"last_modified_at": when}, {"_id": 1})]
            old = {"$ifNull": [f"$$new.{self.field}", None]}
            into = {
                "into": samples.name, "whenNotMatched": "discard",
                "whenMatched": [{"$set": {self.field: old}}],
            }  # fmt: skip
            self._before.aggregate([{"$match": {"_id": {"$in": ours}}}, {"$merge": into}])
            reload(self.dataset, [str(i) for i in ours])
        self.forget()

    def forget(self) -> None:
        """All labels were imported: there is no way back."""
        self._before.drop()


def drop_abandoned() -> None:
    """Forget what datasets held that are no more."""
    database, known = foo.get_db_conn(), references.datasets()
    for name in database.list_collection_names():
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).split(".")[0] not in known:
            database[name].drop()
