"""Saving a session as it changes, in another thread: never two at once, always the last state."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.io import atomic
from fastsam_plugins.masks import runs as R
from napari_plugin.model import saving, schema
from napari_plugin.model.edits import Key
from napari_plugin.model.identity import Identity
from napari_plugin.model.saving import ImageRecord, Saved
from napari_plugin.model.session import Session, SessionError
from napari_plugin.model.session_folder import SessionFolder, free

log = logging.getLogger(__name__)

STRIP = 1 << 22  # pixels of a picture that are read together
RETRY = 10.0
"""Seconds after which a save that failed is tried again."""


class _Once:
    """Work that is done once, by whichever thread asks first; others wait for its result."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work, self._lock = work, threading.Lock()
        self._done: list[Any] = []

    def __call__(self) -> Any:
        with self._lock:
            if not self._done:
                self._done.append(self._work())
            return self._done[0]


@dataclass
class _Place:
    """A file that one canvas is saved in.

    Attributes
    ----------
    path : path, optional
        None until the image is known, which may take reading it.
    before : path, optional
        The session that it goes on with.
    written : bool
    pictures : dict
        What Save put beside it.
    """

    path: Path | None
    before: Path | None = None
    written: bool = False
    pictures: dict[Key, str] = field(default_factory=dict)


class Saver:
    """Writes a session to a file.

    Parameters
    ----------
    session : Session
    record : callable
        What the file says of the image.
    path : path, optional
        The file; by default, one of its own among ``sessions``.
    run : callable
        Tells its first argument, in this thread, what its second gave in another one.
    sessions : SessionFolder, optional
    identity : Identity, optional
        Of the image's pixels.
    tell : callable, optional
        Told in words that saving fails, once, and that it works again.
    later : callable, optional
        Calls its second argument, in this thread, after so many seconds.
    autosave : bool
        Whether to save what changes without being asked.
    """

    def __init__(
        self,
        session: Session,
        record: Callable[[], ImageRecord],
        path: Path | None,
        run: Callable[[Callable[[Any], None], Callable[[], Any]], None],
        sessions: SessionFolder | None = None,
        identity: Identity | None = None,
        tell: Callable[[str], None] = lambda text: None,
        later: Callable[[float, Callable[[], None]], None] = lambda seconds, act: None,
        autosave: bool = True,
    ) -> None:
        self.session, self.record, self._run, self._autosave = session, record, run, autosave
        self._sessions, self._identity, self._tell, self._later = sessions, identity, tell, later
        self._known: dict[Key, dict[int, R.Runs]] = {}
        self._changed: set[Key] = set()
        self._busy = self._dirty = self._closed = self._failing = False
        self._writing = threading.Lock()
        self._last: _Once | None = None
        self._asked: list[_Once] = []
        self._own: set[Path] = set()
        self._place = _Place(path or self._fresh_now())

    @property
    def path(self) -> Path | None:
        """The file; None until the image is known."""
        return self._place.path

    def changed(self, keys: set[Key]) -> None:
        """Labels of some slices changed, or prompts did: save it soon, if it is to be autosaved."""
        if not self._autosave:
            return
        self._changed |= keys
        self._dirty = True
        if not (self._closed or self._busy or self.session.history.writing):
            self._busy = True
            self._run(self._written, self._task())

    def flush(self) -> None:
        """Have what changed until now in its file, before something goes that it is about."""
        if self._last is not None:
            self._last()
        if self._dirty:
            self._note(self._task()())

    def new_file(self, before: Path | None = None) -> None:
        """From now on another canvas is saved: in a new file, that of the other one stays.

        Parameters
        ----------
        before : path, optional
            The session that it is gone on with; kept as ``.bak`` once the new one is written.
        """
        self.flush()
        self._known, self._changed, self._last = {}, set(), None
        if self._sessions is not None and (self._place.written or before):
            self._place = _Place(self._fresh_now(), before)

    def save(
        self,
        path: Path | None,
        picture: Callable[[Key], NDArray[np.uint8] | WindowedImage] | None,
        then: Callable[[str], None],
        inputs: Iterable[Path] = (),
    ) -> None:
        """Save to a file that a person named, or to the usual one.

        A session that is there, and was not saved by this window, is kept beside it as ``.bak``.

        Parameters
        ----------
        path : path, optional
        picture : callable, optional
            Gives the pixels of a slice, which are saved beside the session; None where the image is
            a file that holds them.
        then : callable
            Told what went wrong, or nothing, when it is done.
        inputs : iterable of path
            Files that layers were read from, which are never written to.
        """
        saved, planes = saving.snapshot(self.session, self._record())
        place, inputs = self._place, list(inputs)

        def write() -> str:
            try:
                with self._writing:
                    self._identify(saved)
                    target = path or self._file(place, saved)
                    atomic.check_apart([target], inputs)
                    if target != place.path and target not in self._own:
                        _keep(target)
                    if picture is not None:
                        saved.pictures = _write_pictures(saved, planes, target, picture)
                    saving.write(saved, planes, target)
                    self._own.add(target)
                    if target == place.path:
                        place.written, place.pictures = True, saved.pictures
            except (OSError, ValueError) as error:
                return str(error) if path is None else f"cannot save in {path}: {error}"
            return ""

        task = _Once(write)
        self._asked.append(task)
        self._run(then, task)

    @property
    def busy(self) -> bool:
        """Whether another thread is writing what changed."""
        return self._busy

    def close(self) -> None:
        """Have everything on the disk, and save nothing more: what is shown is taken down now."""
        self.flush()
        for task in self._asked:
            task()
        self._closed = True

    # --- writing ----------------------------------------------------------------------------

    def _task(self) -> _Once:
        """Writing what there is now."""
        for key in self._changed:
            self._known.pop(key, None)
        self._changed, self._dirty = set(), False
        place = self._place
        saved, planes = saving.snapshot(self.session, self._record(), self._known)

        def write() -> Any:
            try:
                with self._writing:
                    self._identify(saved)
                    saved.pictures = place.pictures
                    known = saving.write(saved, planes, self._file(place, saved))
                    place.written, before, place.before = True, place.before, None
                    if before is not None and self._sessions is not None:
                        self._sessions.retire(before)
            except OSError as error:  # a full disk: what is open is not lost by it
                return task, None, str(error)
            return task, known, ""

        self._last = task = _Once(write)
        return task

    def _written(self, result: Any) -> None:
        self._busy = False
        self._note(result)
        if self._dirty and not self._failing:
            self.changed(set())  # or, of a step that is half done, at its end

    def _note(self, result: tuple[_Once, dict[Key, dict[int, R.Runs]] | None, str]) -> None:
        """How a save went; only the last one says what is in the file."""
        task, known, problem = result
        if task is not self._last:
            return
        self._known = {k: v for k, v in (known or {}).items() if k not in self._changed}
        if not problem:
            if self._failing:
                self._tell(f"FastSAM: the session is saved again, in {self.path}")
            self._failing = False
            return
        self._dirty = True
        log.warning("cannot save the session: %s", problem)
        if not self._failing:
            self._failing = True
            self._tell(
                f"FastSAM cannot save the session: {problem}. What is open is kept, and it is "
                "tried again; or name another place under file and press Save"
            )
        self._later(RETRY, self._retry)

    def _retry(self) -> None:
        if self._failing and self._dirty:
            self.changed(set())

    def _record(self) -> ImageRecord:
        record, identity = self.record(), self._identity
        if identity is not None and identity.quick:
            record = dataclasses.replace(record, content=identity.get())
        return record

    def _identify(self, saved: Saved) -> None:
        if self._identity is not None:
            saved.image = dataclasses.replace(saved.image, content=self._identity.get())

    def _fresh_now(self) -> Path | None:
        if self._sessions is None or self._identity is None or not self._identity.quick:
            return None
        return self._sessions.fresh(self._record())

    def _file(self, place: _Place, saved: Saved) -> Path:
        if place.path is None:
            assert self._sessions is not None
            place.path = self._sessions.fresh(saved.image)
        return place.path


def _keep(path: Path) -> None:
    """Keep a session that is to be written over; refuse to write over anything else."""
    if not path.exists():
        return
    try:
        schema.summary_of(path)
    except SessionError:
        raise SessionError("a file is there that is no session: choose another name") from None
    atomic.write_bytes(free(path), path.read_bytes())


def _write_pictures(
    saved: Saved,
    planes: Iterable[Key],
    path: Path,
    picture: Callable[[Key], NDArray[np.uint8] | WindowedImage],
) -> dict[Key, str]:
    """Write the pixels of every slice that has objects; names relative to the session's folder.

    Files are named by what is in them: none is written over that holds something else.
    """
    from fastsam_plugins.io.png_writer import write_png

    outlined = {o.outline[0] for o in saved.objects.values() if o.outline is not None}
    folder = path.parent / f"{path.stem}_images"
    names = {}
    for key in sorted({*planes, *outlined}):
        pixels, said = picture(key), hashlib.blake2b(digest_size=4)
        for strip in _strips(pixels):
            said.update(strip.data)
        file = folder / f"{'_'.join(map(str, key)) or 'image'}-{said.hexdigest()}.png"
        with atomic.replacing(file) as part:
            write_png(part, (pixels.shape[0], pixels.shape[1]), _strips(pixels))
        names[key] = f"{folder.name}/{file.name}"
    return names


def _strips(pixels: NDArray[np.uint8] | WindowedImage) -> Iterator[NDArray[np.uint8]]:
    """A picture, some rows at a time."""
    height, width = pixels.shape[:2]
    step = max(STRIP // width, 1)
    for top in range(0, height, step):
        yield np.ascontiguousarray(pixels[top : top + step, 0:width])
