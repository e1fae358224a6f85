"""``fastsam fiftyone``: put the plugin where FiftyOne looks for plugins, and look whether it works.

Two small files are copied there; they import what is installed.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

import click

from fastsam_plugins.console import Command, as_json, tell
from fastsam_plugins.doctor import Finding
from fastsam_plugins.doctor import as_json as findings_json

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
        raise ValueError(
            f"this needs FiftyOne ({error}): pip install 'fastsam-plugins[fiftyone]'"
        ) from None
    return Path(fo.config.plugins_dir) / "fastsam-plugins" / "fastsam"


@click.group(name="fiftyone")
def fiftyone() -> None:
    """Install the FiftyOne plugin, remove it, or look whether it works."""


fiftyone.command_class = Command


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
    tell(f"Installed in {place}: open the App and press ` to find the FastSAM operators")


@fiftyone.command()
def uninstall() -> None:
    """Take the plugin out of FiftyOne's plugins folder; datasets and masks stay."""
    place = folder()
    if not place.is_dir():
        raise ValueError(f"the plugin is not installed in {place}")
    shutil.rmtree(place)
    if not any(place.parent.iterdir()):
        place.parent.rmdir()
    tell(f"Removed from {place}")


@fiftyone.command()
@as_json
def doctor(as_json: bool) -> None:
    """Tell whether FiftyOne finds the plugin and its database. Exits with 1 if not."""
    folder()  # says so if there is no FiftyOne
    version = importlib.metadata.version("fiftyone")
    findings = [Finding("fiftyone", True, version), _database(), *_plugin()]
    if as_json:
        tell(json.dumps(findings_json(findings)))
    else:
        for f in findings:
            mend = f"  ->  {f.mend}" if f.mend else ""
            tell(f"{'ok     ' if f.ok else 'MISSING'} {f.name:<12} {f.detail}{mend}")
    sys.exit(not all(f.ok for f in findings))


def _database() -> Finding:
    import fiftyone as fo

    try:
        count = len(fo.list_datasets())
    except Exception as error:  # whatever a database can fail with
        text = str(error).strip().split("\n")[0]
        return Finding("database", False, text, "pip install 'fastsam-plugins[mongod]'")
    return Finding("database", True, f"{count} datasets in {fo.config.database_dir}")


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
        return [Finding("plugin", False, last, "pip install 'fastsam-plugins[fiftyone]'")]
    names = ", ".join(sorted(i.name for i in context.instances))
    return [Finding("plugin", True, str(where)), Finding("operators", True, names)]
