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
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fastsam_plugins.io import atomic, typed_json
from fastsam_plugins.messages import one_line
from fastsam_plugins.scale import places, plans, rows, shards
from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.manifest import Manifest, check_same
from fastsam_plugins.scale.places import arrow
from fastsam_plugins.scale.shards import Counts

MANIFEST, PLAN, SHARDS = "manifest.json", "plan.parquet", "shards"
_NAME = re.compile(r"part-(\d{6,})\.parquet$")
_DIGEST = b"fastsam_plan"
_OWN_MANIFEST = b'{\n "format": ', b'"fastsam-plugins"'
_OWN_PLAN = _DIGEST, b"shard"  # also in what is left of a damaged one
_TOGETHER = 16  # footers that are read at the same time


@dataclass
class Results:
    """The results in a folder, here or in a store.

    Parameters
    ----------
    address : str
    """

    address: str
    _plan: Any = field(default=None, repr=False)
    _made_by: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if places.is_address(self.address):
            places.check_named(self.address)
        else:
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
        try:
            known = typed_json.decode(text, Manifest, place, "a manifest of results")
            if lacking := {"backend", "precision", "device"} - known.running.keys():
                raise ValueError(f"{place} is not a manifest of results: running lacks "
                                 f"{min(lacking)}")  # fmt: skip
        except ValueError as error:
            cure = "begin anew with --new" if self._any() else "name another folder"
            raise ValueError(f"{error}: {cure}") from None
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
        self._made_by = None

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
            If something that is there is another program's, or a folder: nothing is deleted then.
        """
        done = self.done()
        manifest, plan = (places.join(self.address, name) for name in (MANIFEST, PLAN))
        own = self._owned(manifest, _OWN_MANIFEST)
        # One that is damaged goes with the others.
        others = [self.shard(n) for n in done if (o := shards.is_other(self.shard(n))) or
                  (o is None and not own)]  # fmt: skip
        others += [plan] if self._owned(plan, _OWN_PLAN) is False else []
        others += [manifest] if own is False else []
        if others:
            raise ValueError(f"{others[0]} seems to be another program's, and is not deleted: name "
                             "another folder, or take it away")  # fmt: skip
        for number in done:
            places.delete(self.shard(number))
        places.delete(places.join(self.address, PLAN))
        places.delete(places.join(self.address, MANIFEST))
        self._plan = self._made_by = None

    def _owned(self, place: str, marks: Sequence[bytes]) -> bool | None:
        """Whether a file is of this program, by what is in it; None if there is none."""
        try:
            content = places.read_bytes(place)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except IsADirectoryError:
            return False
        return any(mark in content for mark in marks)

    def _any(self) -> bool:
        """Whether there is a plan, or a shard: a manifest alone may be another program's."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            places.tail(places.join(self.address, PLAN), 1)
            return True
        return bool(self.done())

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
                plan = pa.parquet.read_table(io.BytesIO(content))
                about = plan.schema.metadata or {}
                now = shards.values(plan).encode()
                if about.get(_DIGEST, now) != now:  # those of before have none
                    raise OSError("it is not what was written")
            except (FileNotFoundError, NotADirectoryError):
                plan = plans.schema().empty_table()
            except (pa.lib.ArrowException, OSError, ValueError) as error:
                raise ValueError(
                    f"{place} is damaged ({one_line(error)}): begin anew with --new"
                ) from None
            if not plan.schema.equals(plans.schema()):
                raise ValueError(f"{place} is no plan of fastsam batch: name another folder")
            self._plan = plan.replace_schema_metadata(None)
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
        self._check_plan()
        plan, twice = plans.grown(self.plan, items, size)
        self.keep(plan)
        return twice

    def _check_plan(self) -> None:
        if not self.plan.num_rows and self.done():
            place = places.join(self.address, PLAN)
            raise ValueError(f"{place} is gone, without which nobody knows what the shards are of: "
                             "begin anew with --new")  # fmt: skip

    def keep(self, plan: Any) -> None:
        """Write a plan that has grown."""
        if plan.num_rows > self.plan.num_rows:
            marked = plan.replace_schema_metadata({_DIGEST: shards.values(plan)})
            places.write_bytes(places.join(self.address, PLAN), shards.parquet(marked))
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
        there = set(places.files(places.join(self.address, SHARDS)))
        found = (_NAME.search(f) for f in there)
        numbers = {int(match[1]) for match in found if match}
        return sorted(n for n in numbers if self.shard(n) in there)  # no other way to spell one

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
        packed, counts = shards.packed(content, self._maker())
        places.write_bytes(self.shard(number), packed)
        return counts

    def _maker(self) -> str:
        """What tells the network and the options that make these results from others."""
        if self._made_by is None:
            manifest = self.manifest()
            about = [manifest.model, manifest.options, manifest.running] if manifest else []
            text = json.dumps(about, sort_keys=True, default=str)
            self._made_by = hashlib.sha256(text.encode()).hexdigest()
        return self._made_by

    def fresh(self, number: int, items: Sequence[Item]) -> tuple[list[Item], dict[str, rows.Row]]:
        """Of the images of a shard those that are to be segmented, and rows that stay, by image.

        A shard that is made again is made again of what could not be used: what is done stays,
        whatever became of its image.
        """
        try:
            kept = {row["image"]: row for row in self.read(number) if row["error"] is None}
        except (FileNotFoundError, NotADirectoryError):
            return list(items), {}
        left = [item for item in items if item.image not in kept]
        return (left, kept) if left else (list(items), {})

    def read(self, number: int, columns: Sequence[str] | None = None) -> Iterator[rows.Row]:
        """The rows of a shard, or some columns of them.

        Raises
        ------
        ValueError
            If it is damaged; see :func:`fastsam_plugins.scale.shards.read`.
        """
        return shards.read(self.shard(number), columns)

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
        self._check_plan()
        if missing := len(self.missing()):
            raise ValueError(
                f"{missing} shards of {self.address} are not done: the command that began them "
                "makes them"
            )
        self.counts(self.done())

    def check(self, numbers: Sequence[int]) -> None:
        """Read some shards whole; those in a store, which looks after its disks, are believed.

        Raises
        ------
        ValueError
            If one is damaged, or holds other images than the plan says.
        """
        if not places.is_address(self.address):
            for _ in self._each(numbers, shards.check):
                pass

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

    def _each(
        self, numbers: Sequence[int], look: Callable[[str, str, str], Counts] = shards.footer
    ) -> Iterator[Counts]:
        known = len(plans.ends(self.plan))
        if strange := [n for n in numbers if n >= known]:
            raise ValueError(f"{self.shard(strange[0])} is no shard of this plan: take it away")
        images = {n: shards.digest(i.image for i in items) for n, items in self.items(numbers)}
        maker = self._maker()

        def of(number: int) -> Counts:
            return look(self.shard(number), images[number], maker)

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


class _OtherVersion(ValueError):
    """Of results, which can be deleted."""
