"""How long each stage of segmenting an image takes, alone, side by side, and by ultralytics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder.encoding import CONF
from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.instances import instances
from fastsam_plugins.masks import runs as R
from fastsam_plugins.network.thread_pool import Workers
from fastsam_plugins.options import SegmentOptions

if TYPE_CHECKING:
    from fastsam_plugins.model import FastSAM
    from fastsam_plugins.segmentation import Segmentation

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Stage:
    """Something that was done many times.

    Attributes
    ----------
    name : str
    seconds : float64 array (n,)
    """

    name: str
    seconds: NDArray[np.float64]

    @property
    def median(self) -> float:
        """In seconds."""
        return float(np.median(self.seconds))

    @property
    def late(self) -> float:
        """The 95th percentile, in seconds."""
        return float(np.quantile(self.seconds, 0.95))


class _Clock:
    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[..., Any], *given: Any) -> Any:
        start = time.perf_counter()
        made = work(*given)
        self._seconds.setdefault(name, []).append(time.perf_counter() - start)
        return made

    def stages(self) -> list[Stage]:
        return [Stage(name, np.array(seconds)) for name, seconds in self._seconds.items()]


def stages(
    model: FastSAM, images: Sequence[Image], options: SegmentOptions, rounds: int = 5
) -> list[Stage]:
    """Time what is done with an image, one image after another.

    Parameters
    ----------
    model : FastSAM
    images : sequence of uint8 arrays (H, W, 3)
    options : SegmentOptions
    rounds : int
        How often each image is looked at, after once that does not count.

    Returns
    -------
    list of Stage
        The last one is all of it by :meth:`FastSAM.segment`, and RLE.
    """
    imgsz, running = options.imgsz or model.imgsz, model.backend
    clock = _Clock()
    for k in range(rounds + 1):
        if k == 1:
            clock = _Clock()
        for image in images:
            box = Letterbox.fit(image.shape[:2], imgsz, model.network.stride)
            canvas = clock.time("letterbox", box.apply, image)
            least = min(options.conf, CONF)
            (output,) = clock.time("network", running.run, canvas[None], least)
            seg = clock.time("instances", instances, output, box, options, model.decoder)
            clock.time("RLE", seg.rles)
            clock.time("image to RLE", lambda i: model.segment(i, options).rles(), image)
    return clock.stages()


def throughput(
    model: FastSAM, images: Sequence[Image], options: SegmentOptions, rounds: int = 3
) -> tuple[float, float]:
    """Images per second by :meth:`FastSAM.segment_many`, and by the network alone.

    Both with as many images at once as the backend runs side by side, or batches of eight. The best
    round of each, in turn.
    """
    imgsz = options.imgsz or model.imgsz
    boxes = [Letterbox.fit(i.shape[:2], imgsz, model.network.stride) for i in images]
    canvases = [b.apply(i)[None] for b, i in zip(boxes, images, strict=True)]
    workers = Workers(model.backend.count, model.backend.alone)

    def bare() -> None:
        if not model.backend.in_batches:
            list(workers.ahead(lambda c: model.backend.run(c, CONF), canvases, 8))
            return
        for k in range(0, len(canvases), 8):
            model.backend.run(np.concatenate(canvases[k : k + 8]), CONF)

    def whole() -> None:
        for _ in model.segment_many(images, options, batch=8):
            pass

    best = dict.fromkeys((whole, bare), np.inf)
    for k in range(rounds + 1):
        for work in best:
            start = time.perf_counter()
            work()
            if k:  # the first one does not count
                best[work] = min(best[work], time.perf_counter() - start)
    return len(images) / best[whole], len(images) / best[bare]


def ultralytics(
    model: FastSAM, images: Sequence[Image], options: SegmentOptions, rounds: int = 5
) -> tuple[Stage, list[float]]:
    """Ultralytics' FastSAM on the same network and images: how long it takes, and what it finds.

    Returns
    -------
    Stage
        From an image to its masks at the image's size.
    list of float
        For every image in which it finds something, the mean over its instances of the IoU with
        ours that is nearest.
    """
    from fastsam_plugins.network import ultralytics_guard

    settings = {"imgsz": options.imgsz or model.imgsz, "conf": options.conf, "iou": options.iou,
                "max_det": options.max_det, "device": model.device, "retina_masks": True,
                "save": False, "verbose": False, "mode": "predict", "rect": True}  # fmt: skip
    predictor = ultralytics_guard.module("models.fastsam").FastSAMPredictor(overrides=settings)
    predictor.setup_model(model.network.module, verbose=False)
    clock, ious = _Clock(), []
    # What has a confidence of just the limit there may have just less here; and ultralytics moves
    # boxes to the border when masks are cut already.
    others = options.replace(conf=options.conf / 2, max_det=2 * options.max_det, full_frame=False)
    for k in range(rounds + 1):
        if k == 1:
            clock = _Clock()
        for image in images:
            turned = np.ascontiguousarray(image[:, :, ::-1])
            (result,) = clock.time("ultralytics", predictor, turned)
            if k == 0 and result.masks is not None and len(result.masks):
                ious.append(_nearest(result, model.segment(image, others)))
    return clock.stages()[0], ious


def _nearest(result: Any, seg: Segmentation) -> float:
    own = [seg.runs(i) for i in range(len(seg))]
    masks = [R.from_bitmap(m > 0) for m in result.masks.data.cpu().numpy()]
    return float(np.mean([R.ious(m, own).max(initial=0.0) for m in masks]))
