"""The FiftyOne App as a person uses it: a real server, a real browser, the plugin installed.

Screenshots are kept in the folder that FASTSAM_SCREENSHOTS names.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fiftyone", reason="FiftyOne is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
OURS = "@fastsam-plugins/fastsam/"
PATIENCE = 60_000  # ms: the network is loaded in that time, on a machine that does other things

SERVER = """
import fiftyone.server.main as server  # first, as in the process that the App starts
import fiftyone as fo, sys
from fastsam_plugins.paths import SAMPLES
from fiftyone_plugin.cli import copy
copy()  # the plugin, as `fastsam fiftyone install` does
for name in ("elsewhere", "bare", "app"):
    made = fo.Dataset(name, persistent=True, overwrite=True)  # begun once more in another order
    made.add_samples([fo.Sample(filepath=str(SAMPLES / n)) for n in ("coins.png", "coffee.jpg")])
server.start_server(int(sys.argv[1]), "127.0.0.1")
"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The App's server on a database of its own, with the plugin installed; gives its address."""
    folder = tmp_path_factory.mktemp("app")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        # Threads that wait for one another slow the browser.
        **os.environ, "OMP_NUM_THREADS": "1",
        "FIFTYONE_DATABASE_DIR": str(folder / "database"),
        "FIFTYONE_PLUGINS_DIR": str(folder / "plugins"),
        "FIFTYONE_DEFAULT_DATASET_DIR": str(folder / "files"),
    }  # fmt: skip
    (folder / "database").mkdir()
    address = f"http://127.0.0.1:{port}"
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SERVER), str(port)],
            env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not answers(address):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.3)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # otherwise it waits for pages
        process.wait(30)


def answers(address):
    try:
        with urllib.request.urlopen(f"{address}/fiftyone", timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as program:
        browser = program.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def last():
    """The dataset that was opened last, in a list."""
    return []


@pytest.fixture
def visit(browser, server, last):
    """Open the App on a dataset, in a page that knows nothing of other tests."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})

    def visit(dataset):
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        # The server gives every page the view and the panels of the last one, until another
        # dataset is opened.
        for name in ["elsewhere"] * (last == [dataset]) + [dataset]:
            page.goto(f"{server}/datasets/{name}")
            page.locator("[data-cy=looker], canvas").first.wait_for()
        last[:] = [dataset]
        page.get_by_role("button", name="Dismiss").click()  # FiftyOne's advertisement
        return page

    yield visit
    context.close()


@pytest.fixture(scope="module")
def outcomes(server):
    """Proposals, labels and an evaluation in the dataset "app", made by the server's routes."""
    steps = {
        "segment_everything": {"field": "proposals"},
        "proposals_to_labels": {"proposals": "proposals", "field": "kept", "min_score": 0.5},
        "evaluate_proposals": {"proposals": "proposals", "truth": "kept"},
    }
    return {
        name: post(
            server, "/operators/execute/generator", operator_uri=OURS + name,
            dataset_name="app", params=params,
        )
        for name, params in steps.items()
    }  # fmt: skip


def post(server, route, **content):
    request = urllib.request.Request(
        f"{server}{route}", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE / 1000) as answer:
        return answer.read().decode()


def operate(page, label):
    """Choose an operator from the menu and execute it as its form stands."""
    page.keyboard.press("`")
    page.keyboard.type("FastSAM")
    page.get_by_text(label, exact=True).first.click()
    page.get_by_role("button", name="Execute").first.click()


def outcome(page, line):
    """Wait for the line that says what came of a run, and close the window that says it."""
    window = page.locator("[data-cy=operators-prompt-view-modal]")
    window.filter(has_text=re.compile(line)).wait_for()
    keep(page, line.split()[0])
    page.get_by_text("Executing...").wait_for(state="detached")
    window.get_by_role("button", name="Done").click()
    window.wait_for(state="detached")


def keep(page, name):
    """A screenshot, for whoever wants to look."""
    folder = os.environ.get("FASTSAM_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_segment_everything_from_the_menu(visit):
    page = visit("bare")
    operate(page, "FastSAM: segment everything")
    outcome(page, "2 samples, [0-9]+ instances")
    page.locator("[data-cy*=proposals]").first.wait_for()
    for _ in range(40):
        page.wait_for_timeout(500)  # labels are drawn when the page has time for it
        if hues(page.screenshot(clip={"x": 313, "y": 147, "width": 262, "height": 205})) > 6:
            break
    keep(page, "proposals")
    shown = page.screenshot(clip={"x": 313, "y": 147, "width": 262, "height": 205})
    assert hues(shown) > 6, "each of the coins, which are gray, has a colour of its own"


def hues(png):
    """How many different colours there are in a part of the page, all but grays."""
    hue, saturation, _ = np.moveaxis(np.asarray(Image.open(io.BytesIO(png)).convert("HSV")), 2, 0)
    return (np.bincount(hue[saturation > 100] // 8, minlength=32) > 100).sum()


def test_the_servers_routes_segment_and_evaluate(outcomes, server):
    for name, answer in outcomes.items():
        assert "2 samples" in answer, name
    wrong = post(
        server, "/operators/resolve-type", operator_uri=OURS + "segment_everything",
        target="inputs", dataset_name="app", params={"field": "new", "model": "/no/such.pt"},
    )  # fmt: skip
    assert "No weights at /no/such.pt" in wrong


def test_an_export_says_where_it_wrote_and_a_refusal_can_be_read(visit, outcomes, tmp_path):
    page = visit("app")
    path = tmp_path / "out.json"
    for answer in (
        f"written to {re.escape(str(path))}",
        f"There is a file {path} already: overwrite it",
    ):
        page.keyboard.press("`")
        page.keyboard.type("FastSAM")
        page.get_by_text("FastSAM: export proposals", exact=True).first.click()
        page.get_by_role("combobox").last.click()
        page.get_by_role("option", name="proposals", exact=True).click()
        page.get_by_role("textbox").last.fill(str(path))
        if answer.startswith("written"):
            page.get_by_role("button", name="Execute").first.click()
            outcome(page, answer)
            continue
        page.get_by_text(answer).first.wait_for()
        keep(page, "refused")
        page.keyboard.press("Escape")
    assert len(json.loads(path.read_text())["images"]) == 2


def test_the_panel_shows_recall_and_a_click_opens_what_was_missed(visit, outcomes):
    page = visit("app")
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.get_by_text("FastSAM recall", exact=True).first.click()
    plot = page.locator(".js-plotly-plot").first
    plot.wait_for()
    page.get_by_text("AR@1000 by size").first.wait_for()
    keep(page, "recall")
    area = plot.locator(".nsewdrag").first.bounding_box()
    # Near the left end: what the best proposal of each image misses.
    page.mouse.move(area["x"] + 3, area["y"] + area["height"] / 2)
    page.wait_for_timeout(500)
    page.mouse.click(area["x"] + 3, area["y"] + area["height"] / 2)
    page.get_by_text("FilterLabels").first.wait_for(state="attached")
    keep(page, "missed")


def test_the_run_is_in_the_model_evaluation_panel(visit, outcomes):
    page = visit("app")
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.get_by_text("Model Evaluation", exact=True).first.click()
    card = page.get_by_text("Needs Review").first.locator(
        "xpath=ancestor::*[contains(@class,'Card')][1]"
    )
    figure = page.get_by_text("mask AR@1000", exact=True).first
    for _ in range(30):  # on a busy machine a click can come before the card listens
        if card.is_visible():
            card.click(position={"x": 60, "y": 30})
        try:
            figure.wait_for(timeout=PATIENCE / 30)
            break
        except playwright.TimeoutError:
            continue
    figure.wait_for()
    keep(page, "evaluation")


def test_all_like_a_label_that_was_clicked(visit, outcomes):
    page = visit("app")
    page.locator("[data-cy=looker]").first.click()
    shown = page.locator("[data-cy=modal] canvas, [data-cy=modal-looker-container] canvas").first
    shown.wait_for()
    page.wait_for_timeout(2000)  # the image is drawn when the page has time for it
    area = shown.bounding_box()
    scale = min(area["width"] / 384, area["height"] / 303)
    x = area["x"] + (area["width"] - 384 * scale) / 2 + 100 * scale  # a coin's middle
    y = area["y"] + (area["height"] - 303 * scale) / 2 + 126 * scale
    page.mouse.move(x, y)
    page.wait_for_timeout(800)
    page.mouse.click(x, y)
    page.wait_for_timeout(800)
    page.keyboard.press("`")
    page.keyboard.type("FastSAM")
    page.get_by_text("FastSAM: find all like this", exact=True).first.click()
    page.get_by_text("Only the selected labels are examples").wait_for()
    keep(page, "find_similar")
    page.get_by_role("button", name="Execute").first.click()
    outcome(page, "1 samples, [1-9][0-9] instances")


def test_patches_are_sorted_by_similarity(visit, server, outcomes):
    answer = post(
        server, "/operators/execute/generator", operator_uri=OURS + "index_labels",
        dataset_name="app", params={"labels": "proposals", "proposals": "proposals"},
    )  # fmt: skip
    assert "in the index fastsam_similarity" in answer
    page = visit("app")
    page.locator("[data-cy=action-clips-patches]").first.click()
    page.get_by_text("proposals", exact=True).last.click()
    page.get_by_text(re.compile("[0-9]+ patches")).first.wait_for()
    page.wait_for_timeout(2000)
    area = page.locator("[data-cy=looker]").nth(2).bounding_box()
    page.mouse.move(area["x"] + 12, area["y"] + 12)
    page.wait_for_timeout(300)
    page.mouse.click(area["x"] + 12, area["y"] + 12)
    page.locator("[data-cy=action-sort-by-similarity]").first.click()
    page.get_by_text("Show similar samples").click()
    page.get_by_text(re.compile("fastsam_similarity")).first.wait_for()
    page.get_by_text("Completed", exact=True).first.wait_for()
    page.get_by_text("25 results").first.wait_for()
    keep(page, "sorted")
