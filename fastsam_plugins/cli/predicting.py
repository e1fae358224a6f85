"""``fastsam train-decoder``, and what --predict and --mask mean to ``fastsam segment``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastsam_plugins.cli.common import (
    Command,
    Written,
    check_model,
    flags,
    load,
    log,
    network,
    pick,
    print_result,
)
from fastsam_plugins.cli.evaluate import read_all
from fastsam_plugins.options import DataOptions, LimitOptions, PromptOptions, WeightsOptions
from fastsam_plugins.paths import BUNDLED
from fastsam_plugins.training.options import DecoderOptions

if TYPE_CHECKING:
    from fastsam_plugins.prompts import Prompt
    from fastsam_plugins.segmentation import Segmentation


def check(
    prompting: PromptOptions,
    prompt: Prompt | None,
    mask: Path | None,
    tiled: bool,
    images: Sequence[Path],
    output: Path,
    chosen: Collection[str],
) -> None:
    """What goes with --predict and --mask, and what does not, or ValueError."""
    from fastsam_plugins import io
    from fastsam_plugins.io import atomic
    from fastsam_plugins.prompts import TextPrompt, parts

    if mask and not prompting.predict:
        raise ValueError("--mask is refined by --predict: give both")
    if isinstance(prompt, TextPrompt):
        raise ValueError("--predict answers points, boxes and --mask: a text selects")
    if prompt is None and mask is None:
        raise ValueError("--predict answers --point, --box or --mask: give one")
    if tiled and mask:
        raise ValueError("--mask is refined in one look: leave --tiled out, or cut a part")
    if mask and len(images) > 1:
        raise ValueError(f"--mask is of one image, and there are {len(images)}")
    if mask and not mask.is_file():
        raise ValueError(f"there is no mask {mask}")
    if mask:
        atomic.check_apart([io.target(output, image) for image in images], [mask])
    for name in sorted(set(chosen) & {"boxes_mode", "min_iou", "rank", "smoothing"}):
        flag = name.replace("_", "-")
        raise ValueError(f"--{flag} says how instances are chosen: leave it out with --predict")
    spot, boxes = parts(prompt)
    if prompting.points_mode in ("smallest", "best") and "points_mode" in chosen:
        raise ValueError("with --predict, --points-mode is union (one object) or each")
    if prompting.points_mode == "each" and (mask or boxes):
        raise ValueError("--points-mode each goes with points alone, not with --box or --mask")
    if spot and not any(spot.labels or ()) and not boxes and not mask:
        raise ValueError("--predict needs a foreground point: background points carve")


def refined(
    seg: Segmentation, mask: Path, prompt: Prompt | None, limits: LimitOptions
) -> Segmentation:
    """A rough mask in a file, and what points and a box say beside it."""
    from fastsam_plugins.datasets.label_images import read_parts
    from fastsam_plugins.masks import runs as R
    from fastsam_plugins.prompts import parts

    read = read_parts([mask], limits)
    if read.shape != seg.shape:
        raise ValueError(f"{mask} has size {read.shape}, the image {seg.shape} (H, W)")
    spot, boxes = parts(prompt)
    points, labels = (spot.points, spot.labels) if spot else (None, None)
    bitmap = R.to_bitmap(read.masks[0], seg.shape)
    return seg.predict(points, labels, boxes, mask=bitmap, multimask=False)


@click.command(cls=Command)
@click.argument("data", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=Written(dir_okay=False),
    help="The file to write; by default beside the weights, where it is found.",
)  # fmt: skip
@network()
@flags(DecoderOptions)
@flags(DataOptions)
def train_decoder(data: tuple[str, ...], output: Path | None, **values: Any) -> None:
    """Train the decoder that answers prompts (--predict) for the network --model.

    DATA is what `fastsam train` takes; objects that are not labelled do no harm. The network's own
    weights stay as they are.
    """
    from fastsam_plugins.decoder import weights
    from fastsam_plugins.io import atomic
    from fastsam_plugins.network.weights import resolve

    options = pick(DecoderOptions, values)
    check_model(values)
    file = resolve(values["model"], pick(WeightsOptions, dict(values)))
    if output is None and file == BUNDLED:
        raise ValueError(
            "the bundled FastSAM-n has a decoder, which stays: say with -o where to write another, "
            "and use it with --decoder"
        )
    output = output or weights.beside(file)
    if not output.name.endswith(weights.ENDING):
        raise ValueError(f"{output} must end in {weights.ENDING}")
    atomic.check_writable(output)
    labelled = read_all(data, values)
    atomic.check_apart([output], [file, *(f for item in labelled for f in item.files)])
    if output.parent.resolve() in {f.parent.resolve() for item in labelled for f in item.files}:
        raise ValueError(f"{output.parent} holds the data that is read: write elsewhere")
    from fastsam_plugins.decoder import training

    training.train_decoder(load(values), labelled, output, options, log)
    print_result(f"Trained decoder: {output}")
