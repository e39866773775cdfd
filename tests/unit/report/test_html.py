"""HTML reports: page contents and bounds, from recorded runs."""

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
from mcprun.report.timings import MAX_SPANS, Timings, quantile
from mcprun.runs.run import Run
from mcprun.runs.totals import BilledReply
from mcprun.runs.transcript import Usage
from tests.support.json_strategies import JSON
from tests.support.markup import _Markup
from tests.support.runs import call, event, failed, trace_of, transcript, write_run

seconds = st.floats(0, 1e6)


def page_of(path: Path, max_bytes: int = 1_000_000) -> _Markup:
    """Make the page of a run and read it."""
    return _Markup("".join(report(Run.read(str(path)), max_bytes)))


# What a page holds. --------------------------------------------------------------------------------------


FINITE = JSON.filter(lambda value: not re.search(r"\bInfinity\b", json.dumps(value)))
"""JSON as its standard has it; what a server sends besides becomes text."""


@given(FINITE)
def test_islands_hold_any_value(value: Any) -> None:
    """Whatever it is, it comes out as it was but for what could not be seen, and nothing in it ends the island."""
    text = str(island("x", value))
    begin, _, rest = text.partition(">")
    assert begin == '<script type="application/json" id="x"'
    inner = rest.removesuffix("</script>\n")
    assert not re.search("[<>&\u2028\u2029]", inner)
    text.encode()
    plain = json.dumps(value, ensure_ascii=False)
    if plain.isprintable() and not re.search(r"\\[bfru]", plain):  # escapes of what can't be seen
        assert json.loads(inner) == value


@given(st.text(), st.text())
def test_no_text_becomes_markup(name: str, text: str) -> None:
    """Wherever a stranger's text stands, the page has the same elements as with plain text in its place."""
    made = call(name or "t", text, input={text: name}, structured={text: text})
    evil = failed(f"i{name}", text, made, text=text, prompt=text, system=text or None)
    page = _Markup(island("c", conversation_json(evil)))
    assert page.elements == ["script"]
    assert page.islands["c"]["checks"][1][2] == visible(text)


def test_the_overview_escapes(tmp_path: Path) -> None:
    """What stands above the table is of strangers as well: file names, servers, tools, errors, warnings."""
    evil = "<script>alert(1)</script>\u202e\x1b[2J{{ 1 }}"
    run = write_run(
        tmp_path / "run", [transcript("a", call(evil, "x"))], trace_of([transcript("a", call(evil, "x"))]),
        arguments={"server": evil}, error={"kind": "budget", "message": evil},
        server={"name": evil, "version": evil, "protocol": evil, "tools": [], "warnings": [evil]},
        prompts={"file": f"x/{evil}", "sha256": evil, "queries": 1, "runs": 1}, versions={evil: evil},
    )  # fmt: skip
    text = "".join(report(Run.read(str(run))))
    assert _Markup(text).elements.count("script") == 3
    assert not re.search("[\u202e\x1b]", text)
    assert text.count(r"&lt;script&gt;alert(1)&lt;/script&gt;\u202e\x1b[2J{{ 1 }}") > 8


def test_conversations_are_bounded(tmp_path: Path) -> None:
    """Those that did not pass are kept first, as many as have room, and the page says what it leaves out."""
    run = write_run(tmp_path / "run", [*(transcript(f"p{n}") for n in range(20)), failed("f", "why " * 200)])
    page = page_of(run, max_bytes=3000)
    kept = [name for name in page.islands if name.startswith("c-")]
    assert "c-20" in kept
    assert kept[:-1] == [f"c-{n}" for n in range(len(kept) - 1)]
    assert 1 < len(kept) < 8
    assert sum(row[-1] for row in page.islands["data"]["rows"]) == len(kept)
    assert f"Conversations in this file: {len(kept)} of 21." in "".join(report(Run.read(str(run)), 3000))


def test_a_conversation_is_bounded() -> None:
    """Long texts are cut and say so, and so is all that comes after a million characters."""
    long = conversation_json(transcript("a", text="x" * 30_000))
    assert long["items"][-1]["text"].endswith("x… (10,000 more characters)")
    image = {"type": "image", "data": "A" * 400_000, "mimeType": "image/png"}
    items = conversation_json(transcript("a", call("draw", *[image] * 4), text="end"))["items"]
    shown = [one["kind"] for one in items[2]["items"]]
    assert shown == ["image", "image", "text", "text"]
    assert items[2]["items"][3]["text"] == "[image, image/png, 300,000 bytes, too large for this page]"
    assert items[-1]["text"] == "end"


@pytest.mark.parametrize("data", ["<svg onload=alert(1)>", 'a"b', "javascript:", 5])
def test_an_image_is_base64_or_none(data: Any) -> None:
    """What is no base64 never comes near an image's address."""
    made = call("draw", {"type": "image", "data": data, "mimeType": "image/png"})
    assert conversation_json(transcript("a", made))["items"][2]["items"][0]["kind"] == "text"


# Times. --------------------------------------------------------------------------------------------------


def test_spans_begin_where_they_began() -> None:
    """The trace tells when something was over, but for waits, which it tells when they begin."""
    where: dict[str, Any] = {"query": "q"}
    events = [
        event("retry", 200, **where, turn=0, tried=1, error="throttled: slow down", wait=0.5),
        event("model_call", 1000, **where, turn=0, seconds=1.0, model="m"),
        event("tool_call", 1300, **where, turn=0, seconds=0.1, call=1, tool="b"),
        event("tool_call", 1500, **where, turn=0, seconds=0.5, call=0, tool="a", is_error=True, log_offset=7),
        event("attempt_end", 1500, **where, seconds=1.5, waited=0.5, stop="end_turn"),
        event("query_end", 1510, **where, seconds=1.51, verdict="passed"),
    ]  # fmt: skip
    timings = Timings.of(events)
    one = timings.queries["q", 1]
    assert [(span.kind, span.label, span.start, span.seconds, span.problem) for span in one.since_start()] == [
        ("attempt", "", 0.0, 1.5, ""),
        ("model", "m", 0.0, 1.0, ""),
        ("wait", "", 0.2, 0.5, "throttled: slow down"),
        ("call", "a", 1.0, 0.5, "returned an error"),
        ("call", "b", 1.2, 0.1, ""),
    ]
    assert (one.seconds, one.waited, one.log_offset) == (1.51, 0.5, 7)
    assert {name: (tool.errors, list(tool.seconds)) for name, tool in timings.tools.items()} == {
        "b": (0, [0.1]), "a": (1, [0.5])
    }  # fmt: skip


def test_a_resumed_run_counts_a_query_as_it_was_run_last() -> None:
    """What a killed process had begun is no part of the query's times."""
    start = event("run_start", 0, queries=1, done=0)
    first = event("model_call", 100, query="q", seconds=0.1)
    again = [event("model_call", 90_000, query="q", seconds=0.2), event("query_end", 90_000, query="q", seconds=0.2)]
    one = Timings.of([start, first, start, *again]).queries["q", 1]
    assert ([span.seconds for span in one.spans], one.seconds) == ([0.2], 0.2)


def test_spans_are_bounded() -> None:
    """What is more than a page shows is counted."""
    events = (event("tool_call", n, query="q", seconds=0.0, tool="t", call=n) for n in range(MAX_SPANS + 5))
    one = Timings.of(events).queries["q", 1]
    assert (len(one.spans), one.dropped) == (MAX_SPANS, 5)


@given(st.lists(seconds, min_size=1, max_size=50).map(sorted))
def test_the_chart_shows_every_query(took: list[float]) -> None:
    """Each time is in one bar, bars stand side by side without gaps, and none is higher than the chart."""
    chart = latency(took)
    assert sum(bar.count for bar in chart.bars) == len(took)
    assert all(one.high == other.low for one, other in zip(chart.bars, chart.bars[1:], strict=False))
    assert all(0 <= bar.height <= 96 for bar in chart.bars)
    assert took[0] <= chart.median <= chart.p95 <= chart.longest == took[-1]


@given(st.lists(seconds, min_size=1).map(sorted), st.floats(0, 1))
def test_quantiles(values: list[float], at: float) -> None:
    """So large a share of the values is at most the quantile."""
    assert sum(value <= quantile(values, at) for value in values) >= at * len(values) - 1e-9


@pytest.mark.parametrize(
    ("took", "expected"),
    [(None, "?"), (0.0, "0 ms"), (0.0042, "4.2 ms"), (0.0999, "100 ms"), (0.9996, "1 s"), (12.34, "12.3 s"),
     (59.96, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)  # fmt: skip
def test_durations(took: float | None, expected: str) -> None:
    """Times are told as people tell them."""
    assert duration(took) == expected


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_what_is_not_all_is_not_told_as_all(part: int, more: int) -> None:
    """A share is 100 % when nothing is missing, and only then."""
    assert share(part + more, part + more) == "100 %"
    assert share(part, part + more) != "100 %"


def test_what_a_run_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reply of every attempt is priced by itself: a long one may cost more a token than two short ones."""
    used = {"input_tokens": 100_000, "output_tokens": 0}
    one = transcript("q", model="claude-sonnet-4-5", usage=used)
    run: dict[str, Any] = {"model": {"kind": "claude", "name": "claude-sonnet-4-5", "chosen": "--model"}}
    fields = {"stop_reason": "end_turn", "model": "claude-sonnet-4-5", "usage": used}
    replies = [event("model_call", n, query="q", seconds=0.1, **fields) for n in range(10)]
    write_run(tmp_path / "last", [one], **run)
    write_run(tmp_path / "all", [one], replies, **run)
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


def test_what_has_no_price() -> None:
    """An unknown model, and a reply whose tokens nobody told, leave the whole unknown."""
    known = BilledReply("claude-sonnet-4-5", Usage(input_tokens=1000))
    assert cost([known]) == (0.003, "includes all attempts")
    assert cost([known._replace(is_batched=True)]) == (0.0015, "includes all attempts")
    assert cost([known, BilledReply("nobody's", Usage(input_tokens=1))]) == (
        None,
        "unknown: no price for nobody's",
    )
    assert cost([known, BilledReply("claude-sonnet-4-5", None)]) == (None, "unknown: a reply has no token usage")


# Side by side. -------------------------------------------------------------------------------------------


@given(JSON, JSON)
def test_lines_side_by_side(before: Any, after: Any) -> None:
    """Both sides are laid out whole but for code points, equal values have no marks, others have one somewhere."""
    sides = side_by_side(before, after)
    for value, lines in zip((before, after), sides, strict=True):
        if not isinstance(value, str) and not any("<U+" in line for line, _ in lines):
            assert json.loads("\n".join(line for line, _ in lines)) == value
    assert not any(differs for side in side_by_side(before, before) for _, differs in side)
    if not isinstance(before, str) and type(before) is not type(after) and not json_equal(before, after):
        assert all(differs for side in sides for _, differs in side)


def test_texts_side_by_side() -> None:
    """Texts are compared line by line."""
    assert side_by_side("one\ntwo\nthree", "one\n2\nthree\nfour") == (
        [("one", False), ("two", True), ("three", False)],
        [("one", False), ("2", True), ("three", False), ("four", True)],
    )


def test_what_differs_is_shown_wherever_it_stands() -> None:
    """Of values too long to be shown, those lines are kept that differ, and some around them."""
    texts = ["\n".join(f"line {n}" for n in range(5000)) for _ in range(2)]
    texts[1] = texts[1].replace("line 4500\n", "another line\n")
    for values in (texts, [text.splitlines() for text in texts]):
        before, after = side_by_side(*values)
        assert len(before) == len(after) == 9
        assert before[0][0].endswith(" unchanged lines)")
        assert [line.strip(' ",') for line, differs in after if differs] == ["another line"]
        assert re.fullmatch(r"… \(49\d more lines\)", after[-1][0])


def test_a_value_of_any_length_takes_a_moment() -> None:
    """Texts that have nothing in common are not matched line by line when they are long, and are bounded."""
    before, after = side_by_side(*("\n".join(f"{side} {n}" for n in range(150_000)) for side in "ab"))
    assert len(before) == len(after) == 401
    assert before[-1] == ("… (149,600 more lines)", False)


def test_a_run_that_is_not_whole_says_so(tmp_path: Path) -> None:
    """The first thing to be read is that it was interrupted, why, and what is not done."""
    run = write_run(
        tmp_path / "run", [transcript("a")], state="interrupted", error={"kind": "budget", "message": "spent"},
        prompts={"file": "p.jsonl", "sha256": "0", "queries": 3, "runs": 3}, log="x" * 5000 + "fatal: out of <cheese>",
    )  # fmt: skip
    text = "".join(report(Run.read(str(run))))
    for expected in (
        "This run has not finished (state: interrupted).",
        "budget: spent",
        "Incomplete: 2 of 3 queries did not finish.",
    ):
        assert f'<p class="trouble">{expected}</p>' in text
    (log,) = re.findall(r'<pre class="log">(.*?)</pre>', text, re.DOTALL)
    assert (len(log), log.endswith("xfatal: out of &lt;cheese&gt;")) == (2006, True)
