"""``fastsam batch``: a data set as a whole, here or on a Ray cluster; and what it left, as COCO."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastsam_plugins.cli.common import (
    Group,
    as_json,
    check_model,
    check_none_given,
    flags,
    log,
    network,
    pick,
    picked_filters,
    print_result,
    segment_flags,
)
from fastsam_plugins.options import (
    BatchOptions,
    ClusterOptions,
    LimitOptions,
    PromptOptions,
    ReadOptions,
    RunOptions,
    SegmentOptions,
    TextOptions,
    TileOptions,
    WeightsOptions,
)

if TYPE_CHECKING:
    from fastsam_plugins.scale.results import Counts, Results
    from fastsam_plugins.scale.settings import Settings

_SAME = 1.0  # seconds
_INTERRUPTED = 130  # as a shell has it for who is ended by Ctrl-C


class _Group(Group):
    """A group whose first command needs no name: what is no name of a command is for that."""

    first = "run"

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Put the name in, unless there is one."""
        if not args or args[0] not in self.commands:
            args = [self.first, *args]
        return super().parse_args(context, args)


@click.group(cls=_Group, name="batch", options_metavar="", subcommand_metavar="INPUT...")
def batch() -> None:
    """Segment whole data sets, on one machine or many; `fastsam batch export` makes COCO of it."""


@batch.command(name="run")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", required=True,
              help="Folder or address (s3://...) of the results.")  # fmt: skip
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="This machine, or a Ray cluster (extra ray).")  # fmt: skip
@click.option("--new", is_flag=True, help="Delete the results that are there, and begin anew.")
@click.option(
    "--prompts", type=click.Path(path_type=Path, dir_okay=False),
    help="A detector's COCO results: its boxes are prompts for the images of the COCO file INPUT.",
)  # fmt: skip
@click.option("--text", "texts", multiple=True, help="Text prompt, for all images.")
@click.option("--negative", "negatives", multiple=True,
              help="Text that keeps off what resembles it more than the text prompt.")  # fmt: skip
@flags(BatchOptions)
@flags(ClusterOptions)
@network("batch", "decoder")
@segment_flags
@as_json
@click.pass_context
def run(context: click.Context, inputs: tuple[str, ...], output: str, engine: str, new: bool,
        prompts: Path | None, as_json: bool, **values: Any) -> None:  # fmt: skip
    """Segment all images of INPUT; the same command goes on where it was ended.

    Each INPUT is an image, a folder, a pattern, a .txt with a path a line, a COCO .json, a .parquet
    with a column of paths (and maybe boxes, points or text to ask for), fiftyone:DATASET or
    fiftyone:DATASET/VIEW; here or at an address such as s3://bucket/photos/.

    `fastsam batch export OUT -o coco.json` makes a COCO file of the results.
    """
    from fastsam_plugins.scale import inputs as sources
    from fastsam_plugins.scale import places
    from fastsam_plugins.scale.results import Results

    if not values["tiled"]:
        check_none_given(context, TileOptions, "needs --tiled")
    if engine != "ray":
        check_none_given(context, ClusterOptions, "needs --engine ray")
    how, cluster = pick(BatchOptions, values), pick(ClusterOptions, values)
    if engine == "local":
        check_model(values)
    settings = _settings(values)
    results, interrupt = Results(output), _Interrupt()
    context.call_on_close(interrupt.close)
    with results.alone():
        named = [places.local(str(name)) for name in (*inputs, *([prompts] if prompts else []))
                 if not places.is_address(str(name))]  # fmt: skip
        files = [name for name in named if Path(name).is_file()]
        work = _Work(results, settings, how, new, Progress(interrupt), files)
        listed = sources.items(inputs, prompts, how.image_column, how.prompt_score)
        try:
            if engine == "ray":
                work.on_ray(listed, cluster)
            else:
                work.here(listed)
        except KeyboardInterrupt:
            work.progress.end()
            total, done = results.plan.num_rows, results.counts(results.done()).images
            if how.retry and total == done:
                log("Stopped: the same command does the rest")
            elif total:
                log(f"Stopped: {done} of {total} images are done, and the same command does the "
                    "rest")  # fmt: skip
            else:
                log("Stopped before anything was begun")
            sys.exit(_INTERRUPTED)
        work.progress.end()
        if missing := results.missing():
            raise RuntimeError(f"{len(missing)} shards were not made: the same command makes them")
        counts = results.counts(results.done())
    _tell(counts, results, as_json)
    if counts.unanswered:
        log(f"No instance answers {counts.unanswered} of the images' own prompts")
    if counts.images and counts.errors / counts.images > how.max_errors:
        raise ValueError(f"{counts.errors} of {counts.images} images could not be used; the others "
                         "are done. When they are mended, --retry tries them again. The first: "
                         f"{counts.first}")  # fmt: skip


@batch.command()
@click.argument("results")
@click.option("-o", "--output", required=True, help="The COCO .json to write, a file here.")
@as_json
def export(results: str, output: str, as_json: bool) -> None:
    """Write RESULTS, a folder or an address, as a COCO file; memory does not grow with them."""
    from fastsam_plugins.scale import export as rooms
    from fastsam_plugins.scale import places
    from fastsam_plugins.scale.results import Results

    if places.is_address(output):
        raise ValueError(f"--output is a file here, and {output} an address: copy it afterwards")
    images, annotations = rooms.coco(Results(results), Path(output))
    if as_json:
        print_result(json.dumps({"output": str(output), "images": images,
                                 "annotations": annotations}))  # fmt: skip
    else:
        print_result(f"{images} images, {annotations} instances: {output}")


def _settings(values: dict[str, Any]) -> Settings:
    from fastsam_plugins.prompts import TextPrompt
    from fastsam_plugins.scale.settings import Settings
    from fastsam_plugins.text import loading

    words = TextPrompt.parse(list(values.pop("texts")), list(values.pop("negatives")))
    segmenting = pick(SegmentOptions, values)
    reading = pick(ReadOptions, values)
    filtering, cleaning = picked_filters(values, segmenting.min_area, values["tiled"], reading)
    tiling = pick(TileOptions, values)
    made = Settings(
        pick(RunOptions, values), segmenting, filtering, cleaning, pick(PromptOptions, values),
        pick(TextOptions, values), reading, pick(LimitOptions, values),
        tiling if values.pop("tiled") else None, words.texts if words else (),
        words.negatives if words else (), pick(WeightsOptions, values),
    )  # fmt: skip
    if words:
        loading.find(made.wording.clip)
    return made


class _Interrupt:
    """Ctrl-C: once more within a second is the same, for the first is being seen to."""

    def __init__(self) -> None:
        self._last, self._before = 0.0, signal.getsignal(signal.SIGINT)
        self._main = threading.current_thread() is threading.main_thread()
        if self._main and callable(self._before):
            signal.signal(signal.SIGINT, self._asked)

    def _asked(self, number: int, frame: Any) -> None:
        since, self._last = time.monotonic() - self._last, time.monotonic()
        if since > _SAME and callable(self._before):
            self._before(number, frame)

    def close(self) -> None:
        """Leave Ctrl-C as it was."""
        if self._main:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Stop, if it was asked for: libraries may swallow it."""
        if self._last:
            raise KeyboardInterrupt


class _Work:
    """What is to be done, and how far it is."""

    def __init__(
        self, results: Results, settings: Settings, how: BatchOptions, new: bool,
        progress: Progress, files: list[str],
    ) -> None:  # fmt: skip
        self.results, self.settings, self.how, self.new = results, settings, how, new
        self.progress, self._files = progress, files

    def here(self, listed: Any) -> None:
        """Do it on this machine."""
        from fastsam_plugins.scale import jobs, local, segmenter
        from fastsam_plugins.text import loading

        made: list[Any] = []
        check = self.progress.interrupt.check
        if self.settings.texts:  # what is missing is told before anything is deleted
            loading.load(self.settings.wording.clip, self.settings.running.device)

        def start(settings: Settings) -> dict[str, str]:
            made.append(segmenter.network(settings, log))
            check()  # some libraries swallow Ctrl-C while they begin
            log(str(made[0]))
            return jobs.running(made[0])

        missing = jobs.begin(self.results, self.settings, self.new, listed, self.how.shard,
                             start, log, self.how.retry)  # fmt: skip
        self._began(missing)
        if not missing:
            return
        network = made[0] if made else segmenter.network(jobs.resumed(self.results, self.settings),
                                                         log)  # fmt: skip
        worker = segmenter.Segmenter(network, self.settings, self.how.readers)
        for _ in local.run(self.results, worker, missing, self.progress.step):
            pass

    def on_ray(self, listed: Any, options: ClusterOptions) -> None:
        """Do it on a Ray cluster."""
        from fastsam_plugins.scale import jobs
        from fastsam_plugins.scale.cluster import Cluster

        cluster = Cluster(options, self.results, self.settings, self.how.readers)
        try:
            missing = jobs.begin(self.results, self.settings, self.new, listed, self.how.shard,
                                 cluster.start, log, self.how.retry)  # fmt: skip
            self._began(missing)
            if not missing:
                return
            cluster.fix(jobs.known(self.results).running)
            log(f"{cluster.count} workers on a Ray cluster")
            for _ in cluster.run(missing, self.progress.step):
                pass
        finally:
            cluster.close()

    def _began(self, missing: Sequence[int]) -> None:
        self.results.remember(self._files)
        total = self.results.plan.num_rows
        left = self.results.size(missing)
        again = set(missing)
        # Before hours of work: what was damaged meanwhile is named, and can be made as well.
        self.results.check([n for n in self.results.done() if n not in again])
        if left < total:
            log(f"{total - left} of {total} images are done already")
        self.progress.begin(total - left, total)


class Progress:
    """A line on standard error: how many are done, how fast, and how long the rest takes."""

    def __init__(self, interrupt: _Interrupt) -> None:
        self.interrupt = interrupt
        self._done = self._before = self._total = self._errors = 0
        self._shown = self._start = 0.0

    def begin(self, done: int, total: int) -> None:
        """Of so many images, these are done before."""
        self._done = self._before = done
        self._total, self._start = total, time.monotonic()
        self._every = 0.2 if sys.stderr.isatty() else 30.0
        self._shown = self._start

    def step(self, images: int, errors: int) -> None:
        """Some more are done."""
        self.interrupt.check()
        self._done += images
        self._errors += errors
        if time.monotonic() - self._shown > self._every:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        own = self._done - self._before
        rate = own / max(self._shown - self._start, 1e-9)
        left = time.strftime("%H:%M:%S", time.gmtime((self._total - self._done) / max(rate, 1e-9)))
        days = int((self._total - self._done) / max(rate, 1e-9) // 86400) if rate else 0
        text = f"{self._done}/{self._total} images, {rate:.1f}/s, " + (
            f"{days} d {left} left" if days else f"{left} left"
        )
        text += f", {self._errors} errors" if self._errors else ""
        click.echo(f"\r{text}\033[K" if sys.stderr.isatty() else text, err=True,
                   nl=not sys.stderr.isatty())  # fmt: skip

    def end(self) -> None:
        """Say how it ended, if there was something to do."""
        if self._done > self._before:
            self._show()
            if sys.stderr.isatty():
                click.echo(err=True)


def _tell(counts: Counts, results: Results, as_json: bool) -> None:
    if as_json:
        print_result(json.dumps({
            "output": results.address, "images": counts.images, "errors": counts.errors,
            "instances": counts.instances, "shards": len(results.done()),
        }))  # fmt: skip
        return
    failed = f", {counts.errors} of them could not be used" if counts.errors else ""
    print_result(f"{counts.images} images{failed}, {counts.instances} instances: {results.address}")
