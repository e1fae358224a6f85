"""``FastSAM``: weights and a device; image in, ``Segmentation`` out."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins import fastest, prompt_windows
from fastsam_plugins import limits as L
from fastsam_plugins.decoder import weights as decoders
from fastsam_plugins.decoder.encoding import CONF, Encoding
from fastsam_plugins.geometry import Letterbox, Window
from fastsam_plugins.images.contrast import ImageError, to_rgb
from fastsam_plugins.images.reduced_image import ReducedImage
from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.instances import instances, look
from fastsam_plugins.network import backends, interrupting, weights
from fastsam_plugins.network.devices import device_name, pick_device
from fastsam_plugins.network.nms import nms
from fastsam_plugins.network.thread_pool import Workers
from fastsam_plugins.options import LimitOptions, SegmentOptions, TileOptions, WeightsOptions
from fastsam_plugins.parameters import check_count
from fastsam_plugins.segmentation import Segmentation
from fastsam_plugins.tiling import Mosaic, window_count, windows


def _say(line: str) -> None:
    if sys.stderr is not None:  # print would take standard output, which is for results
        print(line, file=sys.stderr)


class FastSAM:
    """All-instance segmentation with a class-agnostic YOLOv8-seg network.

    The network is loaded and warmed up here, once, and never again.

    Parameters
    ----------
    model : str or path
        ``FastSAM-n`` (bundled), ``FastSAM-s`` or ``FastSAM-x`` (downloaded on first use), or a
        ``.pt`` or ``.safetensors`` file.
    device : str
        ``auto`` (an accelerator if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    backend, precision : str
        What runs the network, and the numbers it computes with. ``auto`` is what is fastest here of
        what gives the same masks but for rounding, tried once for these weights, see
        :mod:`fastsam_plugins.fastest`; ``torch`` is exact, bit by bit what ultralytics gives. See
        :func:`fastsam_plugins.network.backends.possible` for the others.
    options : WeightsOptions, optional
        How weights are found and what of them is trusted.
    limits : LimitOptions, optional
        What weights and inputs may ask of the machine: beyond, a ``ValueError`` says so first.
    decoder : str or path, optional
        What answers :meth:`Segmentation.predict`; by default what lies beside the weights, named
        like them (``NAME.decoder.safetensors``). Without one, prompts are answered in closed form.
    say : callable
        Told, in a line, what takes time the first time; by default that goes to standard error.
    **changes
        Fields of ``options`` by name, for example ``allow_unknown_weights=True``.

    Raises
    ------
    WeightsError
        If the weights cannot be found, read or used.
    ValueError
        If the device or backend does not exist, or the decoder is none for these weights.

    References
    ----------
    Zhao et al. 2023, "Fast Segment Anything", arXiv:2306.12156.

    Examples
    --------
    Those of the methods go on with this.

    >>> from fastsam_plugins import FastSAM, read_image
    >>> from fastsam_plugins.paths import SAMPLES
    >>> model = FastSAM("FastSAM-n", device="cpu")
    >>> image = read_image(SAMPLES / "coins.png")
    """

    def __init__(
        self,
        model: str | Path = "FastSAM-n",
        device: str = "auto",
        backend: str = "auto",
        options: WeightsOptions | None = None,
        limits: LimitOptions | None = None,
        decoder: str | Path | None = None,
        precision: str = "auto",
        say: Callable[[str], None] = _say,
        **changes: Any,
    ) -> None:
        self.limits = LimitOptions.of(limits)
        options = WeightsOptions.of(options, **changes)
        self._device = device_name(device)
        fitting = fastest.possible(backend, precision, self._device)  # before anything is loaded
        self.network = weights.load(model, options, self.limits)
        self.decoder = decoders.find(self.network.path, self.network.sha256, decoder)
        self.chosen = fastest.choose(self.network, self._device, fitting, say)
        self.backend = backends.make(*self.chosen, self.network, self._device)
        self._workers = Workers(self.backend.count, self.backend.alone)
        self._warned = False
        self.segment(np.zeros((64, 64, 3), np.uint8), imgsz=64)

    def __repr__(self) -> str:
        return f"FastSAM({self.network.name}, {self._device}, {self.backend.label})"

    def __str__(self) -> str:
        return f"{self.network.name} by {self.backend.label} on {self._device}"

    @property
    def device(self) -> Any:
        """Where it runs, a ``torch.device``.

        >>> model.device.type
        'cpu'
        """
        return pick_device(self._device)

    @property
    def imgsz(self) -> int:
        """Input size in pixels used when the options name none.

        >>> model.imgsz % 32
        0
        """
        return self.network.imgsz

    def segment(
        self,
        image: Any,
        options: SegmentOptions | None = None,
        shape: tuple[int, int] | None = None,
        **changes: Any,
    ) -> Segmentation:
        """Segment one image.

        Parameters
        ----------
        image : array (H, W) or (H, W, C)
            RGB, gray or many bands; see :func:`fastsam_plugins.images.contrast.to_rgb`.
        options : SegmentOptions
        shape : (H, W), optional
            Where the array is a reduced copy, as from a pyramid: the size of the image itself, in
            whose pixels the answers are. Text prompts then need ``with_image``.
        **changes
            Fields of :class:`SegmentOptions` by name, for example ``conf=0.1``.

        Returns
        -------
        Segmentation
            Highest confidence first; empty if nothing was found.

        >>> model.segment(image, conf=0.25)
        Segmentation(... instances, image 384 x 303)
        """
        if shape is not None:
            image = ReducedImage(to_rgb(image), shape)
        return next(self.segment_many([image], options, batch=1, **changes))

    @contextlib.contextmanager
    def interruptible(self, stop: Callable[[], bool]) -> Iterator[None]:
        """Within this, the network gives up in the middle of its work once ``stop()`` is true.

        That is the work of this thread, also where images go side by side; who else uses the
        network is not disturbed.

        ONNX Runtime finishes the image that it is at.

        Raises
        ------
        Interrupted
            Where the network was, once ``stop()`` is true.

        >>> with model.interruptible(lambda: True):
        ...     model.segment(image)
        Traceback (most recent call last):
        fastsam_plugins.network.interrupting.Interrupted: stopped on request
        """
        with interrupting.interruptible(stop):
            yield

    def segment_many(
        self,
        images: Iterable[Any],
        options: SegmentOptions | None = None,
        batch: int = 8,
        **changes: Any,
    ) -> Iterator[Segmentation]:
        """Segment images of any sizes, in batches; results come in the order of the images.

        Images of a batch go through the network together where their letterboxed sizes agree; on
        a processor they do so side by side, each on one core, and the next one starts when one is
        done. No result depends on what other images there are, and an iterator of them is read no
        further ahead than one batch. In place of an image there may be a :class:`ReducedImage`.

        >>> [seg.shape for seg in model.segment_many([image, image[:90]], imgsz=320)]
        [(303, 384), (90, 384)]
        """
        options = SegmentOptions.of(options, **changes)
        batch = check_count("batch", batch)
        source = map(ReducedImage.of, images)
        while chunk := list(islice(source, batch)):
            if self.backend.in_batches or len(chunk) == 1:
                yield from self._segment_batch(chunk, options)
            else:
                yield from self._workers.ahead(
                    lambda image: self._segment_batch([image], options)[0],
                    chain(chunk, source),
                    batch,
                )

    def checked(self, image: Any, options: SegmentOptions | None = None) -> ReducedImage:
        """An image as RGB, if it can be segmented: before it goes among others.

        Raises
        ------
        ImageError
            If it cannot be shown, or takes more than the limits allow.

        >>> model.checked(image).shape
        (303, 384)
        """
        shown, imgsz = ReducedImage.of(image), SegmentOptions.of(options).imgsz or self.imgsz
        self._together(Letterbox.fit(shown.shape, imgsz, self.network.stride))
        return shown

    def encode(
        self, image: Any, options: SegmentOptions | None = None
    ) -> tuple[Encoding, list[NDArray[np.float16]]]:
        """What prompts are answered from, and all the network's features (C, h, w) by scale.

        :meth:`segment` keeps of the features what the decoder needs; training one needs them all.

        >>> encoding, features = model.encode(image)
        >>> [f.shape[0] for f in features]
        [64, 128, 256]
        """
        options = SegmentOptions.of(options)
        rgb = to_rgb(image)
        letterbox = Letterbox.fit(rgb.shape[:2], options.imgsz or self.imgsz, self.network.stride)
        output = self.backend.run(letterbox.apply(rgb)[None], min(options.conf, CONF))[0]
        encoding = instances(output, letterbox, options).encoding
        assert encoding is not None
        return encoding, [f.astype(np.float16) for f in output.features]

    def segment_tiled(
        self,
        raster: Any,
        options: SegmentOptions | None = None,
        tiling: TileOptions | None = None,
        batch: int = 8,
        progress: Callable[[Sequence[Window]], Iterable[Window]] = iter,
        **changes: Any,
    ) -> Segmentation:
        """Segment an image of any size, window by window; see :mod:`fastsam_plugins.tiling`.

        Memory grows with the instances found, not with the image.

        Parameters
        ----------
        raster : array (H, W) or (H, W, C), or WindowedImage
            Anything that has ``shape`` and ``dtype`` and can be sliced: numpy, dask, zarr, an open
            raster. Values that are not 8-bit get one contrast for all windows; for another, or
            other bands, pass a :class:`fastsam_plugins.WindowedImage`, or a file by
            :func:`fastsam_plugins.open_raster`.
        options : SegmentOptions
            Of every window: ``max_det``, for example, is the most that is found in one.
        tiling : TileOptions
        batch : int
            Windows per pass through the network.
        progress : callable
            Wraps the iteration over windows.
        **changes
            Fields of either options by name, for example ``conf=0.1, overlap=0.5``.

        Returns
        -------
        Segmentation
            Highest confidence first. Its masks keep no logits, so it has no stability. Text
            prompts read those parts of the raster that they look at.

        Raises
        ------
        ImageError
            If a window cannot be shown, or limits do not allow so many, or one so large.

        >>> model.segment_tiled(image, tile=256, imgsz=256, conf=0.25)
        Segmentation(... instances, image 384 x 303)
        """
        of_tiles = {f.name for f in dataclasses.fields(TileOptions)} & changes.keys()
        tiling = TileOptions.of(tiling, **{n: changes.pop(n) for n in of_tiles})
        options, batch = SegmentOptions.of(options, **changes), check_count("batch", batch)
        shown = raster if isinstance(raster, WindowedImage) else WindowedImage(raster)
        shape, imgsz = shown.shape[:2], options.imgsz or self.imgsz
        side = tiling.tile or imgsz
        if max(shape) <= side:
            return self.segment(shown[:, :], options)
        count = window_count(shape, side, tiling.overlap)
        if count > self.limits.max_windows:
            raise ImageError(
                f"{count} windows of {side} px cover an image of {shape[1]} x {shape[0]}, and "
                f"max_windows is {self.limits.max_windows}: make tile larger, or raise it"
            )
        places = windows(shape, side, tiling.overlap)
        mosaic = Mosaic(shape, places, tiling)
        pixels = (shown[y0:y1, x0:x1] for x0, y0, x1, y1 in progress(places))
        one = options.replace(diverse=0.0)  # a window does not know the others
        for seg in self.segment_many(pixels, one, batch):
            mosaic.add(seg)
        whole = self.segment(shown.reduced(imgsz), one, shape) if tiling.whole else None
        found = mosaic.instances(whole)
        found = found[nms(found.boxes, found.scores, options.iou, -1.0, len(found))]
        if options.diverse:
            found = found.diversify(options.diverse)
        return found.with_image(shown, self._device)

    def predict_tiled(
        self,
        raster: Any,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        boxes: ArrayLike | None = None,
        options: SegmentOptions | None = None,
        tile: int | None = None,
        **changes: Any,
    ) -> Segmentation:
        """Masks for prompts about an image of any size: only what is around them is read.

        Each object is looked at in a window about its prompts, as :meth:`segment` and
        :meth:`fastsam_plugins.Segmentation.predict` would; see
        :mod:`fastsam_plugins.prompt_windows`.

        Parameters
        ----------
        raster : array (H, W) or (H, W, C), or WindowedImage
            As :meth:`segment_tiled` takes it.
        points, labels, boxes
            In pixels of the raster: points of one object, or boxes that mean an object each.
        options : SegmentOptions
        tile : int, optional
            Side of a window in pixels, where the object is not larger; by default that of the
            network's input.
        **changes
            Fields of the options by name.

        Returns
        -------
        Segmentation
            ``prompts`` are the places of boxes. Empty if no foreground prompt lies in the image.

        >>> model.predict_tiled(image, [(70, 90)], tile=128).contains([(70, 90)]).tolist()
        [[True]]
        """
        options = SegmentOptions.of(options, **changes)
        side = check_count("tile", tile or options.imgsz or self.imgsz)
        shown = raster if isinstance(raster, WindowedImage) else WindowedImage(raster)

        def seen(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> Segmentation:
            return self.segment(pixels, options, None if pixels.shape[:2] == shape else shape)

        found = prompt_windows.predict(seen, shown, side, points, labels, boxes)
        return found.with_image(shown, self._device)

    def _segment_batch(
        self, images: Sequence[ReducedImage], options: SegmentOptions
    ) -> list[Segmentation]:
        imgsz = options.imgsz or self.imgsz
        boxes = [Letterbox.fit(image.shape, imgsz, self.network.stride) for image in images]
        together = min(self._together(letterbox) for letterbox in boxes)
        self._warn_of_short_reach(max(max(letterbox.input_shape) for letterbox in boxes))

        def segmented(members: list[int]) -> list[Segmentation]:
            some = [images[k].pixels for k in members], [boxes[k] for k in members]
            return look(self.backend, *some, options, self.decoder)

        groups: dict[tuple[int, int], list[int]] = {}
        for k, letterbox in enumerate(boxes):
            groups.setdefault(letterbox.input_shape, []).append(k)
        by_image: dict[int, Segmentation] = {}
        for members in groups.values():
            for k in range(0, len(members), together):
                part = members[k : k + together]
                by_image.update(zip(part, segmented(part), strict=True))
        return [self._pictured(by_image[k], image) for k, image in enumerate(images)]

    def _pictured(self, seg: Segmentation, image: ReducedImage) -> Segmentation:
        if image.whole is None:
            return seg.with_picture(image.pixels)
        return seg.with_image(image.whole, self._device)

    def _together(self, letterbox: Letterbox) -> int:
        """How many such inputs may go through the network at once; refused if not one."""
        (height, width), (h, w) = letterbox.input_shape, letterbox.image_shape
        needed = L.input_memory(self.network.facts.channels, (height, width))
        if problem := L.too_much_memory(needed, self.limits):
            raise ImageError(
                f"an input of {width} x {height} px to {self.network.name} {problem}: make imgsz "
                "smaller, look at windows, or raise it"
            )
        if problem := L.too_much_memory(L.SIDES * (h + w), self.limits):
            raise ImageError(f"masks of an image of {w} x {h} px: sampling them {problem}")
        return int(self.limits.max_memory * L.MB // needed)

    def _warn_of_short_reach(self, side: int) -> None:
        reach = 2 * (self.network.reg_max - 1) * self.network.stride
        if side > reach > 0 and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.network.name} has reg_max {self.network.reg_max}: boxes longer than "
                f"{reach} of the input's {side} px are cut short; full_frame mends those that "
                "fill the image",
                stacklevel=4,
            )
