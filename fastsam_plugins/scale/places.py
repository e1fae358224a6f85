"""Where images and results lie: a folder here, or an address such as ``s3://bucket/folder``.

Stores are spoken to by pyarrow, and those that it does not know by fsspec. What goes wrong on the
way to one is tried again, ever more slowly; what is not there is not there at once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import url2pathname

from fastsam_plugins.io import atomic
from fastsam_plugins.messages import install, one_line

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds that a store may be away before a run gives up."""

FIRST_WAIT, LONGEST_WAIT = 0.25, 15.0  # seconds between two tries

SILENCE = 3.0
"""Seconds that are waited before a person is told why nothing goes on."""

_told: dict[str, float] = {}  # until when each store is waited for, as it was said last
_telling = threading.Lock()

_FINAL = ("ACCESS_DENIED", "AccessDenied", "Forbidden", "NoSuchBucket", "NO_SUCH_BUCKET",
          "InvalidAccessKeyId", "SignatureDoesNotMatch")  # fmt: skip


class StoreError(RuntimeError):
    """A store cannot be reached, or refuses: no fault of an image."""


def is_address(text: str) -> bool:
    """Whether a text is an address of a store, and not a path here."""
    scheme, colon, _ = text.partition("://")
    return bool(colon) and scheme.lower() != "file" and scheme.replace("+", "").isalnum()


def local(text: str) -> str:
    """A path here as it is known from anywhere on this machine; ``file://`` is taken off.

    Raises
    ------
    ValueError
        If it is empty: that would be the folder where one stands.
    """
    if text.lower().startswith("file://"):
        text = url2pathname(text[len("file://") :])
    if not text:
        raise ValueError("an empty path names nothing: is a variable not set?")
    return os.path.abspath(os.path.expanduser(text))


def arrow() -> Any:
    """The package pyarrow.

    Raises
    ------
    ValueError
        If it is not installed.
    """
    try:
        import pyarrow.compute
        import pyarrow.fs
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(f"this needs pyarrow ({error}): {install('batch')}") from None
    return pyarrow


@functools.cache
def _store(root: str) -> tuple[Any, str]:
    """The file system of an address without its path, and what its paths begin with."""
    fs = arrow().fs
    # Of S3 one request for an object, which is then there whole, instead of several for its parts.
    # Google's library tries again for many minutes and says nothing: here somebody does.
    more = {"s3": "?allow_delayed_open=true", "gs": "?retry_limit_seconds=5"}
    try:
        return fs.FileSystem.from_uri(root + more.get(root.partition("://")[0], ""))
    except (ValueError, TypeError):  # pyarrow does not know it
        pass
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(root)
    except (ImportError, ValueError) as error:
        known = "s3, gs, hdfs and, where their packages are installed, those of fsspec"
        raise ValueError(
            f"{root} is no address that can be read here ({one_line(error)}); known are {known}"
        ) from None
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


def _found(address: str) -> tuple[Any, str]:
    scheme, _, rest = address.partition("://")
    name, _, path = rest.partition("/")
    check_named(address)
    system, start = patiently(lambda: _store(f"{scheme}://{name}"), address)
    return system, f"{start.rstrip('/')}/{path}".rstrip("/") if path else start


def check_named(address: str) -> None:
    """Refuse an address without a bucket or host."""
    if not address.partition("://")[2].partition("/")[0].strip():
        raise ValueError(f"{address} names no bucket or host: is a variable not set?")


def patiently(work: Callable[[], T], address: str, patience: float | None = None) -> T:
    """Do something with a store, again and again while it cannot be reached.

    Raises
    ------
    FileNotFoundError
        If what is asked for is not there.
    StoreError
        If the store refuses, or is away for longer than ``patience`` seconds.
    """
    start = time.monotonic()
    end = start + (PATIENCE if patience is None else patience)
    wait = FIRST_WAIT
    while True:
        try:
            return work()
        except FileNotFoundError:
            raise
        except OSError as error:
            now = time.monotonic()
            if any(word in str(error) for word in _FINAL) or now + wait > end:
                raise StoreError(f"{address} cannot be used: {one_line(error)}") from error
            if now - start >= SILENCE:
                _tell(address, one_line(error), now, end)
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


def _tell(address: str, why: str, now: float, end: float) -> None:
    """Say that a store is waited for: one line, however many wait for it at the same time."""
    store = "/".join(address.split("/", 3)[:3])
    with _telling:
        if _told.get(store, 0.0) > now:
            return
        _told[store] = end
    warnings.warn(f"{store} cannot be reached, and is tried for {end - now:.0f} s more: {why}",
                  stacklevel=3)  # fmt: skip


def read_bytes(address: str) -> bytes:
    """What lies at an address, or in a file here.

    Raises
    ------
    FileNotFoundError, StoreError
        See :func:`patiently`.
    """
    if not is_address(address):
        return Path(local(address)).read_bytes()
    system, path = _found(address)

    def work() -> bytes:
        with system.open_input_file(path) as stream:
            return bytes(stream.read())

    return patiently(work, address)


def tail(address: str, count: int) -> bytes:
    """The last bytes of a file or an object; all of a shorter one.

    Raises
    ------
    FileNotFoundError, StoreError
        See :func:`patiently`.
    """
    if not is_address(address):
        with open(local(address), "rb") as stream:
            stream.seek(-min(count, os.fstat(stream.fileno()).st_size), os.SEEK_END)
            return stream.read()
    system, path = _found(address)

    def work() -> bytes:
        with system.open_input_file(path) as stream:
            size = stream.size()
            return bytes(stream.read_at(min(count, size), max(size - count, 0)))

    return patiently(work, address)


def write_bytes(address: str, content: bytes) -> None:
    """Write a file or an object: whoever looks sees all of it, or what was there before.

    Raises
    ------
    OutputError, StoreError
        If it cannot be written.
    """
    if not is_address(address):
        atomic.write_bytes(local(address), content)
        return
    system, path = _found(address)

    def work() -> None:
        with system.open_output_stream(path) as stream:  # is there once it is closed
            stream.write(content)
        if (size := system.get_file_info(path).size) != len(content):
            raise OSError(f"{size} of {len(content)} bytes were stored")

    patiently(work, address)


def delete(address: str) -> None:
    """Delete a file or an object; it is no fault if there is none."""
    with contextlib.suppress(FileNotFoundError):
        if not is_address(address):
            Path(local(address)).unlink()
            return
        system, path = _found(address)
        patiently(lambda: system.delete_file(path), address)


def is_folder(address: str) -> bool:
    """Whether an address is that of a folder, here or in a store."""
    if not is_address(address):
        return os.path.isdir(local(address))
    system, path = _found(address)
    if _is_root(address):
        return True
    kind = arrow().fs.FileType.Directory
    return bool(patiently(lambda: system.get_file_info(path), address).type == kind)


def is_file(address: str) -> bool:
    """Whether there is an object at an address."""
    system, path = _found(address)
    kind = arrow().fs.FileType.File
    return bool(patiently(lambda: system.get_file_info(path), address).type == kind)


def _is_root(address: str) -> bool:
    """Whether an address is that of a bucket, or of all that a host has."""
    return "/" not in address.partition("://")[2].rstrip("/")


def _check_root(system: Any, address: str) -> None:
    """Refuse an address in a bucket that is not there: a store lists nothing in it, as if empty."""
    root = "/".join(address.split("/", 3)[:3])
    if address.startswith("s3://"):
        info = patiently(lambda: system.get_file_info(_found(root)[1]), root)
        if info.type == arrow().fs.FileType.NotFound:
            raise StoreError(f"there is no bucket {root}")


def files(address: str) -> list[str]:
    """All files below a folder, by name; none if there is no folder. Hidden ones are left out."""
    if not is_address(address):
        found = []
        for folder, below, names in os.walk(local(address)):
            below[:] = sorted(name for name in below if not name.startswith("."))
            found += [os.path.join(folder, name) for name in names if not name.startswith(".")]
        return sorted(found)
    system, path = _found(address)
    fs = arrow().fs
    chosen = fs.FileSelector(path, allow_not_found=True, recursive=True)
    infos = patiently(lambda: system.get_file_info(chosen), address)
    if not infos:
        _check_root(system, address)
    base = address.rstrip("/")
    paths = (i.path[len(path) :].lstrip("/") for i in infos if i.type == fs.FileType.File)
    shown = (p for p in paths if not any(part.startswith(".") for part in p.split("/")))
    return sorted(f"{base}/{p}" for p in shown)


def join(address: str, *names: str) -> str:
    """The address of what lies in a folder."""
    return "/".join([address.rstrip("/"), *names])


@contextlib.contextmanager
def fetched(address: str) -> Iterator[Path]:
    """A file here that holds what lies at an address; a file that is here is itself.

    Raises
    ------
    FileNotFoundError, StoreError
        See :func:`patiently`.
    """
    if not is_address(address):
        yield Path(local(address))
        return
    system, there = _found(address)
    with tempfile.TemporaryDirectory(prefix="fastsam-") as folder:
        path = Path(folder) / (address.rpartition("/")[2] or "image")

        def work() -> None:  # piece by piece: a scene may be larger than memory
            with system.open_input_stream(there) as source, path.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 22)

        patiently(work, address)
        yield path
