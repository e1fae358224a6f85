"""The command ``fastsam``, and its shorter commands; the others have rooms of their own."""

from __future__ import annotations

import json
import logging
import sys
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from fastsam_plugins import __version__
from fastsam_plugins.cli import predicting, sampling, text_head
from fastsam_plugins.cli.batch import batch
from fastsam_plugins.cli.benchmark import benchmark
from fastsam_plugins.cli.common import (
    Commands,
    Written,
    as_json,
    device,
    flags,
    folder,
    given,
    load,
    log,
    network,
    pick,
    print_result,
    progress,
    trust,
)
from fastsam_plugins.cli.evaluate import evaluate
from fastsam_plugins.cli.paper import paper
from fastsam_plugins.cli.segment import segment
from fastsam_plugins.messages import install
from fastsam_plugins.options import (
    DataOptions,
    EdgeOptions,
    LimitOptions,
    ReadOptions,
    SegmentOptions,
    WeightsOptions,
)
from fastsam_plugins.parameters import parameters
from fastsam_plugins.training.options import PRESETS, TrainOptions


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fastsam")
def main() -> None:
    """Segment anything, fast: all instances of an image, then any prompt from what was kept."""
    # What it finds odd in a file is no line for a person: who reads the file says what is wrong.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())


main.add_command(segment)
main.add_command(evaluate)
main.add_command(predicting.train_decoder)
main.add_command(benchmark)
main.add_command(batch)
main.add_command(paper)
main.add_command(sampling.sample_sa1b)
main.add_command(text_head.train_text_head)


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@folder("fastsam-edges")
@network()
@flags(EdgeOptions)
@flags(SegmentOptions)
@flags(ReadOptions)
def edges(images: tuple[Path, ...], output: Path, **values: Any) -> None:
    """Write an edge map of each of IMAGES, a PNG of 16 bit.

    The paper's settings are --conf 0.001 --max-det 1000; measure the maps with
    `fastsam evaluate boundaries`.
    """
    from PIL import Image

    from fastsam_plugins import io
    from fastsam_plugins.batch import Skipped, segment_images
    from fastsam_plugins.io import atomic
    from fastsam_plugins.masks.edge_map import to_uint16

    drawing, segmenting = pick(EdgeOptions, values), pick(SegmentOptions, values)
    reading = pick(ReadOptions, values)
    maps = output / "{stem}.png"
    io.check_output(maps, images)
    skipped = Skipped(len(images), log)
    limits = pick(LimitOptions, dict(values))
    network = cache(lambda: load(values))

    def read(path: Path) -> Any:
        side = lambda: segmenting.imgsz or network().imgsz  # noqa: E731
        return io.read_for_network(path, side, reading, limits)

    outcomes = segment_images(network, images, read, segmenting, batch=1)
    segmented = skipped.passing(outcomes, lambda path: path)
    for path, seg in progress("Segmenting", len(images))(segmented):
        with atomic.replacing(io.target(maps, path)) as part:
            Image.fromarray(to_uint16(seg.edges(drawing))).save(part)
    done = len(images) - len(skipped.reasons)
    if done:
        print_result(f"Wrote {done} edge maps to {output}")
    skipped.check()


@main.command()
@folder("fastsam-demo")
@network()
@click.option("--app", is_flag=True, help="Show it in FiftyOne's App (extra fiftyone).")
@click.option(
    "--address", default="127.0.0.1", show_default=True,
    help="Where the App listens: this machine only, or, with 0.0.0.0, for anyone on the network, "
    "who can then read and change the data.",
)  # fmt: skip
@as_json
def demo(output: Path, app: bool, address: str, as_json: bool, **values: Any) -> None:
    """Segment and prompt the bundled sample images, and write what was found.

    Where FiftyOne is installed, a dataset of them as well, in a database of its own.
    """
    from fastsam_plugins.cli import demo as rooms

    if app and not find_spec("fiftyone"):
        raise ValueError(f"--app needs FiftyOne: {install('fiftyone')}")

    loaded = load(values)
    report = rooms.run(output, loaded, log if as_json else print_result)
    if as_json:
        print_result(json.dumps(report))
    if find_spec("fiftyone"):
        for adapter in entry_points(group="fastsam_plugins.demos"):
            adapter.load()(output, loaded, log if as_json else print_result, app, address)


@main.command()
@click.option("--download", metavar="NAME", help="Download weights now: of FastSAM-s or FastSAM-x, "
              "or of a CLIP for text prompts, such as ViT-B-32/openai.")  # fmt: skip
@trust
@as_json
def models(download: str | None, as_json: bool, **values: Any) -> None:
    """List the models that have names, and where their weights are."""
    from fastsam_plugins.network import weights

    options = pick(WeightsOptions, values)
    if download and "/" in download and not Path(download).expanduser().exists():
        from fastsam_plugins.text import loading

        log(f"{download} is at {loading.download(download)}")
    elif download:
        log(f"{download} is at {weights.resolve(download, options)}")
    rows = [{"name": "FastSAM-n", "path": str(weights.BUNDLED), "here": weights.BUNDLED.is_file(),
             "about": "bundled, trained by this project"}]  # fmt: skip
    for official in weights.OFFICIAL.values():
        path = weights.local_path(official)
        rows.append({"name": official.name, "path": str(path), "here": path.is_file(),
                     "about": official.about})  # fmt: skip
    if as_json:
        print_result(json.dumps(rows))
        return
    for row in rows:
        state = "here" if row["here"] else "downloaded on first use"
        print_result(f"{row['name']:<10} {row['about']} ({state}: {row['path']})")


@main.command()
@as_json
def doctor(as_json: bool) -> None:
    """Tell what works here, what is missing, and how to mend it. Exits with 1 if the engine
    itself cannot work."""
    from fastsam_plugins.cli import doctor as rooms

    findings = rooms.examine()
    if as_json:
        print_result(json.dumps(rooms.as_json(findings)))
    else:
        for f in findings:
            mark = "ok     " if f.ok else "MISSING" if f.needed else "-      "
            print_result(f"{mark} {f.name:<16} {f.detail}" + (f"  ->  {f.mend}" if f.mend else ""))
    sys.exit(any(f.needed and not f.ok for f in findings))


@main.command()
@click.argument("data", nargs=-1)
@folder("fastsam-training")
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default="finetune", show_default=True,
    help="A recipe; options given beside it change it.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the training in the output folder.")
@click.option(
    "--partial", multiple=True, metavar="DATA",
    help="More DATA, in whose images not every object is labelled: what is not is no background. "
    "May be given several times.",
)  # fmt: skip
@device
@flags(TrainOptions, PRESETS)
@flags(DataOptions)
@trust
@as_json
@click.pass_context
def train(context: click.Context, data: tuple[str, ...], output: Path, preset: str, resume: bool,
          partial: tuple[str, ...], device: str, as_json: bool, **values: Any) -> None:  # fmt: skip
    """Train a one-class YOLOv8-seg network on DATA.

    Each DATA is a COCO instance file, a folder of SA-1B (an image and a JSON each), a folder
    of images and label images (images/ with labels/ or masks/, or a.png with a_masks.png),
    fiftyone:DATASET/FIELD, or napari:SESSION.json.
    """
    trusted, reading = pick(WeightsOptions, values), pick(DataOptions, values)
    read_so = [p.name for p in parameters(DataOptions) if given(context, p.name)]
    chosen = {name: value for name, value in values.items() if given(context, name)}
    if resume and (data or partial or chosen or read_so or given(context, "preset")):
        raise ValueError("--resume keeps the data and options it was started with: give none")
    if not resume and not data and not partial:
        raise ValueError("nothing to train on: name DATA, or --resume with an output folder")
    from fastsam_plugins.training import train as rooms

    if resume:
        trained = rooms.resume(output, device, trusted)
    else:
        options = TrainOptions(**{**PRESETS[preset], **chosen})
        trained = rooms.train(data, output, options, device, trusted, reading, partial)
    if as_json:
        print_result(
            json.dumps({"weights": str(trained), "curves": str(output / "run" / "curves.png")})
        )
    else:
        print_result(f"Trained weights: {trained}")


@main.command()
@click.argument("names", nargs=-1, required=True, metavar="WEIGHTS...")
@trust
@click.option(
    "-o", "--output", required=True, type=Written(dir_okay=False),
    help="The .safetensors file to write.",
)  # fmt: skip
def average(names: tuple[str, ...], output: Path, **values: Any) -> None:
    """Write the mean of the WEIGHTS of trainings that began alike, for example with two seeds."""
    from fastsam_plugins.io import atomic
    from fastsam_plugins.network import checkpoints, weights

    if output.suffix != ".safetensors":
        raise ValueError(f"{output} must end in .safetensors")
    options = pick(WeightsOptions, values)
    checked = [weights.read_checked(name, options)[1] for name in names]
    atomic.check_apart([output], checked)
    atomic.check_writable(output)
    checkpoints.save(checkpoints.average(checked), output)
    print_result(f"Mean of {len(names)} networks: {output}")
