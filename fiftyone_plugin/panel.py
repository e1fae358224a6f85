"""The panel "FastSAM recall": curves of a run, where a click opens the objects that were missed."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone import ViewField as F
from fiftyone.operators import types
from fiftyone.operators.categories import Categories

from fastsam_plugins.evaluation.proposals import SIZES
from fiftyone_plugin import documents
from fiftyone_plugin.recall import ProposalRecallConfig
from fiftyone_plugin.recall_fields import has_results

KINDS = ("mask", "box")
PLAIN = {"displayModeBar": False}
LAYOUT = {  # FiftyOne leaves no room for a title, and shows no legend, unless told
    "height": 320, "margin": {"t": 40, "b": 40, "l": 40, "r": 10}, "showlegend": True,
    "yaxis": {"range": [0, 1.02]}, "hovermode": "x",
}  # fmt: skip
HELP = """Class-agnostic average recall, from the operator *FastSAM: evaluate proposals*.

A click on a curve opens the objects that as many proposals miss (at IoU .50, masks); a click on a
bar, those of its size that all proposals miss."""


class RecallPanel(foo.Panel):
    """Recall against the number of proposals and against size."""

    @property
    def config(self) -> foo.PanelConfig:
        """How the App lists it."""
        return foo.PanelConfig(
            name="recall_panel", label="FastSAM recall", icon="show_chart", help_markdown=HELP,
            category=Categories.ANALYZE,
        )  # fmt: skip

    def on_load(self, ctx: Any) -> None:
        """Show the latest run."""
        keys = runs(ctx.dataset)
        chosen = ctx.panel.get_state("controls.run")
        self._show(ctx, chosen if chosen in keys else keys[-1] if keys else None)

    def on_change_dataset(self, ctx: Any) -> None:
        """Show the new dataset's latest run."""
        self.on_load(ctx)

    def on_run(self, ctx: Any) -> None:
        """Show the run that was chosen."""
        self._show(ctx, ctx.params["value"])

    def _show(self, ctx: Any, key: str | None) -> None:
        ctx.panel.set_state("controls.run", key)
        if key is None:
            return
        results = ctx.dataset.load_evaluation_results(key)
        ctx.panel.set_data("curves", curves(results.curves))
        ctx.panel.set_data("sizes", bars(results.summary))
        ctx.panel.set_state("summary", text(results.summary, results.intervals))

    def on_curve(self, ctx: Any) -> None:
        """Open what the first proposals, as many as were clicked on, miss."""
        self._open(ctx, missed(ctx.dataset, self._key(ctx), int(ctx.params["x"])))

    def on_size(self, ctx: Any) -> None:
        """Open what all proposals miss, of the size that was clicked on."""
        size = ctx.params["x"]
        self._open(ctx, missed(ctx.dataset, self._key(ctx), size=None if size == "all" else size))

    @staticmethod
    def _key(ctx: Any) -> str:
        return str(ctx.panel.get_state("controls.run"))

    @staticmethod
    def _open(ctx: Any, view: fo.DatasetView) -> None:
        if documents.count(view):
            ctx.ops.set_view(view)
        else:
            ctx.ops.notify("No such object was missed", variant="success")

    def render(self, ctx: Any) -> types.Property:
        """Lay it out."""
        panel = types.Object()
        keys = runs(ctx.dataset)
        if not keys:
            panel.md("No run yet: press ` and choose **FastSAM: evaluate proposals**.")
            return types.Property(panel, view=types.GridView(align_x="center", align_y="center"))
        controls = panel.menu("controls", variant="square", width=100)
        choices = types.DropdownView()
        for key in keys:
            choices.add_choice(key, label=key)
        controls.enum("run", keys, label="Run", view=choices, on_change=self.on_run)
        panel.md(ctx.panel.get_state("summary") or "", name="summary_shown")
        panel.plot(
            "curves", on_click=self.on_curve, config=PLAIN,
            layout=LAYOUT | {
                "title": {"text": "Average recall by number of proposals"},
                "xaxis": {"type": "log", "title": {"text": "proposals per image"}},
            },
        )  # fmt: skip
        panel.plot(
            "sizes", on_click=self.on_size, config=PLAIN,
            layout=LAYOUT | {"title": {"text": "AR@1000 by size"}, "barmode": "group"},
        )  # fmt: skip
        return types.Property(panel, view=types.GridView(orientation="vertical"))


def runs(dataset: fo.Dataset) -> list[str]:
    """Keys of the dataset's runs of recall that came to their end, the latest last."""
    keys = dataset.list_evaluations(type="detection", method=ProposalRecallConfig.METHOD)
    keys = [key for key in keys if has_results(dataset, key)]
    return sorted(keys, key=lambda key: dataset.get_evaluation_info(key).timestamp)


def missed(
    dataset: fo.Dataset, key: str, proposals: int | None = None, size: str | None = None
) -> fo.DatasetView:
    """The ground truths that were missed at IoU .50.

    Parameters
    ----------
    dataset : fo.Dataset
    key : str
        Of the run.
    proposals : int, optional
        By the best so many of each image, rather than by all.
    size : str, optional
        Only those that are small, medium or large.
    """
    late = F(f"{key}_rank") > proposals if proposals is not None else None
    lost = F(key) == "fn"
    chosen = lost if late is None else lost | late
    if size is not None:
        chosen &= F(f"{key}_size") == size
    view = dataset.load_evaluation_view(key)
    return view.filter_labels(dataset.get_evaluation_info(key).config.gt_field, chosen)


def curves(values: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Plotly's lines: AR of 1, 2, ... proposals, for masks and boxes and for sizes of masks."""
    shown = {"mask all": "masks", "box all": "boxes"} | {
        f"mask {size}": f"{size} masks" for size in SIZES if size != "all"
    }
    return [
        {
            "type": "scatter", "mode": "lines", "name": name,
            "x": list(range(1, len(values[key]) + 1)), "y": values[key],
            "line": {"dash": "solid" if key.endswith(" all") else "dot"},
        }
        for key, name in shown.items()
        if values[key][0] >= 0
    ]  # fmt: skip


def bars(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Plotly's bars: AR@1000 of masks and boxes by size."""
    names = {size: "AR@1000" if size == "all" else f"AR@1000/{size}" for size in SIZES}
    return [
        {
            "type": "bar", "name": f"{kind}s" if kind == "mask" else "boxes", "x": list(names),
            "y": [summary[f"{kind} {name}"] for name in names.values()],
        }
        for kind in KINDS
    ]  # fmt: skip


def text(summary: dict[str, Any], intervals: dict[str, list[float]]) -> str:
    """The figures as a Markdown table, with their intervals where there are."""

    def number(name: str) -> str:
        value = summary[name]
        shown = "-" if value is None else f"{value:.3f}"
        if name in intervals:
            shown += " ({:.3f} to {:.3f})".format(*intervals[name])
        return shown

    columns = ("AR@10", "AR@100", "AR@1000", "AUC")
    lines = [
        f"| {summary['ground_truths']} objects in {summary['images']} images | "
        + " | ".join(columns) + " |",
        "| --- " * (len(columns) + 1) + "|",
    ]  # fmt: skip
    lines += [
        f"| {kind} | " + " | ".join(number(f"{kind} {c}") for c in columns) + " |" for kind in KINDS
    ]
    return "\n".join(lines)
