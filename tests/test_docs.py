"""What README, docs and code say of this project's own files, modules and names is so."""

from __future__ import annotations

import ast
import importlib
import re

import pytest

from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PACKAGES = ("fastsam_plugins", "fiftyone_plugin", "napari_plugin", "benchmarks", "tests",
            "support")  # fmt: skip
CODE = sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))
KNOWN = {p.relative_to(ROOT).as_posix() for p in [*CODE, *(ROOT / "docs").glob("*.py")]}
# Entry points, and what a module was called when older checkpoints were written.
OTHERS = ("fastsam_plugins.labels", "fastsam_plugins.images", "fastsam_plugins.commands",
          "fastsam_plugins.demos", "fastsam_plugins.shape")  # fmt: skip


def exists(path):
    return any(known == path or known.endswith(f"/{path}") for known in KNOWN)


NOW = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which tells of names of before


@pytest.mark.parametrize("page", [*NOW, *CODE], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_files_and_modules_that_are_named_are_there(page):
    text = page.read_text()
    paths = re.findall(r"(?<![\w/*.])((?:[a-z_]+/)+[a-z_]+\.py)\b", text)
    assert [p for p in paths if not exists(p)] == []
    own = "|".join(PACKAGES)
    for dotted in re.findall(rf"(?<![\w./-])((?:{own})(?:\.[a-z_]+)+)\b(?!\()", text):
        if dotted in OTHERS or "__" in dotted:
            continue
        parts = dotted.split(".")
        depth = max(
            k for k in range(1, len(parts) + 1)
            if exists("/".join(parts[:k]) + ".py") or exists("/".join(parts[:k]) + "/__init__.py")
        )  # fmt: skip
        home = ROOT.joinpath(*parts[:depth])
        home = home / "__init__.py" if home.is_dir() else home.with_suffix(".py")
        named = parts[depth : depth + 1]
        assert all(re.search(rf"\b{n}\b", home.read_text()) for n in named), dotted


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", page.read_text())
    inside = [link for link in links if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []


BLOCKS = [
    pytest.param(block, id=f"{page.name}-{k}")
    for page in PAGES
    for k, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_examples_import_what_there_is(block):
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
