"""``fastsam segment``: images in, what was found or asked for out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from fastsam_plugins.cli import liking, predicting, text_head
from fastsam_plugins.cli.common import (
    Command,
    Written,
    as_json,
    check_none_given,
    flags,
    given,
    load,
    log,
    network,
    pick,
    picked_filters,
    print_result,
    progress,
    segment_flags,
)
from fastsam_plugins.options import (
    BatchOptions,
    ExemplarOptions,
    LimitOptions,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TextOptions,
    TileOptions,
)
from fastsam_plugins.parameters import check_count, parameters


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


@click.command(cls=Command)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=Written(),
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
    about = prompt if tiled and prompting.predict else None  # in windows about it
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
            progress=windows, asked=lambda _: about, each=prompting.points_mode == "each",
        )  # fmt: skip
        done: Iterable[Any] = skipped.passing(outcomes, lambda item: item[0])
        if not tiled:
            done = progress("Segmenting", len(images))(done)
        for (path, place), everything in done:
            if not about:
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
            elif isinstance(prompt, prompts.PointPrompt | prompts.BoxPrompt) and not about:
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
