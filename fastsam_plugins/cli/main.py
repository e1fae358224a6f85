"""The command ``fastsam``; ``fastsam evaluate`` is in ``cli/evaluate.py``."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from fastsam_plugins import __version__
from fastsam_plugins.cli import liking, predicting, sampling, text_head
from fastsam_plugins.cli.batch import batch
from fastsam_plugins.cli.benchmark import benchmark
from fastsam_plugins.cli.common import (
    Commands,
    as_json,
    check_none_given,
    device,
    flags,
    folder,
    given,
    load,
    log,
    network,
    pick,
    picked_filters,
    print_result,
    progress,
    segment_flags,
    trust,
)
from fastsam_plugins.cli.evaluate import evaluate
from fastsam_plugins.cli.paper import paper
from fastsam_plugins.messages import install
from fastsam_plugins.options import (
    PRESETS,
    BatchOptions,
    DataOptions,
    EdgeOptions,
    ExemplarOptions,
    LimitOptions,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TextOptions,
    TileOptions,
    TrainOptions,
    WeightsOptions,
)
from fastsam_plugins.parameters import check_count, parameters


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fastsam")
def main() -> None:
    """Segment anything, fast: all instances of an image, then any prompt from what was kept."""
    # What it finds odd in a file is no line for a person: who reads the file says what is wrong.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())


main.add_command(evaluate)
main.add_command(predicting.train_decoder)
main.add_command(benchmark)
main.add_command(batch)
main.add_command(paper)
main.add_command(sampling.sample_sa1b)
main.add_command(text_head.train_text_head)


class _Spelled(click.ParamType):
    """A point or a box as it is spelled on the command line; it stays text once it was read."""

    def __init__(self, kind: str, form: str) -> None:
        self.name, self._kind = form, kind

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        from fastsam_plugins import prompts

        try:
            prompts.parse(**{self._kind: [value]})
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path),
    help="Its ending decides: .png overlay, .json COCO, .tif labels, .csv table, .geojson or .gpkg "
    "polygons in the raster's CRS. {stem} stands for the image's name.",
)  # fmt: skip
@click.option(
    "--point",
    "points",
    multiple=True,
    type=_Spelled("points", "X,Y[,0|1]"),
    help="Point prompt in pixels; 1 is foreground (default), 0 background.",
)
@click.option("--box", "boxes", multiple=True, type=_Spelled("boxes", "X1,Y1,X2,Y2"),
              help="Box prompt in pixels.")  # fmt: skip
@click.option(
    "--text",
    "texts",
    multiple=True,
    help="Text prompt, such as 'a dog'; semicolons divide several.",
)
@click.option("--negative", "negatives", multiple=True,
              help="Text that keeps off what resembles it more than the text prompt.")  # fmt: skip
@click.option(
    "--mask",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A rough mask of one object, an image that is not 0 there: with --predict, it is refined.",
)
@click.option(
    "--like", "likes", multiple=True, type=_Spelled("points", "X,Y"),
    help="A point in an example: keep all that is like it, in all images; it is in the first one. "
    f"--threshold says how like (by default {ExemplarOptions.threshold}) and --top-k how many of "
    "each image (all).",
)  # fmt: skip
@click.option("--like-box", "like_boxes", multiple=True, type=_Spelled("boxes", "X1,Y1,X2,Y2"),
              help="A box around an example, as --like.")  # fmt: skip
@network("batch", "decoder")
@segment_flags
@flags(BatchOptions, names=("max_errors",))
@as_json
@click.pass_context
def segment(context: click.Context, images: tuple[Path, ...], output: Path, points: Any,
            boxes: Any, texts: Any, negatives: Any, mask: Path | None, likes: Any, like_boxes: Any,
            batch: int, tiled: bool, max_errors: float, as_json: bool,
            **values: Any) -> None:  # fmt: skip
    """Segment IMAGES; with prompts, keep what they select, or with --predict what they predict."""
    from fastsam_plugins import answers, io, prompts
    from fastsam_plugins.batch import Skipped, segment_images
    from fastsam_plugins.images.contrast import ImageError
    from fastsam_plugins.text import loading, selection

    # Everything that can be wrong is looked at before the network is loaded.
    segmenting, prompting = pick(SegmentOptions, values), pick(PromptOptions, values)
    wording, reading = pick(TextOptions, values), pick(ReadOptions, values)
    filtering, cleaning = picked_filters(values, segmenting.min_area, tiled, reading)
    tiling, limits = pick(TileOptions, values), pick(LimitOptions, dict(values))
    if not tiled:
        check_none_given(context, TileOptions, "is about windows: it needs --tiled")
    check_count("batch", batch)
    io.check_output(output, images)
    prompt = prompts.parse(points, boxes, texts, negatives)
    examples = None
    if likes or like_boxes:
        liking.Likes.check(prompt is not None, prompting.predict or mask is not None, tiled)
        bounds = {n: getattr(wording, n) for n in ("top_k", "threshold") if given(context, n)}
        examples = liking.Likes(likes, like_boxes, images[0], bounds)
    elif prompting.predict or mask:
        chosen = {p.name for p in parameters(PromptOptions) if given(context, p.name)}
        predicting.check(prompting, prompt, mask, tiled, images, output, chosen)
    words = prompt if isinstance(prompt, prompts.TextPrompt) else None
    drawn = output.suffix.lower() == ".png"
    if words:
        loading.find(wording.clip)
        text_head.check(wording, tiled)
    skipped = Skipped(len(images), log)
    loaded: list[Any] = []  # the network, and CLIP if there are words, once an image was read

    def start() -> Any:
        if not loaded:
            clip = loading.load(wording.clip, values["device"]) if words else None
            loaded.extend((load(values), clip))
        return loaded[0]

    def side() -> int:
        return segmenting.imgsz or start().imgsz

    def placed() -> Iterator[tuple[Path, io.Georeference | None]]:
        for path in images:
            try:
                yield path, io.georeference(output, path, reading.page)
            except (ImageError, OSError) as error:
                skipped.add(path, str(error))

    def read(item: tuple[Path, Any]) -> Any:
        if tiled:
            return io.open_raster(item[0], reading, limits)
        return io.read_for_network(item[0], side, reading, limits, bool(words) or drawn)

    def windows(item: tuple[Path, Any], places: Sequence[Any]) -> Iterable[Any]:
        return progress(f"Segmenting {item[0].name}")(places)

    counts: list[tuple[Path, int, answers.Answers | None]] = []

    def results() -> Iterator[io.ImageResult]:
        """What was asked for in each, one after another: nothing is kept once it is written."""
        outcomes = segment_images(
            start, placed(), read, segmenting, tiling if tiled else None, batch,
            progress=windows,
        )  # fmt: skip
        done: Iterable[Any] = skipped.passing(outcomes, lambda item: item[0])
        if not tiled:
            done = progress("Segmenting", len(images))(done)
        for (path, place), everything in done:
            everything = everything.filter(filtering).clean(cleaning)
            seg, answer, named = everything, None, {}
            if words:
                clip = loaded[1]
                seg = words.select(everything, wording, clip)
                similar = selection.answered(seg, words.texts, wording, clip)
                named = {"text": [words.texts[p] for p in seg.prompts.tolist()],
                         "similarity": [round(v, 6) for v in similar.tolist()]}  # fmt: skip
            elif examples:
                seg, named = examples.found(path, everything)
            elif mask:
                seg = predicting.refined(everything, mask, prompt, limits)
            elif isinstance(prompt, prompts.PointPrompt | prompts.BoxPrompt):
                seg = prompt.answer(everything, prompting)
            if prompt:
                answer = answers.of(prompt, everything, seg, prompting, wording)
            counts.append((path, len(seg), answer))
            yield io.ImageResult(path, seg.image, seg, place, extra=named)
        if not counts:
            skipped.check()

    written = io.write_results(results(), output, *prompts.marks(prompt))
    if as_json:
        counted = [
            {"image": str(path), "instances": count}
            | ({} if answer is None else {"prompts": answer.asked, "unanswered": answer.why_not})
            for path, count, answer in counts
        ]
        failed = [{"image": str(p), "error": reason} for p, reason in skipped.reasons.items()]
        done = {"model": loaded[0].network.name, "files": [str(p) for p in written],
                "images": counted, "failed": failed}  # fmt: skip
        print_result(json.dumps(done))
    else:
        for path, count, answer in counts:
            print_result(f"{path}: {count} instances" + (f"; {answer}" if answer else ""))
        print_result("Wrote " + ", ".join(str(p) for p in written))
    if len(skipped.reasons) > max_errors * len(images):
        skipped.check()


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
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False),
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
