"""Parts that forms of operators have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fiftyone.operators import types

from fastsam_plugins.options import TileOptions, WeightsOptions
from fastsam_plugins.parameters import Options, parameters
from fiftyone_plugin import documents, forms, labels
from fiftyone_plugin import parameters as own

MODELS = ("FastSAM-n", "FastSAM-s", "FastSAM-x")


def target(
    ctx: Any, inputs: types.Object, default: str, ways: tuple[str, ...] = ("skip", "overwrite")
) -> None:
    """The field to write and, if samples have labels in it, what to do with them."""
    inputs.str("field", default=default, required=False, label="Field to write")
    field = ctx.params.get("field", default)
    if not isinstance(field, str) or field not in ctx.dataset.get_field_schema():
        return
    count = documents.count(ctx.dataset.exists(field))
    if count:
        inputs.enum(
            "existing", list(ways), required=True, label="Labels that are there",
            description=f"{count} samples have labels in {field} already",
        )  # fmt: skip
        if ctx.params.get("existing") == "overwrite":
            inputs.view("warning", types.Warning(label=f"Labels in {field} will be replaced"))


def field(
    ctx: Any, inputs: types.Object, name: str, label: str, kinds: tuple[type, ...], help: str,
    required: bool = False, default: str | None = None,
) -> None:  # fmt: skip
    """A choice of those fields of the dataset that are of some kind."""
    usable = labels.fields(ctx.dataset, kinds)
    chosen = {"default": default} if default in usable else {}
    inputs.enum(name, usable, required=required, label=label, description=help, **chosen)


def model(ctx: Any, inputs: types.Object, windows: bool = True) -> None:
    """What looks at the images, and whether in windows."""
    view = types.AutocompleteView()
    for name in MODELS:
        view.add_choice(name, label=name)
    inputs.str(
        "model", default=MODELS[0], required=False, label="Model", view=view,
        description="FastSAM-n (bundled), FastSAM-s, FastSAM-x, or a .pt or .safetensors file",
    )  # fmt: skip
    if not windows:
        return
    forms.add(inputs, own.NetworkOptions, ("model",))
    if ctx.params.get("tiled"):
        forms.add(inputs, TileOptions)


def seldom(ctx: Any, inputs: types.Object) -> None:
    """What few people ever set of what looks at the images."""
    if ctx.params.get("more"):
        forms.add(inputs, own.WriteOptions, ("field", "existing"))
        forms.add(inputs, WeightsOptions, leave_out=("connect_timeout", "read_timeout"))


def options(
    ctx: Any, inputs: types.Object, classes: Sequence[type[Options]], first: Sequence[str],
    leave_out: Sequence[str] = (),
) -> None:  # fmt: skip
    """Fields of options: those that most people set, and all if they are asked for."""
    every = [p.name for c in classes for p in parameters(c)]
    for c in classes:
        forms.add(inputs, c, leave_out=[n for n in every if n not in first])
    inputs.bool("more", default=False, label="More options")
    if ctx.params.get("more"):
        for c in classes:
            forms.add(inputs, c, leave_out=(*first, *leave_out))


def path(inputs: types.Object, options: type[Options]) -> None:
    """A file, which the server reads or writes."""
    (help,) = (p.help for p in parameters(options) if p.name == "path")
    inputs.str("path", required=True, label="File", description=f"{help}. On the server, in full")


def is_file(path: Any) -> bool:
    """Whether a form names a file that is there."""
    try:
        return isinstance(path, str) and Path(path).expanduser().is_file()
    except RuntimeError:  # nobody's home folder
        return False
