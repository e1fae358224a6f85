"""What the dock widget looks like: forms from ``options.py``, buttons, the table. No deeds."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from magicgui.types import FileDialogMode
from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FileEdit,
    Label,
    LineEdit,
    PushButton,
)
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit, QPushButton

from fastsam_plugins.messages import install
from fastsam_plugins.network import backends
from fastsam_plugins.options import (
    ExemplarOptions,
    FilterOptions,
    LimitOptions,
    LinkOptions,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TextOptions,
    TileOptions,
)
from fastsam_plugins.parameters import parameters
from napari_plugin.inference.layer_pixels import LayerOptions
from napari_plugin.inference.regions import RegionOptions
from napari_plugin.inference.text_prompt import Words
from napari_plugin.model.session import POLICIES
from napari_plugin.view.forms import Form
from napari_plugin.view.preferences import Preferences
from napari_plugin.view.table import InstanceTable

MODELS = ("FastSAM-n", "FastSAM-s", "FastSAM-x")
OUTLINES = "Shapes polygons"
LONGEST = 28  # characters of a layer's name
DAILY = ("points_mode", "predict")  # of the parameters of prompts
WIDTH = 300  # pixels: as wide as the widest form needs


class Panel:
    """Forms, buttons and table, one under the other.

    Parameters
    ----------
    start : Preferences
        What the forms begin with.
    images, outputs, roughs : callable
        Give the images, the layers of objects, and those of rough labels, to choose from.
    rows_chosen, rows_dropped : callable
        Called with the indices of instances whose rows were chosen, or dropped, in the table.

    Attributes
    ----------
    scrolled : Container
        The widget that holds all of them.
    """

    def __init__(
        self,
        start: Preferences,
        images: Callable[[Any], list[Any]],
        outputs: Callable[[Any], list[Any]],
        roughs: Callable[[Any], list[Any]],
        rows_chosen: Callable[[list[int]], None],
        rows_dropped: Callable[[list[int]], None],
    ) -> None:
        self.image = ComboBox(label="image", choices=images)
        self.model = ComboBox(label="model", choices=_with(MODELS, start.model), value=start.model)
        self.region = Form(RegionOptions)
        self.basic = Form(SegmentOptions, leave_out=_but(SegmentOptions, "conf"))
        self.weights = FileEdit(
            label="weights file", filter="*.pt *.safetensors", nullable=True,
            tooltip="Own weights, instead of the model named above",
        )  # fmt: skip
        self.device = ComboBox(
            label="device", choices=_with(("auto", "cpu", "cuda", "mps"), start.device),
            value=start.device,
        )  # fmt: skip
        self.backend = ComboBox(label="backend", choices=list(backends.NAMES))
        self.precision = ComboBox(label="precision", choices=list(backends.PRECISIONS))
        self.advanced = Form(SegmentOptions, leave_out=("conf",))
        self.tiling = Form(TileOptions)
        self.layer_options = Form(LayerOptions)
        self.reading = Form(ReadOptions, leave_out=("page", "reduced"))
        # Of files that napari reads itself, nobody asks us.
        self.limits = Form(LimitOptions, leave_out=("max_pixels", "max_seconds"))
        self.hidden = Container(
            widgets=[self.weights, self.device, self.backend, self.precision], labels=True, label=""
        )
        self.segment_button = PushButton(text="Segment")
        self.cancel_button = PushButton(text="Cancel", enabled=False)
        self.box_button = PushButton(
            text="Box", tooltip="Draw a box with the next drag: it picks what fits it best"
        )
        self.status = Label(value="")
        self.status.native.setWordWrap(True)
        self.status.native.setMinimumWidth(WIDTH - 30)
        self.filters = Form(FilterOptions)
        self.table = InstanceTable(rows_chosen, rows_dropped)
        start_prompts = PromptOptions(points_mode="best", predict=start.predict)
        self.mode = Form(PromptOptions, leave_out=_but(PromptOptions, *DAILY), start=start_prompts)
        self.prompting = Form(PromptOptions, leave_out=DAILY)
        self.text = LineEdit(
            label="text", tooltip="What to look for, in words; a semicolon divides several"
        )
        self.negatives = LineEdit(
            label="not", tooltip="Instances that these words fit better are not picked"
        )
        self.find_button = PushButton(text="Find", enabled=find_spec("open_clip") is not None)
        if not self.find_button.enabled:
            self.find_button.tooltip = f"Words need CLIP: {install('text')}"
        self.wording = Form(TextOptions)
        self.like_button = PushButton(
            text="Find all like this",
            tooltip="Pick what is like what is picked, or like an object, to be committed (Y)",
        )
        self.liking = Form(ExemplarOptions)
        self.rough = ComboBox(label="labels", choices=roughs)
        self.every = CheckBox(
            text="every label",
            tooltip="All labels of this slice, not just the one that is selected",
        )
        self.rough_button = PushButton(
            text="Predict from labels", tooltip="Make a better mask of each rough one"
        )
        self.objects = ComboBox(label="commit into", choices=outputs)
        self.policy = ComboBox(label="overlap", choices=[*POLICIES, OUTLINES])
        self.link = CheckBox(text="link slices")
        self.linking = Form(LinkOptions)
        self.buttons = {
            text: PushButton(text=text, tooltip=tip)
            for text, tip in (
                ("Commit", "Make what is picked an object (N)"),
                ("Commit all", "Make all instances objects, in all slices that were segmented"),
                ("Go back", "Pick the object under the cursor, or of the selected label, anew (W)"),
                ("Delete", "Delete the object under the cursor, or of the selected label"),
                ("Merge", "Make the objects under the points one"),
                ("Split", "Split off what is picked; or, with no prompts, detached parts"),
                ("Clear", "Forget the prompts of this slice (Q)"),
                ("Undo", "(U)"),
                ("Redo", "(Shift-U)"),
            )
        }
        self.file = FileEdit(
            label="session", mode=FileDialogMode.OPTIONAL_FILE, filter="*.json", nullable=True
        )
        self.save_button = PushButton(text="Save")
        self.reopen_button = PushButton(text="Reopen")
        b = self.buttons
        more = [
            self.hidden, self.advanced, self.tiling, self.layer_options, self.reading,
            self.prompting, self.wording, self.limits,
        ]  # fmt: skip
        self.folds = {
            "Filters": _column(self.filters),
            "Text": _column(_column(self.text, self.negatives, labels=True), self.find_button),
            "Like this": _column(self.like_button, self.liking),
            "From labels": _column(
                _column(self.rough, labels=True), _row(self.every, self.rough_button)
            ),
            "Objects": _column(
                _row(b["Go back"], b["Delete"], b["Merge"], b["Split"]),
                _column(self.objects, self.policy, labels=True), self.link, self.linking,
            ),
            "Session": _column(
                _column(self.file, labels=True), _row(self.save_button, self.reopen_button)
            ),
            "More options": _column(*more),
        }  # fmt: skip
        folded = [_Fold(title, inside) for title, inside in self.folds.items()]
        self._sections = [
            _column(self.image, self.model, labels=True), self.region, self.basic,
            _row(self.segment_button, self.cancel_button), self.status,
            self.mode, _row(self.box_button, b["Clear"], b["Undo"], b["Redo"]),
            _row(b["Commit"], b["Commit all"]), self.table, *folded,
        ]  # fmt: skip
        self.scrolled = Container(widgets=self._sections, labels=False, scrollable=True)
        scroll = self.scrolled.root_native_widget
        _narrow(scroll)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setMinimumWidth(0)

    def unfold(self, title: str) -> None:
        """Show a part that is folded."""
        next(x for x in self._sections if isinstance(x, _Fold) and x.title == title).open(True)

    # --- what was filled in -----------------------------------------------------------------

    def segment_options(self) -> SegmentOptions:
        """How the network segments. Raises ValueError naming what is out of range."""
        return SegmentOptions(**{**_values(self.advanced), **_values(self.basic)})

    def prompt_options(self) -> PromptOptions:
        """How prompts pick."""
        return PromptOptions(**{**_values(self.prompting), **_values(self.mode)})

    def words(self) -> Words:
        """What to look for. Raises ValueError if the field of texts is empty."""
        return Words.read(self.text.value, self.negatives.value, self.wording.read())

    def model_name(self) -> str:
        """Name or file of the weights."""
        own = chosen_path(self.weights)
        return str(own) if own is not None else str(self.model.value)


class _Fold(Container):
    """A title that shows and hides what is under it."""

    def __init__(self, title: str, inside: Container) -> None:
        self.title, self._inside = title, inside
        self._button = PushButton(text=f"▸ {title}")
        self._button.native.setFlat(True)
        self._button.native.setStyleSheet("text-align: left; font-weight: bold")
        super().__init__(widgets=[self._button, inside], labels=False, label="")
        self.margins = (0, 0, 0, 0)
        inside.visible = False
        self._button.changed.connect(lambda: self.open(not self._inside.visible))

    def open(self, shown: bool) -> None:
        """Show what is under the title, or not."""
        self._inside.visible = shown
        self._button.text = f"{'▾' if shown else '▸'} {self.title}"


def shortened(names: list[str]) -> list[str]:
    """Names that fit into the form: of long ones the middle is left out, unless two were alike."""
    head = LONGEST // 2
    short = [n if len(n) <= LONGEST else f"{n[: head - 1]}…{n[-head:]}" for n in names]
    return [n if short.count(s) > 1 else s for n, s in zip(names, short, strict=True)]


def _narrow(widget: Any) -> None:
    """Let everything in a widget be narrower than its words: long ones are shortened."""
    for box in widget.findChildren(QComboBox):
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(6)
    for kind in (QComboBox, QLineEdit, QAbstractSpinBox, QAbstractSlider, QPushButton):
        for inner in widget.findChildren(kind):
            inner.setMinimumWidth(30)


def _values(form: Form) -> dict[str, Any]:
    values = form.read()
    return {name: getattr(values, name) for name in form.names}


def chosen_path(edit: FileEdit) -> Path | None:
    """The file that is named, if one is."""
    value = edit.value
    return Path(str(value)) if value and str(value) != "." else None


def _with(choices: tuple[str, ...], one: str) -> list[str]:
    return list(dict.fromkeys([*choices, one]))


def _but(options: Any, *names: str) -> list[str]:
    return [p.name for p in parameters(options) if p.name not in names]


def _column(*widgets: Any, labels: bool = False) -> Container:
    made = Container(widgets=widgets, labels=labels, label="")
    made.margins = (0, 0, 0, 0)
    return made


def _row(*widgets: Any) -> Container:
    made = Container(widgets=widgets, layout="horizontal", labels=False, label="")
    made.margins = (0, 0, 0, 0)
    return made
