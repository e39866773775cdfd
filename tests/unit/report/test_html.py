"""HTML reports: page contents and limits, from recorded runs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_value import json_equal
from mcprun.report.html.conversation import conversation_json
from mcprun.report.html.overview import cost, share
from mcprun.report.html.page import island
from mcprun.report.html.run_page import report
from mcprun.report.html.side_by_side import side_by_side
from mcprun.report.latency import latency
from mcprun.report.text import duration, visible
from mcprun.report.timings import quantile
from mcprun.runs.run import Run
from mcprun.runs.totals import BilledReply
from mcprun.runs.transcript import Usage
from tests.support.json_strategies import JSON
from tests.support.markup import _Markup
from tests.support.runs import call, event, failed, trace_of, transcript, write_run
from tests.support.stepped_runs import closed, not_set_up, step, step_events, still_open

seconds = st.floats(0, 1e6)


def read_page(path: Path, max_bytes: int = 1_000_000) -> _Markup:
    """Render the page of a run and parse it."""
    return _Markup("".join(report(Run.read(str(path)), max_bytes)))


FINITE = JSON.filter(lambda value: not re.search(r"\bInfinity\b", json.dumps(value)))
"""Standard JSON. Values outside of it become text."""


@given(FINITE)
def test_data_island_holds_any_value(value: Any) -> None:
    """A printable value is read back unchanged, and no value ends the `script` element."""
    text = str(island("x", value))
    start_tag, _, rest = text.partition(">")
    assert start_tag == '<script type="application/json" id="x"'
    inner = rest.removesuffix("</script>\n")
    assert not re.search("[<>&\u2028\u2029]", inner)
    text.encode()
    encoded = json.dumps(value, ensure_ascii=False)
    if encoded.isprintable() and not re.search(r"\\[bfru]", encoded):  # escapes of invisible characters
        assert json.loads(inner) == value


@given(st.text(), st.text())
def test_no_text_becomes_markup(name: str, text: str) -> None:
    """The page has the same elements, whatever the texts of the transcript."""
    hostile_call = call(name or "t", text, input={text: name}, structured={text: text})
    steps = [step("before", name or "t", text, id=name or None, input={text: name}, structured={text: text})]
    more: dict[str, Any] = {"text": text, "prompt": text, "system": text or None, "steps": steps, "vars": {name: text}}
    hostile = failed(f"i{name}", text, hostile_call, **more)
    page = _Markup(island("c", conversation_json(hostile)))
    assert page.elements == ["script"]
    assert page.islands["c"]["checks"][1][2] == visible(text)


def test_overview_is_escaped(tmp_path: Path) -> None:
    """File names, server names, tools, errors and warnings above the table are escaped."""
    hostile = "<script>alert(1)</script>\u202e\x1b[2J{{ 1 }}"
    run = write_run(
        tmp_path / "run", [transcript("a", call(hostile, "x"))], trace_of([transcript("a", call(hostile, "x"))]),
        arguments={"server": hostile}, error={"kind": "budget", "message": hostile},
        server={"name": hostile, "version": hostile, "protocol": hostile, "tools": [], "warnings": [hostile]},
        prompts={"file": f"x/{hostile}", "sha256": hostile, "queries": 1, "runs": 1}, versions={hostile: hostile},
    )  # fmt: skip
    text = "".join(report(Run.read(str(run))))
    assert _Markup(text).elements.count("script") == 3
    assert not re.search("[\u202e\x1b]", text)
    assert text.count(r"&lt;script&gt;alert(1)&lt;/script&gt;\u202e\x1b[2J{{ 1 }}") > 8


def test_conversations_in_a_page_are_bounded(tmp_path: Path) -> None:
    """Failed conversations have priority, and the page says how many it holds."""
    run = write_run(tmp_path / "run", [*(transcript(f"p{number}") for number in range(20)), failed("f", "why " * 200)])
    page = read_page(run, max_bytes=3000)
    included = [name for name in page.islands if name.startswith("c-")]
    assert "c-20" in included
    assert included[:-1] == [f"c-{number}" for number in range(len(included) - 1)]
    assert 1 < len(included) < 8
    assert sum(row[-1] for row in page.islands["data"]["rows"]) == len(included)
    assert f"Conversations in this file: {len(included)} of 21." in "".join(report(Run.read(str(run)), 3000))


def test_conversation_is_truncated() -> None:
    """A long text is cut with a note. Images beyond a million characters are replaced by their description."""
    conversation = conversation_json(transcript("a", text="x" * 30_000))
    assert conversation["items"][-1]["text"].endswith("x… (10,000 more characters)")
    image = {"type": "image", "data": "A" * 400_000, "mimeType": "image/png"}
    items = conversation_json(transcript("a", call("draw", *[image] * 4), text="end"))["items"]
    kinds = [item["kind"] for item in items[2]["items"]]
    assert kinds == ["image", "image", "text", "text"]
    assert items[2]["items"][3]["text"] == "[image, image/png, 300,000 bytes, too large for this page]"
    assert items[-1]["text"] == "end"


def test_an_empty_text_of_a_result_is_shown_as_empty() -> None:
    """It has nothing to unfold."""
    (made,) = [
        item
        for item in conversation_json(transcript("a", call("read", {"type": "text", "text": ""})))["items"]
        if item["kind"] == "call"
    ]
    assert (made["brief"], made["items"]) == ("(empty)", [])


def test_steps_are_items_around_the_conversation() -> None:
    """They are no calls. One whose check failed is unfolded, and so is one that returned an error."""
    items = conversation_json(still_open())["items"]
    kinds = [item["kind"] for item in items]
    assert kinds == ["steps", "text", "turn", "call", "turn", "text", "steps", "steps"]
    before, after, cleanup = (item for item in items if item["kind"] == "steps")
    assert [item["title"] for item in (before, after, cleanup)] == [
        "Before the conversation", "After the conversation", "Cleanup"
    ]  # fmt: skip
    assert [(one["name"], one["is_open"]) for one in (*before["steps"], *after["steps"], *cleanup["steps"])] == [
        ("before.issue", False), ("after.state", True), ("after[1]", False), ("cleanup[0]", True)
    ]  # fmt: skip
    assert (before["values"], after["values"]) == ([["number", "17"]], [])
    assert json.loads(before["steps"][0]["input"]) == {"title": "Broken u0a1b2c3d4e5"}
    read = after["steps"][1]
    assert (read["title"], read["brief"], read["input"]) == ("read issue://log", "17 closed", None)


def test_a_query_that_was_not_set_up_has_no_messages() -> None:
    """The page says that the model was not asked."""
    steps, note = conversation_json(not_set_up())["items"]
    assert (steps["kind"], steps["steps"][0]["is_error"]) == ("steps", True)
    assert note == {"kind": "note", "text": "The model was not asked, because a step before the conversation failed."}


def test_steps_count_as_no_calls_of_the_page(tmp_path: Path) -> None:
    """Neither the table nor the heat map has them."""
    queries = [closed(), not_set_up()]
    events = [item for one in queries for item in step_events(one)]
    run = write_run(tmp_path / "run", queries, events)
    page = read_page(run)
    data = page.islands["data"]
    rows = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    assert [(row["calls"], row["errors"]) for row in rows] == [(1, 0), (0, 0)]
    assert data["tools"] == ["close_issue"]
    assert "the model was not asked: check the step, the server and its environment" in "".join(
        report(Run.read(str(run)))
    )


@pytest.mark.parametrize("data", ["<svg onload=alert(1)>", 'a"b', "javascript:", 5])
def test_image_with_invalid_base64_is_shown_as_text(data: Any) -> None:
    """Data that is not base64 never becomes the address of an image."""
    image_call = call("draw", {"type": "image", "data": data, "mimeType": "image/png"})
    assert conversation_json(transcript("a", image_call))["items"][2]["items"][0]["kind"] == "text"


@given(st.lists(seconds, min_size=1, max_size=50).map(sorted))
def test_latency_chart_counts_every_query(took: list[float]) -> None:
    """Each time is in one bar. Bars are adjacent and no higher than the chart."""
    chart = latency(took)
    assert sum(bar.count for bar in chart.bars) == len(took)
    assert all(one.high == other.low for one, other in zip(chart.bars, chart.bars[1:], strict=False))
    assert all(0 <= bar.height <= 96 for bar in chart.bars)
    assert took[0] <= chart.median <= chart.p95 <= chart.longest == took[-1]


@given(st.lists(seconds, min_size=1).map(sorted), st.floats(0, 1))
def test_share_of_values_up_to_a_quantile(values: list[float], at: float) -> None:
    """At least the given share of the values is at most the quantile."""
    assert sum(value <= quantile(values, at) for value in values) >= at * len(values) - 1e-9


@pytest.mark.parametrize(
    ("took", "expected"),
    [(None, "?"), (0.0, "0 ms"), (0.0042, "4.2 ms"), (0.0999, "100 ms"), (0.9996, "1 s"), (12.34, "12.3 s"),
     (59.96, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)  # fmt: skip
def test_durations_are_formatted(took: float | None, expected: str) -> None:
    """Durations have a unit and at most three significant digits, or two units."""
    assert duration(took) == expected


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_partial_share_is_never_rounded_to_100_percent(part: int, rest: int) -> None:
    """A share is shown as 100 % only if it is complete."""
    assert share(part + rest, part + rest) == "100 %"
    assert share(part, part + rest) != "100 %"


def test_cost_is_the_sum_over_all_replies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reply of every attempt is priced separately. A long prompt may cost more per token than two short ones."""
    usage = {"input_tokens": 100_000, "output_tokens": 0}
    query = transcript("q", model="claude-sonnet-4-5", usage=usage)
    run: dict[str, Any] = {"model": {"kind": "claude", "name": "claude-sonnet-4-5", "chosen": "--model"}}
    fields = {"stop_reason": "end_turn", "model": "claude-sonnet-4-5", "usage": usage}
    replies = [event("model_call", number, query="q", seconds=0.1, **fields) for number in range(10)]
    write_run(tmp_path / "last", [query], **run)
    write_run(tmp_path / "all", [query], replies, **run)
    assert '<dd class="number">?</dd><dd>unknown: the run has no trace</dd>' in "".join(
        report(Run.read(str(tmp_path / "last")))
    )
    assert '<dd class="number">$3.00</dd><dd>includes all attempts</dd>' in "".join(
        report(Run.read(str(tmp_path / "all")))
    )
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.delitem(sys.modules, "mcprun.models.prices")
    text = "".join(report(Run.read(str(tmp_path / "all"))))
    assert "unknown: needs pip install &#39;mcprun[prices]&#39;" in text


def test_cost_is_unknown_if_a_reply_has_no_price() -> None:
    """An unknown model, or a reply without token usage, makes the total unknown."""
    known = BilledReply("claude-sonnet-4-5", Usage(input_tokens=1000))
    assert cost([known]) == (0.003, "includes all attempts")
    assert cost([known._replace(is_batched=True)]) == (0.0015, "includes all attempts")
    assert cost([known, BilledReply("nobody's", Usage(input_tokens=1))]) == (
        None,
        "unknown: no price for nobody's",
    )
    assert cost([known, BilledReply("claude-sonnet-4-5", None)]) == (None, "unknown: a reply has no token usage")


@given(JSON, JSON)
def test_values_side_by_side(before: Any, after: Any) -> None:
    """Each side shows its complete value. Equal values have no marked line, and different ones have at least one."""
    sides = side_by_side(before, after)
    for value, lines in zip((before, after), sides, strict=True):
        if not isinstance(value, str) and not any("<U+" in line for line, _ in lines):
            assert json.loads("\n".join(line for line, _ in lines)) == value
    assert not any(differs for side in side_by_side(before, before) for _, differs in side)
    if not isinstance(before, str) and type(before) is not type(after) and not json_equal(before, after):
        assert all(differs for side in sides for _, differs in side)


def test_texts_are_compared_by_line() -> None:
    """Texts are compared line by line."""
    assert side_by_side("one\ntwo\nthree", "one\n2\nthree\nfour") == (
        [("one", False), ("two", True), ("three", False)],
        [("one", False), ("2", True), ("three", False), ("four", True)],
    )


def test_differing_lines_of_long_values_are_kept() -> None:
    """Only the differing lines and some context are shown."""
    texts = ["\n".join(f"line {n}" for n in range(5000)) for _ in range(2)]
    texts[1] = texts[1].replace("line 4500\n", "another line\n")
    for values in (texts, [text.splitlines() for text in texts]):
        before, after = side_by_side(*values)
        assert len(before) == len(after) == 9
        assert before[0][0].endswith(" unchanged lines)")
        assert [line.strip(' ",') for line, differs in after if differs] == ["another line"]
        assert re.fullmatch(r"… \(49\d more lines\)", after[-1][0])


def test_long_values_are_compared_in_bounded_time() -> None:
    """Long texts without common lines are not aligned, and their output is bounded."""
    before, after = side_by_side(*("\n".join(f"{side} {n}" for n in range(150_000)) for side in "ab"))
    assert len(before) == len(after) == 401
    assert before[-1] == ("… (149,600 more lines)", False)


def test_incomplete_run_is_marked(tmp_path: Path) -> None:
    """The page starts with the error and the number of queries that were not run. The log is folded."""
    run = write_run(
        tmp_path / "run", [transcript("a")], state="interrupted", error={"kind": "budget", "message": "spent"},
        prompts={"file": "p.jsonl", "sha256": "0", "queries": 3, "runs": 3}, log="x" * 5000 + "fatal: out of <cheese>",
    )  # fmt: skip
    text = "".join(report(Run.read(str(run))))
    assert '<span class="message">Stopped early: spent. 2 of 3 were not run.</span>' in text
    (log,) = re.findall(r'<details class="facts"><summary>.*?<pre class="log"[^>]*>(.*?)</pre>', text, re.DOTALL)
    assert (len(log), log.endswith("xfatal: out of &lt;cheese&gt;")) == (2006, True)


def test_a_cause_counts_queries_and_shows_their_runs(tmp_path: Path) -> None:
    """The repeats of a query count once, and the link says that it lists runs; other links count queries."""
    repeats = [failed("dice", "six was expected", repeat=number) for number in (1, 2, 3)]
    run = write_run(tmp_path / "run", [*repeats, failed("one", "two was expected"), transcript("ok")])
    text = "".join(report(Run.read(str(run))))
    links = re.findall(r'<a class="show" href="(#cause=\d)">(.*?)</a>', text)
    assert links == [("#cause=1", "show 3 runs"), ("#cause=2", "show 1")]
