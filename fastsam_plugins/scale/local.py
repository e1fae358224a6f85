"""The engine of one machine: reading, the network and writing go on at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from fastsam_plugins.scale import rows
from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.results import Counts, Results
from fastsam_plugins.scale.segmenter import Segmenter


def run(
    results: Results,
    segmenter: Segmenter,
    missing: Iterable[int],
    step: Callable[[int, int], None] = lambda _images, _errors: None,
) -> Iterator[Counts]:
    """Make shards, one after another; memory does not grow with how many there are.

    Whoever stops asking, or is interrupted, keeps the shards that are written.

    Parameters
    ----------
    results : Results
    segmenter : Segmenter
    missing : iterable of int
        Which shards.
    step : callable
        Told of images as they are done: how many, and how many errors are among them.

    Yields
    ------
    Counts
        Of every shard, once it is written.
    """
    begun: list[tuple[int, list[str], int, dict[str, rows.Row]]] = []

    def all_items() -> Iterator[Item]:
        for number, items in results.items(missing):
            fresh, kept = results.fresh(number, items)
            begun.append((number, [item.image for item in items], len(fresh), kept))
            yield from fresh

    made: list[rows.Row] = []
    written: list[Future[Counts]] = []
    # One more thread, that turns rows into bytes and waits for the disk, or for a store.
    with (
        ThreadPoolExecutor(1, "fastsam-write") as writer,
        contextlib.closing(segmenter.rows(all_items())) as source,
    ):
        for row in source:
            made.append(row)
            step(1, row["error"] is not None)
            number, images, size, kept = begun[0]
            if len(made) == size:
                while written:  # one is written while the next is made, and no more are kept
                    yield written.pop().result()
                if kept:
                    step(len(kept), 0)
                content = rows.in_order(images, kept, made)
                written.append(writer.submit(results.write, number, content))
                made = []
                del begun[0]
        while written:
            yield written.pop().result()
