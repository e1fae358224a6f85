"""``Actions``: what a person does to one image, with mouse, keys and buttons."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from napari.layers import Labels
from napari.utils.notifications import show_info

from fastsam_plugins.options import ExemplarOptions, LinkOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.inference.worker import Improved, TextMatches
from napari_plugin.model.alike import Likeness, candidates, example_of
from napari_plugin.model.edits import Step
from napari_plugin.model.lines import inside
from napari_plugin.model.painting import Work
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.saving import Saved, restore
from napari_plugin.model.session import Policy, Session, SessionError
from napari_plugin.view.display import Display
from napari_plugin.view.jobs import Job
from napari_plugin.view.shown_image import ShownImage


class Actions:
    """Each is a step of the session, which the layers follow.

    Parameters
    ----------
    image : ShownImage
    session : Session
    view : Display
    job : Job
        Does what takes long, little by little.
    status : callable
        Told in words what there is to wait for.
    """

    def __init__(
        self,
        image: ShownImage,
        session: Session,
        view: Display,
        job: Job,
        status: Callable[[str], None],
    ) -> None:
        self.image, self.session, self.view = image, session, view
        self._job, self._status = job, status
        self._line: list[tuple[float, float]] = []  # that is being drawn
        # The last example, and the prompts before and after what is like it was picked.
        self._alike: tuple[Likeness, Prompts, Prompts | None] | None = None

    # --- prompts ----------------------------------------------------------------------------

    def moved(self, world: Any) -> None:
        """Show the instance under the cursor."""
        self.view.instances.show_hovered(world)

    def clicked(self, world: Any, foreground: bool) -> None:
        """A point prompt."""
        key = self.image.key
        if self.session.instances(key) is None:
            show_info("Segment this slice first")
            return
        x, y = self.image.position(world)
        height, width = self.image.shape
        if not (0 <= x < width and 0 <= y < height):
            return
        self.view.prompts.make()  # a person may have deleted them
        self.session.prompt(key, self.session.prompts(key).with_point((x, y), foreground))
        answer = self.session.answer(key)
        why = None if answer is None else answer.points.get(len(answer.prompts.points) - 1)
        if why is not None:
            show_info(f"FastSAM picks nothing here: {why}")

    @property
    def draws(self) -> bool:
        """Whether a drag is a scribble: where a click predicts."""
        return self.image.is_shown and self.session.predicts(self.image.key)

    def drawing(self, world: Any, foreground: bool) -> None:
        """A scribble came to a place."""
        self._line.append(self.image.position(world))
        self.view.instances.show_line(self._line[-2:], foreground)

    def drawn(self, foreground: bool) -> None:
        """A scribble is at its end: a prompt, of what lies in the image."""
        line, self._line, key = self._line, [], self.image.key
        parts = inside(line, self.image.shape)
        if parts and self.session.instances(key) is not None:
            self.view.prompts.make()
            self.session.prompt(
                key, self.session.prompts(key).with_scribbles(parts, foreground), "scribble"
            )
        else:
            self.view.instances.show_answer(key)

    def ask_with_masks(self, improved: Improved) -> None:
        """Pick better masks for rough ones, unless the instances are others by now."""
        instances = self.session.instances(improved.key)
        if instances is not None and instances.seg is improved.instances.seg:
            prompts = Prompts(masks=tuple(improved.masks), target=improved.target)
            self.session.prompt(improved.key, prompts, "labels")

    def pick_matches(self, matches: TextMatches) -> None:
        """Pick what fits a text, unless the instances are others by now."""
        if self.session.instances(matches.key) is matches.instances:
            self.session.prompt(matches.key, Prompts(chosen=tuple(matches.rows)), "text")

    def example(self) -> Segmentation:
        """What others are to be like: what is picked, else the object under the cursor, else the
        last one that was made."""
        key, objects = self.image.key, self.session.objects
        label = 0
        if objects.canvas is not None and not self.session.prompts(key):
            label = self.at_cursor()
            there = objects.canvas.count(key, [label, *objects.known] if label else objects.known)
            if label not in there:
                label = max((n for n in there if n in objects.known), default=0)
        return example_of(self.session, key, label)

    def pick_alike(self, found: Likeness, options: ExemplarOptions) -> int | None:
        """Pick instances like an example beside it, as candidates to be committed; their number.

        None if the instances are others by now.
        """
        key, instances = found.key, self.session.instances(found.key)
        if instances is None or instances.seg is not found.instances.seg:
            return None
        rows = tuple(candidates(self.session, found, options))
        before = self.session.prompts(key)
        if before.target is not None:  # its object is there; what is found must not replace it
            before = Prompts()
        self._alike = found, self.session.prompts(key), None
        if rows:
            after = dataclasses.replace(before, chosen=rows)
            self.session.prompt(key, after, "like")
            self._alike = found, before, self.session.prompts(key)
        return len(rows)

    def pick_alike_again(self, options: ExemplarOptions) -> int | None:
        """The same by another threshold, while nothing else was done; None otherwise."""
        if self._alike is None:
            return None
        found, before, after = self._alike
        now = self.session.prompts(found.key)
        if now is not (before if after is None else after) or self._job.busy:
            return None
        if after is not None:  # one step, however often the threshold is moved
            self.session.history.undo()
        return self.pick_alike(found, options)

    def pick_rows(self, indices: Sequence[int]) -> None:
        """Pick instances, and move the last one into the middle of the canvas."""
        key = self.image.key
        instances = self.session.instances(key)
        if instances is None or not indices or max(indices) >= len(instances.seg):
            return
        rows = instances.seg.rows[list(indices)].tolist()
        self.session.prompt(key, Prompts(chosen=tuple(rows)), "row")
        x0, y0, x1, y1 = instances.seg.boxes[indices[-1]].tolist()
        left, top = instances.window[:2]
        self.image.center_on(key, ((x0 + x1) / 2 + left, (y0 + y1) / 2 + top))

    def drop_rows(self, indices: Sequence[int]) -> None:
        """Take instances out of those of this slice."""
        instances = self.session.instances(self.image.key)
        if instances is not None:
            self.session.drop(self.image.key, instances.seg.rows[list(indices)].tolist())

    def draw_box(self) -> None:
        """Let the next drag draw a box."""
        if self.session.instances(self.image.key) is None:
            raise SessionError("segment this slice first")
        self.view.prompts.draw_box()

    def clear(self) -> None:
        """Forget the prompts of this slice."""
        self.session.prompt(self.image.key, Prompts(), "clear")

    def cycle(self, by: int) -> None:
        """A larger (1) or smaller (-1) candidate."""
        self.session.cycle(self.image.key, by)

    # --- objects ----------------------------------------------------------------------------

    def commit(self, policy: Policy) -> None:
        """Make what prompts pick objects."""
        self._check_idle()
        self.session.picked(self.image.key)  # or no layer is made
        self.view.objects.make()
        self.session.commit(self.image.key, policy)

    def commit_all(self, policy: Policy, linking: LinkOptions | None) -> None:
        """Make all instances objects; of many, the last when the window has answered between."""
        self._check_idle()
        self.view.objects.make()
        self._start(
            self.session.committing_all(sorted(self.session.segmented), policy, linking),
        )

    def commit_outlines(self) -> None:
        """Make what prompts pick polygons."""
        self._check_idle()
        self.session.commit_outlines(self.image.key)

    def commit_all_outlines(self) -> None:
        """Make all instances of this slice polygons."""
        self._check_idle()
        self.session.commit_all_outlines(self.image.key)

    def at_cursor(self) -> int:
        """The object under the cursor, or the label selected in the layer of objects."""
        xy = self.image.position(self.image.viewer.cursor.position)
        label = self.session.objects.at(self.image.key, xy)
        if not label and self.view.objects.labels is not None:
            label = int(self.view.objects.labels.selected_label)
        return label

    def recall(self) -> None:
        """Go back to the object under the cursor."""
        self._check_idle()
        self.session.recall(self.image.key, self.at_cursor())

    def delete(self) -> None:
        """Delete the object under the cursor."""
        self._check_idle()
        label = self.at_cursor()
        if not label:
            raise SessionError("there is no object under the cursor")
        self.session.delete([label], self.image.key)

    def merge(self) -> None:
        """Merge the objects under the foreground points."""
        self._check_idle()
        key = self.image.key
        prompts = self.session.prompts(key)
        ids = {
            self.session.objects.at(key, xy)
            for xy, label in zip(prompts.points, prompts.labels, strict=True)
            if label
        }
        self.session.merge(ids, key)

    def split(self) -> None:
        """Split off what prompts pick; without prompts, the parts of the object."""
        self._check_idle()
        key = self.image.key
        if self.session.prompts(key):
            self.session.split_off(key)
        else:
            self.session.split(self.at_cursor(), key)

    def attach(self, layer: Labels | None) -> None:
        """Commit into a layer from now on; into a new one if None, made when it is needed.

        Raises
        ------
        SessionError
            If the layer does not fit the image.
        """
        if layer is not self.view.objects.labels:
            self._job.finish()
            self.view.objects.attach(layer)

    def reopen(self, saved: Saved) -> None:
        """Go on with a session from a file, in a new layer.

        Raises
        ------
        SessionError
            If it is of another image.
        """
        record = self.image.record
        if (saved.image.shape, saved.image.plane) != (record.shape, record.plane):
            raise SessionError(
                f"the session is of {saved.image.name}, of shape {saved.image.shape}; "
                f"{record.name} has {record.shape}"
            )
        self._job.finish()
        layer = self.view.objects.new_layer(saved)
        self.view.objects.begin_anew()
        self.view.objects.make(layer)
        restore(self.session, saved)
        self.view.prompts.show()
        self.view.objects.show_features()

    # --- history ----------------------------------------------------------------------------

    def undo(self) -> None:
        """Take the last step back, and go where it was."""
        self._check_idle()
        self._start(self.session.history.undoing(), lambda step: self._show_step(step, "undo"))

    def redo(self) -> None:
        """Make the step again that was taken back, and go where it was."""
        self._check_idle()
        self._start(self.session.history.redoing(), lambda step: self._show_step(step, "redo"))

    def _show_step(self, step: Step | None, word: str) -> None:
        if step is None:
            show_info(f"Nothing to {word}")
        else:
            self.image.show_slice(step.key)

    @property
    def working(self) -> bool:
        """Whether a step is still being made."""
        return self._job.busy

    def _check_idle(self) -> None:
        """Refuse to begin another step before the last one is made."""
        if self._job.busy:
            raise SessionError("still at work on the last step: try again in a moment")

    def _start(self, work: Work[Any], then: Callable[[Any], None] = lambda result: None) -> None:
        def done(result: Any) -> None:
            self._status("")
            then(result)

        self._job.start(work, done)
        if self._job.busy:
            self._status("Working on it ...")
