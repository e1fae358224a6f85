"""``Requester``: asks the network, and a text, about the image that is worked on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info, show_warning

from napari_plugin.inference import regions
from napari_plugin.inference.layer_pixels import Pixels
from napari_plugin.inference.network import Network
from napari_plugin.inference.result_cache import ResultCache
from napari_plugin.inference.worker import (
    Failure,
    Improved,
    Request,
    SegmentedSlice,
    TextMatches,
    find_alike,
    find_text,
    improve_masks,
    segment_slices,
)
from napari_plugin.model.alike import Likeness
from napari_plugin.model.plane import Plane
from napari_plugin.model.session import SessionError
from napari_plugin.model.slice_instances import SliceInstances
from napari_plugin.view import channels, geometry
from napari_plugin.view.messages import shows_errors
from napari_plugin.view.panel import Panel
from napari_plugin.view.rough_labels import rough_masks
from napari_plugin.view.threads import Requests
from napari_plugin.view.workspace import Workspace

NONE_ALIKE = "nothing else is like this: lower the threshold, or conf"


class Requester:
    """One request at a time; each is answered in the window's thread.

    Parameters
    ----------
    panel : Panel
        How to segment, and where it is shown how far it is.
    viewer : napari viewer
    network : Network
    cache : ResultCache
    current : callable
        Gives the workspace there is.
    open_workspace : callable
        Gives the workspace of an image that is shown as a plane.
    """

    def __init__(
        self,
        panel: Panel,
        viewer: Any,
        network: Network,
        cache: ResultCache,
        current: Callable[[], Workspace | None],
        open_workspace: Callable[[Any, Plane], Workspace],
    ) -> None:
        self.panel, self.viewer, self.network, self.cache = panel, viewer, network, cache
        self._current, self._open = current, open_workspace
        self.requests = Requests(self._busy)
        self._closed = False

    def close(self) -> None:
        """Give up what is under way; the form is about to go."""
        self._closed = True
        self.cancel()

    def cancel(self) -> None:
        """Give the request up; the network stops within a layer."""
        self.requests.cancel()

    @shows_errors
    def segment(self) -> None:
        """Ask the network, in a thread; a request under way is given up."""
        workspace, request = self._request()
        self.requests.start(
            partial(self.answered, workspace), segment_slices, request, self.network, self.cache,
            total=request.steps, desc=f"FastSAM: {workspace.image.layer.name}",
        )  # fmt: skip
        self.panel.status.value = "Segmenting ..."

    @shows_errors
    def find(self) -> None:
        """Look for what the text says among the instances of this slice, in a thread."""
        workspace = self._current()
        instances = None if workspace is None else workspace.instances
        if workspace is None or instances is None:
            raise SessionError("segment this slice first")
        words, image = self.panel.words(), workspace.image
        pixels = self.pixels(image.layer, image.plane)
        self.requests.start(
            partial(self.answered, workspace), find_text,
            pixels, image.key, instances, self.panel.device.value, words, self.network,
        )  # fmt: skip
        self.panel.status.value = f"Looking for {'; '.join(words.texts)} ..."

    @shows_errors
    def find_alike(self) -> None:
        """Find all that are like what is picked, or like an object, in a thread."""
        workspace = self._current()
        instances = None if workspace is None else workspace.instances
        if workspace is None or instances is None:
            raise SessionError("segment this slice first")
        self.panel.liking.read()  # or nothing is looked for
        self.requests.start(
            partial(self.answered, workspace), find_alike,
            workspace.image.key, instances, workspace.actions.example(),
        )  # fmt: skip
        self.panel.status.value = "Looking for all like this ..."

    @shows_errors
    def threshold_changed(self) -> None:
        """Pick again what is like the last example, if nothing else was done since."""
        workspace = self._current()
        if workspace is not None:
            self._told_alike(workspace.actions.pick_alike_again(self.panel.liking.read()))

    def _told_alike(self, count: int | None) -> None:
        if count is not None:
            self.panel.status.value = f"{count} found like this" if count else NONE_ALIKE

    @shows_errors
    def improve(self) -> None:
        """Ask for better masks than the labels of a layer, in a thread."""
        workspace = self._current()
        instances = None if workspace is None else workspace.instances
        if workspace is None or instances is None:
            raise SessionError("segment this slice first")
        if not self.panel.mode.predict.value:
            raise SessionError("tick predict first: it makes the masks")
        if not instances.predicts:
            raise SessionError(
                "there is nothing to predict from: segment the whole image, or a field of view"
            )
        image, layer, every = workspace.image, self.panel.rough.value, self.panel.every.value
        masks = rough_masks(layer, image, image.key, every)
        own = layer is workspace.view.objects.labels and not every
        improved = Improved(
            image.key, instances, list(masks.values()), next(iter(masks)) if own else None
        )
        self.requests.start(
            partial(self.answered, workspace), improve_masks, improved, total=len(masks),
            desc=f"FastSAM: {layer.name}",
        )  # fmt: skip
        self.panel.status.value = f"Predicting from {len(masks)} labels ..."

    def reopen(self, workspace: Workspace, path: Path | None) -> Path:
        """Go on with a session, and with what it had segmented, if it was kept; its file."""
        filters = self.panel.filters.read()
        path, saved = workspace.reopen(path)
        pixels = self.pixels(workspace.image.layer, workspace.image.plane)
        self.requests.start(
            partial(self.answered, workspace), regions.cached_slices, saved, self.cache, filters,
            pixels,
        )  # fmt: skip
        return path

    def answered(
        self,
        workspace: Workspace,
        answer: SegmentedSlice | TextMatches | Improved | Likeness | Failure,
    ) -> None:
        """The last request has an answer, of the image that is worked on."""
        if isinstance(answer, Failure):
            self.panel.status.value = ""
            show_warning(f"FastSAM: {answer.message}")
        elif isinstance(answer, SegmentedSlice):
            self.panel.status.value = _count(answer.instances)
            workspace.view.show_segmented(answer)
            if not len(answer.instances.seg):
                show_info("FastSAM: no instance found: lower conf, or zoom in on a field of view")
            if answer.key == workspace.image.key:
                self.panel.table.show_instances(workspace.instances)
        elif isinstance(answer, Likeness):
            self._told_alike(workspace.actions.pick_alike(answer, self.panel.liking.read()))
        elif isinstance(answer, Improved):
            workspace.actions.ask_with_masks(answer)
            picked = workspace.session.answer(answer.key)
            self.panel.status.value = "" if picked is None else picked.summary
        elif answer.rows:
            self.panel.status.value = f"{len(answer.rows)} found"
            workspace.actions.pick_matches(answer)
        else:
            self.panel.status.value = ""
            show_info("FastSAM: nothing here is like that")

    def show_status(self, text: str) -> None:
        """Show how many prompts are answered; how many instances there are, where there is none."""
        if not self._closed and not self.panel.cancel_button.enabled:
            workspace = self._current()
            instances = None if workspace is None else workspace.instances
            self.panel.status.value = text or _count(instances)

    def plane(self, layer: Any) -> Plane:
        """How an image is shown, after its channels, if they were shown, were brought first."""
        axis, dims = self.panel.layer_options.read().channel_axis, self.viewer.dims
        if axis is not None:
            channels.check(layer, axis)
            if axis and channels.shown_in(layer, axis, dims):
                channels.bring_first(layer, axis, dims)
                axis = 0
                self.panel.layer_options.channel_axis.value = "0"
                self.viewer.reset_view()
                show_info(f"FastSAM: {layer.name} has its channels first now, and shows its pixels")
            layer.metadata[channels.CHANNEL_AXIS] = axis
        return geometry.shown_plane(layer, dims, axis)

    def pixels(self, layer: Any, plane: Plane) -> Pixels:
        """The pixels of an image, as the form says that they are looked at."""
        contrast = self.panel.layer_options.read().layer_contrast
        options = self.panel.reading.read()
        seen = channels.looked_at(layer, plane, self.viewer.dims, options)
        if seen != options:
            show_info(
                f"FastSAM looks at channel {seen.bands} of {layer.name}, which is shown; bands "
                "under more options chooses others, as 0,0,1"
            )
        return Pixels.of(layer, plane, seen, contrast)

    def _request(self) -> tuple[Workspace, Request]:
        """What the form asks for."""
        panel, layer = self.panel, self.panel.image.value
        if layer is None:
            raise SessionError("open an image first")
        options = panel.segment_options()
        plane = self.plane(layer)
        workspace = self._open(layer, plane)
        image, pixels = workspace.image, self.pixels(layer, plane)
        region = panel.region.read()
        in_view = (
            geometry.visible_window(layer, plane) if region.region == "field of view" else None
        )
        jobs = regions.jobs(region, plane, image.full_shape, image.key, in_view)
        tiling = panel.tiling.read() if region.region == "windows" else None
        return workspace, Request(
            pixels, jobs, image.shape, panel.model_name(), panel.device.value, panel.backend.value,
            options, panel.filters.read(), tiling, panel.limits.read(), panel.precision.value,
        )  # fmt: skip

    def _busy(self, busy: bool) -> None:
        if self._closed:
            return
        self.panel.cancel_button.enabled = busy
        if not busy and self.panel.status.value.endswith(" ..."):
            self.panel.status.value = ""


def _count(instances: SliceInstances | None) -> str:
    """How many instances there are, and how many of them the filters let through."""
    if instances is None or not len(instances.seg):
        return ""
    count, visible = len(instances.seg), len(instances.visible)
    return f"{count} instances" if visible == count else f"{visible} of {count} instances"
