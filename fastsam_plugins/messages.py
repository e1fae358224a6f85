"""Errors in words for a person."""

from __future__ import annotations


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
