"""Which images a run has, in which shards, and what is asked of each: a table that only grows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.places import arrow

_BATCH = 65_536  # items that are made a table of at once


def schema() -> Any:
    """Columns of a plan, a pyarrow table."""
    pa = arrow()
    return pa.schema([("shard", pa.int32()), ("image", pa.string()), ("prompt", pa.string())])


def ends(plan: Any) -> list[int]:
    """Where each shard ends in a plan, in which they are one after another."""
    counts = arrow().compute.value_counts(plan["shard"])
    out, end = [], 0
    for number in counts.field("counts").to_pylist():
        end += number
        out.append(end)
    return out


def grown(known: Any, items: Iterable[Item], size: int) -> tuple[Any, int]:
    """A plan with the images that are not in it yet, in shards of their own.

    Parameters
    ----------
    known : pyarrow.Table
        As :func:`schema` says.
    items : iterable of Item
    size : int
        Images in a shard.

    Returns
    -------
    plan : pyarrow.Table
    twice : int
        How many of the items were listed twice.

    Raises
    ------
    ValueError
        If something else is asked of an image than before, or two things at once.
    """
    pa = arrow()
    given, twice = _listed(items)
    where = pa.compute.index_in(given["image"], value_set=known["image"])
    old = given.filter(where.is_valid())
    before = known["prompt"].take(where.drop_null())
    other = old.filter(pa.compute.not_equal(old["prompt"], before))
    if other.num_rows:
        raise ValueError(
            f"something else is asked of {other['image'][0]} than before: write elsewhere, or "
            "begin anew with --new"
        )
    new = given.filter(where.is_null())
    if not new.num_rows:
        return known, twice
    start = pa.compute.max(known["shard"]).as_py()
    first = 0 if start is None else start + 1
    numbers = pa.array((first + k // size for k in range(new.num_rows)), pa.int32())
    added = pa.table([numbers, new["image"], new["prompt"]], schema())
    return pa.concat_tables([known, added]).combine_chunks(), twice


def _listed(items: Iterable[Item]) -> tuple[Any, int]:
    """Items as a table, each image once, and how many were listed twice.

    Raises
    ------
    ValueError
        If two things are asked of one image.
    """
    pa = arrow()
    kinds = pa.schema([("image", pa.string()), ("prompt", pa.string())])
    source, tables = iter(items), [kinds.empty_table()]
    while chunk := list(islice(source, _BATCH)):
        columns = [[i.image for i in chunk], [i.prompt for i in chunk]]
        try:
            tables.append(pa.table(columns, kinds))
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the name {error.object!r} is not UTF-8, and cannot be in a table: rename it"
            ) from None
    table = pa.concat_tables(tables)
    table = table.append_column("place", pa.array(range(table.num_rows), pa.int64()))
    asked = [("prompt", "first"), ("prompt", "count_distinct"), ("place", "min")]
    once = table.group_by("image", use_threads=False).aggregate(asked)
    once = once.sort_by("place_min")  # groups come in an order of their own
    several = once.filter(pa.compute.greater(once["prompt_count_distinct"], 1))
    if several.num_rows:
        raise ValueError(
            f"{several['image'][0]} is listed several times, with different prompts: give it one "
            "row with all of them"
        )
    columns = [once["image"], once["prompt_first"]]
    return pa.table(columns, kinds), table.num_rows - once.num_rows
