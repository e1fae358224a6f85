"""FastSAM in FiftyOne's model zoo, as a remote source: ``manifest.json`` lists the networks.

    foz.load_zoo_model(SOURCE, "FastSAM-n", conf=0.1)

where SOURCE is this repository's address, or that of an archive of it.
"""

from __future__ import annotations

import shutil
from typing import Any

from fastsam_plugins.io import atomic
from fastsam_plugins.network import weights
from fastsam_plugins.options import (
    LimitOptions,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    WeightsOptions,
)
from fastsam_plugins.parameters import parameters
from fiftyone_plugin.model import FastSAMModel

OPTIONS = {
    "segmenting": SegmentOptions,
    "prompting": PromptOptions,
    "reading": ReadOptions,
    "weights": WeightsOptions,
    "limits": LimitOptions,
}


def download(name: str, path: str) -> None:
    """Put the weights of a name to a path, downloaded and checked if they are not here yet."""
    with atomic.replacing(path) as part:
        shutil.copyfile(weights.resolve(name), part)


def load(path: str, **given: Any) -> FastSAMModel:
    """Load a network.

    Parameters
    ----------
    path : str
        Of the weights.
    **given
        Fields of :class:`SegmentOptions`, :class:`PromptOptions`, :class:`ReadOptions` and
        :class:`WeightsOptions` and :class:`LimitOptions` by name; the rest goes to
        :class:`FastSAMModel`.

    Raises
    ------
    ValueError
        If a value is out of range.
    """
    for argument, options in OPTIONS.items():
        own = {p.name: given.pop(p.name) for p in parameters(options) if p.name in given}
        if own:
            given[argument] = options(**own)
    return FastSAMModel(path, **given)
