"""``fastsam sample-sa1b``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fastsam_plugins.cli.common import (
    Command,
    Written,
    as_json,
    flags,
    log,
    pick,
    print_result,
)
from fastsam_plugins.options import SampleOptions


@click.command(cls=Command)
@click.argument("parts", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "-o", "--output", required=True, type=Written(file_okay=False),
    help="Folder to write to; fastsam train reads it.",
)  # fmt: skip
@flags(SampleOptions)
@as_json
def sample_sa1b(parts: Path, output: Path, as_json: bool, **values: Any) -> None:
    """Take a share of SA-1B out of the .tar files in the folder PARTS, without unpacking them.

    The same command goes on after an interruption, and when more parts have arrived.
    """
    from fastsam_plugins.datasets import sa1b

    report = sa1b.sample(parts, output, pick(SampleOptions, values), say=log)
    if as_json:
        print_result(json.dumps({"images": report.images, "parts": report.parts}))
    else:
        print_result(f"{report} are in {output}")
