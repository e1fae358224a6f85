"""napari with a sample image and the FastSAM dock: click Segment, then click on objects."""

import os
import sys

import napari

if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
    sys.exit("There is no screen for napari's window")

viewer = napari.Viewer()
viewer.open_sample("fastsam-plugins", "coins")
viewer.window.add_plugin_dock_widget("fastsam-plugins", "FastSAM")
print(f"Opened {viewer.layers[0].name}", flush=True)
napari.run()
