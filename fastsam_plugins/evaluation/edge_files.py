"""Edge maps and human boundaries from files, compared image by image."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.evaluation import boundaries
from fastsam_plugins.evaluation.boundaries import BoundaryScores, Counts
from fastsam_plugins.options import BoundaryOptions

MAPS = (".png", ".mat")


def evaluate_boundaries(
    truth: Path,
    maps: Path,
    options: BoundaryOptions | None = None,
    workers: int = 1,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> BoundaryScores:
    """Compare a folder of edge maps with BSDS ground truth.

    Parameters
    ----------
    truth : path
        Folder of ``.mat`` files as BSDS500 has them: ``groundTruth{i}.Boundaries``.
    maps : path
        Folder with a map for every file of the truth, of the same stem: PNG of 8 or 16 bit, or
        ``.mat`` with ``ucm2`` (twice the size, as gPb-owt-ucm writes it), ``segs`` (label images,
        one per threshold), or one array of the image's size.
    options : BoundaryOptions, optional
        Segmentations have thresholds of their own.
    workers : int
        Processes.
    progress : callable
        Wraps the iteration over images.

    Raises
    ------
    ValueError
        If a file is missing, cannot be used, or has another size than its partner.
    """
    files = sorted(truth.glob("*.mat")) if truth.is_dir() else []
    if not files:
        raise ValueError(f"{truth} is no folder of ground truth: it has no .mat files")
    pairs = [(file, _map_of(file.stem, maps)) for file in files]
    compare = functools.partial(_compare, options=options or BoundaryOptions())
    scores: BoundaryScores | None = None
    for values, counts in progress(_map(compare, pairs, workers)):
        scores = scores or BoundaryScores(values)
        scores.add(counts)
    assert scores is not None  # there is at least one file
    return scores


def _map(function: Callable, items: list, workers: int) -> Iterator[Any]:
    if workers <= 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        yield from pool.map(function, items)


def _map_of(stem: str, maps: Path) -> Path:
    for suffix in MAPS:
        if (maps / f"{stem}{suffix}").is_file():
            return maps / f"{stem}{suffix}"
    raise ValueError(f"{maps} has no edge map {stem}.png or {stem}.mat")


def _compare(
    pair: tuple[Path, Path], options: BoundaryOptions
) -> tuple[NDArray[np.float64], Counts]:
    truths = read_truth(pair[0])
    strength = read_map(pair[1])
    if isinstance(strength, list):
        values = np.arange(1.0, len(strength) + 1)
        shapes = {segmentation.shape for segmentation in strength}
        bitmaps: Iterable[NDArray[np.bool_]] = map(boundaries.of_segmentation, strength)
    else:
        shapes = {strength.shape}
        values, bitmaps = boundaries.at_thresholds(strength, options.thresholds)
    if shapes != {truths[0].shape}:
        raise ValueError(
            f"{pair[1]} has size {sorted(shapes)}, its ground truth {truths[0].shape} (H, W)"
        )
    return values, boundaries.count(bitmaps, truths, options.max_distance, options.thin)


def read_truth(path: Path) -> list[NDArray[np.bool_]]:
    """Boundaries (H, W) as drawn by each human."""
    content = _load(path)
    try:
        humans = content["groundTruth"].ravel()
        drawn = [human["Boundaries"][0, 0] for human in humans]
    except (LookupError, ValueError, TypeError, AttributeError):
        drawn = []
    if not drawn:
        raise ValueError(f"{path} is no ground truth of BSDS: it has no groundTruth.Boundaries")
    truths = [_numbers(array, path, "groundTruth.Boundaries") != 0 for array in drawn]
    shapes = {truth.shape for truth in truths}
    if len(shapes) > 1:
        raise ValueError(f"{path} has boundaries of several sizes: {sorted(shapes)} (H, W)")
    return truths


def read_map(path: Path) -> NDArray[np.float64] | list[NDArray[np.int64]]:
    """An edge map (H, W) in [0, 1], or the label images of a file of segmentations."""
    if path.suffix == ".png":
        from fastsam_plugins.io import open_image

        try:
            with open_image(path) as image:
                values = np.asarray(image)
        except OSError:
            raise ValueError(f"{path} cannot be read as an image") from None
        if values.ndim != 2 or values.dtype.kind not in "bui":
            raise ValueError(f"{path} is no edge map: it needs one whole number per pixel")
        highest = 1 if values.dtype == np.bool_ else np.iinfo(values.dtype).max
        return np.asarray(values / highest)
    content = _load(path)
    if "ucm2" in content:
        return _numbers(content["ucm2"], path, "ucm2")[2::2, 2::2]
    if "segs" in content:
        return [_numbers(s, path, "segs").astype(np.int64) for s in np.ravel(content["segs"])]
    arrays = [v for k, v in content.items() if not k.startswith("_") and np.ndim(v) == 2]
    if len(arrays) != 1:
        raise ValueError(f"{path} is no edge map: it has no ucm2, no segs and no single array")
    return _numbers(arrays[0], path, "its array")


def _numbers(array: Any, path: Path, name: str) -> NDArray[np.float64]:
    """An array (H, W) of a file, which may hold anything."""
    numeric = isinstance(array, np.ndarray) and array.ndim == 2 and array.dtype.kind in "buif"
    if not numeric or not np.isfinite(array).all():
        raise ValueError(f"{path} cannot be used: {name} is not one finite number for each pixel")
    return np.asarray(array, np.float64)


def _load(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content: dict[str, Any] = loadmat(path)
    # SciPy raises NotImplementedError for MATLAB 7.3 files, which are HDF5 and another reader's.
    except (MatReadError, ValueError, TypeError, NotImplementedError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a .mat file ({error})") from None
    return content
