"""``fastsam paper``: every table and figure of the paper, with ours beside it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import click

from fastsam_plugins.cli.common import (
    Command,
    Written,
    check_model,
    flags,
    load,
    log,
    network,
    print_result,
    progress,
)
from fastsam_plugins.evaluation.published import PEERS
from fastsam_plugins.options import TextOptions


@click.command(cls=Command)
@click.option("--table", "tables", multiple=True, type=int, help="Only this table; repeatable.")
@click.option("--figure", "figures", multiple=True, type=int, help="Only this figure; repeatable.")
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with a folder for each data set; what is not there is said.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Most images of each data set.")
@click.option(
    "--peer", "peers", multiple=True, type=click.Choice(list(PEERS)),
    help="Time this network beside, with random numbers for weights; repeatable.",
)  # fmt: skip
@click.option(
    "-o", "--output", required=True, type=Written(dir_okay=False),
    help="Markdown page to write; its pictures go into a folder beside it.",
)  # fmt: skip
@flags(TextOptions, names=("clip",))
@network("decoder")
def paper(
    tables: tuple[int, ...],
    figures: tuple[int, ...],
    data: Path | None,
    limit: int | None,
    peers: tuple[str, ...],
    output: Path,
    clip: str,
    **values: Any,
) -> None:
    """Measure the paper's tables and figures with what is at hand, as a page of Markdown.

    For every item the page has the paper's figures, ours, the command, and what is missing.
    """
    from fastsam_plugins.io import atomic
    from fastsam_plugins.paper.items import chosen, command, run
    from fastsam_plugins.paper.report import Outcome, page
    from fastsam_plugins.paper.setting import Setting

    if output.suffix != ".md":
        raise ValueError(f"--output is a page of Markdown, .md, not {str(output)!r}")
    items = chosen(tables, figures)
    atomic.check_writable(output)
    check_model(values)
    pictures = output.with_name(f"{output.stem}_pictures")
    if pictures.exists() and not pictures.is_dir():
        raise ValueError(f"{pictures} is a file: pictures of the page go into a folder there")
    pictures.mkdir(parents=True, exist_ok=True)
    setting = Setting(load(values), data, pictures, limit, peers, clip, progress)
    outcomes = [
        Outcome(item, command(item, setting), missing="the run was ended before it")
        for item in items
    ]
    network_said = f"{setting.model}, {setting.model.imgsz} px"
    for place, outcome in enumerate(run(items, setting)):
        outcomes[place] = outcome
        said = "measured" if outcome.finding else "not measured" if outcome.failed else "missing"
        more = f": {outcome.left_out}" if outcome.left_out else ""
        log(f"{outcome.item.key}: {said} ({outcome.seconds:.0f} s){more}")
        # Written as it grows: what was measured stays if a later item is stopped.
        atomic.write_text(output, page(outcomes, network_said, _machine(), pictures.name))
    measured = sum(1 for o in outcomes if o.finding)
    print_result(f"{measured} of {len(outcomes)} items measured: {output}")
    failed = [o for o in outcomes if o.failed]
    if failed or not measured:
        first = (failed or outcomes)[0]
        raise ValueError(
            f"{len(failed or outcomes)} of {len(outcomes)} items could not be measured, the first "
            f"{first.item.key}: {first.missing}"
        )


def _machine() -> str:
    """Name and cores of the processor."""
    import os

    from fastsam_plugins import cache

    return f"{os.cpu_count()} cores of {cache.processor_name()}, Python {platform.python_version()}"
