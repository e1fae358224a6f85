"""What a parameter is: a field with a type, a range, a unit, a default and a line of help.

Construction validates: a value out of range raises ``ValueError`` naming the parameter, what is
allowed and what was given. The parameters themselves are in :mod:`fastsam_plugins.options`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
) -> Any:
    """Declare a dataclass field that carries everything a form needs to show it."""
    metadata = {"help": help, "unit": unit, "ge": ge, "le": le}
    return field(default=default, metadata=metadata)


def like(options: type[Options], name: str) -> Any:
    """A field that is the parameter of another options class: same default, help and range."""
    (same,) = (f for f in dataclasses.fields(options) if f.name == name)
    return field(default=same.default, metadata=same.metadata)


@dataclass(frozen=True)
class Parameter:
    """One field of an options class, as a form or a command line needs it."""

    name: str
    type: type
    default: Any
    optional: bool
    choices: tuple[str, ...]
    help: str
    unit: str
    ge: float | None
    le: float | None


def parameters(options: type[Options]) -> tuple[Parameter, ...]:
    """List the parameters of an options class, in order."""
    if options not in _KNOWN:
        _KNOWN[options] = _describe(options)
    return _KNOWN[options]


_KNOWN: dict[type, tuple[Parameter, ...]] = {}


def _describe(options: type[Options]) -> tuple[Parameter, ...]:
    hints = typing.get_type_hints(options)
    described = []
    for f in dataclasses.fields(options):
        hint, optional, choices = hints[f.name], False, ()
        if typing.get_origin(hint) in (types.UnionType, typing.Union):  # the latter of a Literal
            given = typing.get_args(hint)
            inner = [t for t in given if t is not type(None)]
            optional, hint = len(inner) < len(given), inner[0]
        if typing.get_origin(hint) is Literal:
            choices, hint = typing.get_args(hint), str
        hint = typing.get_origin(hint) or hint
        described.append(Parameter(f.name, hint, f.default, optional, choices, **f.metadata))
    return tuple(described)


@dataclass(frozen=True)
class Options:
    """Base of all options: validates its fields on construction."""

    def __post_init__(self) -> None:
        for p in parameters(type(self)):
            value = getattr(self, p.name)
            if value is None and p.optional:
                continue
            _check(p, value)

    def replace(self, **changes: Any) -> typing.Self:
        """A copy with some values changed."""
        check_names(changes, (p.name for p in parameters(type(self))))
        return dataclasses.replace(self, **changes)

    @classmethod
    def of(cls, options: Options | None, **changes: Any) -> typing.Self:
        """What a function was given: options or None, and values that are changed.

        Raises
        ------
        ValueError
            If they are the options of something else, or a value is none of theirs.
        """
        if options is None:
            return cls().replace(**changes) if changes else cls()
        if not isinstance(options, cls):
            raise ValueError(f"options must be {cls.__name__}, got {options!r:.60}")
        return options.replace(**changes) if changes else options


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse parameters that there are none of, and say which was meant.

    Raises
    ------
    ValueError
        Naming the first that is unknown, and the nearest that is known, or all.
    """
    known = list(known)
    for name in given:
        if name not in known:
            meant = _meant(name, known) or f" (there are: {', '.join(sorted(known))})"
            raise ValueError(f"there is no parameter {name!s}{meant}")


def check_count(name: str, value: Any) -> int:
    """A whole number of at least 1, as it was given for a parameter that is in no options class.

    Raises
    ------
    ValueError
        If it is none, naming the parameter.
    """
    _check(Parameter(name, int, None, False, (), "", "", 1, None), value)
    return int(value)


def _meant(given: Any, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(given), list(known), 1, 0.5)
    return f": do you mean {near[0]}?" if near else ""


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _check(p: Parameter, value: Any) -> None:
    def refuse(what: str) -> typing.NoReturn:
        given = repr(value) if len(repr(value)) < 100 else f"{repr(value)[:60]}..."
        raise ValueError(f"{p.name} must be {what}, got {given}{_meant(value, p.choices)}")

    if p.choices:
        if not isinstance(value, str) or value not in p.choices:
            refuse("one of " + ", ".join(p.choices))
        return
    if p.type is bool:
        if not isinstance(value, bool):
            refuse("true or false")
    elif p.type in (int, float):
        kind = "a whole number" if p.type is int else "a number"
        # Numpy's scalars are numbers in this sense too.
        accepted: Any = numbers.Integral if p.type is int else numbers.Real
        if isinstance(value, bool) or not isinstance(value, accepted) or not _finite(value):
            refuse(kind)
        if p.ge is not None and value < p.ge:
            refuse(f"at least {p.ge:g}" if p.le is None else f"between {p.ge:g} and {p.le:g}")
        if p.le is not None and value > p.le:
            refuse(f"at most {p.le:g}" if p.ge is None else f"between {p.ge:g} and {p.le:g}")
    elif not isinstance(value, p.type):
        refuse("text")
