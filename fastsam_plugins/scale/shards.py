"""A shard: the rows of some images as a Parquet file, which shows whether it is what was written.

In its footer stand what is in it, counted, what made it, and two digests: of the images that it is
of, and of all that it holds. Parquet itself notices little of what may happen to a file on a disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsam_plugins.messages import one_line
from fastsam_plugins.scale import places, rows
from fastsam_plugins.scale.places import arrow

_FOOTER = 1 << 16  # bytes at the end of a file that mostly hold all of its footer
_MAGIC, _LENGTH = b"PAR1", 4  # a file ends with its footer, the length of that, and the magic


@dataclass
class Counts:
    """What is in shards.

    Attributes
    ----------
    images, errors, instances : int
    unanswered : int
        Prompts of single images that no instance answers.
    first : str
        The first error.
    """

    images: int = 0
    errors: int = 0
    instances: int = 0
    unanswered: int = 0
    first: str = ""

    @classmethod
    def of(cls, content: Sequence[rows.Row]) -> Counts:
        """Of rows."""
        errors = [row["error"] for row in content if row["error"] is not None]
        instances = sum(len(row["scores"]) for row in content)
        unanswered = sum(map(rows.unanswered, content))
        return cls(len(content), len(errors), instances, unanswered, errors[0] if errors else "")

    def add(self, other: Counts) -> None:
        """Count those of another shard as well."""
        self.images += other.images
        self.errors += other.errors
        self.instances += other.instances
        self.unanswered += other.unanswered
        self.first = self.first or other.first


def packed(content: Sequence[rows.Row], maker: str) -> tuple[bytes, Counts]:
    """Rows as the bytes of a file, the same for the same rows; ``maker`` is what made them."""
    counts = Counts.of(content)
    table = arrow().Table.from_pylist(content, rows.schema())
    about = {
        "fastsam_errors": str(counts.errors),
        "fastsam_instances": str(counts.instances),
        "fastsam_unanswered": str(counts.unanswered),
        "fastsam_first_error": counts.first,
        "fastsam_images": digest(row["image"] for row in content),
        "fastsam_maker": maker,
    }
    about["fastsam_values"] = _whole(table, about)
    return parquet(table.replace_schema_metadata(table.schema.metadata | about)), counts


def footer(place: str, images: str, maker: str) -> Counts:
    """What is in a shard, as its footer says.

    Parameters
    ----------
    place : str
    images : str
        The :func:`digest` of what it has to be of.
    maker : str
        What has to have made it.

    Raises
    ------
    ValueError
        If it is damaged, or of other images.
    """
    with _telling(place):
        metadata = _footer(place)
        said = {k.decode(): v.decode() for k, v in (metadata.metadata or {}).items()}
        if said.get("fastsam_images", images) != images:
            raise OSError("it is of other images")
        if said.get("fastsam_maker", maker) != maker:
            raise OSError("another network, or other options, made it")
        return Counts(
            metadata.num_rows, int(said["fastsam_errors"]), int(said["fastsam_instances"]),
            int(said.get("fastsam_unanswered", 0)), said["fastsam_first_error"],
        )  # fmt: skip


def read(place: str, columns: Sequence[str] | None = None) -> Iterator[rows.Row]:
    """The rows of a shard, or some columns of them.

    Raises
    ------
    ValueError
        If it is damaged. Of some columns alone not all damage shows.
    """
    with _telling(place):
        for batch in _table(place, columns).to_batches(32):
            yield from batch.to_pylist()


def check(place: str, images: str, maker: str) -> Counts:
    """As :func:`footer`, of a shard that is read whole.

    Raises
    ------
    ValueError
        If it is damaged, or of other images.
    """
    told = footer(place, images, maker)
    with _telling(place):
        table = _table(place)
        if not _has_digest(table):
            counts = Counts.of(table.to_pylist())
            counts.unanswered = told.unanswered  # which those of before do not say
            if told != counts:
                raise OSError("its footer does not fit its rows")
    return told


def is_other(place: str) -> bool | None:
    """Whether a file is a Parquet file of another program; None if it is none, or damaged."""
    try:
        return b"fastsam" not in (_footer(place).metadata or {})
    except (arrow().lib.ArrowException, OSError, ValueError):
        return None


def digest(images: Iterable[str]) -> str:
    """What tells the images of a shard from others."""
    found = hashlib.sha256()
    for image in images:
        found.update(image.encode() + b"\0")
    return found.hexdigest()


def parquet(table: Any) -> bytes:
    """A table as the bytes of a file."""
    stream = io.BytesIO()
    arrow().parquet.write_table(table, stream, compression="zstd", row_group_size=1 << 17)
    return stream.getvalue()


def _table(place: str, columns: Sequence[str] | None = None) -> Any:
    """A shard, or some columns of it, as they were written."""
    content = io.BytesIO(places.read_bytes(place))
    table = arrow().parquet.read_table(content, columns=columns and list(columns))
    if columns is None and _has_digest(table):
        about = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
        if about.get("fastsam_values") != _whole(table, about):
            raise OSError("its values are not those that were written")
    return table


def _has_digest(table: Any) -> bool:
    """Whether a shard tells what was written: those of before do not."""
    return b"fastsam_maker" in (table.schema.metadata or {})


def _whole(table: Any, about: Mapping[str, str]) -> str:
    """What tells a table, and what is said of it, from others."""
    names = "errors", "instances", "unanswered", "first_error", "images", "maker"
    said = "".join(f"{about.get(f'fastsam_{name}')}\0" for name in names)
    return hashlib.sha256(f"{said}{values(table)}".encode()).hexdigest()


def values(table: Any) -> str:
    """What tells the values of a table, and the names of its columns, from others."""
    found = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        found.update(f"{name}\0".encode())
        for part in _parts(column.combine_chunks()):
            found.update(part)
    return found.hexdigest()


def _parts(array: Any) -> Iterator[bytes | memoryview]:
    """The values of an array, and which of them there are, whatever lies between them."""
    pa = arrow()
    yield np.asarray(array.is_null()).tobytes()
    if pa.types.is_list(array.type):
        yield np.asarray(array.value_lengths().fill_null(0)).tobytes()
        yield from _parts(array.flatten())
    elif pa.types.is_string(array.type):
        texts = array.fill_null("")
        yield np.asarray(pa.compute.binary_length(texts)).tobytes()
        if len(texts):  # all of them lie one after another
            _, ends, characters = texts.buffers()
            ends = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1]
            yield memoryview(characters)[ends[0] : ends[-1]] if characters else b""
    else:
        yield np.asarray(array.fill_null(0)).tobytes()


def _footer(place: str) -> Any:
    tail = places.tail(place, _FOOTER)
    if tail[-len(_MAGIC) :] != _MAGIC:
        raise OSError("it does not end as a Parquet file does")
    length = int.from_bytes(tail[-len(_MAGIC) - _LENGTH : -len(_MAGIC)], "little")
    whole = length + len(_MAGIC) + _LENGTH
    if whole > len(tail):
        tail = places.tail(place, whole)
    return arrow().parquet.read_metadata(io.BytesIO(_MAGIC + tail[-whole:]))


@contextlib.contextmanager
def _telling(place: str) -> Iterator[None]:
    """Errors of reading a shard in one line that names it."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (arrow().lib.ArrowException, KeyError, OSError, ValueError) as error:
        raise ValueError(_cure(place, one_line(error))) from None


def _cure(place: str, why: str) -> str:
    return f"{place} cannot be read ({why}): delete it, and the same command makes it again"
