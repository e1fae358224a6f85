"""What was worked out once and is worth keeping: compiled networks, what runs them fastest.

Everything here can be deleted at any time: it is made again. A file that is damaged, or that
another version wrote, is as good as none.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from fastsam_plugins import paths
from fastsam_plugins.messages import one_line

_DIGEST = 32  # bytes before the content: its SHA-256


def key(*parts: object) -> str:
    """A file's name for what was worked out from these."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


def versions(*packages: str) -> list[str]:
    """The installed version of each package; ``-`` where there is none."""
    return [_version(package) for package in packages]


@functools.cache
def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"


@functools.cache
def processor() -> str:
    """This machine's processor, as what is fast on one is slow on another."""
    said = _cpuinfo()
    able = said.get("flags", said.get("Features", ""))  # a virtual one may be less able
    return f"{platform.machine()} {processor_name()} {key(able) if said else ''}".rstrip()


def processor_name() -> str:
    """This machine's processor, as it calls itself."""
    return _cpuinfo().get("model name", platform.processor())


@functools.cache
def _cpuinfo() -> dict[str, str]:
    file = Path("/proc/cpuinfo")
    if not file.is_file():
        return {}
    pairs = (line.partition(":") for line in file.read_text().splitlines())
    return {what.strip(): value.strip() for what, _, value in pairs}


def place(name: str) -> Path:
    """Where something is kept."""
    return paths.cache() / name


def peek(name: str) -> bytes | None:
    """What is kept under a name; None if there is nothing, or it is damaged."""
    try:
        content = place(name).read_bytes()
    except OSError:
        return None
    digest, kept = content[:_DIGEST], content[_DIGEST:]
    return kept if hashlib.sha256(kept).digest() == digest else None


def keep(name: str, content: bytes) -> None:
    """Keep something; where that cannot be done, a warning says that it is made anew each time."""
    from fastsam_plugins.io import atomic

    try:
        atomic.write_bytes(place(name), hashlib.sha256(content).digest() + content)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else one_line(error)
        _warn(
            f"nothing can be kept in {paths.cache()} ({reason}), so every start takes longer: set "
            f"{paths.CACHE_VARIABLE} to a folder that can be written"
        )


@functools.cache
def _warn(line: str) -> None:  # once: there are several files
    warnings.warn(line, stacklevel=3)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Work something out while no other process or thread does; go on where nothing is kept."""
    from fastsam_plugins.io import atomic

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(atomic.making(paths.cache()))
            stack.enter_context(atomic.alone(paths.cache()))
        yield


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """What is kept under a name, made if need be."""
    content = peek(name)
    if content is None:
        content = make()
        keep(name, content)
    return content
