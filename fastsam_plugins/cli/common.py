"""What all commands share: results and messages, errors in one line, flags from ``options.py``.

Results go to standard output, progress and messages to standard error. Where nobody reads them any
more, as behind ``| head -1``, a command ends without a word, as those of the system do.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sized
from importlib.metadata import EntryPoints, entry_points
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from fastsam_plugins.options import (
    CleanOptions,
    FilterOptions,
    LimitOptions,
    PromptOptions,
    ReadOptions,
    RunOptions,
    SegmentOptions,
    TextOptions,
    TileOptions,
    WeightsOptions,
)
from fastsam_plugins.parameters import Options, parameters

F = TypeVar("F", bound=Callable[..., Any])
O = TypeVar("O", bound=Options)  # noqa: E741


class Command(click.Command):
    """A command whose libraries cannot print among its results."""

    def invoke(self, context: click.Context) -> Any:
        """Run it; standard output is kept for :func:`print_result`."""
        context.obj = sys.stdout
        # Ultralytics logs to standard output, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            return super().invoke(context)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


class Commands(Group):
    """Commands whose errors are one line and exit status 1; ``FASTSAM_DEBUG=1`` shows where."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Own commands, and those of adapters (entry points ``fastsam_plugins.commands``)."""
        return sorted({*super().list_commands(context), *_adapters().names})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """A command; an adapter's module imports no more than click."""
        own = super().get_command(context, name)
        if own is None and name in _adapters().names:
            own = _adapters()[name].load()
        return own

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the words of a command; help is printed meanwhile."""
        with _ended_plainly():
            return super().make_context(*args, **kwargs)

    def invoke(self, context: click.Context) -> Any:
        """Run the command that was named."""
        warnings.showwarning = lambda message, *_, **__: log(f"Warning: {message}")
        with _ended_plainly():
            return super().invoke(context)


@contextlib.contextmanager
def _ended_plainly() -> Iterator[None]:
    """End in one line where something is wrong, and in none where nobody reads it.

    SIGPIPE stays ignored: it would also end a program whose network connection breaks, and leave
    half-written files.
    """
    try:
        try:
            yield
        except click.exceptions.Exit:  # a RuntimeError, but how --help ends
            raise
        except (ValueError, RuntimeError, OSError) as error:
            if os.environ.get("FASTSAM_DEBUG") or _unread(error):
                raise
            log(f"Error: {error}")
            sys.exit(1)
    except BrokenPipeError as error:
        if not (unread := _unread(error)):
            raise
        for number in unread:  # what is still in buffers goes nowhere, rather than into an error
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), number)
        raise click.exceptions.Exit(128 + signal.SIGPIPE) from None


def _unread(error: Exception) -> list[int]:
    """Standard output and error, where they are why a pipe is broken: their reader went away."""
    if not isinstance(error, BrokenPipeError):
        return []
    asked = select.poll()
    for number in (1, 2):
        asked.register(number, 0)  # that it is broken is told without being asked for
    return [number for number, event in asked.poll(0) if event & select.POLLERR]


def _adapters() -> EntryPoints:
    return entry_points(group="fastsam_plugins.commands")


def print_result(text: str) -> None:
    """A result, on standard output."""
    click.echo(_printable(text), file=click.get_current_context().obj)


def log(text: str) -> None:
    """A line for the person, on standard error."""
    click.echo(_printable(text), err=True)


def _printable(text: str) -> str:
    """Names of files need not be UTF-8: what is not is shown by its number."""
    return text.encode("utf-8", "backslashreplace").decode()


def progress(label: str, length: int | None = None) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """A progress bar on standard error around an iteration, once there is a first item."""

    def bar(items: Iterable[Any]) -> Iterator[Any]:
        source = iter(items)
        for first in source:
            count = len(items) if isinstance(items, Sized) else length
            rest = chain([first], source)
            with click.progressbar(rest, length=count, label=label, file=sys.stderr) as shown:
                yield from shown

    return bar


def flags(
    options: type[Options],
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    names: Collection[str] | None = None,
) -> Callable[[F], F]:
    """Add a flag for every parameter of an options class, or for some, to a command.

    Help says which default each preset has instead.
    """

    def add(command: F) -> F:
        for p in reversed(parameters(options)):
            if names is not None and p.name not in names:
                continue
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


def given(context: click.Context, name: str) -> bool:
    """Whether the person wrote a flag, rather than left its default."""
    return context.get_parameter_source(name) is not ParameterSource.DEFAULT


def check_none_given(context: click.Context, options: type[Options], why: str) -> None:
    """Refuse flags of an options class that are of no use here; ``why`` follows their name."""
    for p in parameters(options):
        if given(context, p.name):
            raise ValueError(f"--{p.name.replace('_', '-')} {why}")


def _filters(command: F) -> F:
    """Flags that say which instances stay, and what is made of their masks.

    ``--min-area`` is one of :class:`SegmentOptions`, and holds before and after.
    """
    bounds = [p.name for p in parameters(FilterOptions) if p.name != "min_area"]
    cleaning = [p.name for p in parameters(CleanOptions) if p.name != "min_area"]
    return flags(FilterOptions, names=bounds)(flags(CleanOptions, names=cleaning)(command))


def segment_flags(command: F) -> F:
    """Flags for how images are looked at and prompted, and what stays of what is found."""
    tiled = click.option(
        "--tiled", is_flag=True, help="Look at images in windows: for those too large for one look."
    )
    for options in (ReadOptions, TextOptions, PromptOptions, TileOptions):
        command = flags(options)(command)
    return flags(SegmentOptions)(_filters(tiled(command)))


def picked_filters(
    values: dict[str, Any], least: int, tiled: bool, reading: ReadOptions
) -> tuple[FilterOptions, CleanOptions]:
    """Of :func:`segment_flags`; masks below ``least`` pixels go after cleaning too.

    Raises
    ------
    ValueError
        If windows do not keep what a bound is about, or are to be of reduced images.
    """
    if tiled and reading.reduced:
        raise ValueError("--reduced is about images looked at whole: leave it out, or --tiled")
    filtering = pick(FilterOptions, values | {"min_area": 0})
    cleaning = pick(CleanOptions, values | {"min_area": least})
    for p in (*parameters(FilterOptions), *parameters(CleanOptions)):
        values.pop(p.name, None)
    if tiled and (filtering.min_stability > 0 or filtering.max_box_leak < 1):
        raise ValueError("--min-stability and --max-box-leak are not known of masks that windows "
                         "were put together for: leave them out, or --tiled")  # fmt: skip
    return filtering, cleaning


as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable results.")
device = flags(RunOptions, names=("device",))
trust = flags(WeightsOptions)


def network(*more: str) -> Callable[[F], F]:
    """Flags of commands that run the network: which, where, and what it and files may take."""

    def add(command: F) -> F:
        command = trust(flags(LimitOptions)(command))
        return flags(RunOptions, names=("model", "device", "backend", "precision", *more))(command)

    return add


class Written(click.Path):
    """A file or folder to write. Not an empty name, as of a variable that is not set: it would be
    the current folder."""

    def __init__(self, **kind: Any) -> None:
        super().__init__(path_type=Path, **kind)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if not str(value):
            name = "/".join(param.opts) if param else "the output"
            raise ValueError(f"{name} is empty: name what to write")
        return super().convert(value, param, ctx)


def folder(default: str) -> Callable[[F], F]:
    """The flag ``--output``, a folder."""
    return click.option(
        "-o", "--output", default=default, show_default=True, help="Folder to write to.",
        type=Written(file_okay=False),
    )  # fmt: skip


def load(values: dict[str, Any]) -> Any:
    """The network that ``--model`` and its like name, within its limits."""
    from fastsam_plugins.model import FastSAM

    trusted, limits = pick(WeightsOptions, values), pick(LimitOptions, values)
    loaded = FastSAM(
        values.pop("model"), values.pop("device"), values.pop("backend"), trusted, limits,
        values.pop("decoder", None), values.pop("precision"), say=log,
    )  # fmt: skip
    log(str(loaded))
    return loaded


def check_model(values: dict[str, Any]) -> None:
    """Refuse weights, a device or a backend that there is not, before data are read."""
    from fastsam_plugins import fastest
    from fastsam_plugins.network import weights
    from fastsam_plugins.network.devices import device_name

    weights.known(values["model"])
    fastest.possible(values["backend"], values["precision"], device_name(values["device"]))
