"""Code points in check messages and in every report of a diff."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcprun.checks.evaluate import check_text
from mcprun.checks.expect import ExpectedText
from mcprun.tools.format import ValueFormatter
from tests.support.cli import run_mcprun, write_jsonl
from tests.support.transcripts import call as line_call
from tests.support.transcripts import transcript


def of_text(**expected: Any) -> Callable[[str], str]:
    """Return a function that checks a text, and gives the message."""
    return lambda text: str(next(check_text(ExpectedText.model_validate(expected), text, ValueFormatter())).message)


@pytest.mark.parametrize(
    ("check", "got", "message"),
    [
        (of_text(equals="caf\u00e9"), "cafe\u0301", "expected text 'caf<U+00E9>', got 'cafe<U+0301>'"),
        (of_text(equals="ok"), "ok ", "expected text 'ok', got 'ok<U+0020>'"),
        (of_text(equals="a\nb"), "a\r\nb", "expected text 'a\\nb', got 'a<U+000D>\\nb'"),
        (of_text(contains="caf\u00e9"), "a cafe\u0301", "expected text with 'caf<U+00E9>', got 'a cafe<U+0301>'"),
        (of_text(contains="a b"), "x a\u00a0b", "expected text with 'a b', got 'x a<U+00A0>b'"),
        (of_text(contains="b "), "a b", "expected text with 'b<U+0020>', got 'a b'"),
        (of_text(contains="zero"), "ze\u200bro", "expected text with 'zero', got 'ze<U+200B>ro'"),
        (of_text(contains="one"), "two", "expected text with 'one', got 'two'"),
        (of_text(regex="^\u00e9"), "e\u0301", "expected text matching '^\u00e9', got 'e\u0301'"),
        (of_text(regex="\u00e9"), "e\u0301", "expected text matching '<U+00E9>', got 'e<U+0301>'"),
    ],
)
def test_messages_of_text_checks(check: Callable[[str], str], got: str, message: str) -> None:
    """Expected and actual never read the same."""
    assert check(got) == message


def marked(side: list[tuple[str, bool]]) -> list[str]:
    """Return the lines that are marked."""
    return [line for line, is_marked in side if is_marked]


def test_all_reports_of_a_diff_show_code_points(tmp_path: Path) -> None:
    """In the terminal, as Markdown and as HTML."""
    for name, text in (("base", "caf\u00e9"), ("head", "cafe\u0301")):
        made = line_call("get", structured={"s": text, "t": f"a{' ' * (name == 'head')}"})
        write_jsonl(tmp_path / name, {**transcript(calls=[made]), "messages": [], "checks": []})
    done = run_mcprun("diff", "base", "head", "--html", "d.html", cwd=tmp_path)
    marked = run_mcprun("diff", "base", "head", "--markdown", cwd=tmp_path).stdout
    page = (tmp_path / "d.html").read_text(encoding="utf-8")
    page = page.replace("\\u003c", "<").replace("\\u003e", ">").replace("&lt;", "<").replace("&gt;", ">")
    for text in (done.stdout, marked, page):
        for shown in ("caf<U+00E9>", "cafe<U+0301>", "a<U+0020>"):
            assert shown in text
