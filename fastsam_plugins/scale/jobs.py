"""How a run begins, or goes on: which network, which images, and which shards are missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fastsam_plugins.decoder import weights as decoders
from fastsam_plugins.model import FastSAM
from fastsam_plugins.network import weights
from fastsam_plugins.network.downloads import sha256_of
from fastsam_plugins.scale import plans
from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.manifest import Manifest, check_same, versions
from fastsam_plugins.scale.results import Results
from fastsam_plugins.scale.settings import Settings


def running(network: FastSAM) -> dict[str, str]:
    """What runs a network, as a manifest says it."""
    backend, precision = network.chosen
    return {"backend": backend, "precision": precision, "device": network.device.type}


def begin(
    results: Results,
    settings: Settings,
    new: bool,
    items: Iterable[Item],
    size: int,
    start: Callable[[Settings], dict[str, str]],
    say: Callable[[str], None],
    retry: bool = False,
) -> list[int]:
    """Begin a run, or go on with one.

    Parameters
    ----------
    results : Results
    settings : Settings
    new : bool
        Begin anew, whatever there is.
    items : iterable of Item
        Those that are not in the plan are added to it.
    size : int
        Images in a shard.
    start : callable
        Makes the network, and says what runs it. Called where nobody knows that yet.
    say : callable
        Told what is worth a line.
    retry : bool
        Make shards again that have images which could not be used.

    Returns
    -------
    list of int
        The shards that are missing.

    Raises
    ------
    ValueError
        If other options or another network made what is there, or there is no image.
    """
    before = None if new else results.manifest()
    now = Manifest(_model(settings), _wished(settings), settings.described(), versions())
    if before is None:  # whatever is wrong is found before anything is deleted
        plan, twice = plans.grown(plans.schema().empty_table(), items, size)
        if not plan.num_rows:
            raise ValueError("there is no image in what was named")
        now.running = start(settings)
        results.begin(now, new)
        results.keep(plan)
    else:
        check_same(before, now, results.address)
        if before.versions != now.versions:
            say("Other versions made the shards that are there (manifest.json lists them): masks "
                "of the others may differ in places")  # fmt: skip
        twice = results.add(items, size)
    if twice:
        say(f"{twice} entries name an image once more: each image is done once")
    again = results.failed() if retry and before is not None else []
    return sorted({*results.missing(), *again})


def known(results: Results) -> Manifest:
    """What made the results of a run that began."""
    manifest = results.manifest()
    assert manifest is not None
    return manifest


def resumed(results: Results, settings: Settings) -> Settings:
    """The settings with what ran the network before, so that the rest is made the same way."""
    ran = {name: known(results).running[name] for name in ("backend", "precision")}
    return dataclasses.replace(settings, running=settings.running.replace(**ran))


def _wished(settings: Settings) -> dict[str, str]:
    r = settings.running
    return {"backend": r.backend, "precision": r.precision}


def _model(settings: Settings) -> dict[str, Any]:
    path = weights.resolve(settings.running.model, settings.trusting)
    about: dict[str, Any] = {"name": path.stem, "sha256": sha256_of(path)}
    if settings.prompting.predict:
        named = settings.running.decoder
        decoder = decoders.beside(path) if named is None else Path(named).expanduser()
        if named is not None and not decoder.is_file():
            raise ValueError(f"there is no decoder {named}")
        there = named is not None or decoders.beside(path).is_file()
        about["decoder"] = sha256_of(decoder) if there else None
    return about
