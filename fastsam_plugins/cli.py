"""The command ``fastsam``.

Results go to standard output, progress and messages to standard error. Flags are built from
``options.py``. Bad input ends with one line and exit status 1; ``FASTSAM_DEBUG=1`` shows where.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from fastsam_plugins import __version__
from fastsam_plugins.options import (
    PRESETS,
    Options,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TrainOptions,
    parameters,
)

F = TypeVar("F", bound=Callable[..., Any])
O = TypeVar("O", bound=Options)  # noqa: E741


class _Command(click.Command):
    def invoke(self, context: click.Context) -> Any:
        context.obj = sys.stdout
        # Ultralytics logs to standard output, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            return super().invoke(context)


class _Commands(click.Group):
    command_class = _Command

    def invoke(self, context: click.Context) -> Any:
        warnings.showwarning = lambda message, *_, **__: say(f"Warning: {message}")
        try:
            return super().invoke(context)
        except click.exceptions.Exit:  # a RuntimeError, but how --help ends
            raise
        except (ValueError, RuntimeError, OSError) as error:
            if os.environ.get("FASTSAM_DEBUG"):
                raise
            say(f"Error: {error}")
            sys.exit(1)


def tell(text: str) -> None:
    """A result, on standard output."""
    click.echo(text, file=click.get_current_context().obj)


def say(text: str) -> None:
    """A line for the person, on standard error."""
    click.echo(text, err=True)


def flags(
    options: type[Options], presets: Mapping[str, Mapping[str, Any]] | None = None
) -> Callable[[F], F]:
    """Add a flag for every parameter of an options class to a command.

    Help says which default each preset has instead.
    """

    def add(command: F) -> F:
        for p in reversed(parameters(options)):
            dashed = p.name.replace("_", "-")
            name = f"--{dashed}/--no-{dashed}" if p.type is bool else f"--{dashed}"
            text = p.help + (f" [{p.unit}]" if p.unit else "")
            others = [f"{k} {v[p.name]}" for k, v in (presets or {}).items() if p.name in v]
            text += f" [presets: {', '.join(others)}]" if others else ""
            kind = click.Choice(p.choices) if p.choices else p.type
            command = click.option(
                name, p.name, type=kind, default=p.default, show_default=p.default is not None,
                help=text,
            )(command)  # fmt: skip
        return command

    return add


def pick(options: type[O], values: dict[str, Any]) -> O:
    """Build options from a command's values, taking their names out."""
    return options(**{p.name: values.pop(p.name) for p in parameters(options)})


def _given(context: click.Context, name: str) -> bool:
    """Whether the person wrote a flag, rather than left its default."""
    return context.get_parameter_source(name) is not ParameterSource.DEFAULT


as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable results.")
device = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."
)
backend = click.option(
    "--backend", default="auto", show_default=True,
    help="What runs the network: torch, openvino or onnx; auto is torch.",
)  # fmt: skip
model = click.option(
    "--model", default="FastSAM-n", show_default=True,
    help="FastSAM-n (bundled), FastSAM-s, FastSAM-x, or a .pt or .safetensors file.",
)  # fmt: skip


def _folder(default: str) -> Callable[[F], F]:
    return click.option(
        "-o", "--output", default=default, show_default=True, help="Folder to write to.",
        type=click.Path(path_type=Path, file_okay=False),
    )  # fmt: skip


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fastsam")
def main() -> None:
    """Segment anything, fast: all instances of an image, then any prompt from what was kept."""


class _Numbers(click.ParamType):
    """Comma-separated numbers, as many as one of ``counts``."""

    def __init__(self, form: str, counts: tuple[int, ...]) -> None:
        self.name, self._counts = form, counts

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        try:
            numbers = tuple(float(v) for v in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) not in self._counts:
            self.fail(f"{value!r} is not of the form {self.name}", param, ctx)
        return numbers


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path),
    help="Its ending decides: .png overlay, .json COCO, .tif labels, .csv table. {stem} stands for "
    "the image's name.",
)  # fmt: skip
@click.option(
    "--point",
    "points",
    multiple=True,
    type=_Numbers("X,Y[,0|1]", (2, 3)),
    help="Point prompt in pixels; 1 is foreground (default), 0 background.",
)
@click.option("--box", "boxes", multiple=True, type=_Numbers("X1,Y1,X2,Y2", (4,)),
              help="Box prompt in pixels.")  # fmt: skip
@model
@device
@backend
@click.option("--batch", default=4, show_default=True, help="Images per forward pass.")
@flags(SegmentOptions)
@flags(PromptOptions)
@flags(ReadOptions)
@as_json
def segment(images: tuple[Path, ...], output: Path, points: Any, boxes: Any, batch: int,
            as_json: bool, **values: Any) -> None:  # fmt: skip
    """Segment IMAGES; with prompts, keep what they select."""
    from fastsam_plugins import files, prompts

    # Everything that can be wrong is looked at before the network is loaded.
    segmenting, prompting = pick(SegmentOptions, values), pick(PromptOptions, values)
    reading = pick(ReadOptions, values)
    files.check_output(output, images)
    places = [p[:2] for p in points] or None
    labels = [p[2] if len(p) > 2 else 1 for p in points]
    prompts.check_labels(labels, len(prompts.check_points(places or [])))
    prompts.check_boxes(boxes)
    pixels = [files.read_image(path, reading) for path in images]

    network = _load(values)
    found = network.segment_many(pixels, segmenting, batch=batch)
    results = []
    with click.progressbar(
        zip(images, pixels, found, strict=True), length=len(images), label="Segmenting",
        file=sys.stderr,
    ) as progress:  # fmt: skip
        for path, image, seg in progress:
            if points or boxes:
                seg = seg.select(places, labels if places else None, boxes or None, prompting)
            results.append(files.Segmented(path, image, seg))
    marks = [(*place, label) for place, label in zip(places or [], labels, strict=True)]
    written = files.write(results, output, marks, boxes)
    if as_json:
        counts = [{"image": str(r.path), "instances": len(r.segmentation)} for r in results]
        done = {"model": network.network.name, "files": [str(p) for p in written], "images": counts}
        tell(json.dumps(done))
        return
    for result in results:
        tell(f"{result.path}: {len(result.segmentation)} instances")
    tell("Wrote " + ", ".join(str(p) for p in written))


def _load(values: dict[str, Any]) -> Any:
    from fastsam_plugins.model import FastSAM

    return FastSAM(values.pop("model"), values.pop("device"), values.pop("backend"))


@main.command()
@_folder("fastsam-demo")
@model
@device
@backend
@as_json
def demo(output: Path, as_json: bool, **values: Any) -> None:
    """Segment and prompt the bundled sample images, and write what was found."""
    from fastsam_plugins import demo as rooms

    network = _load(values)
    say(f"{network.network.name} on {network.device}, imgsz {network.imgsz}")
    report = rooms.run(output, network, say if as_json else tell)
    if as_json:
        tell(json.dumps(report))


@main.command()
@click.option("--download", metavar="NAME", help="Download official weights now.")
@as_json
def models(download: str | None, as_json: bool) -> None:
    """List the models that have names, and where their weights are."""
    from fastsam_plugins import weights

    if download:
        say(f"{download} is at {weights.resolve(download)}")
    rows = [{"name": "FastSAM-n", "path": str(weights.BUNDLED), "here": weights.BUNDLED.is_file(),
             "about": "bundled, trained by this project"}]  # fmt: skip
    for official in weights.OFFICIAL.values():
        path = weights.local_path(official)
        rows.append({"name": official.name, "path": str(path), "here": path.is_file(),
                     "about": official.about})  # fmt: skip
    if as_json:
        tell(json.dumps(rows))
        return
    for row in rows:
        state = "here" if row["here"] else "downloaded on first use"
        tell(f"{row['name']:<10} {row['about']} ({state}: {row['path']})")


@main.command()
@as_json
def doctor(as_json: bool) -> None:
    """Tell what works here, what is missing, and how to mend it. Exits with 1 if the engine
    itself cannot work."""
    from fastsam_plugins import doctor as rooms

    findings = rooms.examine()
    if as_json:
        tell(json.dumps(rooms.as_json(findings)))
    else:
        for f in findings:
            mark = "ok     " if f.ok else "MISSING" if f.needed else "-      "
            tell(f"{mark} {f.name:<16} {f.detail}" + (f"  ->  {f.mend}" if f.mend else ""))
    sys.exit(any(f.needed and not f.ok for f in findings))


@main.group()
def evaluate() -> None:
    """Measure results against ground truth."""


evaluate.command_class = _Command


@evaluate.command()
@click.argument("truth", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--iou-type", type=click.Choice(["bbox", "segm"]), default="segm", show_default=True,
    help="Compare boxes or masks.",
)  # fmt: skip
@as_json
def proposals(truth: Path, results: Path, iou_type: Any, as_json: bool) -> None:
    """Class-agnostic average recall of RESULTS (COCO results) against TRUTH (COCO instances)."""
    from fastsam_plugins.evaluation.files import evaluate_proposals

    summary = evaluate_proposals(truth, results, iou_type).summary() | {"iou_type": iou_type}
    if as_json:
        # NaN is not JSON: what was not measured is null.
        tell(json.dumps({k: None if v != v else v for k, v in summary.items()}))
        return
    for name, value in summary.items():
        tell(f"{name:<16} {value:.4f}" if isinstance(value, float) else f"{name:<16} {value}")


@main.command()
@click.argument("data", nargs=-1)
@_folder("fastsam-training")
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default="finetune", show_default=True,
    help="A recipe; options given beside it change it.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the training in the output folder.")
@device
@flags(TrainOptions, PRESETS)
@as_json
@click.pass_context
def train(context: click.Context, data: tuple[str, ...], output: Path, preset: str, resume: bool,
          device: str, as_json: bool, **values: Any) -> None:  # fmt: skip
    """Train a one-class YOLOv8-seg network on DATA.

    Each DATA is a COCO instance file, a folder of SA-1B (an image and a JSON each), a folder
    with images/ and labels/ (label images, or masks whose connected parts are the instances), or
    fiftyone:DATASET/FIELD.
    """
    given = {name: value for name, value in values.items() if _given(context, name)}
    if resume and (data or given or _given(context, "preset")):
        raise ValueError("--resume keeps the data and options it was started with: give none")
    if not resume and not data:
        raise ValueError("nothing to train on: name DATA, or --resume with an output folder")
    from fastsam_plugins.training import train as rooms

    if resume:
        trained = rooms.resume(output, device)
    else:
        trained = rooms.train(data, output, TrainOptions(**{**PRESETS[preset], **given}), device)
    if as_json:
        tell(json.dumps({"weights": str(trained), "curves": str(output / "run" / "curves.png")}))
    else:
        tell(f"Trained weights: {trained}")
