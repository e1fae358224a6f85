"""Make docs/napari.png: a real window, the bundled network, real clicks.

xvfb-run -a -s "-screen 0 1600x1000x24" python docs/make_napari_picture.py
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Segment the coins, commit three, pick a fourth, and take a screenshot."""
    os.environ["XDG_DATA_HOME"] = os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp()
    import napari
    from PIL import Image
    from qtpy.QtWidgets import QApplication

    from fastsam_plugins import read_image
    from fastsam_plugins.paths import SAMPLES

    viewer = napari.Viewer()
    viewer.window.resize(1250, 830)
    image = viewer.add_image(read_image(SAMPLES / "coins.png"), name="coins")
    _, widget = viewer.window.add_plugin_dock_widget("fastsam-plugins", "FastSAM")

    def wait(seconds: float, until: object = None) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (callable(until) and until()):
            QApplication.processEvents()
            time.sleep(0.005)

    wait(1)
    widget.panel.basic.conf.value = 0.25
    widget.requester.segment()
    wait(120, lambda: widget.workspace is not None and widget.workspace.instances is not None)
    actions = widget.workspace.actions
    boxes = widget.workspace.instances.seg.boxes
    places = [(float(y0 + y1) / 2, float(x0 + x1) / 2) for x0, y0, x1, y1 in boxes]
    near: list[tuple[float, float]] = []  # coins from the middle outwards, each of them once
    for place in sorted(places, key=lambda p: np.hypot(p[0] - 150, p[1] - 190)):
        if all(np.hypot(place[0] - y, place[1] - x) > 20 for y, x in near):
            near.append(place)
    for place in near[:3]:
        actions.clicked(image.data_to_world(place), True)
        widget.commit()
    actions.clicked(image.data_to_world(near[3]), True)
    actions.moved(image.data_to_world(near[5]))
    viewer.reset_view()
    wait(1)
    shown = Image.fromarray(viewer.window.screenshot(canvas_only=False, flash=False)[..., :3])
    shown.thumbnail((1000, 1000))
    shown.quantize(256, dither=Image.Dither.NONE).save(
        Path(__file__).parent / "napari.png", optimize=True
    )
    viewer.close()
    wait(0.3)


if __name__ == "__main__":
    main()
