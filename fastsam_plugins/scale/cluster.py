"""The engine of many machines: actors of Ray, one for each accelerator or group of cores.

Ray Data is not used, because it may lose what it is given: ``max_errored_blocks`` drops whole
blocks of a data set without a row that says so, what its checkpoints know grows in memory, a run
does not outlive its driver, and the last blocks of one can hang. What is needed here is little:
shards are handed out, each to an actor that writes it itself; a shard is done when it is there. So
whoever dies takes nothing along: an actor's shards are handed out again, and after the driver's
death the same command hands out what is missing.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastsam_plugins import __version__, paths
from fastsam_plugins.messages import install, one_line
from fastsam_plugins.options import ClusterOptions
from fastsam_plugins.scale import rows
from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.results import Counts, Results
from fastsam_plugins.scale.settings import Settings

AHEAD = 2  # shards that an actor has: one that it is at, and the next
TRIES = 4  # actors that may die of a shard
LONG = 120.0
"""Seconds after which an actor that has nothing to do makes what another one is still at."""

_REACH = 10.0  # seconds in which a cluster has to answer
_BEGINS = 120.0  # seconds after which it is told that nobody has begun
_LOOK = 1.0  # seconds between two looks at whether there is such a shard


def ray() -> Any:
    """The package ray, which sends its maker no statistics unless the person says so.

    Raises
    ------
    ValueError
        If it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")  # it would write on standard error
    try:
        import ray
    except ImportError as error:
        raise ValueError(f"--engine ray needs ray ({error}): {install('ray')}") from None
    return ray


@dataclass(frozen=True)
class Weights:
    """Files of a network as they are sent to machines that do not have them.

    Attributes
    ----------
    sha256 : str
        Of the weights.
    files : dict
        Content by name.
    """

    sha256: str
    files: dict[str, bytes]

    @classmethod
    def of(cls, settings: Settings) -> tuple[Weights, Settings]:
        """Those that settings name, and settings that name them as they will be called."""
        from fastsam_plugins.decoder import weights as decoders
        from fastsam_plugins.network import weights
        from fastsam_plugins.network.downloads import sha256_of

        path = weights.resolve(settings.running.model, settings.trusting)
        named = settings.running.decoder
        decoder = decoders.beside(path) if named is None else Path(named).expanduser()
        files = [path, decoder] if named or decoder.is_file() else [path]
        running = settings.running.replace(model=path.name, decoder=None)
        if named:
            running = running.replace(decoder=decoder.name)
        content = {file.name: file.read_bytes() for file in files}
        return cls(sha256_of(path), content), replace(settings, running=running)

    def settled(self, settings: Settings) -> Settings:
        """Put the files into this machine's cache, and name them there."""
        from fastsam_plugins.io import atomic

        folder = paths.cache() / f"weights-{self.sha256[:32]}"
        for name, content in self.files.items():
            if not (folder / name).is_file() or (folder / name).read_bytes() != content:
                atomic.write_bytes(folder / name, content)
        r = settings.running
        decoder = str(folder / r.decoder) if r.decoder else None
        running = r.replace(model=str(folder / r.model), decoder=decoder)
        return replace(settings, running=running)


class Worker:
    """What an actor is: a network, and the results that it writes shards of."""

    def __init__(self, version: str, weights: Weights, settings: Settings, address: str,
                 readers: int) -> None:  # fmt: skip
        if version != __version__:
            raise RuntimeError(
                f"a machine of the cluster has fastsam-plugins {__version__}, and not {version}"
            )
        from fastsam_plugins.scale import jobs, segmenter

        network = segmenter.network(weights.settled(settings), print)
        self.running = jobs.running(network)
        self._segmenter = segmenter.Segmenter(network, settings, readers)
        self._results = Results(address)

    def ready(self) -> dict[str, str]:
        """What runs the network."""
        return self.running

    def make(self, number: int, items: list[tuple[str, str]]) -> Counts:
        """Make a shard, and write it."""
        asked = [Item(*item) for item in items]
        fresh, kept = self._results.fresh(number, asked)
        made = rows.in_order((i.image for i in asked), kept, self._segmenter.rows(fresh))
        return self._results.write(number, made)


@dataclass(eq=False)
class _Actor:
    handle: Any
    up: bool = False
    queue: list[int] = field(default_factory=list)  # the first is the one that it is at


class Pool:
    """Actors, and the shards that they are at.

    Parameters
    ----------
    make : callable
        Makes an actor, of class :class:`Worker`.
    count : int
        How many there are to be; as many work as the cluster has room for.
    """

    def __init__(self, make: Callable[[], Any], count: int) -> None:
        self._ray, self._make, self._count = ray(), make, count
        self._actors: list[_Actor] = []
        self._tasks: dict[Any, tuple[_Actor, int | None]] = {}  # None: it begins
        self._open: dict[int, list[Item]] = {}  # shards that are handed out, or are to be again
        self._since: dict[int, float] = {}
        self._again: deque[int] = deque()
        self._deaths: Counter[int] = Counter()
        self._copied: set[int] = set()
        self._failed_starts = 0
        self._all_out = False  # whether every shard was handed out once

    def run(self, shards: Iterable[tuple[int, list[Item]]]) -> Iterator[tuple[int, Counts]]:
        """Have shards made; whoever dies is replaced, and what it was at is handed out again.

        Yields
        ------
        (int, Counts)
            Every shard once, in the order in which they are done.

        Raises
        ------
        RuntimeError
            If no actor can begin, or a shard cannot be written; or, when all others are done, if
            several actors died of one.
        """
        source = iter(shards)
        while len(self._actors) < self._count:
            self._begin()
        while True:
            self._hand_out(source)
            if self._all_out and not self._open:
                break
            done, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=_LOOK)
            for ref in done:
                actor, number = self._tasks.pop(ref, (None, None))
                if actor is None:  # it died, which another of its tasks told
                    continue
                try:
                    counts = self._ray.get(ref)
                except self._ray.exceptions.RayTaskError as error:
                    raise RuntimeError(_reason(error)) from error
                except self._ray.exceptions.RayError as error:
                    self._lost(actor, error)
                    continue
                if number is None:
                    actor.up, self._failed_starts = True, 0
                    continue
                actor.queue.remove(number)
                if self._open.pop(number, None) is not None:  # else a copy of it was faster
                    yield number, counts
        if given_up := sorted(n for n, deaths in self._deaths.items() if deaths >= TRIES):
            raise RuntimeError(
                f"{TRIES} workers died of each of the shards {given_up}, all others are done: "
                "their images may need more memory than a worker has (--actors, --max-memory)"
            )

    def first(self) -> dict[str, str]:
        """Begin one actor, and tell what runs its network.

        Raises
        ------
        RuntimeError
            If it cannot begin.
        """
        ready = self._begin()
        if not self._ray.wait([ready], num_returns=1, timeout=_BEGINS)[0]:
            warnings.warn(
                f"no worker has begun in {_BEGINS:.0f} s: the cluster may have no room for one "
                "now, which `ray status` tells; it is waited for",
                stacklevel=2,
            )
        try:
            running: dict[str, str] = self._ray.get(ready)
        except self._ray.exceptions.RayError as error:
            raise RuntimeError(f"no worker can begin: {_reason(error)}") from error
        return running

    def _begin(self) -> Any:
        actor = _Actor(self._make())
        ready = actor.handle.ready.remote()
        self._actors.append(actor)
        self._tasks[ready] = actor, None
        return ready

    def _hand_out(self, source: Iterator[tuple[int, list[Item]]]) -> None:
        """Give every actor what it is at and what comes next; the least busy ones first."""
        for most in range(AHEAD):
            for actor in self._actors:
                if not actor.up or len(actor.queue) != most:
                    continue
                number = self._next(source, idle=not actor.queue)
                if number is None:
                    continue
                self._since.setdefault(number, time.monotonic())
                actor.queue.append(number)
                ref = actor.handle.make.remote(number, [tuple(i) for i in self._open[number]])
                self._tasks[ref] = actor, number

    def _next(self, source: Iterator[tuple[int, list[Item]]], idle: bool) -> int | None:
        while self._again:
            if (number := self._again.popleft()) in self._open:  # else a copy of it is done
                return number
        if (shard := next(source, None)) is not None:
            number, self._open[shard[0]] = shard
            return number
        self._all_out = True
        late = self._late() if idle else None
        if late is not None:
            self._copied.add(late)
        return late

    def _late(self) -> int | None:
        """A shard for who has nothing to do: one that nobody has begun, or that takes too long.

        Two may write it: they write the same.
        """
        begun = {a.queue[0] for a in self._actors if a.queue}
        old = time.monotonic() - LONG
        late = [n for n in self._open if n not in self._copied
                and (n not in begun or self._since[n] < old)]  # fmt: skip
        return min(late, key=lambda n: (n in begun, self._since[n]), default=None)

    def _lost(self, actor: _Actor, error: Exception) -> None:
        """An actor is gone, with its process or its machine."""
        self._actors.remove(actor)
        with contextlib.suppress(Exception):  # that it is gone already
            self._ray.kill(actor.handle)
        self._tasks = {r: t for r, t in self._tasks.items() if t[0] is not actor}
        if not actor.up:
            self._failed_starts += 1
            if self._failed_starts >= TRIES * self._count:
                raise RuntimeError(f"no worker can begin: {_reason(error)}") from error
        elsewhere = {n for a in self._actors for n in a.queue} | set(self._again)
        if actor.queue:
            self._deaths[actor.queue[0]] += 1
        for number in actor.queue:
            if self._deaths[number] >= TRIES:
                self._open.pop(number, None)
            elif number in self._open and number not in elsewhere:
                self._again.append(number)
        self._begin()


def _reason(error: Exception) -> str:
    """What a worker died or complained of, in one line, without Ray's traceback."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return one_line(cause)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
    return one_line(RuntimeError((errors or lines or [type(error).__name__])[-1]))


def _room(nodes: list[dict[str, Any]], cores: int) -> tuple[int, int, int]:
    """Accelerators of a cluster, processors that a worker can have, and room for how many such.

    A worker runs on one machine: what no machine has would be waited for without end.
    """
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = int(sum(r.get("GPU", 0) for r in resources))
    there = [int(r.get("CPU", 0)) for r in resources if not gpus or r.get("GPU", 0)]
    most = max(there, default=0)
    if 0 < most < cores:
        warnings.warn(
            f"no machine of the cluster has {cores} processors: a worker takes {most} (--cores)",
            stacklevel=3,
        )
        cores = most
    return gpus, cores, sum(n // cores for n in there)


def _reach(address: str | None) -> None:
    """Find out whether anyone listens at ``host:port``: Ray would try for minutes, and log it."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH).close()


class Cluster:
    """A Ray cluster while a run uses it.

    Parameters
    ----------
    options : ClusterOptions
    results : Results
        In a place that all machines see: a store, or a folder that they share.
    settings : Settings
    readers : int
        Images that each actor reads at the same time.

    Raises
    ------
    ValueError
        If Ray is not installed.
    RuntimeError
        If there is no cluster at the address.
    """

    def __init__(
        self, options: ClusterOptions, results: Results, settings: Settings, readers: int
    ) -> None:
        self._ray = ray()
        try:
            _reach(options.address)
            self._ray.init(options.address, log_to_driver=False, logging_level="ERROR",
                           configure_logging=False, include_dashboard=False)  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            where = options.address or "this machine"
            raise RuntimeError(f"no Ray cluster at {where}: {one_line(error)}") from error
        weights, self._settings = Weights.of(settings)
        self._weights = self._ray.put(weights)
        self._results, self._readers = results, readers
        gpus, cores, room = _room(self._ray.nodes(), options.cores)
        self.count = options.actors or gpus or max(room, 1)
        self._kind = self._ray.remote(Worker).options(
            num_cpus=cores, num_gpus=1 if gpus else 0, scheduling_strategy="SPREAD",
            max_restarts=0, max_task_retries=0,
        )  # fmt: skip
        self._pool = Pool(self._actor, self.count)

    def _actor(self) -> Any:
        return self._kind.remote(__version__, self._weights, self._settings,
                                 self._results.address, self._readers)  # fmt: skip

    def start(self, settings: Settings) -> dict[str, str]:
        """What runs the network on the first machine that has room for it."""
        running = self._pool.first()
        self.fix(running)
        return running

    def fix(self, running: Mapping[str, str]) -> None:
        """Let all machines run the network like this one: what one takes, another might not."""
        ran = {name: running[name] for name in ("backend", "precision")}
        self._settings = replace(self._settings, running=self._settings.running.replace(**ran))

    def run(
        self, missing: Iterable[int], step: Callable[[int, int], None]
    ) -> Iterator[tuple[int, Counts]]:
        """Make shards; see :meth:`Pool.run`."""
        for number, counts in self._pool.run(self._results.items(missing)):
            step(counts.images, counts.errors)
            yield number, counts

    def close(self) -> None:
        """End its actors, and leave it."""
        self._ray.shutdown()
