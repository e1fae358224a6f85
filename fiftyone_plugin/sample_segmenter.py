"""The instances of samples: from the network, or from what was kept of them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastsam_plugins import FastSAM
from fastsam_plugins.batch import segment_images
from fastsam_plugins.geometry import Window
from fastsam_plugins.io import open_raster, read_for_network, read_image
from fastsam_plugins.network import weights
from fastsam_plugins.network.interrupting import Interrupted
from fastsam_plugins.options import (
    LimitOptions,
    ReadOptions,
    SegmentOptions,
    TileOptions,
    WeightsOptions,
)
from fastsam_plugins.parameters import Options, parameters
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin.kept_files import Kept
from fiftyone_plugin.parameters import NetworkOptions
from fiftyone_plugin.save_job import Report, Result


@dataclass(frozen=True)
class SampleSegmenter:
    """A network, and all that decides what it finds in the image of a sample.

    Attributes
    ----------
    model : FastSAM or str
        A loaded network, or a name or file, loaded when the first image needs it.
    segmenting, reading : options, optional
    tiling : TileOptions, optional
        Look at images in windows: for those too large for one look.
    limits : LimitOptions, optional
        What images, weights and inputs may ask of the machine; a loaded network has its own.
    batch : int
        Samples that go through the network together.

    Raises
    ------
    ValueError
        If there are no such weights, or options do not go together.
    """

    model: FastSAM | str = "FastSAM-n"
    segmenting: SegmentOptions | None = None
    reading: ReadOptions | None = None
    tiling: TileOptions | None = None
    limits: LimitOptions | None = None
    batch: int = 8

    def __post_init__(self) -> None:
        if self.tiling and self.reading and self.reading.reduced:
            raise ValueError("reduced is about images looked at whole: it goes with no windows")
        if isinstance(self.model, FastSAM):
            return
        NetworkOptions(self.model)
        weights.known(self.model)

    @property
    def given(self) -> set[str]:
        """Names of the settings that were given."""
        return given_names(self.segmenting, self.reading, self.tiling)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides what is found in an image, by name."""
        if isinstance(self.model, str):
            known = weights.known(self.model)
            name = known.stem if isinstance(known, Path) else known.name
        else:
            name = self.model.network.name
        given = self.segmenting or SegmentOptions(), self.reading or ReadOptions(), self.tiling
        values = {k: v for options in given if options for k, v in asdict(options).items()}
        return {"model": name, "tiled": self.tiling is not None, **values}

    def read(self, file: str) -> Any:
        """An image (H, W, 3), or one that is read window by window where it is looked at so."""
        return (open_raster if self.tiling else read_image)(file, self.reading, self._limits)

    @property
    def _limits(self) -> LimitOptions | None:
        if self.limits is None and isinstance(self.model, FastSAM):
            return self.model.limits
        return self.limits

    def _network(self) -> FastSAM:
        if isinstance(self.model, FastSAM):
            return self.model
        return loaded(self.model, limits=self.limits)

    def _read_for_network(self, file: str) -> Any:
        if self.tiling:
            return self.read(file)
        imgsz = self.segmenting and self.segmenting.imgsz
        return read_for_network(
            file, lambda: imgsz or self._network().imgsz, self.reading, self._limits
        )

    def predict_tiled(
        self, raster: Any, points: Any = None, labels: Any = None, boxes: Any = None
    ) -> Segmentation:
        """As :meth:`fastsam_plugins.FastSAM.predict_tiled`, in windows of the size that is set."""
        assert self.tiling is not None
        network, options = self._network(), self.segmenting or SegmentOptions()
        return network.predict_tiled(raster, points, labels, boxes, options, self.tiling.tile)

    def segment(self, items: Iterator[tuple[str, str]], report: Report) -> Iterator[Result]:
        """What the network finds for samples and their files, ahead of being saved."""

        def windows(_: Any, places: Sequence[Window]) -> Iterator[Window]:
            for number, place in enumerate(places):
                report.window = (number, len(places))
                if report.stop:
                    raise Interrupted("stopped on request")
                yield place

        outcomes = segment_images(
            self._network, items, lambda item: self._read_for_network(item[1]),
            self.segmenting or SegmentOptions(), self.tiling, self.batch, ahead=self.batch,
            progress=windows,
        )  # fmt: skip
        try:
            for outcome in outcomes:
                sample, file = outcome.item
                yield Result(sample, file, outcome.segmentation, outcome.error)
        except Interrupted:  # an image of which a part of the windows is seen: it is left
            report.stopped = True

    def segment_rest(
        self,
        items: Iterable[tuple[str, str]],
        kept: Kept | None,
        report: Report,
        with_encoding: bool,
    ) -> Iterator[Result]:
        """What was kept of samples first, then from the network what it finds for the others.

        ``with_encoding`` says that what is kept without its encoding, as by an earlier version, is
        not enough.
        """
        rest = []
        for sample, file in items:
            seg = kept.segmentation(sample) if kept else None
            if seg is None or (with_encoding and seg.encoding is None):
                rest.append((sample, file))
            else:
                yield Result(sample, file, seg)
        yield from self.segment(iter(rest), report)


def given_names(*given: Options | None) -> set[str]:
    """Names of the settings of options that were given."""
    return {p.name for options in given if options for p in parameters(type(options))}


@functools.lru_cache(maxsize=1)
def loaded(
    name: str,
    device: str = "auto",
    limits: LimitOptions | None = None,
    trusted: WeightsOptions | None = None,
    backend: str = "auto",
    precision: str = "auto",
) -> FastSAM:
    """The network used last: prompts come one after another."""
    return FastSAM(name, device, backend, trusted, limits, precision=precision)
