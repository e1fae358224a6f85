"""What is kept of a network's work on an image, so that prompts can be answered anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder.network import Decoder, Maps
from fastsam_plugins.decoder.proposals import Proposals
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.masks.sampling import Floats

CONF, IOU, MOST = 0.001, 0.9, 1000  # what is proposed at all: the settings of recall


@dataclass(frozen=True, eq=False)
class Encoding:
    """What a network made of an image beside its instances: what prompts are answered from.

    Attributes
    ----------
    source : PrototypeMasks
        Any masks over the prototypes of the image.
    boxes : float32 array (A, 4)
        xyxy in pixels of the image, of all that has some confidence.
    corners : float32 array (A, 4) or None
        The same as the network gave them, which say what is suppressed; None if that was done.
    scores : float32 array (A,)
    coefficients : float32 array (A, C)
    maps : tuple of float16 arrays
        The network's features as the decoder keeps them; none without a decoder.
    decoder : Decoder or None
        That of the network.
    picture : uint8 array (h, w, 3) or None
        The image, maybe smaller, where the instances do not know it themselves.
    """

    source: PrototypeMasks
    boxes: Floats
    corners: Floats | None
    scores: Floats
    coefficients: Floats
    maps: Maps = ()
    decoder: Decoder | None = None
    picture: NDArray[np.uint8] | None = None
    # Who answers for it. Kept here and in no table of all: that would hold every image for ever.
    asked: list[Any] = field(default_factory=list, init=False, repr=False)
    # What exemplars know of it: sums of its features, and vectors of its source's masks by row.
    pooling: list[Any] = field(default_factory=list, init=False, repr=False)
    vectors: dict[int, Floats] = field(default_factory=dict, init=False, repr=False)
    # What heads for texts said of its source's masks (N, D), by their SHA-256; from a kept file.
    spoken: dict[str, Floats] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def proposals(self) -> Proposals:
        """Proposals by confidence, near-duplicate boxes suppressed."""
        from fastsam_plugins.masks import kernels

        order = np.argsort(-self.scores, kind="stable")
        if self.corners is not None:
            order = order[kernels.suppress(self.corners[order], IOU, MOST)]
        source = self.source.others(self.coefficients[order], self.boxes[order])
        return Proposals(source, self.scores[order])
