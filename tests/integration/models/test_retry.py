"""Retries against a local stand-in of the API."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcprun.errors import ErrorKind, RequestError
from tests.support.asking import ask
from tests.support.cli import SERVERS
from tests.support.messages_api import Answer, Body, HttpReply, MessagesApi, calls, error, scripted, text


def throttled(retry_after: float | None = None) -> RequestError:
    """Make what a throttled request raises."""
    return RequestError(ErrorKind.THROTTLED, "slow down", may_pass=True, retry_after=retry_after, status=429)


# Whole commands. ----------------------------------------------------------------------------------------

RAW = SERVERS / "raw.py"

BRIEFLY = {"retry-after-ms": "20"}


def first_then(*first: HttpReply, then: Callable[[Body], Answer]) -> Callable[[Body], Answer]:
    """Answer with errors first, then as usual."""
    left, lock = list(first), threading.Lock()

    def answer(body: Body) -> Answer:
        with lock:
            return left.pop(0) if left else then(body)

    return answer


@pytest.mark.parametrize(
    "trouble",
    [
        error(429, "rate_limit_error", "Slow down", headers=BRIEFLY),
        error(529, "overloaded_error", "Overloaded", headers=BRIEFLY),
        error(500, "api_error", "Oops", headers=BRIEFLY),
        error(408, "timeout_error", "Late", headers=BRIEFLY),
        error(409, "conflict_error", "Clash", headers=BRIEFLY),
        error(400, "invalid_request_error", "Once more", headers={**BRIEFLY, "x-should-retry": "true"}),
        HttpReply(200, "{", BRIEFLY),
        HttpReply(200, {"type": "message"}, BRIEFLY),
        HttpReply(200, "", fails="drop"),
        HttpReply(200, "", fails="reset"),
        HttpReply(200, text("Half of this is missing."), fails="truncate"),
        error(200, "overloaded_error", "Overloaded", headers=BRIEFLY),
        error(200, "api_error", "Oops", headers=BRIEFLY),
    ],
)
def test_trouble_of_the_api_passes(tmp_path: Path, trouble: HttpReply) -> None:
    """Each kind of passing trouble is tried again, the trace tells it, and tools run once."""
    usual = scripted({"Go": [calls(("ok", {})), text("Done.")]})
    with MessagesApi(first_then(trouble, then=usual)) as api:
        done = ask(tmp_path, api, RAW, "--max-retry-wait", "0.05", queries=("Go",))
    assert (done.code, done.transcripts[0]["text"]) == (0, "Done.")
    assert [event["event"] for event in done.trace if event["event"] in ("retry", "tool_call")] == [
        "retry",
        "tool_call",
    ]
    message = next(event for event in done.trace if event["event"] == "retry")
    assert message["tried"] == 1
    is_error = isinstance(trouble.body, dict) and trouble.body.get("type") == "error"
    assert message.get("status") == (trouble.status if is_error else None)
    assert ("throttled" in message["error"]) == (trouble.status in (429, 529) or "Overloaded" in str(trouble.body))
    assert len(api.requests) == 3


def test_the_apis_no_is_a_no(tmp_path: Path) -> None:
    """`x-should-retry: false` is obeyed."""
    refusal = error(500, "api_error", "Oops", headers={"x-should-retry": "false"})
    with MessagesApi(lambda _: refusal) as api:
        done = ask(tmp_path, api, RAW)
    assert (done.code, len(api.requests)) == (3, 1)


def test_an_api_that_throttles_for_ever(tmp_path: Path) -> None:
    """Four queries end as throttled within their tries, exit 3, and say so."""
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
def test_a_header_that_asks_for_no_wait_leaves_the_back_off_on(tmp_path: Path, header: dict[str, str]) -> None:
    """Zero, or a date in the past, is no request to send at once: each retry waits its jittered share."""
    with MessagesApi(lambda _: error(503, "api_error", "Oops", headers=header)) as api:
        done = ask(tmp_path, api, RAW, "--retries", "2", "--max-retry-wait", "0.1")
    waits = [event["wait"] for event in done.trace if event["event"] == "retry"]
    assert (len(waits), all(0 < wait <= 0.1 for wait in waits)) == (2, True)


def test_no_retry(tmp_path: Path) -> None:
    """`--no-retry` asks once."""
    with MessagesApi(lambda _: error(500, "api_error", "Oops")) as api:
        done = ask(tmp_path, api, RAW, "--no-retry")
    assert (done.code, len(api.requests)) == (3, 1)


def test_a_limit_of_four_in_flight_loses_nobody(tmp_path: Path) -> None:
    """Of forty queries at concurrency 16, against an API that takes four at once, all pass."""
    in_flight, lock = [0], threading.Lock()

    def answer(body: Body) -> Any:
        with lock:
            in_flight[0] += 1
            too_many = in_flight[0] > 4
        threading.Event().wait(0.01)  # the API's own time to answer
        with lock:
            in_flight[0] -= 1
        return error(429, "rate_limit_error", "Four at once", headers=BRIEFLY) if too_many else text("ok")

    with MessagesApi(answer) as api:
        done = ask(tmp_path, api, RAW, "--concurrency", "16", queries=tuple(f"q{number}" for number in range(40)))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
