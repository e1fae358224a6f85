"""``fastsam train-text-head``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from fastsam_plugins.cli.common import (
    Command,
    Written,
    as_json,
    check_model,
    flags,
    load,
    log,
    network,
    pick,
    print_result,
    progress,
)
from fastsam_plugins.options import TextOptions
from fastsam_plugins.training.options import TextHeadOptions

_LOOKING = ("clip", "background", "clip_precision", "chunk", "min_pixels")


def check(wording: TextOptions, tiled: bool) -> None:
    """Refuse --features head without a head, and with windows, before anything is loaded."""
    from fastsam_plugins.text import head

    if wording.features != "head":
        if wording.head is not None:
            raise ValueError("--head is for --features head: give both")
        return
    head.named(wording)
    if tiled:
        raise ValueError("--features head reads what one look kept: leave --tiled out, or cut a "
                         "part")  # fmt: skip


@click.command(cls=Command)
@click.argument("images", nargs=-1, required=True)
@click.option(
    "-o", "--output", required=True, type=Written(dir_okay=False),
    help="The file to write, .text-head.safetensors; it is named by --head.",
)  # fmt: skip
@network("decoder")
@flags(TextOptions, names=_LOOKING)
@flags(TextHeadOptions)
@as_json
def train_text_head(images: tuple[str, ...], output: Path, as_json: bool, **values: Any) -> None:
    """Train a head that answers texts from what the network kept (--features head).

    IMAGES, files or folders of them, need no labels: the CLIP --clip looks at every instance that
    the network --model finds in them, cut out, and the head learns to say the same. It serves this
    network with this CLIP alone, and images like these.
    """
    from fastsam_plugins.io import atomic
    from fastsam_plugins.scale import inputs
    from fastsam_plugins.text import head, loading

    options = pick(TextHeadOptions, values)
    wording = TextOptions(**{n: values.pop(n) for n in _LOOKING})
    check_model(values)
    loading.find(wording.clip)
    if not output.name.endswith(head.ENDING):
        raise ValueError(f"{output} must end in {head.ENDING}")
    atomic.check_writable(output)
    files = [Path(item.image) for item in inputs.items(images)]
    atomic.check_apart([output], files)
    from fastsam_plugins.text import head_training

    device = values["device"]
    model, clip = load(values), loading.load(wording.clip, device)
    shown = progress("Looking at images", len(files))(files)
    found = head_training.train_text_head(model, clip, shown, output, options, wording, log)
    if as_json:
        ways = [dataclasses.asdict(agreement) for agreement in found]
        print_result(json.dumps({"head": str(output), "agreement": ways}))
        return
    print_result("In images held out, beside what CLIP says of crops:")
    for agreement in found:
        print_result(f"  {agreement}")
    print_result(f"Trained head: {output}")
