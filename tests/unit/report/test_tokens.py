"""What tokens were spent on: shares, sums, tools and costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.analysis.token_shares import TokenShares, rounded, token_shares
from mcprun.report.html.tokens import TokenChart, TokenCounts
from mcprun.runs.run_record import ModelRecord, PromptsRecord, RunRecord, ServerRecord
from mcprun.runs.transcript import Transcript, Turn, Usage
from tests.support.runs import call, transcript

JsonObject = dict[str, Any]


def use(number: int, tool: str, **input_: str) -> JsonObject:
    """Return a `tool_use` block."""
    return {"type": "tool_use", "id": f"t{number}", "name": tool, "input": input_}


def result(number: int, text: str) -> JsonObject:
    """Return a `tool_result` block."""
    return {"type": "tool_result", "tool_use_id": f"t{number}", "content": [{"type": "text", "text": text}]}


def conversation(read: tuple[int, int] = (100, 400), written: int = 10, **more: Any) -> Transcript:
    """Return two turns: a prompt of 100 bytes, one call, its result of 200 bytes, and a text."""
    turns = [
        Turn(stop_reason="tool_use", usage=Usage(input_tokens=read[0], output_tokens=written)),
        Turn(stop_reason="end_turn", usage=Usage(input_tokens=read[1], output_tokens=written)),
    ]
    usages = [turn.usage for turn in turns if turn.usage]
    messages: list[JsonObject] = [
        {"role": "user", "content": "x" * 100},
        {"role": "assistant", "content": [use(0, "stock")]},
        {"role": "user", "content": [result(0, "y" * 200)]},
        {"role": "assistant", "content": [{"type": "text", "text": "z" * 50}]},
    ]
    plain = {"messages": messages, "turns": turns, "usage": usages[0] + usages[1], "model": "claude-sonnet-5-5"}
    return transcript("q", call("stock", "y" * 200), **{**plain, **more})


def shares_of(one: Transcript, definitions: dict[str, int] | None = None) -> TokenShares:
    """Return the shares of a conversation with usage."""
    shares = token_shares(one, definitions or {})
    assert shares
    return shares


def test_input_is_apportioned_by_bytes() -> None:
    """A request's input is split by the bytes of definitions, system prompt, messages and results sent with it."""
    shares = shares_of(conversation(system="s" * 100), {"stock": 150, "other": 50})
    call_bytes = len('{"type":"tool_use","id":"t0","name":"stock","input":{}}')
    second = 200 + 100 + (100 + call_bytes) + 200
    assert shares.spent == pytest.approx(
        {
            "definitions": 50 + 400 * 200 / second,
            "system": 25 + 400 * 100 / second,
            "messages": 25 + 400 * (100 + call_bytes) / second,
            "results": 400 * 200 / second,
            "output": 20,
            "sampling": 0,
        }
    )
    assert shares.definitions["other"] * 3 == pytest.approx(shares.definitions["stock"])
    assert shares.results == pytest.approx({"stock": shares.spent["results"]})
    assert shares.calls == pytest.approx({"stock": 10})


@given(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), st.integers(0, 10**5), st.integers(0, 5000))
def test_shares_add_up_to_what_the_api_reported(read: tuple[int, int], written: int, size: int) -> None:
    """Shares are estimates, but no token is lost or counted twice."""
    one = conversation(read, written)
    assert one.usage
    assert sum(shares_of(one, {"stock": size}).whole) == one.usage.total


def test_a_call_is_named_by_the_server() -> None:
    """The API may know a tool under another name than the server does."""
    shares = shares_of(
        conversation(messages=[
            {"role": "user", "content": "x"}, {"role": "assistant", "content": [use(0, "st-ck")]},
            {"role": "user", "content": [result(0, "y")]}, {"role": "assistant", "content": "z"},
        ])
    )  # fmt: skip
    assert (list(shares.calls), list(shares.results)) == (["stock"], ["stock"])


def test_an_image_counts_as_what_it_costs_not_as_its_file() -> None:
    """A megabyte of base64 does not make everything else vanish."""
    source = {"type": "base64", "media_type": "image/png", "data": "A" * 1_000_000}
    image = {"type": "tool_result", "tool_use_id": "t0", "content": [{"type": "image", "source": source}]}
    one = conversation()
    messages = [*one.messages[:2], {"role": "user", "content": [image]}, *one.messages[3:]]
    spent = shares_of(one.model_copy(update={"messages": messages})).spent
    assert spent["results"] == pytest.approx(400 * 6000 / (6000 + 155), rel=1e-3)


def test_a_conversation_without_usage_has_no_shares() -> None:
    """Scripts use no tokens."""
    assert token_shares(transcript("q", call("stock", "1")), {}) is None


@given(st.lists(st.floats(0, 1e9), max_size=8))
def test_rounding_keeps_the_sum(values: list[float]) -> None:
    """Each value is off by at most one."""
    whole = rounded(values)
    assert sum(whole) == round(sum(values))
    assert all(abs(one - value) <= 1 for one, value in zip(whole, values, strict=True))


TOOLS = [{"name": name, "description": "d" * 100, "inputSchema": {"type": "object"}} for name in ("stock", "unused")]


def chart_of(*transcripts: Transcript, kind: str = "claude", **arguments: Any) -> TokenChart | None:
    """Return the chart of a run."""
    record = RunRecord.model_validate(
        {
            "state": "finished", "started": "2026-11-22T10:00:00.000Z", "arguments": arguments, "limits": {}, "versions": {},
            "prompts": PromptsRecord(file="p.jsonl", sha256="0" * 64, queries=1),
            "model": ModelRecord.model_validate({"kind": kind, "name": "claude-sonnet-5-5", "chosen": "a test"}),
            "server": ServerRecord(protocol="2026-07-28", tools=TOOLS),
        }
    )  # fmt: skip
    counts = TokenCounts(record)
    for one in transcripts:
        counts.add(one)
    return counts.chart()


def test_run_tools_and_queries_have_bars() -> None:
    """A tool that is never called costs its definition; it has no queries to link to."""
    chart = chart_of(conversation(id="a"), conversation((1000, 4000), id="b&c"))
    assert chart
    assert chart.run.tokens == 520 + 5020
    assert [one.name for one in chart.run.segments] == ["definitions", "messages", "results", "output"]
    assert [(bar.name, bar.link) for bar in chart.tools] == [("stock", "#tool=stock"), ("unused", "")]
    assert [one.name for one in chart.tools[1].segments] == ["definitions"]
    assert [(bar.name, bar.link, bar.tokens) for bar in chart.queries] == [
        ("b&c", "#q=b%26c", 5020),
        ("a", "#q=a", 520),
    ]
    last = chart.run.segments[-1]
    assert last.x + last.width == pytest.approx(1000, abs=0.1)
    assert chart.run.text.startswith("definitions ")


def test_tools_that_the_options_exclude_were_not_sent() -> None:
    """Their definitions cost nothing."""
    chart = chart_of(conversation(), deny_tool=["unused"])
    assert chart
    assert [bar.name for bar in chart.tools] == ["stock"]


def test_costs_of_tools_and_queries_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The costs are those of the model\'s tokens, with input blended by what came from the prompt cache."""
    pytest.importorskip("genai_prices")
    monkeypatch.setattr(
        "mcprun.models.prices.price", lambda model, usage, kind: (usage.read + 5 * usage.output_tokens) / 1000
    )
    chart = chart_of(conversation((100, 400), written=10))
    assert chart
    assert (chart.run.cost, chart.queries[0].cost) == ("$0.6000", "$0.6000")
    replayed = chart_of(conversation(), kind="replay")
    assert replayed
    assert replayed.run.cost == ""


def test_a_run_without_tokens_has_no_chart() -> None:
    """An empty chart would say nothing."""
    assert chart_of(transcript("a")) is None
    assert chart_of() is None


def test_only_the_most_expensive_queries_are_listed() -> None:
    """Ten at most, in order."""
    chart = chart_of(*(conversation((at, at), id=f"q{at}") for at in range(1, 40)))
    assert chart
    assert [bar.name for bar in chart.queries] == [f"q{at}" for at in range(39, 29, -1)]
