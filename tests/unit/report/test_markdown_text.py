"""Untrusted text in Markdown."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcprun.report.markdown_text import cells, code, plain
from mcprun.report.text import one_line
from tests.support.facts import EVIL
from tests.support.markdown_text import tokens

_MARKS = st.text(alphabet="`|<>@[]()*_~#-=+:/\\!&;.,%$^{}'\"\n 19awhtps\u00e9\u202e")


@given(_MARKS | st.text() | st.just(EVIL))
@example("10) a")
@example("--- | ---")
@settings(deadline=None)
def test_text_renders_as_itself(text: str) -> None:
    """At the start of a line, in a list, in a sentence and in a table, the text is shown character by character."""
    expected, escaped = one_line(text, 500), plain(text, 500)
    table = "\n".join([cells(["a", "b"]), cells(["---", "---"]), cells([escaped, "x"])])
    for form in (f"{escaped}\n{escaped}", f"- x\n- {escaped}", f"**Coverage: {escaped}**", code(text, 500), table):
        found = tokens(form)
        shown = "".join(token.content for token in found if token.type in ("text", "text_special"))
        assert expected in shown or not expected
        kinds = {token.type for token in found if not token.type.startswith(("table", "t", "inline", "list", "bullet"))}
        assert kinds <= {"paragraph_open", "paragraph_close", "softbreak", "strong_open", "strong_close", "html_inline"}
        assert sum(token.type.startswith(("bullet_list_open", "ordered_list_open")) for token in found) <= 1


@given(_MARKS)
@example("http://a www.a :a: %1 GH-1 @a #1 _a_ [a](b) $x$ ~a")
def test_no_text_becomes_a_link_a_mention_or_a_reference(text: str) -> None:
    """What GitHub and GitLab link without any markup has a character reference in it."""
    escaped = re.sub(r"&#\d+;", "\0", plain(text, 500))
    assert not re.search(r"[@#!~$`|<>\[\]*\\^{}&]|://|www\.|:\w+:|%\w|[A-Za-z]-\d|(?<!\w)_|_(?!\w)", escaped)


@pytest.mark.parametrize(
    "text", ["coverage is below --min-coverage 0.9: 1 of 2 tools (50 %); not called: read_note, x", "it's at a/b, a=b?"]
)
def test_sentences_stay_as_they_are(text: str) -> None:
    """Punctuation without a meaning in Markdown is not replaced."""
    assert plain(text, 500) == text
