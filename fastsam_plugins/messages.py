"""Errors in words for a person."""

from __future__ import annotations

import contextlib
import importlib.metadata
import shlex
import sys
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import msgspec

_LONGEST = 300  # characters of what another library says


def one_line(error: BaseException) -> str:
    """What an error says, in one line that can be read: some quote all of a file."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


class _Source(msgspec.Struct):
    """What pip notes of a package that came from no registry (PEP 610)."""

    url: str = ""


def install(extra: str = "") -> str:
    """The command that installs this package, with an extra, from where it came.

    Of a checkout that is the checkout: there the package's name alone means nothing to pip.
    """
    extras = f"[{extra}]" if extra else ""
    own = Path(__file__).parents[1]
    if (own / "pyproject.toml").is_file():
        return f"pip install -e {_quoted(f'{own}{extras}')}"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, msgspec.DecodeError):
        note = importlib.metadata.distribution("fastsam-plugins").read_text("direct_url.json")
        url = msgspec.json.decode(note or "{}", type=_Source).url
        folder = Path(url2pathname(urlparse(url).path))
        if url.startswith("file:") and folder.exists():  # a checkout, or a file that pip built
            return f"pip install {_quoted(f'{folder}{extras}')}"
    return f"pip install {_quoted(f'fastsam-plugins{extras}')}"


def restore(file: Path) -> str:
    """The command that brings a file of this package back."""
    own = Path(__file__).parents[1]
    if (own / "pyproject.toml").is_file():
        return f"git -C {_quoted(str(own))} checkout -- {_quoted(str(file.relative_to(own)))}"
    return install().replace("pip install", "pip install --force-reinstall --no-deps")


def _quoted(text: str) -> str:
    return f'"{text}"' if sys.platform == "win32" else shlex.quote(text)
