"""Saving a session as it changes, in another thread: never two at once, always the last state."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R
from napari_plugin import saving
from napari_plugin.edits import Key
from napari_plugin.saving import ImageRecord, Saved
from napari_plugin.session import Session

log = logging.getLogger(__name__)


def usual_file(folder: Path, record: ImageRecord) -> Path:
    """Where the session of an image is kept."""
    said = repr((record.path or record.name, record.shape, record.plane))
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in record.name)[:60]
    return folder / "sessions" / f"{name}-{hashlib.blake2b(said.encode()).hexdigest()[:8]}.json"


class Saver:
    """Writes a session to a file.

    Parameters
    ----------
    session : Session
    record : callable
        What the file says of the image.
    path : path
    run : callable
        Tells its first argument, in this thread, what its second gave in another one.
    """

    def __init__(
        self,
        session: Session,
        record: Callable[[], ImageRecord],
        path: Path,
        run: Callable[[Callable[[Any], None], Callable[[], Any]], None],
    ) -> None:
        self.session, self.record, self.path, self._run = session, record, path, run
        self._known: dict[Key, dict[int, R.Runs]] = {}
        self._changed: set[Key] = set()
        self._busy = self._again = self._closed = False

    def changed(self, keys: set[Key]) -> None:
        """Labels of some slices changed, or prompts did: save it soon."""
        self._changed |= keys
        if self._closed:
            return
        if self._busy:
            self._again = True
            return
        self._busy, self._again = True, False
        for key in self._changed:
            self._known.pop(key, None)
        self._changed = set()
        saved, planes = saving.snapshot(self.session, self.record(), self._known)
        path = self.path

        def write() -> Any:
            try:
                return saving.write(saved, planes, path)
            except OSError as error:  # a full disk: what is open is not lost by it
                log.warning("cannot save the session in %s: %s", path, error)
                return None

        self._run(self._written, write)

    def save(
        self,
        path: Path,
        picture: Callable[[Key], NDArray[np.uint8]] | None,
        then: Callable[[str], None],
    ) -> None:
        """Save to a file that a person named.

        Parameters
        ----------
        path : path
        picture : callable, optional
            Gives the pixels of a slice, which are saved beside the session; None where the image is
            a file that holds them.
        then : callable
            Told what went wrong, or nothing, when it is done.
        """
        saved, planes = saving.snapshot(self.session, self.record())

        def write() -> str:
            try:
                if picture is not None:
                    saved.pictures = _write_pictures(saved, planes, path, picture)
                saving.write(saved, planes, path)
            except OSError as error:
                return f"cannot save in {path}: {error.strerror or error}"
            return ""

        self._run(then, write)

    def close(self) -> None:
        """Save nothing more by itself: what is shown is taken down now."""
        self._closed = True

    def _written(self, known: dict[Key, dict[int, R.Runs]] | None) -> None:
        self._busy = False
        self._known = {k: v for k, v in (known or {}).items() if k not in self._changed}
        if self._again:
            self.changed(set())


def _write_pictures(
    saved: Saved, planes: Iterable[Key], path: Path, picture: Callable[[Key], NDArray[np.uint8]]
) -> dict[Key, str]:
    """Write the pixels of every slice that has objects; names relative to the session's folder."""
    from PIL import Image

    outlined = {o.outline[0] for o in saved.objects.values() if o.outline is not None}
    folder = path.parent / f"{path.stem}_images"
    folder.mkdir(parents=True, exist_ok=True)
    names = {}
    for key in sorted({*planes, *outlined}):
        file = folder / ("_".join(map(str, key)) or "image")
        Image.fromarray(picture(key)).save(f"{file}.png")
        names[key] = f"{folder.name}/{file.name}.png"
    return names
