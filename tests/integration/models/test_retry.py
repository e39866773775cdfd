"""Retries of API requests, against a local stand-in of the API."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import ask
from tests.support.cli import SERVERS
from tests.support.messages_api import Answer, Body, HttpReply, MessagesApi, calls, error, scripted, text

pytestmark = pytest.mark.usefixtures("each_transport")

RAW = SERVERS / "raw.py"

SHORT_WAIT = {"retry-after-ms": "20"}


def fail_first(*failures: HttpReply, then: Callable[[Body], Answer]) -> Callable[[Body], Answer]:
    """Return an answer function that replies with `first` in order, and then with `then`."""
    remaining, lock = list(failures), threading.Lock()

    def answer(body: Body) -> Answer:
        with lock:
            return remaining.pop(0) if remaining else then(body)

    return answer


@pytest.mark.parametrize(
    "failure",
    [
        error(429, "rate_limit_error", "Slow down", headers=SHORT_WAIT),
        error(529, "overloaded_error", "Overloaded", headers=SHORT_WAIT),
        error(500, "api_error", "Oops", headers=SHORT_WAIT),
        error(408, "timeout_error", "Late", headers=SHORT_WAIT),
        error(409, "conflict_error", "Clash", headers=SHORT_WAIT),
        error(400, "invalid_request_error", "Once more", headers={**SHORT_WAIT, "x-should-retry": "true"}),
        HttpReply(200, "{", SHORT_WAIT),
        HttpReply(200, {"type": "message"}, SHORT_WAIT),
        HttpReply(200, "", fails="drop"),
        HttpReply(200, "", fails="reset"),
        HttpReply(200, text("Half of this is missing."), fails="truncate"),
        error(200, "overloaded_error", "Overloaded", headers=SHORT_WAIT),
        error(200, "api_error", "Oops", headers=SHORT_WAIT),
    ],
)
def test_temporary_failure_is_retried(tmp_path: Path, failure: HttpReply) -> None:
    """Each kind of temporary failure is retried and traced, and tools run once."""
    conversation = scripted({"Go": [calls(("ok", {})), text("Done.")]})
    with MessagesApi(fail_first(failure, then=conversation)) as api:
        done = ask(tmp_path, api, RAW, "--max-retry-wait", "0.05", queries=("Go",))
    assert (done.code, done.transcripts[0]["text"]) == (0, "Done.")
    assert [event["event"] for event in done.trace if event["event"] in ("retry", "tool_call")] == [
        "retry",
        "tool_call",
    ]
    message = next(event for event in done.trace if event["event"] == "retry")
    assert message["tried"] == 1
    is_error = isinstance(failure.body, dict) and failure.body.get("type") == "error"
    assert message.get("status") == (failure.status if is_error else None)
    assert ("throttled" in message["error"]) == (failure.status in (429, 529) or "Overloaded" in str(failure.body))
    assert len(api.requests) == 3


def test_should_retry_header_is_obeyed(tmp_path: Path) -> None:
    """A response with `x-should-retry: false` is not retried."""
    refusal = error(500, "api_error", "Oops", headers={"x-should-retry": "false"})
    with MessagesApi(lambda _: refusal) as api:
        done = ask(tmp_path, api, RAW)
    assert (done.code, len(api.requests)) == (3, 1)


def test_permanent_throttling_is_an_error(tmp_path: Path) -> None:
    """Four queries end as `throttled` after their retries, and the run exits with 3."""
    with MessagesApi(lambda _: error(429, "rate_limit_error", "Slow down", headers={"retry-after": "1"})) as api:
        done = ask(tmp_path, api, RAW, "--retries", "2", queries=tuple("abcd"))
    assert (done.code, len(api.requests)) == (3, 4 * 3)
    assert [transcript["error"]["kind"] for transcript in done.transcripts] == ["throttled"] * 4
    assert done.stderr.count("throttled: the API is throttling: 429 rate_limit_error: Slow down") == 4
    waits = [event["wait"] for event in done.trace if event["event"] == "retry"]
    assert waits == [1.0] * 8


@pytest.mark.parametrize(
    "header", [{"retry-after": "0"}, {"retry-after-ms": "0"}, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}]
)
def test_retry_after_zero_keeps_the_back_off(tmp_path: Path, header: dict[str, str]) -> None:
    """A `retry-after` of zero, or a date in the past, leaves the jittered back-off in place."""
    with MessagesApi(lambda _: error(503, "api_error", "Oops", headers=header)) as api:
        done = ask(tmp_path, api, RAW, "--retries", "2", "--max-retry-wait", "0.1")
    waits = [event["wait"] for event in done.trace if event["event"] == "retry"]
    assert (len(waits), all(0 < wait <= 0.1 for wait in waits)) == (2, True)


def test_no_retry_sends_one_request(tmp_path: Path) -> None:
    """`--no-retry` sends each request once."""
    with MessagesApi(lambda _: error(500, "api_error", "Oops")) as api:
        done = ask(tmp_path, api, RAW, "--no-retry")
    assert (done.code, len(api.requests)) == (3, 1)


def test_all_queries_pass_at_a_limit_of_four_in_flight(tmp_path: Path) -> None:
    """All 40 queries pass at concurrency 16 against an API that accepts four requests at once."""
    in_flight, lock = [0], threading.Lock()

    def answer(body: Body) -> Any:
        with lock:
            in_flight[0] += 1
            too_many = in_flight[0] > 4
        threading.Event().wait(0.01)  # time that the API takes to respond
        with lock:
            in_flight[0] -= 1
        return error(429, "rate_limit_error", "Four at once", headers=SHORT_WAIT) if too_many else text("ok")

    with MessagesApi(answer) as api:
        done = ask(tmp_path, api, RAW, "--concurrency", "16", queries=tuple(f"q{number}" for number in range(40)))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
