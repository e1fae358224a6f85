"""Every public method of ``FastSAM`` and ``Segmentation`` has an example, and it is true."""

from __future__ import annotations

import doctest
from types import FunctionType

import pytest

from fastsam_plugins import model as model_room
from fastsam_plugins import segmentation as segmentation_room
from fastsam_plugins.instance_arrays import InstanceArrays
from tests.conftest import ROOT

CLASSES = (model_room.FastSAM, segmentation_room.Segmentation, InstanceArrays)
FINDER = doctest.DocTestFinder(exclude_empty=False, recurse=True)
RUNNER = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)


def public(one: type) -> list[str]:
    """Its methods and properties."""
    kinds = (property, classmethod, FunctionType)
    found = [n for n, v in vars(one).items() if isinstance(v, kinds) and not n.startswith("_")]
    return [f"{one.__name__}.{name}" for name in found]


EXAMPLES = {t.name: t for one in CLASSES for t in FINDER.find(one, one.__name__, globs={})}


@pytest.fixture(scope="module")
def names():
    """What the examples of the classes themselves define, for those of their methods."""
    known = {**vars(model_room), **vars(segmentation_room)}
    for one in CLASSES[:2]:  # the third's are those of Segmentation
        tell(EXAMPLES[one.__name__], known)
    return known


def tell(example: doctest.DocTest, known: dict) -> None:
    """Run an example; it keeps its names in ``known``."""
    assert example.examples, f"{example.name} has no example: a line or two, as the others have"
    said: list[str] = []
    example.globs = known
    RUNNER.run(example, out=said.append, clear_globs=False)
    assert not said, "".join(said)


@pytest.mark.parametrize("name", [n for one in CLASSES for n in public(one)])
def test_the_example_is_true(name, names, monkeypatch):
    example = EXAMPLES[name]
    if "tiny_clip" in (example.docstring or ""):
        pytest.importorskip("open_clip", reason="open_clip is not installed")
        monkeypatch.chdir(ROOT)
    tell(example, dict(names))
