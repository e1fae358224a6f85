"""``fastsam paper`` writes a page as it goes."""

from __future__ import annotations

from fastsam_plugins.paper import items as module
from tests.command import run


def test_a_page_names_what_is_missing(tmp_path):
    result = run("paper", "--table", "2", "--figure", "6", "--data", tmp_path,
                 "-o", tmp_path / "p.md")  # fmt: skip
    assert result.exit_code == 1, "nothing was measured"
    assert result.stdout == f"0 of 2 items measured: {tmp_path / 'p.md'}\n"
    text = (tmp_path / "p.md").read_text()
    assert "*75.0*" in text
    assert "there is no `bsds500_test/` or `bsds500/`" in text


def test_what_cannot_be_asked_for_is_one_line(tmp_path):
    (tmp_path / "taken_pictures").write_text("mine")
    for words, message in (
        (("--figure", "2", "-o", tmp_path / "p.md"), "there is no figure 2 to measure"),
        (("-o", tmp_path / "p.txt"), "--output is a page of Markdown, .md, not"),
        (("-o", tmp_path / "taken.md"), "taken_pictures is a file"),
        (("--data", tmp_path / "no", "-o", tmp_path / "p.md"), "does not exist"),
    ):
        result = run("paper", *words)
        assert result.exit_code != 0
        assert message in result.stderr
        assert "Traceback" not in result.stderr


def test_a_data_set_that_cannot_be_used_costs_only_itself(paper_data, tmp_path):
    (paper_data / "anomaly" / "masks" / "coins.png").write_bytes(b"no image")
    page = tmp_path / "new" / "p.md"
    result = run("paper", "--figure", "7", "--figure", "8", "--data", paper_data, "-o", page)
    assert result.exit_code == 1
    assert result.stdout == f"1 of 2 items measured: {page}\n"
    assert "1 of 2 items could not be measured, the first figure 7: " in result.stderr
    assert "Traceback" not in result.stderr
    seven, eight = page.read_text().split("## Figure 7")[1].split("## Figure 8")
    assert "**Missing here:** " in seven
    assert "coins.png" in seven
    assert "FastSAM-n, mean IoU" in eight
    assert "`fastsam paper --figure 8 --data DATA -o paper.md`" in eight


def test_a_run_that_is_ended_names_what_it_did_not_reach(paper_data, tmp_path, monkeypatch):
    def ended(_):
        raise KeyboardInterrupt

    items = {item.key: item for item in module.ITEMS}
    monkeypatch.setitem(vars(items["figure 9"]), "run", ended)
    page = tmp_path / "p.md"
    words = (
        "paper",
        "--figure",
        "8",
        "--figure",
        "9",
        "--data",
        paper_data,
        "--limit",
        "1",
        "-o",
        page,
    )
    assert run(*words).exit_code != 0
    text = page.read_text()
    assert "FastSAM-n, mean IoU" in text
    assert "the run was ended before it" in text.split("## Figure 9")[1]
    assert "`fastsam paper --figure 9 --data DATA --limit 1 -o paper.md`" in text
