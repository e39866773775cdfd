"""URIs are matched against URI templates in bounded time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.analysis.coverage.uri_templates import matches


@pytest.mark.parametrize(
    ("template", "uri", "is_match"),
    [
        ("note://{id}", "note://1", True),
        ("note://{id}", "note://", False),
        ("note://{id}", "note://1/2", False),
        ("note://{id}/text", "note://1/text", True),
        ("note://{id}/text", "note://1/texts", False),
        ("file:///{+path}", "file:///a/b.txt", True),
        ("file:///{path*}", "file:///a/b.txt", True),
        ("file:///{path}", "file:///a/b.txt", False),
        ("log://all{?page,size}", "log://all", True),
        ("log://all{?page,size}", "log://all?page=2", True),
        ("log://all{?page,size}", "log://allpage=2", False),
        ("log://{day}{/hour}", "log://monday/7", True),
        ("log://{a}-{b}", "log://x-y-z", True),
        ("log://{a}{b}", "log://x", False),
        ("log://fixed", "log://fixed", True),
        ("log://{open", "log://{open", True),
        ("log://{}", "log://x", True),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_uri_matches_the_template_that_it_may_be_an_expansion_of(template: str, uri: str, *, is_match: bool) -> None:
    """Simple expressions stop at a slash, and expressions with an operator may be absent."""
    assert matches(template, uri) == is_match


@given(st.lists(st.sampled_from(["a", "/", "b", "{x}", "{+x}"]), max_size=6), st.text("ab/", max_size=8))
def test_matching_equals_that_of_a_regular_expression(parts: list[str], uri: str) -> None:
    """Without optional expressions, a template is a regular expression."""
    patterns = {"{x}": "[^/]+", "{+x}": ".+"}
    expected = re.fullmatch("".join(patterns.get(part, part) for part in parts), uri)
    assert matches("".join(parts), uri) == (expected is not None)


def test_hostile_template_takes_no_exponential_time() -> None:
    """Expressions in a row, in which a regular expression backtracks, are matched place by place."""
    assert not matches("{+a}x" * 50 + "!", "x" * 1_999)
    assert not matches("{a}" * 600, "x" * 1_000)  # too many expressions
    assert not matches("{a}", "x" * 5_000)
