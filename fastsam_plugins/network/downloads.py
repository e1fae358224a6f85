"""A file from a server, checked before it gets its name.

What arrives is kept in ``NAME.part``: a download that was cut goes on where it ended, if the server
can. Only what has the right SHA-256 becomes ``NAME``; anything else is put aside as
``NAME.rejected``, so that the next try begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import filelock

from fastsam_plugins.messages import one_line
from fastsam_plugins.options import WeightsOptions

ATTEMPTS = 4  # of a connection that ends too early, each from where the last one ended
LARGEST = 2_000_000_000  # bytes: a server that sends more does not send what was asked for
SLOWEST = 1000  # bytes per second
_CHUNK = 1 << 14
_TICK = 0.1  # seconds


class DownloadError(OSError):
    """A file could not be downloaded; the message says why, in a few words."""


class _Cut(DownloadError):
    """The connection ended too early: what came is kept."""


def fetch(
    url: str,
    path: Path,
    sha256: str,
    size: int,
    options: WeightsOptions,
    check: Callable[[Path], object],
) -> None:
    """Download a file, unless another process has just done so.

    Parameters
    ----------
    url : str
    path : path
        Where it is to be.
    sha256 : str
        Of the right file, as hexadecimal digits.
    size : int
        Of the right file, in bytes: only shown.
    options : WeightsOptions
    check : callable
        Raises where a file with another SHA-256, though allowed, cannot be used.

    Raises
    ------
    DownloadError
        If the server does not answer, or sends something else.
    OSError
        If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(path):
        if path.is_file():
            return
        part = path.with_name(f"{path.name}.part")
        bar = click.progressbar(length=size, label=f"Downloading {url}", file=sys.stderr)
        with bar as shown:
            resumed = _complete(url, part, sha256, options, shown)
            if resumed and sha256_of(part) != sha256:  # its beginning may be another file's
                part.unlink()
                _complete(url, part, sha256, options, shown)
        _accept(part, path, sha256, options, check)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _accept(
    part: Path,
    path: Path,
    sha256: str,
    options: WeightsOptions,
    check: Callable[[Path], object],
) -> None:
    """Give a complete file its name, or put it aside."""
    digest = sha256_of(part)
    why = f"the server sent another file: its SHA-256 is {digest}, not {sha256}"
    try:
        if digest != sha256:
            if not options.allow_unknown_weights:
                raise DownloadError(why)
            try:
                check(part)
            except RuntimeError as error:
                raise DownloadError(f"{why}; {error}") from None
    except DownloadError as error:
        rejected = path.with_name(f"{path.name}.rejected")
        os.replace(part, rejected)
        raise DownloadError(f"{error}; it is kept as {rejected.name}") from None
    # Only here: the other files of that folder need OpenCV, and the doctor works without it.
    from fastsam_plugins.io import atomic

    with atomic.replacing(path) as place:
        os.replace(part, place)


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Any:
    """Wait while another process downloads the same file; a killed one holds nobody up."""
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"Another process is downloading {path}: waiting for it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _complete(url: str, part: Path, sha256: str, options: WeightsOptions, bar: Any) -> bool:
    """Download what is missing of a file. Says whether it began with what was there."""
    if part.is_file() and sha256_of(part) == sha256:  # stopped just before it got its name
        return False
    began = part.stat().st_size if part.is_file() else 0
    for attempt in range(ATTEMPTS):
        before = part.stat().st_size if part.is_file() else 0
        transfer = _Transfer(url, part, options)
        try:
            transfer.wait(bar)
            return began > 0 and transfer.resumed
        except _Cut:
            if attempt == ATTEMPTS - 1 or part.stat().st_size <= before:
                raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                part.unlink(missing_ok=True)  # it would only be in the way of what makes room
            raise
    raise AssertionError("not reached")


class _Transfer(threading.Thread):
    """One answer of a server, written to a file.

    A thread of its own, since there are many ways to wait for ever: for a name server, for an
    answer that comes letter by letter. Who waits for the thread can give up at any time.
    """

    def __init__(self, url: str, part: Path, options: WeightsOptions) -> None:
        super().__init__(daemon=True)
        self.resumed = False
        self._url, self._part, self._options = url, part, options
        self._received, self._answered, self._given_up = 0, False, False
        self._error: OSError | None = None
        self._writing = threading.Lock()
        self._ended = threading.Event()

    def wait(self, bar: Any) -> None:
        """Run it, and give up where too little comes.

        Raises
        ------
        DownloadError, OSError
        """
        options = self._options
        self.start()
        enough = SLOWEST * options.read_timeout
        counted, since, patience = 0, time.monotonic(), options.connect_timeout
        try:
            while not self._ended.wait(_TICK):
                received = self._received
                bar.update(received - bar.pos)
                if received - counted >= enough:
                    counted, since, patience = received, time.monotonic(), 0.0
                elif time.monotonic() - since > options.read_timeout + patience:
                    raise DownloadError(self._silence())
        finally:
            with self._writing:
                self._given_up = True
        if self._error is not None:
            raise self._error
        bar.update(self._received - bar.pos)

    def run(self) -> None:
        """The thread's work: errors are raised by :meth:`wait`."""
        import requests

        try:
            with requests.Session() as session:
                session.max_redirects = 10
                self._transfer(session)
        except requests.Timeout:
            self._error = DownloadError(self._silence())
        except requests.HTTPError as error:
            answer: Any = error.response
            self._error = DownloadError(f"the server says {answer.status_code} {answer.reason}")
        except requests.TooManyRedirects:
            self._error = DownloadError("the server sends from one address to the next")
        except (requests.exceptions.ChunkedEncodingError, requests.ConnectionError) as error:
            if "ReadTimeout" in repr(error):  # in the middle of an answer
                self._error = DownloadError(self._silence())
            elif self._answered:
                self._error = _Cut(self._where())
            else:
                self._error = DownloadError(f"no connection ({_inmost(error)})")
        except requests.RequestException as error:
            self._error = DownloadError(_inmost(error))
        except OSError as error:
            self._error = error
        except Exception as error:  # whatever a library makes of what a server sends
            self._error = DownloadError(_inmost(error))
        finally:
            self._ended.set()

    def _silence(self) -> str:
        return f"hardly anything came for {self._options.read_timeout:g} s"

    def _where(self) -> str:
        return f"the connection ended after {self._received} bytes: try again to go on"

    def _transfer(self, session: Any) -> None:
        have = self._part.stat().st_size if self._part.is_file() else 0
        answer = self._ask(session, have)
        if have and answer.status_code in (206, 416) and not _begins_at(answer, have):
            answer.close()
            have = 0
            answer = self._ask(session, have)
        with answer:
            answer.raise_for_status()
            self.resumed = answer.status_code == 206
            if "html" in answer.headers.get("Content-Type", ""):
                raise DownloadError("the server sent a web page")
            self._received = have if self.resumed else 0
            length = answer.headers.get("Content-Length", "")
            total = self._received + int(length) if length.isdigit() else 0
            if total > LARGEST:
                raise DownloadError(f"the server offers {total} bytes, which is no such file")
            self._answered = True
            with open(self._part, "ab" if self.resumed else "wb") as stream:
                for chunk in answer.iter_content(_CHUNK):
                    with self._writing:
                        if self._given_up:
                            return
                        stream.write(chunk)
                        self._received += len(chunk)
                    if self._received > LARGEST:
                        raise DownloadError("the server sends without end")
            if total and self._received < total:
                raise _Cut(self._where())

    def _ask(self, session: Any, have: int) -> Any:
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        options = self._options
        timeout = (options.connect_timeout, options.read_timeout)
        answer = session.get(self._url, headers=headers, stream=True, timeout=timeout)
        if self._url.startswith("https:") and not answer.url.startswith("https:"):
            raise DownloadError("the server sends to an address that anyone can listen to")
        return answer


def _begins_at(answer: Any, have: int) -> bool:
    place = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return answer.status_code == 206 and place is not None and int(place[1]) == have


def _inmost(error: BaseException) -> str:
    """What is wrong, without the names of all the classes it passed through."""
    text = one_line(error)
    match = re.search(r"\[Errno [^\]]*\] [^)'\"]*|CERTIFICATE[^)'\"]*", text)
    return match[0].strip() if match else text[:200]
