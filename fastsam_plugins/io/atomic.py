"""The one place where files are written: whole or not at all, and never over what was read.

A file is made under another name in the same folder, flushed to the disk, checked, and put in its
place in one move. Whoever looks sees the old file or the new one; a kill, a full disk or a second
writer leaves no half of one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import socket
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PREFIX = ".fastsam-"
SUFFIX = ".part"


class OutputError(OSError):
    """A file cannot be written: one line that names it and says why. It has an ``errno``."""

    @classmethod
    def of(cls, error: OSError, path: Path) -> OutputError:
        """What went wrong, told of the file that was asked for."""
        if isinstance(error, cls):
            return error
        own = cls(f"cannot write {path}: {error.strerror or f'{error}{_scarce(path)}'}")
        own.errno = error.errno
        return own


@contextlib.contextmanager
def replacing(path: str | Path, *, flush: bool = True, empty: bool = False) -> Iterator[Path]:
    """Write a file that appears when it is complete.

    Parameters
    ----------
    path : path
        The file to write. Its folder is made if need be. A link is replaced, not followed.
    flush : bool
        Wait until the disk has it, so that a power cut leaves no half of it either. Without, a kill
        of this process still leaves none: for many small files that can be made again.
    empty : bool
        Whether a file without a byte is right.

    Yields
    ------
    path
        A file of the same name in a folder of its own: write to it. When the block ends it takes
        the place of ``path``; where the block raises, ``path`` stays as it was.

    Raises
    ------
    OutputError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with replacing(place) as part:
    ...     _ = part.write_text("1 2 3")
    >>> place.read_text()
    '1 2 3'
    """
    path = Path(path)
    with _naming(path):
        _check_kind(path)
    with making(path.parent, path):
        with _naming(path):
            _tidy(path.parent)
            folder = path.parent / _part_name()
            folder.mkdir(mode=0o700)
        part = folder / path.name
        try:
            yield part
            with _naming(path):
                if not part.is_file() or not (empty or part.stat().st_size):
                    raise OSError("nothing was written")
                if path.is_file():
                    part.chmod(stat.S_IMODE(path.stat().st_mode))
                if flush:
                    _flush(part)
                os.replace(part, path)
        except OSError as error:
            if error.filename is None or Path(str(error.filename)).parent == folder:
                raise OutputError.of(error, path) from error
            raise  # of another file: what was to be read, perhaps
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Make a folder that appears when it is complete, in place of the one that is there.

    Whether that one may go is for the caller to know. Links in it go; what they lead to stays.

    Yields
    ------
    path
        An empty folder beside it, which takes its place when the block ends without error.
    """
    with making(path.parent, path):
        with _naming(path):
            _tidy(path.parent)
            new, old = path.parent / _part_name(), path.parent / _part_name()
            new.mkdir()
        try:
            yield new
            with _naming(path):
                if path.is_dir():
                    os.rename(path, old)
                os.rename(new, path)
        except OSError as error:
            if error.filename is None:  # as a full disk has it
                raise OutputError.of(error, path) from error
            raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def making(folder: Path, asked: Path | None = None) -> Iterator[None]:
    """Work in a folder that is made if need be, and goes again if nothing comes of it.

    Parameters
    ----------
    folder : path
    asked : path, optional
        What errors name; by default the folder.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    missing = [p for p in (folder, *folder.parents) if not os.path.lexists(p)]
    try:
        with _naming(asked or folder):
            folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for made in missing:
            with contextlib.suppress(OSError):  # not empty: something did come of it
                made.rmdir()
        raise


@contextlib.contextmanager
def alone(folder: Path, wait: bool = True) -> Iterator[None]:
    """Work in a folder that no other process does this in; leaves nothing behind, however it ends.

    Where the system or the disk (as some network disks) has no such locks, everyone goes ahead.

    Parameters
    ----------
    folder : path
        It must exist.
    wait : bool
        Whether to wait for another process to be done.

    Raises
    ------
    BlockingIOError
        If another process is there, and nobody waits for it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise BlockingIOError(f"another process is at work in {folder}") from None
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOTSUP):
                raise
        yield
    finally:
        os.close(descriptor)


def write_bytes(path: str | Path, content: bytes, *, flush: bool = True) -> None:
    """Write a file in one move; see :func:`replacing`."""
    with replacing(path, flush=flush, empty=not content) as part:
        part.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write a text file as UTF-8 in one move; see :func:`replacing`."""
    write_bytes(path, content.encode())


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file in one move; see :func:`replacing`."""
    text = json.dumps(content, ensure_ascii=False)
    try:
        write_text(path, text)
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        write_text(path, json.dumps(content))


def check_writable(path: Path) -> None:
    """Refuse a path that :func:`replacing` could not write, before the work is done.

    Raises
    ------
    OutputError
        If it is a folder or a device, or lies where no file can be made.
    """
    with _naming(path):
        _check_kind(path)
        folder = path.parent
        while not os.path.lexists(folder) and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise OSError("its folder is a file")
        for name in path.relative_to(folder).parts:  # each as long as names may be here?
            with contextlib.suppress(FileNotFoundError):
                (folder / name).lstat()
        probe = folder / _part_name()
        probe.mkdir(mode=0o700)
        probe.rmdir()


def _check_kind(path: Path) -> None:
    if path.is_dir():
        raise OSError("it is a folder, name a file")
    if path.exists() and not path.is_file():
        raise OSError("it is no regular file")


def check_apart(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over what is read, by whatever name: a link, another spelling.

    Parameters
    ----------
    outputs, inputs : iterable of path
        What will be written and what is read; either may not exist.

    Raises
    ------
    ValueError
        Naming the first output that is one of the inputs.
    """
    read = {identity: path for path in inputs for identity in _identities(path)}
    for output in outputs:
        for identity in _identities(output):
            if identity in read:
                raise ValueError(
                    f"{output} would overwrite the input {read[identity]}: choose another name"
                )


def _identities(path: Path) -> list[Any]:
    """What a file is known by: where its name leads, and its place on the disk if it exists."""
    found: list[Any] = [os.path.realpath(path)]
    with contextlib.suppress(OSError):
        about = path.stat()
        found.append((about.st_dev, about.st_ino))
    return found


def _flush(part: Path) -> None:
    descriptor = os.open(part, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _part_name() -> str:
    """A name that no other writer has, and that says which machine's process it is of."""
    return f"{PREFIX}{_here()}-{os.getpid()}-{secrets.token_hex(6)}{SUFFIX}"


def _here() -> str:
    return "".join(c for c in socket.gethostname() if c.isalnum())[:16] or "host"


PER_FILE = 64
_looked: tuple[Path, int] = Path(), 0  # the folder tidied last, and for how many files that will do


def _tidy(folder: Path) -> None:
    """Remove what writers that were killed on this machine left in a folder.

    A folder is listed once for so many files as it has 64s: else many files into one folder would
    cost the square of their number.
    """
    global _looked
    last, rest = _looked
    if last == folder and rest:
        _looked = folder, rest - 1
        return
    start, count = f"{PREFIX}{_here()}-", 0
    with os.scandir(folder) as entries:
        for entry in entries:
            count += 1
            own = entry.name.startswith(start) and entry.name.endswith(SUFFIX)
            if own and entry.is_dir(follow_symlinks=False):  # rmtree waits for ever at a pipe
                process = entry.name.removeprefix(start).partition("-")[0]
                if process.isdigit() and not _alive(int(process)):
                    shutil.rmtree(entry.path, ignore_errors=True)
    _looked = folder, count // PER_FILE


def _alive(process: int) -> bool:
    if os.name == "nt":  # where signal 0 would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


SCARCE = 1_000_000


def _scarce(path: Path) -> str:
    """What the libraries that write do not tell: that the disk has no room."""
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(path.parent).free
        if free < SCARCE:
            return f" (the disk has {free // 1000} kB left)"
    return ""


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors name the file that was asked for, not what it is made under."""
    try:
        yield
    except OSError as error:
        raise OutputError.of(error, path) from error
