"""Fault injection: faults of the Messages API, and a server that counts its calls and kills itself."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anthropic
import pytest
from anthropic.types import Message

from tests.support.cli import SERVERS, clean_environment, run_mcprun, script, write_jsonl
from tests.support.faults import FAULTS, Faulty
from tests.support.messages_api import Answer, Body, MessagesApi, text
from tests.support.messages_requests import assistant, client_of, request, user

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

COUNTING = SERVERS / "counting.py"

ANSWER = text("5")

KINDS = {id(reply): kind for kind, reply in FAULTS.items()}

TurnKey = tuple[str, int]


def request_for(prompt: str, turn: int = 0) -> Body:
    """Return a request for a turn of a conversation."""
    texts = [message for _ in range(turn) for message in (assistant("Well?"), user("Go on."))]
    return request(messages=[user(prompt), *texts])


def faulty(*, seed: int = 1, rate: float = 0.3, silent: bool = True) -> Faulty:
    return Faulty(lambda _: ANSWER, seed=seed, rate=rate, silent=silent)


def kind_of(answer: Answer) -> str | None:
    """Return the kind of a fault, or None for the answer itself."""
    return None if answer is ANSWER else KINDS[id(answer)]


def faults_by_turn(answer: Faulty, *turns: TurnKey) -> dict[TurnKey, list[str | None]]:
    """Request each turn in order; return the kinds of fault that it received, one per request."""
    received: dict[TurnKey, list[str | None]] = {turn: [] for turn in turns}
    for turn in turns:
        received[turn].append(kind_of(answer(request_for(*turn))))
    return received


def test_rate_zero_injects_no_faults() -> None:
    """At rate 0 every request is answered."""
    answer = faulty(rate=0)
    assert {kind_of(answer(request_for(f"prompt {number}"))) for number in range(100)} == {None}
    assert answer.made == {}


@pytest.mark.parametrize("silent", [True, False])
def test_faults_match_the_rate_and_kinds_are_evenly_distributed(silent: bool) -> None:
    """The share of faults is about the rate. Every kind is counted and about as frequent; `silent` can be excluded."""
    answer = faulty(silent=silent)
    outcomes = Counter(kind_of(answer(request_for(f"prompt {number}"))) for number in range(2000))
    answered = outcomes.pop(None)
    assert 0.27 < outcomes.total() / (outcomes.total() + answered) < 0.33
    assert outcomes == answer.made
    assert outcomes.keys() == FAULTS.keys() - (set() if silent else {"silent"})
    assert max(outcomes.values()) < 2 * min(outcomes.values())


def test_faults_do_not_depend_on_the_order_of_requests() -> None:
    """Interleaved conversations receive the same faults as sequential ones."""
    turns = [(f"prompt {number}", turn) for number in range(50) for turn in range(3) for _ in range(6)]
    shuffled = random.Random(7).sample(turns, len(turns))
    assert faults_by_turn(faulty(), *shuffled) == faults_by_turn(faulty(), *turns)


@pytest.mark.parametrize(
    "turns",
    [[(f"prompt {number}", 0) for number in range(60)], [("Hi", turn) for turn in range(60)], [("Hi", 0)] * 60],
    ids=["prompt", "turn", "repetition"],
)
def test_faults_vary_with_prompt_turn_repetition_and_seed(turns: list[TurnKey]) -> None:
    """Different prompts, different turns and repeated requests receive different faults, and so do different seeds."""
    one, other = faults_by_turn(faulty(seed=1), *turns), faults_by_turn(faulty(seed=2), *turns)
    assert len({kind for kinds in one.values() for kind in kinds}) > 5
    assert one != other


def test_at_most_three_faults_in_a_row() -> None:
    """Even at rate 1, every fourth request for a turn is answered, regardless of requests for other turns."""
    answer = faulty(rate=1)
    turn, other_turn, other_prompt = ("Hi", 0), ("Hi", 1), ("Ho", 0)
    received = faults_by_turn(answer, *[turn] * 3, other_turn, *[turn] * 2, *[other_prompt] * 4, *[turn] * 4)
    answered = {turn: [kind is None for kind in kinds] for turn, kinds in received.items()}
    round_of_four = [False, False, False, True]
    assert answered == {
        turn: [*round_of_four, *round_of_four, False],
        other_turn: [False],
        other_prompt: round_of_four,
    }


@pytest.fixture
def frequent_thread_switches() -> Iterator[None]:
    """Reduce the interval of thread switches to 1 µs."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_thread_switches")
def test_concurrent_requests_are_counted_correctly() -> None:
    """Eight threads that request the same turn receive, in total, the faults that one thread would, and all are counted."""
    answer, body = faulty(), request_for("Hi")
    start = threading.Barrier(8)

    def ask(_: int) -> list[str | None]:
        start.wait(10)
        return [kind_of(answer(body)) for _ in range(500)]

    with ThreadPoolExecutor(8) as pool:
        received = Counter(kind for kinds in pool.map(ask, range(8)) for kind in kinds)
    assert received == Counter(faults_by_turn(faulty(), *[("Hi", 0)] * 4000)["Hi", 0])
    del received[None]
    assert received == answer.made


async def test_sdk_raises_the_exception_of_each_fault() -> None:
    """Over HTTP, each kind of fault except `silent` raises the SDK's exception for it, or returns a message."""
    outcome_of: dict[str, type] = {
        "429": anthropic.RateLimitError,
        "529": anthropic.OverloadedError,
        "500": anthropic.InternalServerError,
        "503": anthropic.ServiceUnavailableError,
        "408": anthropic.RequestTimeoutError,
        "409": anthropic.ConflictError,
        "drop": anthropic.APIConnectionError,
        "reset": anthropic.APIConnectionError,
        "truncate": anthropic.APIConnectionError,
        "garbage": json.JSONDecodeError,
        "error in 200": Message,  # the SDK does not check the body's type
    }
    answer, outcomes = faulty(rate=1, silent=False), Counter[type]()
    with MessagesApi(answer) as api:
        async with client_of(api).with_options(timeout=10) as client:
            for number in range(60):
                try:
                    content = await client.post("/v1/messages", body=request_for(f"prompt {number}"), cast_to=Message)
                    outcomes[type(content)] += 1
                except (anthropic.AnthropicError, ValueError) as error:
                    outcomes[type(error)] += 1
    expected = Counter[type]()
    for kind, times in answer.made.items():
        expected[outcome_of[kind]] += times
    assert answer.made.keys() == outcome_of.keys()
    assert outcomes == expected
    assert {reply.headers.get("retry-after-ms") for reply in api.replies if reply.status == 429} == {"50"}


def test_transport_failures_are_kinds_of_fault() -> None:
    """Each of the four transport failures is a kind of fault of the same name."""
    failures = {kind: reply.fails for kind, reply in FAULTS.items() if reply.fails is not None}
    assert failures == {name: name for name in ("drop", "reset", "silent", "truncate")}


def call(number: int, a: float, b: float) -> Body:
    return {"id": number, "method": "tools/call", "params": {"name": "add", "arguments": {"b": b, "a": a}}}


def counting(*messages: Body, args: tuple[str | Path, ...]) -> tuple[int, dict[int, Body], str]:
    """Send messages to the server at once; return its exit code, its responses by id, and its stderr."""
    lines = "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
    command = [sys.executable, COUNTING, *args]
    done = subprocess.run(
        command, input=lines, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {answer["id"]: answer for answer in answers}, done.stderr


def test_counting_server_speaks_the_protocol(tmp_path: Path) -> None:
    """The server answers requests, not notifications, and writes its calls to the file with sorted keys."""
    file = tmp_path / "calls"
    code, answers, _ = counting(
        {"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}},
        {"method": "notifications/initialized"},
        {"id": 1, "method": "tools/list"},
        call(2, 1, 2),
        {"id": 3, "method": "ping"},
        call(4, 0.5, -1),
        args=(file,),
    )
    assert (code, list(answers)) == (0, [0, 1, 2, 3, 4])
    assert answers[0]["result"]["protocolVersion"] == "2025-06-18"
    assert [tool["name"] for tool in answers[1]["result"]["tools"]] == ["add"]
    assert [answers[number]["result"]["content"][0]["text"] for number in (2, 4)] == ["3", "-0.5"]
    assert answers[3]["error"]["code"] == -32601
    assert file.read_text() == 'add {"a":1,"b":2}\nadd {"a":0.5,"b":-1}\n'


def test_counting_server_kills_itself_after_n_calls(tmp_path: Path) -> None:
    """The server kills itself once it has answered and recorded N calls. The next process appends to the same file."""
    file = tmp_path / "calls"
    for start in (0, 10):
        numbers = range(start, start + 5)
        code, answers, _ = counting(*(call(number, number, 0) for number in numbers), args=(file, "3"))
        assert (code, list(answers)) == (-signal.SIGKILL, [start, start + 1, start + 2])
    assert file.read_text().splitlines() == [f'add {{"a":{number},"b":0}}' for number in (0, 1, 2, 10, 11, 12)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_counting_server_answers_before_it_counts() -> None:
    """The server sends its response before it writes the line, so a call that cannot be recorded has been answered."""
    code, answers, stderr = counting(call(1, 1, 2), args=("/dev/full",))
    assert (code, list(answers)) == (1, [1])
    assert "No space left on device" in stderr


def test_counting_server_records_the_calls_of_a_run(tmp_path: Path) -> None:
    """`mcprun batch` works with the server, which records each of its calls."""
    query = script(*(("add", {"a": number, "b": 1}) for number in range(3)))
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query), COUNTING, "--", "calls", cwd=tmp_path)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    lines = (tmp_path / "calls").read_text().splitlines()
    assert sorted(lines) == [f'add {{"a":{number},"b":1}}' for number in range(3)]
