"""Where sessions lie that are saved by themselves, and which of them are of an image.

Every opening of an image writes a file of its own, under a name that no other has: two windows, or
a session that nobody opened, are never written over. When a session is gone on with, its file is
kept as ``.bak`` as soon as the new one is written.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_plugin.model import schema
from napari_plugin.model.painting import SessionError
from napari_plugin.model.saving import ImageRecord

log = logging.getLogger(__name__)

BACKUP = ".bak"


@dataclass(frozen=True)
class Offer:
    """A session that may be of an image.

    Attributes
    ----------
    path : path
    count : int
        Its objects.
    when : float
        When it was saved last.
    why : str
        ``same`` pixels; ``old``, of a version that did not know pixels, found by name; ``changed``:
        of that name, but other pixels.
    """

    path: Path
    count: int
    when: float
    why: Literal["same", "old", "changed"]

    def message(self, image: str, more: int = 0) -> str:
        """What a person is told of it."""
        when = time.strftime("%d %b %Y, %H:%M", time.localtime(self.when))
        count = f"{self.count} object" + ("s" if self.count != 1 else "")
        if self.why == "changed":
            return (
                f"FastSAM: a session of {image} ({count}, {when}) is of other pixels. To go on "
                f"with it all the same, choose {self.path} and press Reopen"
            )
        doubt = (
            " It was found by its name alone: look whether it fits." if self.why == "old" else ""
        )
        others = f" {more} more of this image lie beside it." if more else ""
        return (
            f"FastSAM: a session of {image} is there: {count}, saved {when}. Reopen goes on with "
            f"it; until then, what you do is saved in another file.{doubt}{others}"
        )


class SessionFolder:
    """The folder of sessions.

    Parameters
    ----------
    folder : path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fresh(self, record: ImageRecord) -> Path:
        """A file for a new session of an image, which no other has."""
        when, own = time.strftime("%Y%m%d-%H%M%S"), secrets.token_hex(3)
        name = f"{_clean(record.name)}-{record.content or 'unknown'}-{when}-{own}.json"
        return self.folder / name

    def of(self, record: ImageRecord) -> list[Offer]:
        """Sessions that may be of an image: of its pixels before others, with objects before empty
        ones, the latest first. Files that are no sessions are left alone."""
        offers: dict[Path, Offer] = {}
        try:
            if record.content:
                for path in self.folder.glob(f"*-{record.content}-*.json"):
                    self._look(path, record, offers)
            old = old_file(self.folder, record)
            if old.is_file():
                self._look(old, record, offers)
            for path in self.folder.glob(f"{_clean(record.name)}-*.json"):
                self._look(path, record, offers)
        except OSError as error:
            log.warning("cannot look for sessions in %s: %s", self.folder, error)
        order = ("same", "old", "changed")
        return sorted(offers.values(), key=lambda o: (order.index(o.why), not o.count, -o.when))

    def _look(self, path: Path, record: ImageRecord, offers: dict[Path, Offer]) -> None:
        if path in offers:
            return
        try:
            about, when = schema.summary_of(path), path.stat().st_mtime
        except (SessionError, OSError) as error:  # somebody else's, or just renamed by a window
            log.warning("%s", error)
            return
        image = about.image
        if (image.shape, image.plane) != (record.shape, record.plane):
            return
        if image.content and image.content == record.content:
            why: Literal["same", "old", "changed"] = "same"
        elif image.content is None and path == old_file(self.folder, record):
            why = "old"
        elif image.path == record.path and (image.path or image.name == record.name):
            why = "changed"
        else:
            return
        offers[path] = Offer(path, about.count, when, why)

    def retire(self, path: Path) -> None:
        """Keep a session that another goes on with, under a name that is not offered."""
        if path.parent != self.folder or path.suffix != ".json":
            return  # a person's own file
        try:
            os.rename(path, free(path))
        except OSError as error:  # another window did
            log.info("%s stays as it is: %s", path, error)


def free(path: Path) -> Path:
    """A name beside a file's for what was in it, which nothing has."""
    made, count = path.with_name(path.name + BACKUP), 2
    while os.path.lexists(made):
        made, count = path.with_name(f"{path.name}.{count}{BACKUP}"), count + 1
    return made


def old_file(folder: Path, record: ImageRecord) -> Path:
    """Where versions that did not know pixels kept the session of an image."""
    said = repr((record.path or record.name, record.shape, record.plane))
    tail = hashlib.blake2b(said.encode(errors="surrogateescape")).hexdigest()[:8]
    return folder / f"{_clean(record.name)}-{tail}.json"


def _clean(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:60]
