"""Forms from ``options.py``: magicgui widgets for parameters, and the options that they show."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, Generic, TypeVar

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FloatSlider,
    FloatSpinBox,
    LineEdit,
    SpinBox,
)

from fastsam_plugins.parameters import Options, Parameter, parameters

O = TypeVar("O", bound=Options)  # noqa: E741

LARGEST = 10**9


class Form(Container, Generic[O]):
    """A widget for every parameter of an options class.

    Parameters
    ----------
    options : type
        An options class.
    leave_out : collection of str
        Parameters that are set elsewhere.
    start : options, optional
        The values to begin with; the defaults otherwise.
    """

    def __init__(
        self, options: type[O], leave_out: Collection[str] = (), start: O | None = None
    ) -> None:
        self._options = options
        self._parameters = [p for p in parameters(options) if p.name not in leave_out]
        super().__init__(widgets=[_widget(p) for p in self._parameters], labels=True)
        self.margins = (0, 0, 0, 0)
        self.show_values(start or options())

    @property
    def names(self) -> list[str]:
        """Of the parameters shown."""
        return [p.name for p in self._parameters]

    def show_values(self, values: O) -> None:
        """Fill the form in."""
        for p in self._parameters:
            value = getattr(values, p.name)
            self[p.name].value = _shown(p, value)

    def read(self) -> O:
        """The options filled in.

        Raises
        ------
        ValueError
            Naming the parameter that is out of range.
        """
        return self._options(**{p.name: _given(p, self[p.name].value) for p in self._parameters})


def _widget(p: Parameter) -> Any:
    words: dict[str, Any] = {
        "name": p.name,
        "label": p.name.replace("_", " ") + (f" [{p.unit}]" if p.unit else ""),
        "tooltip": p.help,
    }
    if p.choices:
        return ComboBox(choices=list(p.choices), **words)
    if p.type is bool:
        return CheckBox(**words)
    if p.optional or p.type is str:
        return LineEdit(**words)
    low = -LARGEST if p.ge is None else p.ge
    high = LARGEST if p.le is None else p.le
    if p.type is int:
        return SpinBox(min=int(low), max=int(high), **words)
    if high <= 1:
        return FloatSlider(min=low, max=high, step=_step(p, 0.01), **words)
    return FloatSpinBox(min=low, max=high, step=_step(p, 1.0), **words)


def _step(p: Parameter, usual: float) -> float:
    """No coarser than the default: Qt rounds what it shows to steps."""
    size = abs(p.default or 0)
    return usual if size == 0 or size >= usual else 10.0 ** math.floor(math.log10(size))


def _shown(p: Parameter, value: Any) -> Any:
    if isinstance(value, bool | int | float) and not p.optional:
        return value
    return "" if value is None else str(value)


def _given(p: Parameter, value: Any) -> Any:
    if not p.optional or not isinstance(value, str):
        return value
    text = value.strip()
    if not text:
        return None
    if p.type in (int, float):
        try:
            return p.type(text)
        except ValueError:
            raise ValueError(f"{p.name} must be a number or empty, got {text!r}") from None
    return text
