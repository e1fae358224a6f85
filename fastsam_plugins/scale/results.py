"""What a run leaves: a plan, shards of rows, and a manifest that says what made them.

    OUT/manifest.json              the network by its SHA-256, options, versions
    OUT/plan.parquet               which images there are, and which shard each is in
    OUT/shards/part-000000.parquet rows, see :mod:`fastsam_plugins.scale.rows`

A shard is there whole or not at all, and holds the same bytes whoever made it: to go on is to make
those that are missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fastsam_plugins.io import atomic, typed_json
from fastsam_plugins.scale import places, plans, rows
from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.manifest import Manifest, check_same
from fastsam_plugins.scale.places import arrow

MANIFEST, PLAN, SHARDS = "manifest.json", "plan.parquet", "shards"
_NAME = re.compile(r"part-(\d{6,})\.parquet$")
_TOGETHER = 16  # footers that are read at the same time


@dataclass
class Counts:
    """What is in shards.

    Attributes
    ----------
    images, errors, instances : int
    first : str
        The first error.
    """

    images: int = 0
    errors: int = 0
    instances: int = 0
    first: str = ""

    def add(self, other: Counts) -> None:
        """Count those of another shard as well."""
        self.images += other.images
        self.errors += other.errors
        self.instances += other.instances
        self.first = self.first or other.first


@dataclass
class Results:
    """The results in a folder, here or in a store.

    Parameters
    ----------
    address : str
    """

    address: str
    _plan: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not places.is_address(self.address):
            self.address = places.local(self.address)

    # --- what made them ---------------------------------------------------------------------

    def manifest(self) -> Manifest | None:
        """What made them; None if there are none.

        Raises
        ------
        ValueError
            If it was written by something else, or a later version.
        """
        place = places.join(self.address, MANIFEST)
        try:
            text = places.read_bytes(place)
        except (FileNotFoundError, NotADirectoryError):
            return None
        known = typed_json.decode(text, Manifest, place, "a manifest of results")
        if known.format != rows.FORMAT:
            raise _OtherVersion(f"{place} is of another version of fastsam: use that, or --new")
        return known

    def begin(self, now: Manifest, new: bool) -> None:
        """Begin, or go on with what the same network and options made.

        Parameters
        ----------
        now : Manifest
        new : bool
            Delete what is there.

        Raises
        ------
        ValueError
            If others made it.
        """
        if new:
            self._delete()
        before = self.manifest()
        if before is None and (self.done() or self.plan.num_rows):
            raise ValueError(f"{self.address} holds shards or a plan and no {MANIFEST}: name "
                             "another folder, or begin anew with --new")  # fmt: skip
        if before is not None:
            check_same(before, now, self.address)
            return
        self._write_manifest(now)

    def _write_manifest(self, now: Manifest) -> None:
        text = json.dumps(msgspec.to_builtins(now), indent=1, sort_keys=True, ensure_ascii=False)
        places.write_bytes(places.join(self.address, MANIFEST), f"{text}\n".encode())

    def remember(self, inputs: Iterable[str]) -> None:
        """Keep in mind which files images were named in: an export must not replace them."""
        manifest = self.manifest()
        assert manifest is not None
        if new := [name for name in inputs if name not in manifest.inputs]:
            manifest.inputs += new
            self._write_manifest(manifest)

    def _delete(self) -> None:
        """Shards first: what a kill leaves of them still is what the manifest says.

        Raises
        ------
        ValueError
            If the manifest is another program's: there are no shards that belong to it.
        """
        if not self.done():
            with contextlib.suppress(_OtherVersion):
                self.manifest()
        for number in self.done():
            places.delete(self.shard(number))
        places.delete(places.join(self.address, PLAN))
        places.delete(places.join(self.address, MANIFEST))
        self._plan = None

    # --- which images there are ---------------------------------------------------------------

    @property
    def plan(self) -> Any:
        """The images (a pyarrow table of ``shard``, ``image`` and ``prompt``).

        Raises
        ------
        ValueError
            If it is damaged.
        """
        if self._plan is None:
            place, pa = places.join(self.address, PLAN), arrow()
            try:
                content = places.read_bytes(place)
                self._plan = pa.parquet.read_table(io.BytesIO(content))
            except (FileNotFoundError, NotADirectoryError):
                self._plan = plans.schema().empty_table()
            except pa.ArrowInvalid as error:
                raise ValueError(f"{place} is damaged ({error}): begin anew with --new") from None
            if not self._plan.schema.equals(plans.schema()):
                self._plan = None
                raise ValueError(f"{place} is no plan of fastsam batch: name another folder")
        return self._plan

    def add(self, items: Iterable[Item], size: int) -> int:
        """Add the images that are not in the plan yet, in shards of their own.

        Parameters
        ----------
        items : iterable of Item
        size : int
            Images in a shard.

        Returns
        -------
        int
            How many of the items were listed twice.

        Raises
        ------
        ValueError
            If something else is asked of an image than before.
        """
        if not self.plan.num_rows and self.done():
            place = places.join(self.address, PLAN)
            raise ValueError(f"{place} is gone, without which nobody knows what the shards are of: "
                             "begin anew with --new")  # fmt: skip
        plan, twice = plans.grown(self.plan, items, size)
        self.keep(plan)
        return twice

    def keep(self, plan: Any) -> None:
        """Write a plan that has grown."""
        if plan.num_rows > self.plan.num_rows:
            places.write_bytes(places.join(self.address, PLAN), _parquet(plan))
            self._plan = plan

    def items(self, numbers: Iterable[int]) -> Iterator[tuple[int, list[Item]]]:
        """The images of some shards, shard by shard."""
        ends = [*plans.ends(self.plan), 0]
        for number in numbers:
            part = self.plan.slice(ends[number - 1], ends[number] - ends[number - 1])
            pairs = zip(part["image"].to_pylist(), part["prompt"].to_pylist(), strict=True)
            yield number, [Item(*pair) for pair in pairs]

    def size(self, numbers: Iterable[int]) -> int:
        """How many images some shards have."""
        ends = [*plans.ends(self.plan), 0]  # before the first one, which is asked for as the last
        return sum(ends[number] - ends[number - 1] for number in numbers)

    # --- shards -------------------------------------------------------------------------------

    def shard(self, number: int) -> str:
        """Where a shard lies."""
        return places.join(self.address, SHARDS, f"part-{number:06d}.parquet")

    def files(self) -> list[Path]:
        """What lies in a folder here, and must not be written over; the inputs as well."""
        own = [places.join(self.address, name) for name in (MANIFEST, PLAN)]
        own += [self.shard(number) for number in self.done()]
        manifest = self.manifest()
        named = [*own, *(manifest.inputs if manifest else [])]
        return [Path(name) for name in named if not places.is_address(name)]

    def done(self) -> list[int]:
        """The shards that are there."""
        found = (_NAME.search(f) for f in places.files(places.join(self.address, SHARDS)))
        return sorted(int(match[1]) for match in found if match)

    def missing(self) -> list[int]:
        """The shards that are to be made."""
        there = set(self.done())
        return [k for k in range(len(plans.ends(self.plan))) if k not in there]

    def failed(self) -> list[int]:
        """The shards with images that could not be used."""
        done = self.done()
        return [n for n, c in zip(done, self._each(done), strict=True) if c.errors]

    def write(self, number: int, content: Sequence[rows.Row]) -> Counts:
        """Write a shard, whole or not at all."""
        counts = Counts(
            len(content),
            sum(r["error"] is not None for r in content),
            sum(len(r["scores"]) for r in content),
            next((r["error"] for r in content if r["error"] is not None), ""),
        )
        schema = rows.schema()
        about = {"fastsam_errors": str(counts.errors), "fastsam_instances": str(counts.instances),
                 "fastsam_first_error": counts.first,
                 "fastsam_images": _digest(r["image"] for r in content)}  # fmt: skip
        table = arrow().Table.from_pylist(content, schema.with_metadata(schema.metadata | about))
        places.write_bytes(self.shard(number), _parquet(table))
        return counts

    def read(self, number: int, columns: Sequence[str] | None = None) -> Iterator[rows.Row]:
        """The rows of a shard, or some columns of them, some at a time in memory.

        Raises
        ------
        ValueError
            If it is damaged.
        """
        place = self.shard(number)
        with _telling(place):
            content = io.BytesIO(places.read_bytes(place))
            for batch in arrow().parquet.ParquetFile(content).iter_batches(32, columns=columns):
                yield from batch.to_pylist()

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[rows.Row]:
        """The rows of all shards that are there, or some columns of them."""
        for number in self.done():
            yield from self.read(number, columns)

    def check_done(self) -> None:
        """Refuse results that are none, or not all.

        Raises
        ------
        ValueError
            If so.
        """
        if self.manifest() is None:
            raise ValueError(f"{self.address} holds no results of fastsam batch")
        if missing := len(self.missing()):
            raise ValueError(
                f"{missing} shards of {self.address} are not done: the command that began them "
                "makes them"
            )
        self.counts(self.done())

    def counts(self, numbers: Iterable[int]) -> Counts:
        """What is in some shards, by their footers.

        Raises
        ------
        ValueError
            If one is damaged, or holds other images than the plan says.
        """
        total = Counts()
        for counts in self._each(list(numbers)):
            total.add(counts)
        return total

    def _each(self, numbers: Sequence[int]) -> Iterator[Counts]:
        known = len(plans.ends(self.plan))
        if strange := [n for n in numbers if n >= known]:
            raise ValueError(f"{self.shard(strange[0])} is no shard of this plan: take it away")
        images = {n: _digest(i.image for i in items) for n, items in self.items(numbers)}

        def of(number: int) -> Counts:
            place = self.shard(number)
            with _telling(place):
                footer = places.patiently(lambda: _footer(place), place)
                said = {k.decode(): v.decode() for k, v in (footer.metadata or {}).items()}
                if said.get("fastsam_images", images[number]) != images[number]:
                    raise OSError("it is of other images")
                return Counts(
                    footer.num_rows, int(said["fastsam_errors"]), int(said["fastsam_instances"]),
                    said["fastsam_first_error"],
                )  # fmt: skip

        with ThreadPoolExecutor(_TOGETHER) as pool:
            yield from pool.map(of, numbers)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other run write here meanwhile; in a store nobody can know.

        Two that do nevertheless would write the same.
        """
        if places.is_address(self.address):
            yield
            return
        folder = Path(self.address)
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{self.address} is a file: results go into a folder")
        with atomic.making(folder), atomic.alone(folder, wait=False):
            yield


@contextlib.contextmanager
def _telling(place: str) -> Iterator[None]:
    """Errors of reading a shard in one line that names it."""
    try:
        yield
    except (arrow().ArrowInvalid, KeyError, OSError) as error:
        raise ValueError(
            f"{place} cannot be read ({error}): delete it, and the same command makes it again"
        ) from None


class _OtherVersion(ValueError):
    pass


def _digest(images: Iterable[str]) -> str:
    """What tells the images of a shard from others."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(image.encode() + b"\0")
    return digest.hexdigest()


def _footer(place: str) -> Any:
    with places.opened(place) as stream:
        return arrow().parquet.read_metadata(stream)


def _parquet(table: Any) -> bytes:
    stream = io.BytesIO()
    arrow().parquet.write_table(table, stream, compression="zstd", row_group_size=1 << 17)
    return stream.getvalue()
