"""``fastsam paper`` writes a page as it goes."""

from __future__ import annotations

from tests.command import run


def test_a_page_names_what_is_missing(tmp_path):
    result = run("paper", "--table", "2", "--figure", "6", "--data", tmp_path,
                 "-o", tmp_path / "p.md")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == f"0 of 2 items measured: {tmp_path / 'p.md'}\n"
    text = (tmp_path / "p.md").read_text()
    assert "*75.0*" in text
    assert "there is no `bsds500_test/` or `bsds500/`" in text


def test_what_cannot_be_asked_for_is_one_line(tmp_path):
    for words, message in (
        (("--figure", "2", "-o", tmp_path / "p.md"), "there is no figure 2 to measure"),
        (("-o", tmp_path / "p.txt"), "--output is a page of Markdown, .md, not p.txt"),
        (("--data", tmp_path / "no", "-o", tmp_path / "p.md"), "does not exist"),
    ):
        result = run("paper", *words)
        assert result.exit_code != 0
        assert message in result.stderr
        assert "Traceback" not in result.stderr
