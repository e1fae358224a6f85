"""Segmentations kept, in memory and on disk: what was segmented once is there at once.

They are found by a digest of exactly what the network would see: pixels, model and options.
Whatever the layer is called, and whichever program is open, equal input has one result.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.io import npz
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.network import weights
from fastsam_plugins.options import SegmentOptions, TileOptions
from fastsam_plugins.segmentation import Segmentation

log = logging.getLogger(__name__)

PART = 1 << 20  # bytes hashed at a time
ROWS = 1 << 24  # pixels read at a time


def digest(
    pixels: NDArray[np.uint8] | WindowedImage,
    shape: tuple[int, int],
    model: str,
    options: SegmentOptions,
    tiling: TileOptions | None = None,
    stop: threading.Event | None = None,
    backend: str = "auto",
    precision: str = "auto",
) -> str:
    """Name what the network is asked.

    Parameters
    ----------
    pixels : uint8 array (h, w, 3), or WindowedImage
        Of what is not in memory, some rows are read at a time.
    shape : (H, W)
        In whose pixels the answer is.
    model : str
        Name or file of the weights.
    options : SegmentOptions
    tiling : TileOptions, optional
    stop : threading.Event, optional
        Give up once it is set: the name is none, then.
    backend, precision : str
        What runs the network.
    """
    how: tuple[object, ...] = (options, tiling) if tiling else (options,)
    if (backend, precision) != ("auto", "auto"):  # else named as before there was a choice
        how = (*how, backend, precision)
    said = repr((pixels.shape, shape, _fingerprint(model), *how))
    made = hashlib.blake2b(said.encode(), digest_size=16)
    height, width = pixels.shape[:2]
    step = height if isinstance(pixels, np.ndarray) else max(ROWS // width, 1)
    for top in range(0, height, step):
        if stop is not None and stop.is_set():
            break
        flat = np.ascontiguousarray(pixels[top : top + step, 0:width]).reshape(-1)
        for start in range(0, flat.size, PART):
            made.update(flat[start : start + PART].data)
    return made.hexdigest()


def _fingerprint(model: str) -> str:
    """Tells weights apart without loading them."""
    file = weights.known(model)
    if not isinstance(file, Path):
        return file.name
    facts = file.stat()
    return f"{file.resolve()} {facts.st_size} {facts.st_mtime_ns}"


class ResultCache:
    """A cache of segmentations.

    Parameters
    ----------
    folder : path, optional
        Where they outlive the program; None keeps them in memory alone.
    memory, disk : int
        Bytes at most; those that were not used for longest go first.
    """

    def __init__(
        self, folder: Path | None = None, memory: int = 1 << 29, disk: int = 1 << 31
    ) -> None:
        self.folder, self.memory, self.disk = folder, memory, disk
        self._held: OrderedDict[str, Segmentation] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Segmentation | None:
        """The segmentation of this digest; None if there is none, or its file is damaged."""
        with self._lock:
            if name in self._held:
                self._held.move_to_end(name)
                return self._held[name]
        if self.folder is None:
            return None
        path = self._path(name)
        try:
            if not path.is_file():
                return None
            seg = npz.read(path)
            len(seg), seg.areas  # numbers that do not fit each other
            if len(seg):
                seg.runs(len(seg) - 1)
        except Exception as error:  # zipfile and numpy raise a dozen kinds for damaged files
            log.warning("%s: %s: segmenting again", path, error)
            return None
        with contextlib.suppress(OSError):  # a folder that is read-only, a file just tidied away
            os.utime(path)
        self._keep(name, seg)
        return seg

    def put(self, name: str, seg: Segmentation) -> None:
        """Keep a segmentation."""
        self._keep(name, seg)
        if self.folder is None:
            return
        try:
            npz.write(seg, self._path(name))
            self._tidy()
        except OSError as error:  # a full disk costs the cache, not the result
            log.warning("cannot keep a result in %s: %s", self.folder, error)

    def _keep(self, name: str, seg: Segmentation) -> None:
        with self._lock:
            self._held[name] = seg
            self._held.move_to_end(name)
            while len(self._held) > 1 and sum(map(_bytes, self._held.values())) > self.memory:
                self._held.popitem(last=False)

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}.npz"

    def _tidy(self) -> None:
        assert self.folder is not None
        files = []
        for file in self.folder.glob("*.npz"):
            with contextlib.suppress(FileNotFoundError):  # another window tidies, too
                files.append((file.stat(), file))
        total = sum(facts.st_size for facts, _ in files)
        for facts, file in sorted(files, key=lambda pair: pair[0].st_mtime)[:-1]:
            if total <= self.disk:
                break
            file.unlink(missing_ok=True)
            total -= facts.st_size


def _bytes(seg: Segmentation) -> int:
    """What a segmentation takes, roughly: its prototypes, or its runs."""
    source: Any = seg.source
    if isinstance(source, PrototypeMasks):
        return int(sum(a.nbytes for a in source.arrays(seg.rows[:0]).values()))
    return int(sum(seg.runs(i).nbytes for i in range(len(seg))))
