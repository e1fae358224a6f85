"""A share of SA-1B out of its .tar parts, which are never unpacked as a whole.

SA-1B (Kirillov et al. 2023) comes in a thousand parts of 10 GB, ``sa_000000.tar`` and on, each with
some eleven thousand images and a JSON beside each. FastSAM was trained on two in a hundred of them.
Whether an image is taken follows from its name and the seed alone: in whatever order parts arrive,
and however often the work is interrupted, the sample is the same, and a larger share holds a
smaller one.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from msgspec import Struct

from fastsam_plugins.io import atomic, typed_json
from fastsam_plugins.options import SampleOptions

RECORD = "sample.record"  # no .json: of those each is of an image
_LARGEST = 2**28  # bytes of a file in a part: images have some million
_MEMBER = re.compile(r"(sa_\d+)\.(jpg|json)")


class Record(Struct):
    """What a folder holds already: which share, and of which parts (bytes of each)."""

    share: float
    seed: int
    parts: dict[str, int]


@dataclass
class Report:
    """What a sample consists of.

    Attributes
    ----------
    parts : int
        Parts that were read, in this run or before.
    images : int
        Images of the sample, each with its JSON.
    """

    parts: int
    images: int

    def __str__(self) -> str:
        return f"{self.images} images of {self.parts} parts"


def sample(
    parts: Path,
    output: Path,
    options: SampleOptions | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Take a share of the images, with their masks, out of the .tar parts in a folder.

    Parts that were taken from before are left out: after an interruption, or when more parts have
    arrived, the same call goes on.

    Parameters
    ----------
    parts : path
        Folder with ``*.tar``.
    output : path
        Folder of images and a JSON each, which ``fastsam train`` reads, and ``sample.record``.
    options : SampleOptions
    say : callable
        Told of each part in a line.

    Raises
    ------
    ValueError
        If there is no part; if the folder holds another sample, or what is no sample; if parts are
        damaged, naming them, once all others are done.
    """
    options = SampleOptions.of(options)
    files = sorted(parts.glob("*.tar"))
    if not files:
        raise ValueError(f"{parts} holds no .tar part of SA-1B")
    with atomic.making(output), atomic.alone(output, wait=False):
        record = _begun(output, options)
        damaged = []
        for number, file in enumerate(files):
            size = file.stat().st_size
            if record.parts.get(file.name) == size:
                continue
            try:
                taken = _take(file, output, options)
            except tarfile.TarError as error:
                damaged.append(f"{file.name} ({error})")
                continue
            record.parts[file.name] = size
            atomic.write_json(output / RECORD, _plain(record))
            say(f"{file.name}: {taken} images ({number + 1} of {len(files)} parts)")
        if damaged:
            raise ValueError(
                f"{', '.join(damaged)}: get it again, then repeat this; all other parts are done"
            )
        return Report(len(record.parts), sum(1 for _ in output.glob("sa_*.jpg")))


def chosen(name: str, share: float, seed: int) -> bool:
    """Whether an image belongs to the sample.

    >>> sum(chosen(f"sa_{k}", 0.02, seed=0) for k in range(10_000))
    179
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _begun(output: Path, options: SampleOptions) -> Record:
    file = output / RECORD
    if file.is_file():
        record = typed_json.read(file, Record, "the record of a sample")
        if (record.share, record.seed) != (options.share, options.seed):
            raise ValueError(
                f"{output} holds a sample of share {record.share:g}, seed {record.seed}: give the "
                "same, or another folder"
            )
        return record
    if next(output.glob("*"), None):
        raise ValueError(f"{output} is not empty and holds no sample: name another folder")
    record = Record(options.share, options.seed, {})
    atomic.write_json(file, _plain(record))
    return record


def _plain(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def _take(file: Path, output: Path, options: SampleOptions) -> int:
    """Write what is chosen of a part: an image once both it and its JSON are there."""
    waiting: dict[str, tuple[str, bytes]] = {}
    taken = 0
    for name, ending, content in _read(file, options):
        if name not in waiting:
            waiting[name] = ending, content
            continue
        first, held = waiting.pop(name)
        pair = {first: held, ending: content}
        # The image last: where it lies, its masks do.
        for kind in ("json", "jpg"):
            atomic.write_bytes(output / f"{name}.{kind}", pair[kind], flush=False)
        taken += 1
    if waiting:
        raise tarfile.ReadError(f"{next(iter(waiting))} is there in half")
    return taken


def _read(file: Path, options: SampleOptions) -> Iterator[tuple[str, str, bytes]]:
    """Names, endings and bytes of the chosen files; others are skipped over."""
    with tarfile.open(file, "r:") as archive:
        for member in archive:
            found = _MEMBER.fullmatch(PurePosixPath(member.name).name)
            if not member.isfile() or found is None:
                continue
            if not chosen(found[1], options.share, options.seed):
                continue
            if member.size > _LARGEST:
                raise tarfile.ReadError(f"{member.name:.60} has {member.size} bytes")
            content = archive.extractfile(member).read()  # type: ignore[union-attr]
            if len(content) < member.size:
                raise tarfile.ReadError(f"it ends in the middle of {member.name:.60}")
            yield found[1], found[2], content
