"""Stopping the network in the middle of its work, for those who asked to be able to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any


class Interrupted(RuntimeError):
    """The network was told to stop; see :meth:`fastsam_plugins.FastSAM.interruptible`."""


# Who may stop the network, in this thread and in those that work for it.
_STOPS: ContextVar[tuple[Callable[[], bool], ...]] = ContextVar("stops", default=())


def check(*_: Any) -> None:
    """Go on, unless somebody who may stop this thread's work wants to.

    Raises
    ------
    Interrupted
    """
    if any(stop() for stop in _STOPS.get()):
        raise Interrupted("stopped on request")


def asked() -> bool:
    """Whether anybody may stop this thread's work."""
    return bool(_STOPS.get())


@contextlib.contextmanager
def interruptible(stop: Callable[[], bool]) -> Iterator[None]:
    """Within this, :func:`check` raises once ``stop()`` is true."""
    token = _STOPS.set((*_STOPS.get(), stop))
    try:
        check()
        yield
        check()
    finally:
        _STOPS.reset(token)
