"""napari: how long the window keeps still in each action, and what it takes of the memory.

    xvfb-run -a -s "-screen 0 1600x1000x24" python -m benchmarks.napari_window

Four images, each in a process of its own: a photograph of 2048 x 2048 for the hover that predicts,
one of 4096 x 4096, a stack of 30 planes of 1024 x 1024, and a dask array of 20000 x 20000 that is
looked at in windows, 8-bit all of them and, but for the first, full of coins. A timer ticks every
5 ms; what is given is the longest gap between two ticks from the beginning of an action until half
a second after it, with its drawing on the canvas (in software, where a graphics card is absent),
and how long it took. Memory is the largest resident size of the window's process and of the
network's, less nothing, as the kernel counts it.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# benchmarks.common is not imported here: it brings PyTorch, which crashes beside Mesa's OpenGL.

PARTS = ("hover", "photograph", "stack", "large")
TICK, AFTER = 5, 0.5  # ms; s
PLANES, PLANE = 30, 1024
HOVERS = 100


def row(*cells: object) -> None:
    """Print one row of a Markdown table."""
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def milliseconds(seconds: float) -> str:
    """For people."""
    return f"{1000 * seconds:.0f} ms"


def coins() -> np.ndarray:
    """The sample, gray."""
    from fastsam_plugins import read_image
    from fastsam_plugins.paths import SAMPLES

    return np.ascontiguousarray(read_image(SAMPLES / "coins.png")[:, :, 0])


def tiled(height: int, width: int, seed: int = 0) -> np.ndarray:
    """An image full of coins."""
    one = coins()
    rolled = np.roll(one, tuple(np.random.default_rng(seed).integers(0, 99, 2)), (0, 1))
    times = -(-height // one.shape[0]), -(-width // one.shape[1])
    return np.ascontiguousarray(np.tile(rolled, times)[:height, :width])


def large(side: int) -> Any:
    """A dask array whose blocks are made when they are read."""
    import dask.array as da

    block = 2048
    chunks = tuple(min(block, side - at) for at in range(0, side, block))
    whole = tiled(block, block)

    def made(block_info: Any = None) -> np.ndarray:
        (y0, y1), (x0, x1) = block_info[None]["array-location"]
        return whole[: y1 - y0, : x1 - x0]

    return da.map_blocks(made, chunks=(chunks, chunks), dtype=np.uint8)


def peak(pid: int | str = "self") -> float:
    """Largest resident size of a process, in bytes; what it is now begins anew."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return 1024.0 * int(line.split()[1])
    return 0.0


class _Driver:
    """A viewer with the widget, and the hands of a person."""

    def __init__(self) -> None:
        import napari
        from qtpy.QtCore import QTimer

        self.viewer = napari.Viewer()
        self.viewer.window.resize(1500, 950)
        self.ticks: list[float] = []
        self.timer = QTimer()
        self.timer.timeout.connect(lambda: self.ticks.append(time.perf_counter()))
        self.timer.start(TICK)
        _, self.widget = self.viewer.window.add_plugin_dock_widget("fastsam-plugins", "FastSAM")
        self.native = self.viewer.window._qt_viewer.canvas.native

    def settle(self, seconds: float) -> None:
        from qtpy.QtWidgets import QApplication

        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            QApplication.processEvents()
            time.sleep(0.0005)

    def measure(
        self,
        name: str,
        act: Callable[[], object],
        done: Callable[[], bool] = lambda: True,
        patience: float = 1200,
    ) -> None:
        """Do something, and print for how long the window kept still."""
        self.settle(0.3)
        self.ticks.clear()
        self.settle(0.02)
        begin = time.perf_counter()
        act()
        asked = time.perf_counter() - begin
        while not done():
            self.settle(0.002)
            if time.perf_counter() - begin > patience:
                raise TimeoutError(name)
        took = time.perf_counter() - begin
        self.settle(AFTER)
        gaps = np.diff([*self.ticks, time.perf_counter()])
        row(name, milliseconds(float(gaps.max())), milliseconds(asked), f"{took:.2f} s")

    def draw(self) -> None:
        """What no plugin can change: the canvas, and the window, drawn anew."""
        self.measure("draw the canvas, nothing else", lambda: self.native.update())

    def send(self, kind: str, at: Any, button: str = "NoButton", held: str = "NoButton") -> None:
        from qtpy.QtCore import QEvent, QPointF, Qt
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtWidgets import QApplication

        event = QMouseEvent(
            getattr(QEvent.Type, kind), at, QPointF(self.native.mapToGlobal(at.toPoint())),
            getattr(Qt.MouseButton, button), getattr(Qt.MouseButton, held),
            Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        QApplication.sendEvent(self.native, event)

    def at(self, xy: Any) -> Any:
        from qtpy.QtCore import QPointF

        view = self.viewer.window._qt_viewer.canvas.view
        x, y = view.camera.transform.map([xy[0], xy[1], 0, 1])[:2]
        return QPointF(float(x), float(y))

    def click(self, xy: Any) -> None:
        at = self.at(xy)
        self.send("MouseMove", at)
        self.send("MouseButtonPress", at, "LeftButton", "LeftButton")
        self.send("MouseButtonRelease", at, "LeftButton")

    def drag(self, low: Any, high: Any) -> None:
        steps = np.linspace(low, high, 8)
        self.send("MouseMove", self.at(low))
        self.settle(0.05)
        self.send("MouseButtonPress", self.at(low), "LeftButton", "LeftButton")
        for xy in steps:
            self.settle(0.03)
            self.send("MouseMove", self.at(xy), "NoButton", "LeftButton")
        self.settle(0.03)
        self.send("MouseButtonRelease", self.at(high), "LeftButton")

    # --- what is measured --------------------------------------------------------------------

    def segment(self, name: str, region: str, slices: str = "") -> None:
        widget = self.widget
        panel = widget.panel
        panel.region.region.value, panel.region.slices.value = region, slices
        self.measure(name, widget.requester.segment, lambda: not panel.cancel_button.enabled)
        assert widget.workspace is not None
        assert widget.workspace.instances is not None

    def spots(self, count: int) -> np.ndarray:
        """Middles of instances that are in view, as napari's (x, y)."""
        workspace = self.widget.workspace
        scene, layer = workspace.instances, workspace.image.layer
        low, high = np.asarray(layer.corner_pixels)[:, -2:]
        boxes = scene.visible.boxes + np.resize(scene.window[:2], 4)
        small = (boxes[:, 2:] - boxes[:, :2]).max(1) < 200
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = small & (middle > low[::-1] + 30).all(1) & (middle < high[::-1] - 30).all(1)
        return np.asarray(middle[inside][:count] - 0.5)

    def prompt(self) -> None:
        """Hover, click, box, commit, undo."""
        workspace = self.widget.workspace
        actions = workspace.actions
        spots = self.spots(12)
        assert len(spots) >= 4, len(spots)

        def hover() -> None:
            for spot in spots:
                self.send("MouseMove", self.at(spot))
                self.settle(0.04)

        self.measure("hover over instances", hover)
        self.measure("click, the first", lambda: self.click(spots[0]))
        self.measure("click, another", lambda: self.click(spots[1]))
        self.measure("commit, the first", self.widget.commit, self.saved)
        self.measure("click", lambda: self.click(spots[2]))
        self.measure("commit", self.widget.commit, self.saved)
        self.measure("undo", lambda: actions.undo(), self.saved)
        self.measure("redo", lambda: actions.redo(), self.saved)

        def box() -> None:
            actions.draw_box()
            self.drag(spots[3] - 35, spots[3] + 35)

        self.measure("box", box)
        self.measure("commit of the box", self.widget.commit, self.saved)
        self.measure("commit all", self.widget.commit_all, self.saved)
        self.measure("undo of it", lambda: actions.undo(), self.saved)
        self.measure("redo of it", lambda: actions.redo(), self.saved)
        self.measure("commit after it", self.recommit, self.saved)
        session, key = workspace.session, workspace.image.key
        last = max(session.objects.known)
        self.measure("delete", lambda: session.delete([last], key), self.saved)
        self.measure("save", self.widget.save, self.saved)

    def recommit(self) -> None:
        workspace = self.widget.workspace
        session, key = workspace.session, workspace.image.key
        spots = self.spots(60) + 0.5
        label = next(n for xy in spots if (n := session.objects.at(key, xy)))
        session.recall(key, label)
        self.widget.commit()

    def saved(self) -> bool:
        """Whether nothing is on its way to the disk, or into the labels."""
        workspace = self.widget.workspace
        return not workspace.actions.working and not workspace.saver.busy

    def filters(self) -> None:
        self.measure("filters", lambda: self.set_filter(0.3), lambda: not self.widget.pictures.busy)
        self.measure(
            "filters again", lambda: self.set_filter(0.0), lambda: not self.widget.pictures.busy
        )

    def set_filter(self, value: float) -> None:
        self.widget.panel.filters.min_score.value = value

    def zoom(self, factor: float, middle: Any) -> None:
        self.viewer.camera.center = (0, middle[1], middle[0])
        self.viewer.camera.zoom *= factor

    def pan_and_zoom(self, side: int) -> None:
        def pan() -> None:
            for k in range(10):
                self.viewer.camera.center = (0, side / 2 + 40 * k, side / 2 + 60 * k)
                self.settle(0.05)

        def zoom(factor: float) -> None:
            for _ in range(10):
                self.viewer.camera.zoom *= factor
                self.settle(0.05)

        self.measure("pan", pan)
        self.measure("zoom out", lambda: zoom(0.8))
        self.measure("zoom in", lambda: zoom(1.25))

    def memory(self) -> None:
        process = self.widget.network._process
        others = peak(process.pid) if process is not None else 0.0
        print(f"\nmemory: window {peak() / 1e9:.2f} GB, network {others / 1e9:.2f} GB\n")

    def switch(self, image: Any) -> None:
        """Another image in the form, and back."""
        first = self.widget.panel.image.value
        self.measure("another image", lambda: setattr(self.widget.panel.image, "value", image))
        self.measure("and back", lambda: setattr(self.widget.panel.image, "value", first))

    def active(self) -> None:
        layers = list(self.viewer.layers)

        def each() -> None:
            for layer in layers:
                self.viewer.layers.selection.active = layer
                self.settle(0.05)

        self.measure("switch layers", each)


def timed(owner: Any, name: str, seconds: list[float]) -> None:
    """Note the processor time of every call of a function, in whatever thread."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def noted(*given: Any, **named: Any) -> Any:
        start = time.thread_time()
        try:
            return function(*given, **named)
        finally:
            seconds.append(time.thread_time() - start)

    setattr(owner, name, noted)


def hover(driver: _Driver, side: int) -> None:
    """What was found shows at once, what a click would pick once the cursor rests."""
    import cv2

    from fastsam_plugins import read_image
    from fastsam_plugins.paths import SAMPLES
    from napari_plugin.model.slice_instances import SliceInstances
    from napari_plugin.view.instance_layers import REST, InstanceLayers

    image = cv2.resize(read_image(SAMPLES / "coffee.jpg"), (side, side))
    driver.measure("open the image", lambda: driver.viewer.add_image(image, name="coffee"))
    driver.widget.panel.basic.conf.value = 0.05
    driver.segment("whole image", "whole image")
    layers = driver.widget.workspace.view.instances
    steps: dict[str, list[float]] = {"what was found": [], "engine": [], "shown": []}
    timed(InstanceLayers, "show_hovered", steps["what was found"])
    timed(SliceInstances, "ahead", steps["engine"])
    timed(InstanceLayers, "_show_ahead", steps["shown"])
    waits: list[float] = []
    spots = np.random.default_rng(0).uniform(0.05 * side, 0.95 * side, (HOVERS, 2))

    def rest() -> None:
        for spot in spots:
            layers.forget_hovered()
            driver.settle(0.03)  # Vispy drops moves that follow each other too quickly
            driver.send("MouseMove", driver.at(spot))
            start = time.perf_counter()
            while layers._ahead is None and time.perf_counter() - start < 1:
                driver.settle(0.002)
            waits.append(time.perf_counter() - start)

    def move() -> None:
        for xy in np.linspace(spots[0], spots[-1], HOVERS):
            driver.send("MouseMove", driver.at(xy))
            driver.settle(0.02)

    driver.settle(0.5)
    for values in steps.values():
        values.clear()
    driver.measure("hover, the cursor rests", rest)
    assert min(map(len, steps.values())) == HOVERS, [len(v) for v in steps.values()]
    driver.measure("hover, the cursor moves on", move)
    print(f"\n{len(driver.widget.workspace.instances.seg)} instances\n")
    row("processor time of a hover", "median", "90 %")
    row(*["---"] * 3)
    names = {
        "what was found": "window: what was found, at once",
        "engine": "another thread: what a click would pick",
        "shown": "window: shown",
    }
    for name, seconds in steps.items():
        row(names[name], *(f"{1000 * np.percentile(seconds, q):.1f} ms" for q in (50, 90)))
    late = [milliseconds(float(np.percentile(waits, q))) for q in (50, 90)]
    row(f"time from the last move until it is shown, {REST} ms of rest among it", *late)


def photograph(driver: _Driver, side: int) -> None:
    """First field of view, then the whole image."""
    image = tiled(side, side)
    driver.measure("open the image", lambda: driver.viewer.add_image(image, name="photograph"))
    other = driver.viewer.add_image(tiled(512, 512, 1), name="other", visible=False)
    driver.widget.panel.image.value = driver.viewer.layers["photograph"]
    driver.settle(1)
    driver.zoom(4, (side / 2, side / 2))
    driver.settle(1)
    driver.segment("first field of view", "field of view")
    driver.draw()
    driver.zoom(0.8, (side / 2, side / 2))
    driver.segment("another field of view", "field of view")
    driver.segment("whole image", "whole image")
    driver.segment("windows", "windows")
    driver.prompt()
    driver.filters()
    driver.pan_and_zoom(side)
    driver.active()
    driver.switch(other)


def stack(driver: _Driver, side: int) -> None:
    """All planes, then scrolled."""
    planes = np.stack([tiled(side, side, seed) for seed in range(PLANES)])
    driver.measure("open the stack", lambda: driver.viewer.add_image(planes, name="stack"))
    driver.settle(1)
    driver.segment("first plane", "whole image")
    driver.segment(f"{PLANES} planes", "whole image", "all")

    def scroll() -> None:
        for k in range(PLANES):
            driver.viewer.dims.set_point(0, k)
            driver.settle(0.05)

    driver.measure("scroll", scroll)
    driver.prompt()
    driver.measure("scroll with objects", scroll)
    driver.active()


def huge(driver: _Driver, side: int) -> None:
    """Windows over all of it."""
    image = large(side)
    driver.measure("open the image", lambda: driver.viewer.add_image(image, name="large"))
    driver.settle(1)
    print(f"\nwith the image alone: {peak() / 1e9:.2f} GB\n")
    driver.widget.panel.tiling.tile.value = "2048"
    driver.segment("windows", "windows")
    print(f"\n{len(driver.widget.workspace.instances.seg)} instances; {peak() / 1e9:.2f} GB\n")
    driver.zoom(side / 1500, (side / 2, side / 2))
    driver.settle(1)
    driver.prompt()
    driver.filters()
    driver.pan_and_zoom(side)
    driver.active()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--side", type=int, default=20000, help="of the large image")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part is None:
        for part in args.parts:
            print(f"\n## {part}\n", flush=True)
            command = [sys.executable, "-m", "benchmarks.napari_window", "--part", part]
            subprocess.run([*command, "--side", str(args.side)], check=True)
        return
    places = tempfile.mkdtemp()
    os.environ["XDG_DATA_HOME"] = os.environ["XDG_CONFIG_HOME"] = places
    driver = _Driver()
    driver.settle(6)
    row("action", "longest stall", "the call alone", "took")
    row(*["---"] * 4)
    driver.draw()
    if args.part == "hover":
        hover(driver, 2048)
    elif args.part == "photograph":
        photograph(driver, 4096)
    elif args.part == "stack":
        stack(driver, PLANE)
    else:
        huge(driver, args.side)
    driver.memory()
    print(f"{os.getloadavg()[0]:.1f} programs wait for {os.cpu_count()} processors", flush=True)
    driver.viewer.close()
    driver.settle(0.5)
    os._exit(0)  # threads of the window system may outlive it


if __name__ == "__main__":
    main()
