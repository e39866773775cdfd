"""The tests' fault injection: API faults, and a server that counts its calls and dies."""

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

Place = tuple[str, int]


def asks(prompt: str, turn: int = 0) -> Body:
    """A request for this turn of a conversation."""
    texts = [message for _ in range(turn) for message in (assistant("Well?"), user("Go on."))]
    return request(messages=[user(prompt), *texts])


def faulty(*, seed: int = 1, rate: float = 0.3, silent: bool = True) -> Faulty:
    return Faulty(lambda _: ANSWER, seed=seed, rate=rate, silent=silent)


def kind_of(answer: Answer) -> str | None:
    """The kind of a fault; None for the answer itself."""
    return None if answer is ANSWER else KINDS[id(answer)]


def met(answer: Faulty, *places: Place) -> dict[Place, list[str | None]]:
    """What each of these turns met, each time it was asked for."""
    found: dict[Place, list[str | None]] = {place: [] for place in places}
    for place in places:
        found[place].append(kind_of(answer(asks(*place))))
    return found


def test_without_a_rate_there_is_no_fault() -> None:
    """At rate 0 all is answered."""
    answer = faulty(rate=0)
    assert {kind_of(answer(asks(f"prompt {number}"))) for number in range(100)} == {None}
    assert answer.made == {}


@pytest.mark.parametrize("silent", [True, False])
def test_the_share_and_the_kinds_of_faults(silent: bool) -> None:
    """The rate is kept, every kind is made about as often and counted, and silence only where it is wanted."""
    answer = faulty(silent=silent)
    seen = Counter(kind_of(answer(asks(f"prompt {number}"))) for number in range(2000))
    answered = seen.pop(None)
    assert 0.27 < seen.total() / (seen.total() + answered) < 0.33
    assert seen == answer.made
    assert seen.keys() == FAULTS.keys() - (set() if silent else {"silent"})
    assert max(seen.values()) < 2 * min(seen.values())


def test_the_order_of_arrival_does_not_matter() -> None:
    """Shuffled among each other, conversations meet the faults that they meet one after the other."""
    places = [(f"prompt {number}", turn) for number in range(50) for turn in range(3) for _ in range(6)]
    shuffled = random.Random(7).sample(places, len(places))
    assert met(faulty(), *shuffled) == met(faulty(), *places)


@pytest.mark.parametrize(
    "places",
    [[(f"prompt {number}", 0) for number in range(60)], [("Hi", turn) for turn in range(60)], [("Hi", 0)] * 60],
    ids=["prompt", "turn", "again"],
)
def test_what_a_fault_hangs_on(places: list[Place]) -> None:
    """Prompts, turns and repetitions each differ in their faults, and so do seeds."""
    one, other = met(faulty(seed=1), *places), met(faulty(seed=2), *places)
    assert len({kind for kinds in one.values() for kind in kinds}) > 5
    assert one != other


def test_three_faults_in_a_row_are_the_most() -> None:
    """Even at rate 1, each fourth request of a turn is answered, whatever other turns meet in between."""
    answer = faulty(rate=1)
    place, other_turn, other_prompt = ("Hi", 0), ("Hi", 1), ("Ho", 0)
    found = met(answer, *[place] * 3, other_turn, *[place] * 2, *[other_prompt] * 4, *[place] * 4)
    answered = {place: [kind is None for kind in kinds] for place, kinds in found.items()}
    round_of_four = [False, False, False, True]
    assert answered == {
        place: [*round_of_four, *round_of_four, False],
        other_turn: [False],
        other_prompt: round_of_four,
    }


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Switch between threads as often as can be."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty_threads")
def test_threads_lose_no_count() -> None:
    """Asked for one turn by eight threads at once, it makes and counts the faults that one thread would meet."""
    answer, body = faulty(), asks("Hi")
    start = threading.Barrier(8)

    def ask(_: int) -> list[str | None]:
        start.wait(10)
        return [kind_of(answer(body)) for _ in range(500)]

    with ThreadPoolExecutor(8) as pool:
        found = Counter(kind for kinds in pool.map(ask, range(8)) for kind in kinds)
    assert found == Counter(met(faulty(), *[("Hi", 0)] * 4000)["Hi", 0])
    del found[None]
    assert found == answer.made


async def test_what_a_client_sees_of_each_kind() -> None:
    """Over HTTP, each kind but silence is for the SDK what its name says."""
    seen_of: dict[str, type] = {
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
        "error in 200": Message,  # the SDK does not look
    }
    answer, seen = faulty(rate=1, silent=False), Counter[type]()
    with MessagesApi(answer) as api:
        async with client_of(api).with_options(timeout=10) as client:
            for number in range(60):
                try:
                    content = await client.post("/v1/messages", body=asks(f"prompt {number}"), cast_to=Message)
                    seen[type(content)] += 1
                except (anthropic.AnthropicError, ValueError) as error:
                    seen[type(error)] += 1
    expected = Counter[type]()
    for kind, times in answer.made.items():
        expected[seen_of[kind]] += times
    assert answer.made.keys() == seen_of.keys()
    assert seen == expected
    assert {reply.headers.get("retry-after-ms") for reply in api.replies if reply.status == 429} == {"50"}


def test_kinds_that_do_not_arrive_are_named_for_how() -> None:
    """The four ways in which a reply does not arrive are kinds of fault, by the same names."""
    ways = {kind: reply.fails for kind, reply in FAULTS.items() if reply.fails is not None}
    assert ways == {way: way for way in ("drop", "reset", "silent", "truncate")}


# The server that counts. --------------------------------------------------------------------------------


def call(number: int, a: float, b: float) -> Body:
    return {"id": number, "method": "tools/call", "params": {"name": "add", "arguments": {"b": b, "a": a}}}


def counting(*messages: Body, args: tuple[str | Path, ...]) -> tuple[int, dict[int, Body], str]:
    """Send messages to the server, all at once: its exit code, its answers by id, and its stderr."""
    lines = "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
    command = [sys.executable, COUNTING, *args]
    done = subprocess.run(
        command, input=lines, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {answer["id"]: answer for answer in answers}, done.stderr


def test_the_counting_server_speaks_the_protocol(tmp_path: Path) -> None:
    """It answers requests, not notifications, and notes its calls without their order of keys."""
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


def test_the_counting_server_dies_after_n_answers(tmp_path: Path) -> None:
    """It is killed when N calls are answered and noted, and the next one started goes on with the file."""
    file = tmp_path / "calls"
    for start in (0, 10):
        numbers = range(start, start + 5)
        code, answers, _ = counting(*(call(number, number, 0) for number in numbers), args=(file, "3"))
        assert (code, list(answers)) == (-signal.SIGKILL, [start, start + 1, start + 2])
    assert file.read_text().splitlines() == [f'add {{"a":{number},"b":0}}' for number in (0, 1, 2, 10, 11, 12)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it takes a file that can't be written")
def test_the_counting_server_answers_before_it_counts() -> None:
    """What can't be noted has been answered: the line in the file comes after the answer."""
    code, answers, stderr = counting(call(1, 1, 2), args=("/dev/full",))
    assert (code, list(answers)) == (1, [1])
    assert "No space left on device" in stderr


def test_the_counting_server_under_the_command(tmp_path: Path) -> None:
    """The command gets on with it: its calls are made and counted."""
    query = script(*(("add", {"a": number, "b": 1}) for number in range(3)))
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", query), COUNTING, "--", "calls", cwd=tmp_path)
    assert (done.code, done.verdicts) == (0, {"q": "passed"})
    lines = (tmp_path / "calls").read_text().splitlines()
    assert sorted(lines) == [f'add {{"a":{number},"b":1}}' for number in range(3)]
