"""shards.py: a file of rows shows whether it is what was written."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastsam_plugins.scale import rows, shards
from fastsam_plugins.scale.shards import Counts

NAMES = ["/photos/a.png", "/photos/b.png", "/photos/c.png"]


@pytest.fixture
def content(dummy):
    found = [rows.of_instances(n, "", dummy(seed=k), [0.5] * 12) for k, n in enumerate(NAMES[:2])]
    asked = '{"boxes":[[1,2,3,4],[5,6,7,8]]}'
    found[1] |= {"prompt": asked, "answers": [0] * 12, "texts": ["é"] * 12}
    return [*found, rows.of_error(NAMES[2], "", "it is damaged")]


@pytest.fixture
def shard(content, tmp_path):
    path = tmp_path / "part-000000.parquet"
    path.write_bytes(shards.packed(content, "me")[0])
    return path


def test_what_was_written_is_read_and_counted(shard, content):
    found = list(shards.read(str(shard)))
    assert [r["image"] for r in found] == NAMES
    assert found[0]["rles"] == content[0]["rles"]
    counts = Counts(3, 1, 24, 1, "it is damaged")
    images = shards.digest(NAMES)
    assert shards.footer(str(shard), images, "me") == counts
    assert shards.check(str(shard), images, "me") == counts
    assert [r["error"] for r in shards.read(str(shard), ("error",))] == [
        None,
        None,
        "it is damaged",
    ]
    with pytest.raises(ValueError, match=r"part-000000\.parquet cannot be read \(it is of other"):
        shards.footer(str(shard), shards.digest(NAMES[:2]), "me")


def test_a_flipped_bit_is_noticed_or_changes_nothing(shard, content, tmp_path):
    """Parquet itself reads on with other boxes, names or masks in one of twenty."""
    whole, images = shard.read_bytes(), shards.digest(NAMES)
    expected, counts = list(shards.read(str(shard))), shards.check(str(shard), images, "me")
    rng, noticed, same = np.random.default_rng(0), 0, 0
    for place, bit in zip(rng.permutation(len(whole))[:600], rng.integers(0, 8, 600), strict=True):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        shard.write_bytes(damaged)
        try:
            told, found = shards.check(str(shard), images, "me"), list(shards.read(str(shard)))
        except ValueError as error:
            noticed += f"{shard} cannot be read" in str(error) and "\n" not in str(error)
            continue
        assert found == expected, f"byte {place}, bit {bit}"
        same += 1
        assert told == counts
    assert noticed + same == 600, "each with its file, in one line"
    assert noticed > 200


def test_a_shard_of_before_is_believed(content, tmp_path):
    table = pa.Table.from_pylist(content, rows.schema())
    about = {"fastsam_errors": "1", "fastsam_instances": "24", "fastsam_first_error": "x"}
    path = tmp_path / "old.parquet"
    pq.write_table(table.replace_schema_metadata({b"fastsam": b"1"} | about), path)
    assert len(list(shards.read(str(path)))) == 3
    assert shards.footer(str(path), "any", "me").unanswered == 0


def test_a_footer_longer_than_most_is_read(content, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_FOOTER", 64)
    path = tmp_path / "part.parquet"
    path.write_bytes(shards.packed(content, "me")[0])
    assert shards.footer(str(path), shards.digest(NAMES), "me").images == 3


def test_whose_a_file_is(shard, tmp_path):
    assert shards.is_other(str(shard)) is False
    shard.write_bytes(shard.read_bytes()[:-9])
    assert shards.is_other(str(shard)) is None
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1]}), other)
    assert shards.is_other(str(other)) is True


def test_digests_tell_null_from_empty_and_where_a_text_ends():
    kinds = pa.schema({"a": pa.list_(pa.string())}.items())
    given = [[None], [[]], [[""]], [["ab", "c"]], [["a", "bc"]], [["a"], ["b", "c"]]]
    found = {shards.values(pa.Table.from_pylist([{"a": v} for v in g], kinds)) for g in given}
    assert len(found) == len(given)
    stream = io.BytesIO(shards.parquet(pa.Table.from_pylist([{"a": None}], kinds)))
    assert shards.values(pq.read_table(stream)) in found, "the same after it was written and read"
