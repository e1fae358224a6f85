"""All that decides what is found in an image, as one value: the same for whoever segments it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from fastsam_plugins.io import typed_json
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


@dataclass(frozen=True)
class Settings:
    """What is done with every image.

    FiftyOne's ``SampleSegmenter`` is another value on purpose: a person there hands over a network
    that is loaded, and options that were *given* are told from those left alone, as what was kept
    of samples has to fit only those. Here everything is a plain value, to be sent to machines and
    compared with a manifest.

    Attributes
    ----------
    running : RunOptions
        Which network, and what runs it.
    segmenting, filtering, cleaning, prompting, wording, reading, limits
        The options of each step, in the order of the steps.
    tiling : TileOptions, optional
        Look at images in windows.
    texts, negatives : tuple of str
        Asked of every image that has no prompt of its own; and what keeps off what resembles it.
    trusting : WeightsOptions
    """

    running: RunOptions = field(default_factory=RunOptions)
    segmenting: SegmentOptions = field(default_factory=SegmentOptions)
    filtering: FilterOptions = field(default_factory=FilterOptions)
    cleaning: CleanOptions = field(default_factory=CleanOptions)
    prompting: PromptOptions = field(default_factory=PromptOptions)
    wording: TextOptions = field(default_factory=TextOptions)
    reading: ReadOptions = field(default_factory=ReadOptions)
    limits: LimitOptions = field(default_factory=LimitOptions)
    tiling: TileOptions | None = None
    texts: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    trusting: WeightsOptions = field(default_factory=WeightsOptions)

    def described(self) -> dict[str, Any]:
        """What changes the results, by option: two runs that agree in it find the same.

        How many images go together, and where, does not. Which weights, and what runs them, is told
        apart from this.
        """
        parts = {
            "segment": self.segmenting, "filter": self.filtering, "clean": self.cleaning,
            "prompt": self.prompting, "text": self.wording, "read": self.reading,
            "limits": self.limits,
        }  # fmt: skip
        named: dict[str, Any] = {name: dataclasses.asdict(part) for name, part in parts.items()}
        named["tiles"] = dataclasses.asdict(self.tiling) if self.tiling else None
        return named | {"texts": list(self.texts), "negatives": list(self.negatives)}


def changed(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first option that two descriptions differ in, in words; empty if they agree."""
    for name in [*now, *(n for n in before if n not in now)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            if what := changed(old, new):
                return what
        elif old != new:
            return f"{name} {_said(old)}, and now it is {_said(new)}"
    return ""


def _said(value: Any) -> str:
    return "NaN" if isinstance(value, typed_json.NaN) else repr(value)
