"""``fastsam fiftyone``: put the plugin where FiftyOne looks for plugins, and look whether it works.

Two small files are copied there; they import what is installed.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from fastsam_plugins import messages
from fastsam_plugins.cli.common import Group, as_json, flags, log, pick, print_result
from fastsam_plugins.cli.doctor import Finding
from fastsam_plugins.cli.doctor import as_json as findings_json
from fiftyone_plugin.parameters import LoadOptions, TidyOptions

NAME = "@fastsam-plugins/fastsam"
FILES = ("fiftyone.yml", "__init__.py")
INSTALL = "fastsam fiftyone install"


def folder() -> Path:
    """Where FiftyOne is to find the plugin.

    Raises
    ------
    ValueError
        If FiftyOne is not installed.
    """
    try:
        import fiftyone as fo
    except ImportError as error:
        raise ValueError(f"this needs FiftyOne ({error}): {messages.install('fiftyone')}") from None
    return Path(fo.config.plugins_dir) / "fastsam-plugins" / "fastsam"


@click.group(cls=Group, name="fiftyone")
def fiftyone() -> None:
    """Install the FiftyOne plugin, remove it, or look whether it works."""


def copy() -> Path:
    """Put the plugin where FiftyOne finds it, enabled.

    Raises
    ------
    ValueError
        If FiftyOne is not installed.
    """
    place = folder()
    import fiftyone.plugins as fop

    place.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(Path(__file__).parent / name, place / name)
    fop.enable_plugin(NAME)
    return place


@fiftyone.command()
def install() -> None:
    """Put the plugin into FiftyOne's plugins folder."""
    place = copy()
    print_result(f"Installed in {place}: open the App and press ` to find the FastSAM operators")


@fiftyone.command()
def uninstall() -> None:
    """Take the plugin out of FiftyOne's plugins folder; datasets and masks stay."""
    place = folder()
    if not place.is_dir():
        raise ValueError(f"the plugin is not installed in {place}")
    shutil.rmtree(place)
    if not any(place.parent.iterdir()):
        place.parent.rmdir()
    print_result(f"Removed from {place}")


@fiftyone.command()
@flags(TidyOptions)
@click.option("--delete", is_flag=True, help="Delete them, instead of listing them.")
@as_json
def tidy(delete: bool, as_json: bool, **values: Any) -> None:
    """Find files of masks that nothing in the database refers to any more.

    They are left by runs that were killed, and by samples, fields and datasets that were deleted.
    """
    options = pick(TidyOptions, values)
    folder()  # says so if there is no FiftyOne
    from fiftyone_plugin import tidy

    orphans = tidy.find(options)
    if delete:
        orphans.delete()
    if as_json:
        paths = {"files": orphans.files, "strange": orphans.strange}
        listed = {name: [str(p) for p in own] for name, own in paths.items()}
        print_result(json.dumps({**listed, "bytes": orphans.size, "deleted": delete}))
        return
    for place, count in Counter(f.parents[1] for f in orphans.files).items():
        print_result(f"{count} in {place}")
    done = "deleted" if delete else "nothing refers to them; --delete deletes them"
    print_result(f"{len(orphans.files)} files, {orphans.size / 1e6:.1f} MB: {done}")
    if orphans.strange:
        log(
            f"{len(orphans.strange)} folders were left alone, which may be another database's: "
            f"{orphans.strange[0]}, ... (--unknown looks at them too)"
        )


@fiftyone.command()
@click.argument("results")
@click.argument("dataset")
@click.argument("field")
@click.option("--create", is_flag=True,
              help="Make the dataset, of the images in the results, if there is none.")  # fmt: skip
@flags(LoadOptions)
@as_json
def load(
    results: str, dataset: str, field: str, create: bool, as_json: bool, **values: Any
) -> None:
    """Put RESULTS of `fastsam batch` into FIELD of DATASET; samples are found by their files.

    Done again, it does nothing: samples that have labels are left as they are.
    """
    options = pick(LoadOptions, values)
    folder()  # says so if there is no FiftyOne
    from fiftyone_plugin import batch_load

    report = batch_load.load_into(results, dataset, field, options, create, log)
    if as_json:
        print_result(json.dumps({"samples": report.done - len(report.failed),
                                 "skipped": report.skipped, "instances": report.instances,
                                 "failed": report.failed}))  # fmt: skip
        return
    had = f", {report.skipped} had labels already" if report.skipped else ""
    bad = f", {len(report.failed)} have none ({field}_error says why)" if report.failed else ""
    done = report.done - len(report.failed)
    print_result(f"{done} samples, {report.instances} instances in {field}{had}{bad}")


@fiftyone.command()
@as_json
def doctor(as_json: bool) -> None:
    """Tell whether FiftyOne finds the plugin and its database. Exits with 1 if not."""
    folder()  # says so if there is no FiftyOne
    version = importlib.metadata.version("fiftyone")
    findings = [Finding("fiftyone", True, version), _database(), *_plugin()]
    if as_json:
        print_result(json.dumps(findings_json(findings)))
    else:
        for f in findings:
            mend = f"  ->  {f.mend}" if f.mend else ""
            print_result(f"{'ok     ' if f.ok else 'MISSING'} {f.name:<12} {f.detail}{mend}")
    sys.exit(not all(f.ok for f in findings))


def _database() -> Finding:
    import fiftyone as fo

    try:
        count = len(fo.list_datasets())
        place, own = _place()
    except Exception as error:  # whatever a database can fail with
        text = str(error).strip().split("\n")[0]
        return Finding("database", False, text, messages.install("mongod"))
    said = f"{count} datasets in {fo.config.database_name} of {place}"
    if own:
        return Finding("database", True, said)
    return Finding(
        "database", False,
        f"{said}: the database of another process, which FiftyOne joined; the settings name "
        f"{fo.config.database_dir}",
        "end the other FiftyOne, or set FIFTYONE_DATABASE_URI to the database that is meant",
    )  # fmt: skip


def _place() -> tuple[str, bool]:
    """Where the database is that FiftyOne is connected with, and whether that was asked for."""
    import fiftyone as fo
    import fiftyone.core.odm as foo

    client = foo.get_db_conn().client
    address = ":".join(map(str, client.address or ("unknown",)))
    if fo.config.database_uri:  # it may hold a password
        return address, True
    options = client.admin.command("getCmdLineOpts")["parsed"]
    folder = options.get("storage", {}).get("dbPath", "")
    own = Path(folder).resolve() == Path(fo.config.database_dir).resolve()
    return f"{folder} ({address})", own


def _plugin() -> list[Finding]:
    import fiftyone as fo
    import fiftyone.plugins as fop
    import fiftyone.plugins.context as fopc

    there = [p for p in fop.list_plugins(enabled="all") if p.name == NAME]
    if not there:
        return [Finding("plugin", False, f"not in {fo.config.plugins_dir}", INSTALL)]
    where = Path(there[0].directory)
    if any((where / n).read_text() != (Path(__file__).parent / n).read_text() for n in FILES):
        return [Finding("plugin", False, f"{where} is of another version", INSTALL)]
    if NAME in fop.list_disabled_plugins():
        return [Finding("plugin", False, "disabled", f"fiftyone plugins enable {NAME}")]
    context = fopc.PluginContext(there[0])
    context.register_all()
    if context.errors:
        last = context.errors[0].strip().split("\n")[-1]
        return [Finding("plugin", False, last, messages.install("fiftyone"))]
    names = ", ".join(sorted(i.name for i in context.instances))
    return [Finding("plugin", True, str(where)), Finding("operators", True, names)]
