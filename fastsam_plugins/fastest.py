"""What runs a network fastest here, and still gives its masks.

Half precision is several times as fast where the processor computes in it, and moves masks by less
than anybody can see: for most networks. So that nobody has to hope, what ``auto`` takes is tried on
images first, once for every network, machine and version, and written down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import __version__, cache
from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.instances import look
from fastsam_plugins.masks import runs as R
from fastsam_plugins.network import backends
from fastsam_plugins.network.output import Backend
from fastsam_plugins.network.weights import Network
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.paths import samples
from fastsam_plugins.segmentation import Segmentation

if TYPE_CHECKING:
    from fastsam_plugins.evaluation.regions import Regions

VARIABLE = "FASTSAM_BACKEND"  # the backend that ``auto`` stands for, where it is set
LEAST_IOU, MOST_CHANGE = 0.99, 0.003
SURE, FEW = 0.25, 10  # confidence of instances whose masks are compared; at least so many
SIDE = 512  # of the input at which masks are compared, in pixels
DRAWN = 8  # scenes with exact truth, beside the sample images

_ALL = SegmentOptions(conf=0.001, max_det=1000, min_area=0)


class Trial(msgspec.Struct, frozen=True):
    """How one way to run a network did, beside PyTorch in float32.

    Attributes
    ----------
    backend, precision : str
    seconds : float
        For one input of the network's own size; the best of three.
    mean_iou : float
        Of masks of confidence ``SURE`` with the nearest mask it gives.
    recall_change : float
        Of AR@1000 on scenes whose truth is known.
    """

    backend: str
    precision: str
    seconds: float
    mean_iou: float
    recall_change: float

    def __str__(self) -> str:
        return (
            f"{self.backend} {self.precision} {self.seconds * 1000:.0f} ms, mean IoU of masks "
            f"{self.mean_iou:.4f}, AR@1000 {self.recall_change:+.4f}"
            + ("" if self.passed else " (not as good)")
        )

    @property
    def passed(self) -> bool:
        """Whether it gives the network's masks."""
        return self.mean_iou >= LEAST_IOU and abs(self.recall_change) <= MOST_CHANGE


def possible(backend: str, precision: str, device: str) -> list[tuple[str, str]]:
    """As :func:`fastsam_plugins.network.backends.possible`, where ``auto`` has another meaning.

    Raises
    ------
    ValueError
        If nothing fits; where the variable is the reason, it is named.
    """
    meant = os.environ.get(VARIABLE) if backend == "auto" else None
    try:
        return backends.possible(meant or backend, precision, device)
    except ValueError as error:
        raise ValueError(f"{error} ({VARIABLE} is {meant})" if meant else str(error)) from None


def choose(
    network: Network, device: str, fitting: list[tuple[str, str]], say: Callable[[str], None]
) -> tuple[str, str]:
    """The backend and precision to run a network with.

    Parameters
    ----------
    network : Network
    device : str
    fitting : list of (backend, precision)
        What to choose from, of :func:`possible`; the first is what nothing else may differ from.
    say : callable
        Told, in a line, that something is tried, which takes seconds.
    """
    if len(fitting) == 1:
        return fitting[0]
    trials = known(network, device, fitting)
    if trials is None:
        names = " and ".join(f"{name} {kind}" for name, kind in fitting)
        say(f"{network.name}: trying once which of {names} is fastest here, and as good ...")
        with cache.alone():  # processes that begin together take the same, and none disturbs it
            trials = known(network, device, fitting)
            if trials is None:
                comparison = _Comparison.of(network)
                trials = [comparison.trial(*one, device) for one in fitting]
                cache.keep(_name(network, device, fitting), msgspec.json.encode(trials))
    best = min((t for t in trials if t.passed), key=lambda t: t.seconds, default=None)
    return (best.backend, best.precision) if best else fitting[0]


def known(network: Network, device: str, fitting: list[tuple[str, str]]) -> list[Trial] | None:
    """How each of them did; None where nothing had to be tried, or was yet."""
    kept = cache.peek(_name(network, device, fitting))
    try:
        return msgspec.json.decode(kept or b"", type=list[Trial])
    except msgspec.DecodeError:
        return None


def _name(network: Network, device: str, fitting: list[tuple[str, str]]) -> str:
    packages = cache.versions("torch", "openvino", "onnxruntime")
    where = (device, cache.processor(), *packages, __version__)
    return f"{cache.key(network.sha256, fitting, *where)}.trials"


@dataclass(frozen=True)
class _Comparison:
    """Images, their truth where it is known, and what the plain network makes of them."""

    network: Network
    images: list[NDArray[np.uint8]]
    truths: list[Sequence[R.Runs]]
    plain: list[Segmentation]

    @classmethod
    def of(cls, network: Network) -> _Comparison:
        from fastsam_plugins.datasets.synthetic import scene
        from fastsam_plugins.io import read_image

        scenes = [scene(0, k) for k in range(DRAWN)]
        images = [s.image for s in scenes] + [read_image(p) for p in samples()]
        plain = _seen(network, backends.make("torch", "f32", network, "cpu"), images)
        return cls(network, images, [s.masks for s in scenes], plain)

    def trial(self, name: str, precision: str, device: str) -> Trial:
        """Try one way to run the network."""
        running = backends.make(name, precision, self.network, device)
        seconds = _seconds(running, self.network.imgsz)
        if (name, precision, device) == ("torch", "f32", "cpu"):
            return Trial(name, precision, seconds, 1.0, 0.0)
        seen = _seen(self.network, running, self.images)
        change = self._recall(seen) - self._recall(self.plain)
        return Trial(name, precision, seconds, self._mean_iou(seen), change)

    def _mean_iou(self, seen: list[Segmentation]) -> float:
        """Of confident masks (else the best few) of each image with the nearest that was seen."""
        from fastsam_plugins.evaluation.regions import overlaps

        best = []
        for plain, other in zip(self.plain, seen, strict=True):
            sure = plain[: max((plain.scores >= SURE).sum(), FEW)]
            iou = overlaps(_regions(sure), _regions(other), 0.0)
            best.append(iou.max(1, initial=0.0))
        ious = np.concatenate(best)
        return float(ious.mean()) if len(ious) else 1.0

    def _recall(self, seen: list[Segmentation]) -> float:
        """AR@1000 on the scenes whose truth is known."""
        from fastsam_plugins.evaluation.proposals import ProposalRecall
        from fastsam_plugins.evaluation.regions import Regions

        recall = ProposalRecall()
        for masks, seg in zip(self.truths, seen, strict=False):
            truth = Regions.of_masks(masks, seg.shape[0])
            areas = np.array([R.area(m) for m in masks], np.float64)
            recall.add(truth, areas, _regions(seg), seg.scores.astype(np.float64))
        return recall.average_recall(_ALL.max_det)


def _seen(
    network: Network, running: Backend, images: Sequence[NDArray[np.uint8]]
) -> list[Segmentation]:
    boxes = [Letterbox.fit(image.shape[:2], SIDE, network.stride) for image in images]
    pairs = zip(images, boxes, strict=True)
    return [look(running, [image], [box], _ALL)[0] for image, box in pairs]


def _regions(seg: Segmentation) -> Regions:
    from fastsam_plugins.evaluation.regions import Regions

    return Regions.of_masks([seg.runs(i) for i in range(len(seg))], seg.shape[0])


def _seconds(running: Backend, imgsz: int) -> float:
    canvas = np.random.default_rng(0).integers(0, 255, (1, imgsz, imgsz, 3), np.uint8)
    times = []
    for _ in range(4):  # the first one does not count
        start = time.perf_counter()
        running.run(canvas, 0.5)
        times.append(time.perf_counter() - start)
    return min(times[1:])
