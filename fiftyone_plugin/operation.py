"""What FiftyOne's operators share: target, checked form, progress, report, the call from Python."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from fastsam_plugins.network.checkpoints import WeightsError
from fastsam_plugins.parameters import Options, check_names
from fiftyone_plugin import coco_transfer, colours, form_values, run_report
from fiftyone_plugin import parameters as own
from fiftyone_plugin.fiftyone_private import dataset_of
from fiftyone_plugin.run_owner import StopSign
from fiftyone_plugin.save_job import Report

NOTICES = ("problem", "warning", "only", "more")
"""What forms hold beside parameters: the App may send it."""


class Operation(foo.Operator):
    """An operator: its name, its form, and the room that does its work."""

    name_: str
    label_: str
    help_: str
    options_: tuple[type[Options], ...]  # all its parameters are fields of these
    by_labels_ = False  # whether selected labels are what it works on
    writes_ = ""  # the field of labels that is written unless another is named
    risk_ = types.RiskLevel.MEDIUM  # writes fields of its own

    @property
    def config(self) -> foo.OperatorConfig:
        """How the App lists it."""
        return foo.OperatorConfig(
            name=self.name_,
            label=self.label_,
            description=self.help_,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=self.risk_,
            disable_schema_validation=True,  # the check of the options says what is wrong
        )

    @abstractmethod
    def form(self, ctx: Any, inputs: types.Object) -> None:
        """Add the fields of the form."""

    @abstractmethod
    def start(self, params: dict[str, Any], view: Any, selected: list[str]) -> Iterator[Report]:
        """Check everything, and give the work, which is done as it is iterated.

        Parameters
        ----------
        params : dict
            What the form or the program gave.
        view : dataset or view
        selected : list of str
            Ids of selected labels.

        Raises
        ------
        ValueError
            One line that says what is wrong.
        """

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form, with what is wrong with it."""
        inputs = types.Object()
        view = self._target(ctx)
        self.form(ctx, inputs)
        if _is_streamed(ctx):  # no form any more: what is wrong is told in the stream
            return types.Property(inputs, view=types.View(label=self.label_))
        try:
            self._checked(ctx, view)
        except (ValueError, OSError, WeightsError) as error:
            text = run_report.sentence(error)
            problem = inputs.view("problem", types.Error(label=text))
            problem.invalid, problem.error_message = True, text
            # First: below a long form nobody sees why it cannot be executed.
            inputs.properties = {"problem": problem} | inputs.properties
        return types.Property(inputs, view=types.View(label=self.label_))

    def execute(self, ctx: Any) -> Iterator[Any]:
        """Do the work, telling how far it is.

        An error ends a delegated run, which FiftyOne marks as failed. Where a browser or a program
        reads a stream, it is the last thing told.
        """
        try:
            yield from self._execute(ctx)
        except Exception as error:
            if ctx.delegated:
                ctx.set_progress(label=f"Failed: {run_report.sentence(error)}")
            if not _is_streamed(ctx):
                raise
            yield from run_report.failed(ctx, error)

    def _execute(self, ctx: Any) -> Iterator[Any]:
        clock, sign, last = run_report.Clock(), StopSign(ctx.dataset), 0.0
        can_stop = not ctx.delegated and foo.operator_exists(run_report.STOP)

        def work() -> Iterator[Report]:
            yield from self._checked(ctx, self._target(ctx))

        def tell(share: float, line: str) -> Iterator[Any]:
            if ctx.delegated:
                ctx.set_progress(progress=share, label=line)
            else:
                yield run_report.progress(ctx, share, line, can_stop)

        report = None
        yield from tell(*run_report.how_far(report, clock))
        for report in run_report.watched(work()):
            if report is not None and sign.is_up():
                report.stop = True
            if time.monotonic() - last >= run_report.EVERY / 2:
                last = time.monotonic()
                yield from tell(*run_report.how_far(report, clock))
        assert report is not None
        if ctx.delegated:
            ctx.set_progress(progress=1.0, label=run_report.told(report))
            return
        is_chosen = colours.is_chosen(ctx.dataset)
        is_new = self._colour(ctx.dataset, ctx.params)
        yield from run_report.outcome(ctx, report)
        yield ctx.ops.reload_dataset()
        if is_new and not is_chosen:
            yield ctx.trigger("set_color_scheme", colours.in_app(ctx.dataset))

    def _colour(self, dataset: fo.Dataset, params: dict[str, Any]) -> bool:
        """Have the App show what was written so that objects can be told apart."""
        name = params.get("field") or self.writes_
        return bool(name) and colours.by_instance(dataset, name)

    def _target(self, ctx: Any) -> Any:
        """The samples to work on."""
        view = ctx.target_view()
        if self.by_labels_ and ctx.request_params.get("view_target") == "SELECTED_LABELS":
            return ctx.view  # which labels are selected, the work itself knows
        return view

    def _checked(self, ctx: Any, view: Any) -> Iterator[Report]:
        """The work that a form, or a program that speaks to the server, asks for."""
        self._check(n for n in ctx.params if n not in NOTICES)
        if "path" in own.names(*self.options_):
            form_values.check_path(ctx.params.get("path"))
        return self.start(ctx.params, view, selected_labels(ctx))

    def _check(self, sent: Iterable[str]) -> None:
        check_names(sent, own.names(*self.options_))

    def __call__(self, view: Any, delegate: bool = False, **params: Any) -> Report | Any:
        """Run it from Python.

        Parameters
        ----------
        view : dataset or view
        delegate : bool
            Schedule it for ``fiftyone delegated launch`` instead.
        **params
            Names and values as in the form; ``only``, ids of labels, stands for those selected. A
            ``path`` may be relative to the working folder.

        Returns
        -------
        Report
            Or, if delegated, what FiftyOne says of the scheduled operation.

        Raises
        ------
        ValueError
            If something is wrong with the parameters.
        """
        only = params.pop("only", None)
        if only is not None and not isinstance(only, list | tuple | set | frozenset):
            raise ValueError(f"only must be a list of ids of labels, got {only!r}")
        if only and not self.by_labels_:
            raise ValueError(f"{self.name_} has no parameter only: give a view of the labels")
        only = list(only or [])
        self._check(params)
        if not isinstance(delegate, bool):
            raise ValueError(f"delegate must be true or false, got {delegate!r}")
        if isinstance(params.get("path"), str) and params["path"]:
            params["path"] = str(coco_transfer.absolute(params["path"]))
        if delegate:
            context = {"dataset": view} if isinstance(view, fo.Dataset) else {"view": view}
            return foo.execute_operator(
                self.uri, {**context, "selected_labels": [{"label_id": i} for i in only]},
                params=params, request_delegation=True,
            )  # fmt: skip
        *_, report = self.start(params, view, only)
        self._colour(dataset_of(view), params)
        return report


def selected_labels(ctx: Any) -> list[str]:
    """Ids of the labels that are selected in the App."""
    return [label["label_id"] for label in ctx.selected_labels or []]


def _is_streamed(ctx: Any) -> bool:
    """Whether a browser or a program reads what is told line by line; FiftyOne's server says so."""
    request = ctx.request_params
    asked = "operator_uri" in request and "target" not in request
    return asked and not (ctx.delegated or ctx.requesting_delegated_execution or ctx.pipeline)
