"""Saving a session as it changes, in another thread: never two at once, always the last state."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastsam_plugins.masks import runs as R
from napari_plugin import saving
from napari_plugin.edits import Key
from napari_plugin.saving import ImageRecord
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
        Runs a function in another thread, and another with its result afterwards, in this one.
    """

    def __init__(
        self,
        session: Session,
        record: Callable[[], ImageRecord],
        path: Path,
        run: Callable[[Callable[[], Any], Callable[[Any], None]], None],
    ) -> None:
        self.session, self.record, self.path, self._run = session, record, path, run
        self._known: dict[Key, dict[int, R.Runs]] = {}
        self._changed: set[Key] = set()
        self._busy = self._again = False

    def changed(self, keys: set[Key]) -> None:
        """Labels of some slices changed, or prompts did: save it soon."""
        self._changed |= keys
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

        self._run(write, self._written)

    def save(self, path: Path) -> None:
        """Save at once, to a file that a person named."""
        saved, planes = saving.snapshot(self.session, self.record())
        saving.write(saved, planes, path)

    def _written(self, known: dict[Key, dict[int, R.Runs]] | None) -> None:
        self._busy = False
        self._known = {k: v for k, v in (known or {}).items() if k not in self._changed}
        if self._again:
            self.changed(set())
