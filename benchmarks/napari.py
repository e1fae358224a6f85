"""napari: from mouse event to layer, and whether the window keeps answering.

    xvfb-run -a -s "-screen 0 1600x1000x24" python -m benchmarks.napari

Real mouse events on a real canvas: 300 instances of a 2048 x 2048 image are hovered and clicked.
Time runs from the event (of a click, the button's release) until the layers hold what they should;
drawing the canvas comes after it and is given beside it (in software, where a graphics card is
absent). What is shown is checked against the engine's answer each time. Then a 4096 x 4096 image is
segmented while a timer ticks.
"""

from __future__ import annotations

import os
import tempfile
import time

import numpy as np

from benchmarks.common import milliseconds, row
from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.segmentation import Segmentation

SIDE, COUNT, EVENTS = 2048, 300, 300


def instances() -> Segmentation:
    """Blobs over smooth prototypes, as a network gives them; torch stays out of this process."""
    rng = np.random.default_rng(0)
    letterbox = Letterbox.fit((SIDE, SIDE), 1024)
    cells = letterbox.input_shape[0] // 4
    y, x = np.mgrid[:cells, :cells] / cells
    waves = rng.uniform(1, 9, (32, 2))
    phases = rng.uniform(0, 2 * np.pi, (32, 1, 1))
    maps = np.sin(2 * np.pi * (waves[:, :1, None] * x + waves[:, 1:, None] * y) + phases)
    size = rng.choice([60, 120, 250, 600], (COUNT, 1), p=[0.4, 0.3, 0.2, 0.1])
    middle = rng.uniform(0, SIDE, (COUNT, 2))
    boxes = np.clip(np.hstack([middle - size / 2, middle + size / 2]), 0, SIDE).astype(np.float32)
    coefficients = rng.normal(size=(COUNT, 32)).astype(np.float32)
    source = PrototypeMasks(maps.astype(np.float32), coefficients, boxes, letterbox)
    return Segmentation.from_source(source, boxes, rng.random(COUNT).astype(np.float32))


def spread(seconds: list[float]) -> tuple[str, str, str]:
    """Median, 99th percentile and longest."""
    return (
        milliseconds(float(np.median(seconds))),
        milliseconds(float(np.percentile(seconds, 99))),
        milliseconds(max(seconds)),
    )


def main() -> None:
    places = tempfile.mkdtemp()
    os.environ["XDG_DATA_HOME"] = os.environ["XDG_CONFIG_HOME"] = places
    import napari
    from qtpy.QtCore import QEvent, QPointF, Qt, QTimer
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    from napari_plugin.inference.worker import SegmentedSlice, picture
    from napari_plugin.model.prompts import Prompts
    from napari_plugin.model.slice_instances import SliceInstances
    from napari_plugin.view import geometry

    viewer = napari.Viewer()
    viewer.window.resize(1500, 950)
    rng = np.random.default_rng(1)
    image = viewer.add_image(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8), name="image")
    _, widget = viewer.window.add_plugin_dock_widget("fastsam-plugins", "FastSAM")
    qt = viewer.window._qt_viewer.canvas

    def settle(seconds: float = 0.02) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            QApplication.processEvents()
            time.sleep(0.001)

    def send(kind: str, at: QPointF, button: str, held: str) -> None:
        native = qt.native
        QApplication.sendEvent(
            native,
            QMouseEvent(
                getattr(QEvent.Type, kind), at, QPointF(native.mapToGlobal(at.toPoint())),
                getattr(Qt.MouseButton, button), getattr(Qt.MouseButton, held),
                Qt.KeyboardModifier.NoModifier,
            ),
        )  # fmt: skip

    def on_canvas(xy: np.ndarray) -> QPointF:
        world = image.data_to_world((xy[1] - 0.5, xy[0] - 0.5))
        x, y = qt.view.camera.transform.map([world[1], world[0], 0, 1])[:2]
        return QPointF(float(x), float(y))

    settle(0.5)
    seg = instances()
    plane = geometry.shown_plane(image, viewer.dims)
    workspace = widget._open(image, plane)
    scene = SliceInstances(seg, (0, 0, SIDE, SIDE), (SIDE, SIDE), "benchmark")
    _ = seg.areas, seg.stability
    workspace.view.show_segmented(SegmentedSlice((), scene, picture(scene)))
    settle(0.5)
    options = workspace.session.options
    spots = rng.uniform(20, SIDE - 20, (3 * EVENTS, 2))
    spots = np.array([s for s in spots if len(scene.at((s[0], s[1]), options))])[:EVENTS]

    engine, hover, hover_cpu, drawn = [], [], [], []
    for spot in spots:
        at = on_canvas(spot)
        settle()
        start, cpu = time.perf_counter(), time.thread_time()
        send("MouseMove", at, "NoButton", "NoButton")
        hover.append(time.perf_counter() - start)
        hover_cpu.append(time.thread_time() - cpu)
        QApplication.processEvents()
        drawn.append(time.perf_counter() - start)
        xy = geometry.to_image(image, plane, viewer.cursor.position)
        start = time.perf_counter()
        found = scene.at(xy, options)
        engine.append(time.perf_counter() - start)
        area = int(found.areas[0]) if len(found) else 0
        assert np.count_nonzero(workspace.view.instances.preview.layer.data) == area

    click, click_cpu, click_drawn = [], [], []
    for spot in spots:
        at = on_canvas(spot)
        workspace.actions.clear()
        send("MouseMove", at, "NoButton", "NoButton")
        settle()
        send("MouseButtonPress", at, "LeftButton", "LeftButton")
        start, cpu = time.perf_counter(), time.thread_time()
        send("MouseButtonRelease", at, "LeftButton", "NoButton")
        click.append(time.perf_counter() - start)
        click_cpu.append(time.thread_time() - cpu)
        QApplication.processEvents()
        click_drawn.append(time.perf_counter() - start)
        answer = scene.answer(workspace.session.prompts(()), options).seg
        assert len(workspace.view.prompts.points.data) == 1
        area = int(answer.areas[0]) if len(answer) else 0
        assert np.count_nonzero(workspace.view.instances.preview.layer.data) == area
        assert isinstance(workspace.session.prompts(()), Prompts)

    sizes = seg.areas
    print(
        f"{COUNT} instances at {SIDE}², of {sizes.min()} to {sizes.max()} pixels (median "
        f"{np.median(sizes):.0f}); napari {napari.__version__}; {len(spots)} events each; "
        f"{os.getloadavg()[0]:.1f} programs wait for {os.cpu_count()} processors.\n"
    )
    row("from event to", "median", "99 %", "longest", "processor time, median", "99 %")
    row(*["---"] * 6)
    row("engine's answer", *spread(engine), "", "")
    row("hover: layer updated", *spread(hover), *spread(hover_cpu)[:2])
    row("hover: and canvas drawn", *spread(drawn), "", "")
    row("click: layers updated", *spread(click), *spread(click_cpu)[:2])
    row("click: and canvas drawn", *spread(click_drawn), "", "")

    # --- does the window answer while the network works? -------------------------------------
    viewer.layers.clear()
    large = rng.integers(0, 255, (4096, 4096, 3), dtype=np.uint8)
    settle(0.5)
    ticks: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))

    def gaps(name: str, what: object, done: object, wait: float = 120) -> None:
        ticks.clear()
        timer.start(5)
        settle(0.3)
        begin = time.perf_counter()
        what()  # type: ignore[operator]
        while not done() and time.perf_counter() - begin < wait:  # type: ignore[operator]
            QApplication.processEvents()
        took = time.perf_counter() - begin
        settle(0.3)
        timer.stop()
        longest = float(np.diff(ticks).max())
        row(name, f"{took:.1f} s", milliseconds(longest))

    print()
    row("window, longest gap between ticks", "took", "gap")
    row(*["---"] * 3)
    gaps("nothing", lambda: settle(2), lambda: True)
    viewer.add_image(large, name="large")
    settle(1)
    widget.panel.advanced.imgsz.value = "1024"
    widget.panel.basic.conf.value = 0.02
    widget.requester.segment()  # the layers are there then, and the network is loaded
    settle(30)
    for name in ("segment 4096²", "again, other options"):
        widget.panel.basic.conf.value -= 0.01  # another request than before
        before = widget.workspace.instances
        gaps(name, widget.requester.segment, lambda: not widget.panel.cancel_button.enabled)
        assert widget.workspace.instances is not before
    viewer.close()
    settle(0.2)


if __name__ == "__main__":
    main()
