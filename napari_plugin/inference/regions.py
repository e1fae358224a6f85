"""Which windows of which slices are segmented, and which were already."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fastsam_plugins.geometry import Window
from fastsam_plugins.options import FilterOptions
from fastsam_plugins.parameters import Options, option
from napari_plugin.inference.layer_pixels import Pixels
from napari_plugin.inference.result_cache import ResultCache
from napari_plugin.inference.worker import ENOUGH, Failure, SegmentedSlice, picture
from napari_plugin.model.edits import Key
from napari_plugin.model.plane import Plane
from napari_plugin.model.saving import Saved
from napari_plugin.model.slice_instances import SliceInstances


@dataclass(frozen=True)
class RegionOptions(Options):
    """What of an image is segmented."""

    region: Literal["whole image", "field of view", "windows"] = option(
        "whole image",
        "To find small objects in a large image, zoom in and take the field of view, or look at "
        "all of it in windows",
    )
    slices: str = option(
        "", "Slices of a stack, as 0-5,8; all for every one; empty for the one that is shown"
    )


def jobs(
    options: RegionOptions, plane: Plane, shape: Sequence[int], key: Key, in_view: Window | None
) -> tuple[tuple[Key, Window], ...]:
    """Slices and windows to segment.

    Parameters
    ----------
    options : RegionOptions
    plane : Plane
    shape : tuple of int
        Of the image's array, at its full resolution.
    key : tuple of int
        The slice that is shown. Numbers count along its last axis that is stepped through.
    in_view : (x0, y0, x1, y1), optional
        The field of view; all of each slice where None.

    Raises
    ------
    ValueError
        If there are no such slices.
    """
    window = in_view or (0, 0, shape[plane.columns], shape[plane.rows])
    sizes = [shape[a] for a in plane.stepped]
    text = options.slices.strip()
    if not text or not sizes:
        return ((key, window),)
    if text == "all":
        return tuple((k, window) for k in itertools.product(*map(range, sizes)))
    return tuple(((*key[:-1], n), window) for n in _numbers(text, sizes[-1]))


def _numbers(text: str, count: int) -> list[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        try:
            low = int(first)
            high = int(last) if last else low
        except ValueError:
            raise ValueError(f"slices must be numbers as in 0-5,8, or all, got {text!r}") from None
        if not 0 <= low <= high < count:
            raise ValueError(f"slices are counted from 0 to {count - 1}, got {part.strip()}")
        numbers |= set(range(low, high + 1))
    return sorted(numbers)


def cached_slices(
    saved: Saved, cache: ResultCache, filters: FilterOptions, pixels: Pixels, stop: threading.Event
) -> Iterator[SegmentedSlice | Failure]:
    """What a session had segmented, as far as it was kept; nothing is segmented anew.

    What a click predicts follows the pixels, which are not kept, and are read.
    """
    for key, (digest, window) in saved.segmented.items():
        if stop.is_set():
            return
        seg = cache.get(digest)
        x0, y0, x1, y1 = window
        if seg is None or seg.shape != (y1 - y0, x1 - x0):  # of something else
            continue
        _ = seg.areas, seg.stability
        problem = ""
        if seg.encoding is not None:
            try:
                seg = seg.with_picture(pixels.read(key, window, ENOUGH))
            except (ValueError, RuntimeError, OSError, MemoryError) as error:
                problem = str(error).strip().split("\n")[0] or type(error).__name__
        instances = SliceInstances(seg, window, saved.shape, digest).filtered(filters)
        yield SegmentedSlice(key, instances, picture(instances))
        if problem:
            yield Failure(f"clicks choose among what was found: {problem}")
