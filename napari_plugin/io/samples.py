"""Images to try the plugin on; they come with it, nothing is downloaded."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.io import open_image
from fastsam_plugins.paths import SAMPLES

SIDE = 512  # pixels of the drawn ones

LayerData = tuple[Any, dict[str, Any], str]


def nuclei() -> list[LayerData]:
    """Nuclei as under a fluorescence microscope, drawn by ``datasets/synthetic.py``."""
    return [(_drawn("nuclei", 0)[..., 0], {"name": "nuclei (drawn)"}, "image")]


def coins() -> list[LayerData]:
    """Greek coins from Pompeii: a gray photograph, Brooklyn Museum Collection."""
    return [(np.asarray(open_image(SAMPLES / "coins.png")), {"name": "coins"}, "image")]


def aerial() -> list[LayerData]:
    """Roofs seen from above, drawn by ``datasets/synthetic.py``; on no map."""
    return [(_drawn("roofs", 1), {"name": "roofs from above (drawn)", "rgb": True}, "image")]


def _drawn(kind: Literal["nuclei", "roofs"], index: int) -> NDArray[np.uint8]:
    from fastsam_plugins.datasets.synthetic import scene

    return scene(0, index, SIDE, kind).image
