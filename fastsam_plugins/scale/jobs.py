"""How a run begins, or goes on: which network, which images, and which shards are missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from fastsam_plugins.decoder import weights as decoders
from fastsam_plugins.model import FastSAM
from fastsam_plugins.network import weights
from fastsam_plugins.network.downloads import sha256_of
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

    Returns
    -------
    list of int
        The shards that are missing.

    Raises
    ------
    ValueError
        If other options or another network made what is there.
    """
    before = None if new else results.manifest()
    now = Manifest(_model(settings), _wished(settings), settings.described(), versions())
    if before is not None:
        check_same(before, now, results.address)
    listed = list(items) if before is None else items  # what cannot be listed begins nothing
    if before is None:
        now.running = start(settings)
        results.begin(now, new)
    elif before.versions != now.versions:
        say("Other versions made the shards that are there (manifest.json lists them): masks of "
            "the others may differ in places")  # fmt: skip
    if twice := results.add(listed, size):
        say(f"{twice} images are listed twice: each is done once")
    return results.missing()


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
        decoder = decoders.beside(path) if named is None else named
        there = named is not None or decoders.beside(path).is_file()
        about["decoder"] = sha256_of(decoder) if there else None  # type: ignore[arg-type]
    return about
