"""``Display``: a session on the canvas. Layers follow its steps, and slices and filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels, Points, Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from napari_plugin.inference.worker import SegmentedSlice
from napari_plugin.model.autosave import Saver
from napari_plugin.model.edits import Key, PixelEdit, Step
from napari_plugin.model.session import Session
from napari_plugin.view.instance_layers import InstanceLayers
from napari_plugin.view.jobs import Job
from napari_plugin.view.object_layers import ObjectLayers
from napari_plugin.view.preview import PALETTE
from napari_plugin.view.prompt_layers import PromptLayers
from napari_plugin.view.shown_image import ShownImage


@dataclass(frozen=True)
class Callbacks:
    """What the form is told.

    Attributes
    ----------
    picked : callable
        The index, among the slice's instances, of the one that was picked last.
    status : callable
        In words how many prompts of the slice are answered, and why the others are not; or what
        there is to wait for.
    dropped : callable
        Nothing: instances were dropped, or are back, and a picture of the others is wanted.
    """

    picked: Callable[[int], None]
    status: Callable[[str], None]
    dropped: Callable[[], None]


class Display:
    """The layers of one image's session: instances, prompts and objects.

    Parameters
    ----------
    image : ShownImage
    session : Session
    saver : Saver
        Told what changed, unless a person deleted the layer of it.
    job : Job
        The step that is being made.
    callbacks : Callbacks
    hover : bool
        Whether the instance under the cursor is shown.

    Attributes
    ----------
    instances : InstanceLayers
    prompts : PromptLayers
    objects : ObjectLayers
    closed : bool
    """

    def __init__(
        self,
        image: ShownImage,
        session: Session,
        saver: Saver,
        job: Job,
        callbacks: Callbacks,
        hover: bool = True,
    ) -> None:
        self.image, self.session, self.saver, self.job = image, session, saver, job
        self.callbacks = callbacks
        self.instances = InstanceLayers(image, session, hover)
        self.prompts = PromptLayers(image, session)
        self.objects = ObjectLayers(image, session, saver)
        self.closed = False
        self._removing = False
        session.history.listeners.append(self._follow)
        image.viewer.dims.events.current_step.connect(self._slice_changed)
        image.viewer.layers.events.removed.connect(self._layer_removed)

    def close(self) -> None:
        """Let go of the viewer. What was committed stays; the other layers go: clicks on them would
        do nothing any more."""
        if self.closed:
            return
        self.job.finish()
        self.closed = True
        self.instances.close()
        viewer = self.image.viewer
        viewer.dims.events.current_step.disconnect(self._slice_changed)
        viewer.layers.events.removed.disconnect(self._layer_removed)
        for layer in (*self.instances.layers, self.prompts.points, self.prompts.boxes):
            if layer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)
        self.objects.let_go()

    def show_segmented(self, segmented: SegmentedSlice) -> None:
        """A slice was segmented, now or earlier."""
        self.session.add_instances(segmented.key, segmented.instances)
        self.instances.set_picture(segmented.key, segmented.picture, segmented=True)
        if segmented.key == self.image.key:
            self._show_slice()

    def show_filtered(self, key: Key, picture: NDArray) -> None:
        """A slice has a picture of what other filters let through."""
        self.instances.set_picture(key, picture)
        if key == self.image.key:
            self.instances.show_picture(key)
            self.show_options()

    def show_options(self) -> None:
        """Show what the prompts pick under other options."""
        if self.image.is_shown and self.session.prompts(self.image.key):
            self._show_answer(self.image.key)

    def _follow(self, step: Step) -> None:
        """The session changed: show it."""
        if self.closed:
            return
        if step.dropped:
            self.callbacks.dropped()
        if step.prompts:
            self._show_answer(step.key)
            self.prompts.show()
        if step.pixels or step.objects:
            self.objects.show_features()
        self.objects.show_polygons()
        if not self._removing:
            self.objects.changed({e.key for e in step.edits if isinstance(e, PixelEdit)})

    def _show_answer(self, key: Key) -> None:
        answer = self.instances.show_answer(key)
        if answer is None:
            return
        seg = self.session.segmented[key].seg
        if len(answer.seg) and answer.seg.source is seg.source:
            index = np.flatnonzero(seg.rows == answer.seg.rows[0])
            if len(index):
                self.callbacks.picked(int(index[0]))
        self.callbacks.status(answer.summary)

    def _show_slice(self) -> None:
        key = self.image.key
        instances = self.session.instances(key)
        if instances is None:
            return
        self.instances.show_picture(key)
        if self.session.prompts(key):
            self._show_answer(key)
        elif self.instances.preview is None:  # the next layer when the window has answered
            QTimer.singleShot(0, self._make_preview)
        else:
            self.instances.show_preview(key, instances)

    def _make_preview(self) -> None:
        """Have the preview there before the cursor comes."""
        if self.closed or not self.image.is_shown:
            return
        instances = self.session.instances(self.image.key)
        if instances is not None:
            self.instances.show_preview(self.image.key, instances)

    def _slice_changed(self, event: Any = None) -> None:
        if self.image.is_shown:
            self.instances.forget_hovered()
            self._show_slice()

    def _layer_removed(self, event: Any) -> None:
        layer = event.value
        if layer is self.objects.labels:
            self.job.finish()
            self.saver.flush()  # what it held is saved
            self.objects.removed(layer)
        elif layer is self.objects.polygons:
            self.objects.removed(layer)
        elif layer in (self.prompts.points, self.prompts.boxes):
            self.saver.flush()
            # Its prompts stay in the session's file: so it goes when the viewer closes, too.
            self._removing = True
            try:
                self.prompts.removed(layer)
            finally:
                self._removing = False
        else:
            self.instances.removed(layer)


def warm_up() -> None:
    """Make a layer of every kind, for nothing: the first ones import and compile for seconds."""
    Points(np.zeros((1, 2)), features={"foreground": [1]}, size=1)
    Shapes([np.zeros((4, 2))], shape_type="polygon")
    for dtype in (np.uint8, np.uint16, np.int32):
        Labels(np.ones((2, 2), dtype), colormap=PALETTE if dtype == np.uint8 else None)
