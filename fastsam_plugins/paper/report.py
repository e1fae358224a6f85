"""What came out, as a page of Markdown: the paper's figures, ours, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastsam_plugins.evaluation.published import OURS, SOURCE, Table
from fastsam_plugins.paper.setting import Setting


class Estimate(NamedTuple):
    """A figure with its interval."""

    value: float
    low: float
    high: float


Cell = str | float | int | Estimate | None


@dataclass
class Finding:
    """What an experiment gave.

    Attributes
    ----------
    header : tuple of str
        Names of the columns after the first.
    rows : sequence
        A name and its values each, fractions as numbers; None for what was not measured.
    measured_on : str
    notes : list of str
        Sentences: what is the same as in the paper, what is not, what was left out and why.
    pictures : dict
        Names of files in the folder of pictures, and what they show.
    missing : list of str
        What was not there or could not be read, and was left out.
    """

    header: tuple[str, ...]
    rows: Sequence[tuple[str, tuple[Cell, ...]]]
    measured_on: str
    notes: list[str] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Item:
    """Something that the paper says.

    Attributes
    ----------
    key : str
        ``table 2``, ``figure 7``.
    title : str
    needs : str
        What has to lie in the folder of data, in words.
    run : callable
        Measures it; raises :class:`fastsam_plugins.paper.setting.Missing` where it cannot.
    table : Table, optional
        The paper's figures, printed whether or not ours could be measured.
    """

    key: str
    title: str
    needs: str
    run: Callable[[Setting], Finding]
    table: Table | None = None


@dataclass(frozen=True)
class Outcome:
    """An item with what came out, or why nothing did.

    Attributes
    ----------
    item : Item
    command : str
        What measures this alone, as it was measured here.
    finding : Finding or None
    missing : str
        Why there is none.
    seconds : float
    failed : bool
        Whether something is there that cannot be used.
    """

    item: Item
    command: str
    finding: Finding | None = None
    missing: str = ""
    seconds: float = 0.0
    failed: bool = False

    @property
    def left_out(self) -> str:
        """All that is missing, in one line."""
        return self.missing or "; ".join(self.finding.missing if self.finding else ())


def page(outcomes: Sequence[Outcome], model: str, machine: str, pictures: str) -> str:
    """Markdown of all of them."""
    lines = [
        "# The paper, item by item", "",
        f"{SOURCE}. Written by `fastsam paper`; each item's own command stands under it. Figures "
        f"of the paper are in *italics*; – stands where it names none, or there is nothing to "
        f"measure. Network: {model}. Machine: {machine}. Whole run: "
        f"{sum(o.seconds for o in outcomes) / 60:.1f} minutes.", "",
        "| item | measured here on | seconds | what is missing |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    for o in outcomes:
        on = o.finding.measured_on if o.finding else "not measured"
        lines.append(f"| {o.item.key}: {o.item.title} | {on} | {o.seconds:.0f} | {o.left_out} |")
    for o in outcomes:
        lines += ["", f"## {o.item.key[0].upper()}{o.item.key[1:]}: {o.item.title}", ""]
        lines += [f"`{o.command}`; {o.item.needs}.", ""]
        if o.item.table:
            lines += [f"In the paper: {o.item.table.protocol}.", ""]
        lines += _table(o)
        if o.finding:
            lines += [""] + [f"{note}" for note in o.finding.notes]
            for file, caption in o.finding.pictures.items():
                lines += ["", f"![{caption}]({pictures}/{file})", "", caption]
        if o.left_out:
            lines += ["", f"**Missing here:** {o.left_out}."]
    return "\n".join(lines).rstrip() + "\n"


def _table(o: Outcome) -> list[str]:
    paper, found = o.item.table, o.finding
    columns: tuple[str, ...] = ()
    if paper and found:
        columns = (*paper.columns, *(c for c in found.header if c not in paper.columns))
    elif paper or found:
        columns = paper.columns if paper else found.header if found else ()
    if not columns:
        return []
    lines = [f"|  | {' | '.join(columns)} |", "| --- " * (len(columns) + 1) + "|"]
    if paper:
        for name, values in paper.rows.items():
            given = dict(zip(paper.columns, values, strict=True))
            label = f"{name} (the paper)" if name == OURS else name
            shown = (f"*{_shown(given.get(c))}*" for c in columns)
            lines.append(f"| *{label}* | {' | '.join(shown)} |")
    if found:
        for name, measured in found.rows:
            cells: dict[str, Any] = dict(zip(found.header, measured, strict=True))
            lines.append(f"| {name} | {' | '.join(_shown(cells.get(c)) for c in columns)} |")
    return lines


def _shown(value: Cell) -> str:
    if isinstance(value, Estimate):
        ends = f" ({value.low:.1f} to {value.high:.1f})" if value.low == value.low else ""
        return f"{_shown(value.value)}{ends}"
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.1f}"
    return str(value)
