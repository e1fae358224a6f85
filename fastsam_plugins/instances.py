"""From an image to its instances: into the network's input, and out of its output."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder.encoding import CONF, MOST, Encoding
from fastsam_plugins.decoder.network import Decoder
from fastsam_plugins.geometry import Letterbox, snap_to_canvas
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.network.nms import nms
from fastsam_plugins.network.output import Backend, Output
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.segmentation import Segmentation


def look(
    backend: Backend,
    images: list[NDArray[np.uint8]],
    letterboxes: list[Letterbox],
    options: SegmentOptions,
    decoder: Decoder | None = None,
) -> list[Segmentation]:
    """Run the network on images (H, W, 3), RGB, whose letterboxes have inputs of one size."""
    pairs = zip(letterboxes, images, strict=True)
    if len(images) == 1:
        canvases = letterboxes[0].apply(images[0])[None]
    else:
        canvases = np.stack([letterbox.apply(image) for letterbox, image in pairs])
    made = backend.run(canvases, min(options.conf, CONF))
    outputs = zip(made, letterboxes, strict=True)
    return [instances(output, letterbox, options, decoder) for output, letterbox in outputs]


def instances(
    output: Output,
    letterbox: Letterbox,
    options: SegmentOptions,
    decoder: Decoder | None = None,
) -> Segmentation:
    """From one image's network output to instances, and to what prompts are answered from.

    Parameters
    ----------
    output : Output
        With all whose confidence is above that of ``options`` and above ``CONF``.
    letterbox : Letterbox
    options : SegmentOptions
    decoder : Decoder, optional
        That of the network.
    """
    most = max(options.max_det, MOST) if options.diverse else options.max_det
    corners, scores = output.corners, output.scores
    kept = nms(corners, scores, options.iou, options.conf, most)
    proposed = np.flatnonzero(scores > CONF)

    def boxes_of(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        boxes = letterbox.boxes_to_image(corners[rows])
        if not options.full_frame:
            return boxes
        tolerance = options.border_tolerance / letterbox.scale
        return snap_to_canvas(boxes, letterbox.image_shape, (tolerance[0], tolerance[1]))

    boxes = boxes_of(kept)
    source = PrototypeMasks(output.prototypes, output.coefficients[kept], boxes, letterbox)
    encoding = Encoding(
        source,
        boxes_of(proposed),
        corners[proposed],
        scores[proposed],
        output.coefficients[proposed],
        () if decoder is None else decoder.project(output.features),
        decoder,
    )
    seg = Segmentation.from_source(source, boxes, scores[kept])
    seg = replace(seg, encoding=encoding).filter(min_area=options.min_area)
    return seg.diversify(options.diverse)[: options.max_det] if options.diverse else seg
