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


def text_check(**expected: Any) -> Callable[[str], str]:
    """Return a function that checks a text and returns the check's message."""
    return lambda text: str(next(check_text(ExpectedText.model_validate(expected), text, ValueFormatter())).message)


@pytest.mark.parametrize(
    ("check", "got", "message"),
    [
        (text_check(equals="caf\u00e9"), "cafe\u0301", "expected text 'caf<U+00E9>', got 'cafe<U+0301>'"),
        (text_check(equals="ok"), "ok ", "expected text 'ok', got 'ok<U+0020>'"),
        (text_check(equals="a\nb"), "a\r\nb", "expected text 'a\\nb', got 'a<U+000D>\\nb'"),
        (text_check(contains="caf\u00e9"), "a cafe\u0301", "expected text with 'caf<U+00E9>', got 'a cafe<U+0301>'"),
        (text_check(contains="a b"), "x a\u00a0b", "expected text with 'a b', got 'x a<U+00A0>b'"),
        (text_check(contains="b "), "a b", "expected text with 'b<U+0020>', got 'a b'"),
        (text_check(contains="zero"), "ze\u200bro", "expected text with 'zero', got 'ze<U+200B>ro'"),
        (text_check(contains="one"), "two", "expected text with 'one', got 'two'"),
        (text_check(regex="^\u00e9"), "e\u0301", "expected text matching '^\u00e9', got 'e\u0301'"),
        (text_check(regex="\u00e9"), "e\u0301", "expected text matching '<U+00E9>', got 'e<U+0301>'"),
    ],
)
def test_messages_distinguish_expected_from_actual(check: Callable[[str], str], got: str, message: str) -> None:
    """Expected and actual texts that look alike are shown with code points."""
    assert check(got) == message


def test_every_diff_format_shows_code_points(tmp_path: Path) -> None:
    """`mcprun diff` shows code points in the terminal, in Markdown and in HTML."""
    for name, text in (("base", "caf\u00e9"), ("head", "cafe\u0301")):
        changed_call = line_call("get", structured={"s": text, "t": f"a{' ' * (name == 'head')}"})
        write_jsonl(tmp_path / name, {**transcript(calls=[changed_call]), "messages": [], "checks": []})
    done = run_mcprun("diff", "base", "head", "--html", "d.html", cwd=tmp_path)
    markdown = run_mcprun("diff", "base", "head", "--markdown", cwd=tmp_path).stdout
    page = (tmp_path / "d.html").read_text(encoding="utf-8")
    page = page.replace("\\u003c", "<").replace("\\u003e", ">").replace("&lt;", "<").replace("&gt;", ">")
    for text in (done.stdout, markdown, page):
        for shown in ("caf<U+00E9>", "cafe<U+0301>", "a<U+0020>"):
            assert shown in text
