"""The text of a red query for an issue or a coding assistant."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mcprun.report.assistant import assistant_text
from mcprun.report.baseline import QueryChange
from mcprun.runs.transcript import Verdict
from tests.support.facts import EVIL, comparison, facts, transcript
from tests.support.markdown_text import tokens


def test_the_text_holds_what_is_needed_to_work_on_a_failure() -> None:
    """It has the cause, how the query regressed, the commands, the conversation and the log, each under a heading."""
    failing = transcript("q 1", Verdict.FAILED, text="six")
    change = QueryChange("q 1", 1, "regressed", "regressed: 5 → 6", ("- 5", "+ 6"))
    run = facts(failing, against=comparison(change))
    text = assistant_text(run, failing, "Traceback\nValueError: no\n")
    headings = re.findall("^#+ (.*)$", text, re.MULTILINE)
    assert headings == [
        "mcprun: `q 1` failed", "Cause", "Against the baseline", "Reproduce", "Conversation", "Server log",
    ]  # fmt: skip
    cause, against, commands, conversation, log = (token.content for token in tokens(text) if token.type == "fence")
    assert cause == "six\nregressed: 5 → 6\n"
    assert against == "- 5\n+ 6\n"
    assert commands == f"{run.commands.batch('q 1')}\n{run.commands.show('q 1')}\n"
    assert conversation.splitlines() == ["user     x", "call 0   add{a: 2}", "→        six"]
    assert log == "Traceback\nValueError: no\n"


@given(st.integers(0, 3_000), st.sampled_from(["x", "`", "😀", "\n", EVIL]))
def test_the_text_is_bounded_and_hostile_text_stays_in_its_fence(length: int, letter: str) -> None:
    """Long texts are cut from their beginning, and neither a heading nor a command comes from a server."""
    failing = transcript("q", Verdict.FAILED, text=letter * length)
    text = assistant_text(facts(failing), failing, f"{letter * length}\n# Heading\n```\n" * 3)
    assert len(text) < 20_000
    headings = [token for token in tokens(text) if token.type == "heading_open"]
    assert len(headings) == 5
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_long_conversation_keeps_its_prompt_and_its_end() -> None:
    """What is left out is counted."""
    calls = transcript("q").calls * 500
    uses = [{"type": "tool_use", "id": "1", "name": "add", "input": {"a": 2}}] * 500
    messages = [{"role": "user", "content": "Add it."}, {"role": "assistant", "content": uses}]
    failing = transcript("q", Verdict.FAILED, calls=calls, messages=messages, prompt="Add it.", text="The end.")
    text = assistant_text(facts(failing), failing)
    assert "user     Add it.\n…" in text
    assert "earlier lines omitted" in text
    assert len(text) < 20_000
