"""The table of a layer of objects: a person's rows and columns stay, ours follow the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from napari_plugin.model.painting import Object

MEASURED = ("score", "area", "stability")


class Features:
    """What a Labels layer's ``features`` are to be, from what is known of its objects.

    Rows are found as napari does: by a column ``index``, else row i is label i. Where a column of
    one of our names is there already, and is not of our making, ours is called ``fastsam NAME``.
    """

    def __init__(self) -> None:
        self._theirs = pd.DataFrame()
        self._wrote: pd.DataFrame | None = None
        self._names: dict[str, str] = {}
        self._shared: list[str] = []
        self._added: set[int] = set()  # labels whose rows are ours
        self._filled: set[int] = set()  # labels whose cells are ours
        self._numbered = False  # whether the column ``index`` is ours

    def update(
        self, now: pd.DataFrame, objects: Sequence[Object], areas: Mapping[int, int]
    ) -> pd.DataFrame:
        """The table for the objects there are.

        Parameters
        ----------
        now : DataFrame
            The layer's features, as somebody may have changed them since.
        objects : sequence of Object
        areas : mapping
            By label: its pixels.
        """
        if self._wrote is None or not {*self._names.values()} <= {*now.columns}:
            self._begin(now)
        elif not now.equals(self._wrote):
            self._theirs = self._without_ours(now)
        made = self._with_ours(objects, areas) if objects else self._theirs.copy()
        self._wrote = made.copy() if objects else None
        return made

    def _begin(self, now: pd.DataFrame) -> None:
        self._theirs = now.copy()
        ours = {*MEASURED, "index"} <= {*now.columns}  # of an earlier session with this layer
        self._names = {n: n if ours or n not in now else f"fastsam {n}" for n in MEASURED}
        self._shared = list(MEASURED) if ours else []
        self._numbered = "index" not in now
        self._added, self._filled = set(), set()

    def _with_ours(self, objects: Sequence[Object], areas: Mapping[int, int]) -> pd.DataFrame:
        made = self._theirs.copy()
        bare = not len(made.columns)
        if bare:
            made = pd.DataFrame({"index": [0]})
        elif "index" not in made:
            made.insert(0, "index", np.arange(len(made)))
        there = set(made["index"].tolist())
        new = [o.id for o in objects if o.id not in there]
        self._added, self._filled = set(new), {o.id for o in objects}
        if new:
            made = pd.concat([made, pd.DataFrame({"index": new})], ignore_index=True)
        rows: dict[Any, int] = {label: row for row, label in enumerate(made["index"].tolist())}
        at = [rows[o.id] for o in objects]
        values = {
            "score": [o.score for o in objects],
            "area": [float(areas.get(o.id, 0)) for o in objects],
            "stability": [o.stability for o in objects],
        }
        for name, column in self._names.items():
            cells = np.full(len(made), np.nan)
            if column in self._shared:
                cells = pd.to_numeric(made[column], errors="coerce").to_numpy(float, copy=True)
            cells[at] = values[name]
            if name == "area":
                if bare:
                    cells[0] = 0
                made[column] = cells if np.isnan(cells).any() else cells.astype(np.int64)
            else:
                made[column] = cells
        return made

    def _without_ours(self, now: pd.DataFrame) -> pd.DataFrame:
        """What would be there had nobody committed: the person's part of a table with ours."""
        mine = [c for c in self._names.values() if c not in self._shared]
        theirs = now.drop(columns=mine)
        if "index" not in theirs:
            return theirs
        before = self._theirs
        old = {}
        if "index" in before:
            old = {label: row for row, label in enumerate(before["index"].tolist())}
        labels = theirs["index"].tolist()
        for column in self._shared:
            theirs[column] = [
                (before[column].iloc[old[n]] if n in old else np.nan) if n in self._filled else v
                for n, v in zip(labels, theirs[column].tolist(), strict=True)
            ]
        bare = not len(before.columns)
        blank = theirs.drop(columns="index").isna().all(axis=1).to_numpy()
        ours = np.array([n in self._added or (bare and n == 0) for n in labels], bool)
        theirs = theirs[~(blank & ours)].reset_index(drop=True)
        if self._numbered and theirs["index"].tolist() == list(range(len(theirs))):
            theirs = theirs.drop(columns="index")
        for column in theirs.columns.intersection(before.columns):
            if before[column].dtype.kind in "iub" and not theirs[column].isna().any():
                theirs[column] = theirs[column].astype(before[column].dtype)
        return theirs
