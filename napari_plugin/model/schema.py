"""What a session file looks like, and the one line about a file that does not look like it."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from napari_plugin.model.painting import SessionError

FORMAT = "fastsam napari session"
VERSION = 1
LARGEST = 1 << 31  # bytes of a file: it is read whole

T = TypeVar("T")

NAME = 4096  # characters of a layer's name
_PATH = 1 << 15
_DIGEST = r"^[A-Za-z0-9_-]{0,64}$"  # it names a file of kept results
_KEY = r"^([0-9]{1,9}(,[0-9]{1,9})*)?$"

Side = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Place = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
Key = Annotated[str, Meta(pattern=_KEY, max_length=320)]
Digest = Annotated[str, Meta(pattern=_DIGEST)]
Counts = str | list[Annotated[int, Meta(ge=0, le=2**62)]]


class ImageJSON(Struct, frozen=True):
    """The image; see :class:`napari_plugin.model.saving.ImageRecord`."""

    name: Annotated[str, Meta(max_length=NAME)]
    path: Annotated[str, Meta(max_length=_PATH)] | None
    shape: Annotated[tuple[Side, ...], Meta(min_length=2, max_length=32)]
    plane: tuple[Annotated[int, Meta(ge=0, le=31)], Annotated[int, Meta(ge=0, le=31)]]
    content: Digest | None = None


class ScribbleJSON(Struct, frozen=True):
    """A scribble; see :class:`napari_plugin.model.prompts.Scribble`."""

    line: Annotated[list[tuple[Number, Number]], Meta(min_length=1)]
    label: Literal[0, 1]
    after: Place


class PromptsJSON(Struct, frozen=True):
    """Prompts; see :class:`napari_plugin.model.prompts.Prompts`."""

    points: list[tuple[Number, Number]]
    labels: list[Literal[0, 1]]
    boxes: list[tuple[Number, Number, Number, Number]]
    step: Annotated[int, Meta(ge=-100_000, le=100_000)]
    target: Id | None
    chosen: list[Place] = []
    steps: list[Annotated[int, Meta(ge=-100_000, le=100_000)]] = []
    scribbles: list[ScribbleJSON] = []
    masks: list[list[Annotated[int, Meta(ge=0, le=2**62)]]] = []
    first: Annotated[int, Meta(ge=-100_000, le=100_000)] = 0


class LabelJSON(Struct, frozen=True):
    """An object in one slice, as COCO RLE."""

    id: Id
    size: tuple[Side, Side]
    counts: Counts


class OutlineJSON(Struct, frozen=True):
    """The mask of an object with an outline of its own."""

    slice: Key
    size: tuple[Side, Side]
    counts: Counts


class ObjectJSON(Struct, frozen=True):
    """What is known of an object; see :class:`napari_plugin.model.session.Object`."""

    id: Id
    score: Number | None
    stability: Number | None
    prompts: dict[Key, PromptsJSON]
    outline: OutlineJSON | None


class SegmentedJSON(Struct, frozen=True):
    """Where the instances of a slice are kept, and the window of the slice that they are of."""

    digest: Digest
    window: tuple[Place, Place, Place, Place]


class SessionJSON(Struct, frozen=True):
    """A whole file. Raw parts are read one by one, so that an error names the slice."""

    format: str
    version: int
    image: ImageJSON
    next_id: Id
    objects: list[ObjectJSON]
    labels: dict[Key, Raw]
    prompts: dict[Key, Raw]
    segmented: dict[Key, Raw] = msgspec.field(name="scenes")
    pictures: dict[Key, Annotated[str, Meta(max_length=_PATH)]]


class _Head(Struct, frozen=True):
    format: str
    version: int


class Summary(Struct, frozen=True):
    """What is told of a file before it is opened."""

    format: str
    image: ImageJSON
    objects: list[Raw]
    labels: dict[str, list[Raw]]

    @property
    def count(self) -> int:
        """How many objects there are, in all slices."""
        ids = {msgspec.json.decode(r, type=_Id).id for k in self.labels.values() for r in k}
        return len(ids | {msgspec.json.decode(r, type=_Id).id for r in self.objects})


class _Id(Struct, frozen=True):
    id: int


def content_of(path: Path) -> bytes:
    """The bytes of a session file; SessionError if there is none."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise SessionError(f"cannot read {path}: it is no file")
        if about.st_size > LARGEST:
            raise SessionError(
                f"cannot read {path}: it has {about.st_size / 1e9:.1f} GB, a session at most "
                f"{LARGEST / 1e9:.1f} GB"
            )
        return path.read_bytes()
    except OSError as error:
        raise SessionError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, SessionError):
            raise
        raise SessionError(f"cannot read a file of that name: {error}") from None  # with a NUL


def session_in(path: Path) -> SessionJSON:
    """The session in a file; SessionError if there is none."""
    content = content_of(path)
    head = decoded(path, "", content, _Head)
    if head.format != FORMAT:
        raise wrong(path, "format", f"it is {head.format[:60]!r}")
    if head.version != VERSION:
        raise wrong(path, "version", f"it is {head.version}, this reads {VERSION}")
    return decoded(path, "", content, SessionJSON)


def summary_of(path: Path) -> Summary:
    """What a session file is of, without its masks; SessionError if it is something else."""
    summary = decoded(path, "", content_of(path), Summary)
    if summary.format != FORMAT:
        raise wrong(path, "format", f"it is {summary.format[:60]!r}")
    return summary


def decoded(path: Path, where: str, content: bytes | Raw, kind: type[T]) -> T:
    """A part of a file as what it should be; SessionError naming the place where it is not."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        what, _, at = str(error).partition(" - at `")
        at = at.rstrip("`").removeprefix("key in ").removeprefix("$")
        raise wrong(path, (where + at).lstrip("."), _plain(what)) from None
    except (ValueError, RecursionError) as error:
        raise wrong(path, where, "it is nested too deeply" if isinstance(error, RecursionError)
                    else str(error)) from None  # fmt: skip


def wrong(path: Path, where: str, what: str) -> SessionError:
    """The error that says where in a file something is wrong, and what."""
    place = f"{where}: " if where else ""
    return SessionError(f"no session of FastSAM is in {path}: {place}{what}"[:1000])


_WORDS = {"float": "number", "int": "whole number", "str": "text", "array": "list"}


def _plain(text: str) -> str:
    """The words of msgspec in those of a reader: no types of a programming language."""
    text = re.sub(r"`(\w+)`", lambda m: str(_WORDS.get(m[1], m[1])), text)
    text = text.replace(" | ", " or ").replace("`", "")
    for word, plain in _WORDS.items():
        text = re.sub(rf"\b{word}\b", plain, text)
    return text[:1].lower() + text[1:]
