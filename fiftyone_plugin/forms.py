"""Operator forms from ``options.py``: fields of a form, and the options that were filled in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from fiftyone.operators import types

from fastsam_plugins.options import Options, Parameter, parameters

O = TypeVar("O", bound=Options)  # noqa: E741


def add(inputs: types.Object, options: type[Options], leave_out: Collection[str] = ()) -> None:
    """Add a field for every parameter of an options class to a form.

    Parameters
    ----------
    inputs : types.Object
        The form.
    options : type
        An options class.
    leave_out : collection of str
        Parameters that the operator sets itself.
    """
    for p in parameters(options):
        if p.name not in leave_out:
            _add(inputs, p)


def _add(inputs: types.Object, p: Parameter) -> None:
    words = {
        "label": p.name.replace("_", " ").capitalize() + (f" [{p.unit}]" if p.unit else ""),
        "description": p.help,
        "default": p.default,
        "required": False,
    }
    if p.choices:
        inputs.enum(p.name, list(p.choices), **words)
    elif p.type is bool:
        inputs.bool(p.name, **words)
    elif p.type in (int, float):
        field = inputs.int if p.type is int else inputs.float
        field(p.name, min=p.ge, max=p.le, **words)
    else:
        inputs.str(p.name, **words)


def read(params: Mapping[str, Any], options: type[O]) -> O:
    """The options that a form or a program gave; what was left empty keeps its default.

    Raises
    ------
    ValueError
        Naming the parameter that is out of range.
    """
    given = {}
    for p in parameters(options):
        value = params.get(p.name)
        if value is None or value == "":
            continue
        # A browser sends 1 for 1.0, and the other way round.
        if p.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        elif p.type is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        given[p.name] = value
    return options(**given)
