"""A real napari on a real OpenGL, on a screen of its own where there is none."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed: pip install 'fastsam-plugins[gui]'")

from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.slice_instances import SliceInstances
from tests.conftest import disks


@pytest.fixture(scope="session", autouse=True)
def own_places(tmp_path_factory):
    """Settings, sessions and results of these tests, never the user's."""
    before = dict(os.environ)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = str(tmp_path_factory.mktemp(name.lower()))
    os.environ["NAPARI_CONFIG"] = str(tmp_path_factory.mktemp("config") / "settings.yaml")
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def plugins(own_places):
    """SegmentedSlice by their entry points, as a viewer does when it opens."""
    import npe2

    manager = npe2.PluginManager.instance()
    manager.discover()
    assert "fastsam-plugins" in manager
    return manager


@pytest.fixture(scope="session")
def screen(own_places):
    """A display. Qt's offscreen platform has no OpenGL; Xvfb has."""
    # With the first window Mesa loads its LLVM. Triton, which a training imports, brings another,
    # and ends the process where it comes second.
    with contextlib.suppress(ImportError):
        importlib.import_module("triton")
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        yield
        return
    if shutil.which("Xvfb") is None:
        pytest.skip("no display, and no Xvfb to make one: see CONTRIBUTING.md")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start")
    os.environ["DISPLAY"] = f":{number}"
    yield
    # The server goes with the process, once napari has let go of it: Qt ends a program whose
    # display vanishes.
    os.environ.pop("DISPLAY")
    import atexit

    atexit.register(server.terminate)


class Window:
    """A viewer, its canvas, and the hands of a person."""

    def __init__(self, viewer):
        self.viewer = viewer
        self.canvas = viewer.window._qt_viewer.canvas  # as Qt sees it: to send real mouse events
        self.widget = None

    def open(self):
        _, self.widget = self.viewer.window.add_plugin_dock_widget("fastsam-plugins", "FastSAM")
        self.wait()
        return self.widget

    def wait(self, until=None, seconds=60, least=0.05):
        """Let the window work, for a while or until something is so."""
        from qtpy.QtWidgets import QApplication

        start = time.monotonic()
        while True:
            QApplication.processEvents()
            passed = time.monotonic() - start
            if passed > least and (until is None or until()):
                return
            if passed > seconds:
                raise AssertionError(f"not so after {seconds} s")
            time.sleep(0.002)

    def at(self, layer, place):
        """Where on the canvas, in Qt's pixels, a place in a layer's data is."""
        from qtpy.QtCore import QPointF

        world = np.asarray(layer.data_to_world(place), float)
        world = world[list(self.viewer.dims.displayed)[-2:]] if len(world) > 2 else world
        view = self.viewer.window._qt_viewer.canvas.view
        x, y = view.camera.transform.map([world[1], world[0], 0, 1])[:2]
        return QPointF(float(x), float(y))

    def mouse(self, kind, at, button="NoButton", buttons=None, modifiers="NoModifier"):
        from qtpy.QtCore import QEvent, QPointF, Qt
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtWidgets import QApplication

        native = self.canvas.native
        held = buttons if buttons is not None else button
        event = QMouseEvent(
            getattr(QEvent.Type, kind),
            at,
            QPointF(native.mapToGlobal(at.toPoint())),
            getattr(Qt.MouseButton, button),
            getattr(Qt.MouseButton, held),
            getattr(Qt.KeyboardModifier, modifiers),
        )
        QApplication.sendEvent(native, event)

    def click(self, layer, place, button="LeftButton", modifiers="NoModifier"):
        self.wait(least=0.03)
        at = self.at(layer, place)
        self.mouse("MouseMove", at, modifiers=modifiers)
        self.mouse("MouseButtonPress", at, button, modifiers=modifiers)
        self.mouse("MouseButtonRelease", at, button, "NoButton", modifiers=modifiers)

    def drag(self, layer, places, button="LeftButton", modifiers="NoModifier", release=True):
        """Press, move over some places, and let go."""
        self.wait(least=0.03)
        at = self.at(layer, places[0])
        self.mouse("MouseMove", at, modifiers=modifiers)
        self.mouse("MouseButtonPress", at, button, modifiers=modifiers)
        for at in [self.at(layer, p) for p in places[1:]]:
            self.wait(least=0.03)
            self.mouse("MouseMove", at, "NoButton", button, modifiers)
        self.wait(least=0.03)
        if release:
            self.mouse("MouseButtonRelease", at, button, "NoButton", modifiers)
            self.wait()

    def move(self, layer, place):
        self.wait(least=0.03)  # Vispy drops moves that follow each other too quickly
        self.mouse("MouseMove", self.at(layer, place))

    def key(self, name):
        """Press a key on the canvas."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        modifier = Qt.KeyboardModifier.NoModifier
        if name.startswith("Shift-"):
            modifier, name = Qt.KeyboardModifier.ShiftModifier, name.removeprefix("Shift-")
        QTest.keyClick(self.canvas.native, getattr(Qt.Key, f"Key_{name}"), modifier)

    def let_go_of_keys(self):
        """Qt takes Shift for held, also in later windows, until a key comes without it."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QApplication

        QTest.keyRelease(self.canvas.native, Qt.Key.Key_Shift, Qt.KeyboardModifier.NoModifier)
        assert QApplication.keyboardModifiers() == Qt.KeyboardModifier.NoModifier

    def pixels(self):
        """What is on the canvas, (H, W, 4)."""
        self.wait()
        return self.viewer.screenshot(canvas_only=True, flash=False)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """A step is made before the next line of a test, however busy the machine is."""
    monkeypatch.setattr("napari_plugin.view.jobs.SLICE", 600)


@pytest.fixture(scope="session")
def shared_network(own_places):
    """One process for all windows: loading PyTorch takes seconds."""
    from napari_plugin.inference.network import Network

    made = Network()
    yield made
    made.close()


@pytest.fixture
def window(screen, shared_network, monkeypatch, tmp_path):
    """A shown viewer; closed afterwards."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "places"))
    import napari

    from napari_plugin.inference.network import Network
    from napari_plugin.view import preferences

    class Lent(Network):
        def load(self, *names):
            """It is loaded when it is asked."""

        def segment(self, *request):
            self.asked = True
            return shared_network.segment(*request)

        def pick(self, *request):
            return shared_network.pick(*request)

    monkeypatch.setattr("napari_plugin.view.widget.Network", Lent)
    preferences.remember("predict", True)  # whatever the test before ticked
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1300, 900)
    made = Window(viewer)
    made.wait(least=0.2)
    made.let_go_of_keys()
    told = []
    made.told = told
    from napari.utils.notifications import notification_manager

    notification_manager.notification_ready.connect(told.append)
    yield made
    notification_manager.notification_ready.disconnect(told.append)
    if not getattr(made, "gone", False):
        viewer.close()
        made.wait(least=0.1)


CIRCLES = [(30, 30, 20), (30, 30, 8), (52, 30, 12), (80, 20, 9)]
SHAPE = (60, 100)


@pytest.fixture
def seg():
    """A large disk with a small one inside, one beside that overlaps, one aside."""
    return Segmentation.from_masks(disks(SHAPE, CIRCLES), scores=[0.9, 0.5, 0.7, 0.8])


def scene_of(seg, window=None, shape=None):
    height, width = seg.shape
    return SliceInstances(seg, window or (0, 0, width, height), shape or seg.shape, "digest")


def put(window, seg, key=(), image=None, part=None):
    """What the network would have found, in a slice."""
    from napari_plugin.inference.worker import SegmentedSlice, picture
    from napari_plugin.view import geometry

    widget = window.widget
    image = image or widget.panel.image.value
    plane = geometry.shown_plane(image, window.viewer.dims)
    workspace = widget._open(image, plane)
    height, width = workspace.image.shape
    scene = SliceInstances(
        seg, part or (0, 0, width, height), workspace.image.shape, "digest"
    ).filtered(widget.panel.filters.read())
    widget.requester.answered(workspace, SegmentedSlice(key, scene, picture(scene)))
    window.wait()
    return workspace


@pytest.fixture
def plain(window, seg):
    """A gray image with four instances, segmented."""
    window.image = window.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    window.open()
    window.workspace = put(window, seg)
    return window


@pytest.fixture
def coins_window(window):
    """The coins, segmented by the bundled network: prompts predict."""
    from fastsam_plugins import read_image
    from fastsam_plugins.paths import SAMPLES

    window.image = window.viewer.add_image(read_image(SAMPLES / "coins.png"), name="coins")
    widget = window.open()
    widget.panel.basic.conf.value = 0.25
    widget.requester.segment()
    window.wait(lambda: widget.workspace is not None and widget.workspace.instances is not None)
    window.wait(lambda: not widget.panel.cancel_button.enabled)
    window.workspace = widget.workspace
    window.wait(lambda: window.workspace.view.prompts.boxes is not None, least=0.3)
    return window


def across(row, first, last, count=9):
    """Places along a row, for a drag."""
    return [(row, x) for x in np.linspace(first, last, count).tolist()]


def picked(window):
    """What the prompts of a plain image pick, a bitmap each."""
    seg = window.workspace.session.answer(()).seg
    return [seg.mask(i) for i in range(len(seg))]


def labels(window):
    return window.workspace.view.objects.labels.data
