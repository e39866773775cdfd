"""Elicitation, sampling and roots: each request is answered for the query it belongs to, in both protocol eras."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import SERVERS, Result, clean_environment, run_mcprun, script, squeezed, write_jsonl
from tests.support.messages_api import MessagesApi, calls, error, message, prompt_of, scripted, text

ASKING, ASKING_SDK = SERVERS / "asking.py", SERVERS / "asking_sdk.py"

ERAS = ("2026-07-28", "legacy")

SERIAL = ("--concurrency", "1")
"""Requests can be attributed in both eras if only one query is in flight."""

GUEST = {"name": "Ann", "nights": 3}


def booking(name: str, *elicit: Any, tool: str = "book", **more: Any) -> dict[str, Any]:
    """Return a query that books a room, with its own answers if there are any."""
    own: dict[str, Any] = {"elicit": list(elicit)} if elicit else {}
    return script((tool, {"room": name}), id=name, expect={"tool_errors": "allow"}, **own, **more)


def run_asking(
    tmp_path: Path,
    *queries: dict[str, Any],
    era: str,
    flags: tuple[str, ...] = (),
    server: Path = ASKING,
    env: dict[str, str] | None = None,
) -> Result:
    """Run queries against the server that sends requests."""
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    return run_mcprun("batch", prompts, server, "--protocol", era, *flags, cwd=tmp_path, env=env)


def last_results(done: Result) -> dict[str, str]:
    """Return the text of each query's last result."""
    return {one["id"]: one["calls"][-1]["content"][0]["text"] for one in done.transcripts if one["calls"]}


def events_named(done: Result, name: str) -> list[dict[str, Any]]:
    """Return the trace events with this name."""
    return [event for event in done.trace if event["event"] == name]


def test_answer_with_a_lone_surrogate_is_refused_with_its_line(tmp_path: Path) -> None:
    """A lone surrogate in a query's own answer is reported before anything is run."""
    queries = (booking("half", {"name": "\ud800", "nights": 1}), booking("whole", GUEST))
    done = run_asking(tmp_path, *queries, era=ERAS[0], flags=SERIAL)
    assert done.code == 2
    assert re.search(r"p\.jsonl:1: elicit\S*: .*surrogate", done.stderr)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("server", [ASKING, ASKING_SDK], ids=["stdlib", "sdk"])
def test_query_answers_take_precedence_over_elicit(tmp_path: Path, server: Path, era: str) -> None:
    """A form is accepted with the query's content, declined or cancelled, whatever `--elicit` is."""
    queries = [
        booking("accepts", GUEST),
        booking("declines", "decline"),
        booking("cancels", {"action": "cancel"}),
        booking(
            "matches", {"match": "nowhere", "action": "cancel"}, {"match": "in matches", "content": {"name": "Bob"}}
        ),
        booking("nobody"),
    ]
    done = run_asking(tmp_path, *queries, era=era, flags=("--elicit", "defaults"), server=server)
    assert last_results(done) == {
        "accepts": "Ann, 3 nights",
        "declines": "nobody: decline",
        "cancels": "nobody: cancel",
        "matches": "Bob, 1 nights",
        "nobody": "nobody: decline",
    }
    assert set(done.verdicts.values()) == {"passed"}
    (asked,) = done.transcripts[0]["asked"]
    assert (asked["kind"], asked["request"]["message"]) == ("elicitation", "Who sleeps in accepts?")
    assert asked["answer"] == {"action": "accept", "content": GUEST}
    fields = {event.get("query"): event.get("answer") for event in events_named(done, "asked")}
    assert (fields["accepts"], fields["declines"], fields["cancels"]) == ("accept", "decline", "cancel")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("policy", "wish_result", "booking_result", "reason"),
    [
        ("decline", "elicitation was decline", "nobody: decline", None),
        ("defaults", "breakfast: True, floor: 2", "nobody: decline", "'name' is required and without a default"),
        ("script", "elicitation was decline", "nobody: decline", "the query has no answer for this request"),
    ],
)
def test_elicit_applies_to_queries_without_answers(
    tmp_path: Path, era: str, policy: str, wish_result: str, booking_result: str, reason: str | None
) -> None:
    """`defaults` accepts a form that has a default for each required field.

    The trace has the reason why another is declined.
    """
    queries = [script(("wish", {}), id="wish", expect={"tool_errors": "allow"}), booking("room")]
    done = run_asking(tmp_path, *queries, era=era, flags=("--elicit", policy, *SERIAL))
    assert wish_result in last_results(done)["wish"]
    assert last_results(done)["room"] == booking_result
    assert [event.get("reason") for event in events_named(done, "asked") if event["query"] == "room"] == [reason]
    assert done.verdicts["room"] == ("failed" if policy == "script" else "passed")


@pytest.mark.parametrize("era", ERAS)
def test_unusable_answer_fails_the_query(tmp_path: Path, era: str) -> None:
    """The request is declined, the answer is never sent, and stderr has the reason."""
    mismatch = "the query's answer does not match the requested schema:"
    cases: dict[str, tuple[Any, str]] = {
        "small": ({"name": "Ann", "nights": 0}, f"{mismatch} nights: 0 is less than the minimum of 1"),
        "nameless": ({"nights": 2}, f"{mismatch} 'name' is a required property"),
        "unasked": ({"match": "never", "action": "accept"}, "the query has no answer left for this request"),
    }
    done = run_asking(tmp_path, *(booking(name, answer) for name, (answer, _) in cases.items()), era=era, flags=SERIAL)
    assert (done.code, last_results(done)) == (1, dict.fromkeys(cases, "nobody: decline"))
    for transcript in done.transcripts:
        reason = cases[transcript["id"]][1]
        (check,) = [check for check in transcript["checks"] if not check["passed"]]
        assert (check["check"], check["message"]) == (
            "asked",
            f"declined the elicitation 'Who sleeps in {transcript['id']}?': {reason}",
        )
        assert " ".join(reason.split()[:4]) in done.stderr


@pytest.mark.parametrize("era", ERAS)
def test_url_requests_are_recorded_and_never_opened(tmp_path: Path, era: str) -> None:
    """A URL is accepted or declined as the query says.

    The trace has it verbatim, and `show` escapes its control characters.
    """
    queries = [script(("pay", {}), id="yes", elicit=["accept"]), script(("pay", {}), id="no")]
    done = run_asking(tmp_path, *queries, era=era, flags=("--elicit", "defaults", *SERIAL))
    assert last_results(done) == {"yes": "accept", "no": "decline"}
    assert {event["url"] for event in events_named(done, "asked")} == {"https://pay.example/\x1b[2J?bill=1"}
    shown = run_mcprun("show", "latest", "yes", cwd=tmp_path)
    lines = squeezed(shown.stdout)
    assert any(r"Please pay. https://pay.example/\x1b[2J?bill=1" in line for line in lines)
    assert "→ accept" in lines
    assert "\x1b" not in shown.stdout


def test_concurrent_requests_get_the_answers_of_their_queries(tmp_path: Path) -> None:
    """Two queries in flight on one server that get requests at the same time each send their own answer."""
    queries = [script(("meet", {"name": name}), id=name, elicit=[{"name": f"{name}'s"}]) for name in ("Ann", "Bob")]
    done = run_asking(tmp_path, *queries, era="2026-07-28", flags=("--call-timeout", "20"))
    assert last_results(done) == {"Ann": "Ann: Ann's, 1 nights", "Bob": "Bob: Bob's, 1 nights"}
    assert [one["asked"][0]["call"] for one in done.transcripts] == [0, 0]


def test_legacy_query_with_answers_has_its_server_alone(tmp_path: Path) -> None:
    """Over stdio, a legacy server's request names no call.

    A query with its own answers therefore shares its server with no other.
    """
    queries = [booking(f"q{number}", {"name": f"guest {number}"}) for number in range(6)]
    others = [booking(f"other{number}") for number in range(6)]
    mixed = [one for pair in zip(queries, others, strict=True) for one in pair]
    done = run_asking(tmp_path, *mixed, era="legacy", flags=("--servers", "2"))
    assert {name: expected for name, expected in last_results(done).items() if name.startswith("q")} == {
        f"q{number}": f"guest {number}, 1 nights" for number in range(6)
    }
    assert {expected for name, expected in last_results(done).items() if name.startswith("other")} == {
        "nobody: decline"
    }


def test_request_that_cannot_be_attributed_follows_elicit(tmp_path: Path) -> None:
    """With two queries in flight, a request may name no call.

    It is answered by `--elicit` and recorded without a query.
    """
    queries = [script(("drop_in", {"name": name}), id=name) for name in ("Ann", "Bob")]
    done = run_asking(tmp_path, *queries, era="legacy", flags=("--call-timeout", "20"))
    assert last_results(done) == {"Ann": "Ann: decline", "Bob": "Bob: decline"}
    assert ["query" in event for event in events_named(done, "asked")] == [False, False]
    assert ["asked" in one for one in done.transcripts] == [False, False]
    assert done.stderr.count("the server sent an elicitation request, which was declined") == 1


@pytest.fixture
def http_url() -> Iterator[str]:
    """Start the server over Streamable HTTP, and yield its URL."""
    with subprocess.Popen(
        [sys.executable, ASKING_SDK, "http"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean_environment()
    ) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
        process.kill()


@pytest.mark.parametrize("era", ERAS)
def test_http_request_is_attributed_to_its_call(tmp_path: Path, http_url: str, era: str) -> None:
    """A request arrives on the stream of its call.

    Both queries in flight are known, and so is the second of two calls.
    """
    turns = [
        {"calls": [{"tool": "count", "input": {"to": 1}}]},
        {"calls": [{"tool": "meet", "input": {}}]},
        {"text": "ok"},
    ]
    queries = []
    for name in ("Ann", "Bob"):
        turns[1] = {"calls": [{"tool": "meet", "input": {"name": name}}]}
        queries.append({"id": name, "prompt": "x", "script": list(turns)})
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", prompts, http_url, "--protocol", era, "--log-level", "debug", cwd=tmp_path)
    assert last_results(done) == {"Ann": "Ann: nobody: decline", "Bob": "Bob: nobody: decline"}
    sources = {(event["query"], event["turn"], event["call"]) for event in events_named(done, "asked")}
    assert sources == {("Ann", 1, 1), ("Bob", 1, 1)}
    assert [one["asked"][0]["answer"] for one in done.transcripts] == [{"action": "decline"}] * 2
    assert {(event["query"], event["call"]) for event in events_named(done, "log")} == {("Ann", 0), ("Bob", 0)}


def cancelled_query(how: str, where: str) -> dict[str, Any]:
    """Return a query whose call, resource or prompt times out and is cancelled."""
    query: dict[str, Any] = {"id": f"{how} {where}", "expect": {"tool_errors": "allow"}, "script": [{"text": "ok"}]}
    match where:
        case "call":
            return query | script((how, {})) | {"id": query["id"]}
        case "calls":
            turn = {"calls": [{"tool": how, "input": {}}, {"tool": "ok", "input": {}}, {"tool": how, "input": {}}]}
            return {**query, "prompt": "x", "script": [turn, {"text": "ok"}]}
        case "resource":
            return {**query, "prompt": "x", "resources": [f"x:{how}"]}
    return {**query, "server_prompt": how}


@pytest.mark.parametrize("how", ["hang", "late", "zombie"])
@pytest.mark.parametrize("where", ["call", "calls", "resource", "prompt"])
def test_cancelled_call_gets_no_answer_of_a_later_query(tmp_path: Path, how: str, where: str) -> None:
    """Later queries get their own answers, and the cancelled call gets none.

    The call's late response settles it, or a new server is started.
    """
    bob: dict[str, Any] = {
        "expect": {"calls": [{"tool": "ask", "result": {"$regex": "accept Bob"}}]},
        "elicit": [{"name": "Bob"}],
    }
    queries = [cancelled_query(how, where), script(("ask", {}), id="one", **bob), script(("ask", {}), id="two", **bob)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--call-timeout", "0.5", "--concurrency", "1")
    done = run_mcprun("batch", prompts, SERVERS / "cancelled_calls.py", *flags, cwd=tmp_path)
    assert last_results_of(done, "one", "two") == ["accept Bob"] * 2
    assert [done.verdicts[name] for name in ("one", "two")] == ["passed"] * 2
    if how != "late":
        assert len(events_named(done, "server_start")) == 2
        assert "a call was cancelled" in done.stderr
    assert events_named(done, "server_restart") == []


def test_sampling_works_after_a_cancelled_call(tmp_path: Path) -> None:
    """A query that cannot be told apart from one with a cancelled call gets a new server.

    This requires a server that is known to send requests.
    """
    queries = [
        script(("ponder", {}), id="first", sampling=["A."]),
        *({"id": name, "prompt": name, "expect": {"tool_errors": "allow"}} for name in ("hang", "one", "late", "two")),
    ]
    turns = {name: [calls((name, {})), text("ok")] for name in ("hang", "late")}
    answers = scripted(turns | {name: [calls(("ponder", {})), text("ok")] for name in ("first", "one", "two")})
    with MessagesApi(lambda body: text("So.") if prompt_of(body) == "Why?" else answers(body)) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        prompts = write_jsonl(tmp_path / "p.jsonl", *(query | {"prompt": query["id"]} for query in queries))
        flags = ("--call-timeout", "2", "--concurrency", "1", "--model", "m")
        done = run_mcprun("batch", prompts, SERVERS / "cancelled_calls.py", *flags, cwd=tmp_path, env=env)
    assert last_results_of(done, "first", "one", "two") == ["So."] * 3
    assert len(events_named(done, "server_start")) == 2


def test_cancelled_http_call_gets_no_answer_of_a_later_query(tmp_path: Path, http_url: str) -> None:
    """A query with its own answers gets a new session, in which no other call can send requests."""
    queries = [script(("stall", {}), id="stall", expect={"tool_errors": "allow"}), booking("one", GUEST)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--protocol", "legacy", "--call-timeout", "3", "--concurrency", "1")
    done = run_mcprun("batch", prompts, http_url, *flags, cwd=tmp_path)
    assert last_results_of(done, "one") == ["Ann, 3 nights"]
    assert set(done.verdicts.values()) == {"passed"}


def last_results_of(done: Result, *names: str) -> list[str]:
    """Return the texts of the last results of these queries."""
    texts = last_results(done)
    return [texts[name] for name in names]


@pytest.mark.parametrize("era", ERAS)
def test_sampling_texts_of_a_query_are_used_in_order(tmp_path: Path, era: str) -> None:
    """A query's `sampling` texts answer in order. If it has none, or none left, the server gets an error."""
    ponder = ("ponder", {"question": "Why?"})
    queries = [
        script(ponder, ponder, id="two", sampling=["Because.", "Because of that."]),
        script(ponder, id="none"),
        script(ponder, ponder, id="one", sampling=["Because."]),
    ]
    done = run_asking(tmp_path, *queries, era=era)
    two, none, one = done.transcripts
    assert sorted(call["content"][0]["text"] for call in two["calls"]) == [
        "script: Because of that. (endTurn)",
        "script: Because. (endTurn)",
    ]
    assert "nobody answers this here" in none["calls"][0]["content"][0]["text"]
    assert sorted(call["is_error"] for call in one["calls"]) == [False, True]
    assert "refused a sampling request: the query has no `sampling` text left" in done.stderr
    assert [asked["request"]["systemPrompt"] for asked in two["asked"]] == ["Be short."] * 2


def sampling_handler(sampled: dict[str, Any]) -> Any:
    """Return an API handler that sends `sampled` in reply to the server's "Why?" and calls the server otherwise."""
    turns = scripted({"x": [calls(("ponder", {"question": "Why?"})), text("ok")]})
    return lambda body: sampled if prompt_of(body) == "Why?" else turns(body)


@pytest.mark.parametrize("era", ERAS)
def test_sampling_by_the_model_can_be_replayed(tmp_path: Path, era: str) -> None:
    """The run's model gets the server's parameters, and its tokens count.

    A replay gives the same bytes without the model.
    """
    queries = [{"id": name, "prompt": "x"} for name in "abc"]
    reply = message([{"type": "text", "text": "Because."}], usage={"input_tokens": 100, "output_tokens": 7})
    with MessagesApi(sampling_handler(reply)) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        live = run_asking(tmp_path, *queries, era=era, flags=(*SERIAL, "--out", "live"), env=env)
    sampled = [request.body for request in api.requests if prompt_of(request.body) == "Why?"]
    assert [(one["system"], one["max_tokens"], "tools" in one) for one in sampled] == [("Be short.", 50, False)] * 3
    assert set(last_results(live).values()) == {f"{sampled[0]['model']}: Because. (endTurn)"}
    for one in live.transcripts:
        turns = sum(turn["usage"]["output_tokens"] for turn in one["turns"])
        assert one["usage"]["output_tokens"] == turns + 7
    assert [event["usage"]["output_tokens"] for event in events_named(live, "asked")] == [7] * 3
    for flags in ((), ("--concurrency", "1")):
        replayed = run_asking(tmp_path, *queries, era=era, flags=("--model", "replay:live", *flags))
        assert (replayed.code, replayed.bytes) == (0, live.bytes)


def test_sampling_is_bounded_and_can_be_refused(tmp_path: Path) -> None:
    """`--max-sampling` also limits a query's own texts. With 0, mcprun does not declare the capability."""
    turns = [{"calls": [{"tool": "ponder", "input": {"question": f"{n}?"}}]} for n in range(3)]
    query = {"id": "q", "prompt": "x", "script": [*turns, {"text": "ok"}], "sampling": ["a", "b", "c"]}
    done = run_asking(tmp_path, query, era="legacy", flags=("--max-sampling", "2"))
    assert [call["is_error"] for call in done.transcripts[0]["calls"]] == [False, False, True]
    assert done.transcripts[0]["asked"][2]["reason"] == "the limit of --max-sampling 2 is reached"
    none = run_asking(tmp_path, query, era="2026-07-28", flags=("--max-sampling", "0"))
    assert "did not declare the sampling capability" in last_results(none)["q"]
    assert "asked" not in none.transcripts[0]


@pytest.mark.parametrize(
    ("answer", "flags", "verdict", "kind"),
    [
        (message([], usage={"input_tokens": 1, "output_tokens": 1}), ("--budget-tokens", "1"), "skipped", "budget"),
        (error(500, "api_error", "Broken"), ("--no-retry",), "error", "api_error"),
        (error(400, "invalid_request_error", "Bad"), ("--no-retry",), "passed", None),
    ],
)
def test_sampling_error_of_the_api_ends_the_query_or_goes_to_the_server(
    tmp_path: Path, answer: Any, flags: tuple[str, ...], verdict: str, kind: str | None
) -> None:
    """A failure that is not the server's ends the query or the run.

    A request that the API rejects is an error for the server.
    """
    query = {"prompt": "x", "expect": {"tool_errors": "allow"}}
    with MessagesApi(sampling_handler(answer)) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        (one,) = run_asking(tmp_path, query, era="legacy", flags=flags, env=env).transcripts
    assert (one["verdict"], one["error"] and one["error"]["kind"]) == (verdict, kind)


@pytest.mark.parametrize("era", ERAS)
def test_concurrency_does_not_change_a_byte_and_replay_needs_no_answers(tmp_path: Path, era: str) -> None:
    """A transcript does not depend on which other queries run, or on who answers requests."""
    queries = [
        *(booking(f"own{number}", {"name": str(number)}) for number in range(3)),
        *(booking(f"policy{number}") for number in range(3)),
        script(("ponder", {"question": "Why?"}), id="ponder", sampling=["So."]),
        script(("ponder", {"question": "Why?"}), id="refused"),
        script(("wish", {}), ("wish", {}), id="wish", elicit=[{"floor": 1}, {"floor": 2}]),
    ]
    one, many = (
        run_asking(tmp_path, *queries, era=era, flags=("--concurrency", n, "--out", f"out{n}")) for n in ("1", "8")
    )
    assert one.bytes == many.bytes
    without_answers = [
        {key: value for key, value in query.items() if key not in ("sampling", "elicit")} for query in queries
    ]
    replayed = run_asking(tmp_path, *without_answers, era=era, flags=("--model", "replay:out1"))
    assert [{**one, "checks": []} for one in replayed.transcripts] == [{**one, "checks": []} for one in one.transcripts]


@pytest.mark.parametrize("era", ERAS)
def test_roots_are_sent_as_file_uris(tmp_path: Path, era: str) -> None:
    """`--root` folders are sent as file URIs. Without one, the capability is not declared."""
    (tmp_path / "in here").mkdir()
    query = script(("where", {}), id="q")
    done = run_asking(tmp_path, query, era=era, flags=("--root", "in here", "--root", "."))
    expected = f"in here {(tmp_path / 'in here').as_uri()}, {tmp_path.name} {tmp_path.as_uri()}"
    assert last_results(done) == {"q": expected}
    assert [event["kind"] for event in events_named(done, "asked")] == ["roots"]
    assert run_asking(tmp_path, query, era=era).transcripts[0]["calls"][0]["is_error"]
    wrong = run_asking(tmp_path, query, era=era, flags=("--root", "nowhere"))
    assert (wrong.code, wrong.stderr) == (2, "Error: --root nowhere: no such folder\n")


@pytest.mark.parametrize("era", ERAS)
def test_progress_and_log_messages_are_events_of_their_call(tmp_path: Path, era: str) -> None:
    """Each event is redacted, and their number is limited. `tool_call` counts all progress notifications."""
    flags = ("--log-level", "info", "--redact", "step 2", "--redact", "counted")
    done = run_asking(tmp_path, script(("count", {"to": 30})), era=era, flags=flags)
    reported = events_named(done, "progress")
    assert [(event["query"], event["call"], event["progress"], event["total"]) for event in reported] == [
        ("q", 0, number, 30) for number in range(1, 21)
    ]
    assert [event["message"] for event in reported[:3]] == ["step 1", "[redacted]", "step 3"]
    assert [event["progress"] for event in events_named(done, "tool_call")] == [30]
    logged = events_named(done, "log")
    assert (logged[0]["query"], logged[0]["level"], logged[0]["logger"]) == ("q", "warning", "counter")
    assert logged[0]["text"] == '{"[redacted]": 30}'
    assert len(logged) == (1 if era == "2026-07-28" else 2)  # the legacy server does not support log levels
    assert "step" not in done.bytes.decode()


@pytest.mark.parametrize("era", ERAS)
def test_timed_out_call_is_cancelled(tmp_path: Path, era: str) -> None:
    """The server gets a cancellation, the trace records it, and the session goes on."""
    query = script(("stall", {}), id="q") | {"expect": {"tool_errors": "allow"}}
    query["script"].insert(1, {"calls": [{"tool": "book", "input": {"room": "1"}}]})
    done = run_asking(tmp_path, query, era=era, flags=("--call-timeout", "1"))
    assert last_results(done) == {"q": "nobody: decline"}
    assert [(event.get("problem"), event.get("cancelled")) for event in events_named(done, "tool_call")] == [
        ("timeout", True),
        (None, None),
    ]  # fmt: skip
    assert "stall was cancelled" in (done.run / "server.log").read_text()


@pytest.mark.parametrize("era", ERAS)
def test_changed_tools_apply_to_the_next_query(tmp_path: Path, era: str) -> None:
    """The query in flight keeps its list. The next one gets the new tool, and a warning reports the change."""
    turns = {
        "first": [calls(("grow", {"name": "grown"})), calls(("count", {"to": 1})), text("ok")],
        "second": [calls(("grown", {})), text("ok")],
    }
    with MessagesApi(scripted(turns)) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = run_asking(
            tmp_path, {"prompt": "first"}, {"prompt": "second"}, era=era, flags=("--concurrency", "1"), env=env
        )
    offered = [
        (prompt_of(request.body), "grown" in [tool["name"] for tool in request.body["tools"]])
        for request in api.requests
    ]
    assert offered == [("first", False)] * 3 + [("second", True)] * 2
    assert [one["calls"][-1]["is_error"] for one in done.transcripts] == [False, False]
    assert [event.get("changes") for event in events_named(done, "tools_changed")] == [None, "added: grown"]
    assert "Warning: the server's tools changed, effective for queries that start now: added: grown" in done.stderr
    assert "grown" not in [tool["name"] for tool in done.record["server"]["tools"]]


def test_input_rounds_are_limited(tmp_path: Path) -> None:
    """A server that asks for input without end gets no eleventh answer. One that only asks for a retry gets it."""
    queries = [script((name, {}), id=name, expect={"tool_errors": "allow"}) for name in ("nag", "later")]
    done = run_asking(tmp_path, *queries, era="2026-07-28")
    assert last_results(done) == {
        "nag": "No result of nag: the server has asked for input 10 times, and asks again.",
        "later": "after 3 tries",
    }
    assert len(done.transcripts[0]["asked"]) == 10


def test_requests_per_query_are_limited(tmp_path: Path) -> None:
    """After 100 requests, a query sends no more answers, and its trace records no more of them."""
    query = script(*[("nag", {})] * 11, expect={"tool_errors": "allow"})
    done = run_asking(tmp_path, query, era="2026-07-28")
    assert len(events_named(done, "asked")) == len(done.transcripts[0]["asked"]) == 100
    refused = "No result of nag: the server asked for input (elicitation/create), and nobody answers this here."
    assert refused in [call["content"][0]["text"] for call in done.transcripts[0]["calls"]]


def test_show_prints_requests_and_their_answers(tmp_path: Path) -> None:
    """`show` prints a request and its answer after the call that it belongs to."""
    run_asking(tmp_path, booking("room", GUEST) | {"id": "q"}, era="2026-07-28")
    lines = squeezed(run_mcprun("show", "latest", "q", cwd=tmp_path).stdout)
    at = lines.index("request elicitation during call 0: Who sleeps in room?")
    assert lines[at - 1 : at + 2] == ["→ Ann, 3 nights", lines[at], 'response accept {name: "Ann", nights: 3}']


def test_tools_and_batch_declare_the_same_capabilities(tmp_path: Path) -> None:
    """A server that chooses its tools by the client's capabilities lists the same ones to `tools` as in a run."""
    server = tmp_path / "choosy.py"
    server.write_text(CHOOSY)
    run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", script()), server, "--root", ".", cwd=tmp_path)
    same = run_mcprun("tools", server, "--against", "latest", "--strict", "--root", ".", cwd=tmp_path)
    fewer = run_mcprun("tools", server, "--max-sampling", "0", "--json", cwd=tmp_path)
    assert same.code == 0
    assert [tool["name"] for tool in json.loads(fewer.stdout)["tools"]] == ["elicitation"]


CHOOSY = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        offered = message["params"]["capabilities"]
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "choosy", "version": "1"}}
    elif message.get("method") == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in offered]}
    elif "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no"}}), flush=True)
        continue
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
