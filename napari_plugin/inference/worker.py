"""What a thread does: read, look into the cache, ask the network, and stop when told.

Free of napari: :class:`napari_plugin.view.threads.Requests` runs these beside the window.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import FilterOptions, LimitOptions, SegmentOptions, TileOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.inference.layer_pixels import Pixels
from napari_plugin.inference.network import Network, Stopped
from napari_plugin.inference.result_cache import ResultCache, digest
from napari_plugin.inference.text_prompt import Words
from napari_plugin.model.alike import Likeness
from napari_plugin.model.edits import Key
from napari_plugin.model.slice_instances import SliceInstances

log = logging.getLogger(__name__)

ENOUGH = 1024  # pixels of the longer side, where the options leave imgsz to the network
_LIMITS = LimitOptions()
GRID = 2048  # points a side that a picture of instances has at most


@dataclass(frozen=True)
class Request:
    """What is to be segmented, and how.

    Attributes
    ----------
    pixels : Pixels
    jobs : tuple of (slice, window)
    shape : (H, W)
        Of a slice.
    model, device, backend, precision : str
        As for :class:`fastsam_plugins.FastSAM`.
    options : SegmentOptions
    filters : FilterOptions
        Of the picture that is made at once.
    tiling : TileOptions, optional
        Look at full resolution, window by window.
    limits : LimitOptions
        What the network may ask of the machine.
    """

    pixels: Pixels
    jobs: tuple[tuple[Key, Window], ...]
    shape: tuple[int, int]
    model: str
    device: str
    backend: str
    options: SegmentOptions
    filters: FilterOptions
    tiling: TileOptions | None = None
    limits: LimitOptions = _LIMITS
    precision: str = "auto"

    @property
    def steps(self) -> int:
        """How many times :func:`segment_slices` tells how far it is."""
        return 2 * len(self.jobs)


@dataclass(frozen=True)
class SegmentedSlice:
    """A slice, its instances and a picture of them."""

    key: Key
    instances: SliceInstances
    picture: NDArray[np.uint16]


@dataclass(frozen=True)
class Failure:
    """Why there is no answer; one line."""

    message: str


def segment_slices(
    request: Request, network: Network, cache: ResultCache, stop: threading.Event
) -> Iterator[SegmentedSlice | Failure | None]:
    """Segment what is requested.

    Yields
    ------
    None
        After pixels were read.
    SegmentedSlice
        After a slice was segmented, or was in the cache.
    Failure
        If it cannot go on; the last thing said.
    """
    try:
        for key, window in request.jobs:
            if stop.is_set():
                return
            x0, y0, x1, y1 = window
            shape = (y1 - y0, x1 - x0)
            pixels: NDArray[np.uint8] | WindowedImage
            if request.tiling:
                pixels = request.pixels.windows(key, window)
            else:
                enough = request.options.imgsz or ENOUGH
                pixels = request.pixels.read(key, window, enough)
            yield None
            name = digest(
                pixels, shape, request.model, request.options, request.tiling, stop,
                request.backend, request.precision,
            )  # fmt: skip
            if stop.is_set():
                return
            seg = cache.get(name)
            if seg is None:
                weights = (request.model, request.device, request.backend, request.precision)
                seg = network.segment(
                    pixels, shape, weights, request.options, stop, request.tiling, request.limits
                )
                # Asked for by every click; measured once, here.
                _ = seg.areas, seg.stability, seg.contains([[0, 0]])
                cache.put(name, seg)
            if isinstance(pixels, np.ndarray):  # what a click predicts follows them
                seg = seg.with_picture(pixels)
            instances = SliceInstances(seg, window, request.shape, name).filtered(request.filters)
            yield SegmentedSlice(key, instances, picture(instances))
    except Stopped:
        return
    except (ValueError, RuntimeError, OSError, MemoryError, ImportError) as error:
        log.info("segmenting failed", exc_info=True)
        yield Failure(str(error).strip().split("\n")[0] or type(error).__name__)


@dataclass(frozen=True)
class TextMatches:
    """Rows of a slice's instances that fit a text."""

    key: Key
    instances: SliceInstances
    rows: list[int]


def find_text(
    pixels: Pixels, key: Key, instances: SliceInstances, device: str, words: Words,
    network: Network, stop: threading.Event,
) -> Iterator[TextMatches | Failure]:  # fmt: skip
    """Look for a text in a slice that was segmented; nothing if it is told to stop."""
    try:
        x0, y0, x1, y1 = instances.window
        full = pixels.read(key, instances.window, max(x1 - x0, y1 - y0))
        rows = network.pick(full, instances, device, words, stop)
        yield TextMatches(key, instances, rows)
    except Stopped:
        return
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        log.info("looking for a text failed", exc_info=True)
        yield Failure(str(error).strip().split("\n")[0] or type(error).__name__)


@dataclass(frozen=True)
class Improved:
    """Rough masks of a slice, for which better ones are known by now.

    Attributes
    ----------
    key : tuple of int
    instances : SliceInstances
        Which know them.
    masks : list of tuples of int
        See :attr:`napari_plugin.model.prompts.Prompts.masks`.
    target : int, optional
        The object that the only one of them is.
    """

    key: Key
    instances: SliceInstances
    masks: list[tuple[int, ...]]
    target: int | None = None


def improve_masks(improved: Improved, stop: threading.Event) -> Iterator[Improved | Failure | None]:
    """Predict a better mask for each rough one, so that all of them are known when asked for."""
    instances = improved.instances
    try:
        for mask in improved.masks:
            if stop.is_set():
                return
            if instances.holds(mask):
                instances.improve(mask)
            yield None
        yield improved
    except (ValueError, RuntimeError, MemoryError) as error:
        log.info("improving masks failed", exc_info=True)
        yield Failure(str(error).strip().split("\n")[0] or type(error).__name__)


def find_alike(
    key: Key, instances: SliceInstances, example: Segmentation, stop: threading.Event
) -> Iterator[Likeness | Failure]:
    """How like an example all instances of a slice are; nothing if it is told to stop."""
    try:
        cosines = instances.seg.likeness(example)
        if not stop.is_set():
            yield Likeness(key, instances, example, cosines)
    except (ValueError, RuntimeError, MemoryError) as error:
        log.info("looking for the like failed", exc_info=True)
        yield Failure(str(error).strip().split("\n")[0] or type(error).__name__)


def stride(window: Window) -> int:
    """Pixels to one point of a picture of a window.

    Masks of so large a window come from prototypes that are coarser by far.
    """
    return -(-max(window[2] - window[0], window[3] - window[1]) // GRID)


def picture(instances: SliceInstances) -> NDArray[np.uint16]:
    """A label image of the instances that the filters let through, smaller ones on top.

    Returns
    -------
    uint16 array (h, w)
        Of every ``stride``-th pixel of the window; i + 1 is instance i of ``instances.seg``.
    """
    step, visible, every = stride(instances.window), instances.visible, instances.seg.rows
    height, width = (len(range(step // 2, n, step)) for n in instances.seg.shape)
    made = np.zeros((height, width), np.uint16)
    places = np.searchsorted(every, visible.rows, sorter=np.argsort(every))
    places = np.argsort(every)[places] % 65535 + 1  # of so many, two may look alike
    for i in np.argsort(-visible.areas, kind="stable").tolist():
        runs = sampled(visible.runs(i), visible.shape[0], step, height)
        x0, y0, x1, y1 = window = R.bounds(runs, height)
        made[y0:y1, x0:x1][R.to_bitmap(runs, (height, width), window)] = places[i]
    return made


def sampled(runs: R.Runs, height: int, step: int, new_height: int) -> R.Runs:
    """The mask of every ``step``-th pixel, from the middle of the first ``step`` on.

    Parameters
    ----------
    runs : run array
    height : int
        Of its image.
    step : int
    new_height : int
        Of the image of those pixels.
    """
    if step == 1:
        return runs
    x, top, bottom = R.columns(runs, height)
    x, top, bottom = x - step // 2, top - step // 2, bottom - step // 2
    on_grid = x % step == 0
    first, last = -(-top[on_grid] // step), -(-bottom[on_grid] // step)
    return R.from_columns(x[on_grid] // step, np.maximum(first, 0), np.maximum(last, 0), new_height)
