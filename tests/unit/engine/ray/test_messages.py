"""Events of queries run in other processes, merged as if they had run here."""

from __future__ import annotations

import pickle
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mcprun.client.server_log import ServerLog
from mcprun.engine.ray.messages import EventBuffer, EventMerger, OffsetMap
from mcprun.errors import ErrorKind, RunError
from mcprun.runs.events import AttemptRef, Event, ServerExit, ServerStart, ToolCall, WarningEvent
from mcprun.runs.redaction import Redactor


def start(server: int, offset: int) -> ServerStart:
    """A server that answered."""
    return ServerStart(server=server, server_name="s", version="1", protocol="p", tools=0, log_offset=offset)


def call(server: int, offset: int, tool: str = "t") -> ToolCall:
    """A call whose text begins there."""
    return ToolCall(where=AttemptRef("q"), call=0, tool=tool, input={}, server=server, log_offset=offset)


@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=9)), max_size=40))
def test_each_byte_is_found_where_it_was_copied_to(pieces: list[tuple[bool, bytes]]) -> None:
    """Whoever else writes between, and however often."""
    places, here, there = OffsetMap(), b"", b""
    for is_ours, piece in pieces:
        if is_ours:
            places.add(len(there), len(piece))
            here += piece
        there += piece
    found = [places.find(offset) for offset in range(len(here))]
    assert [there[place] for place in found if place is not None] == list(here)
    assert places.find(len(here)) is None


def test_what_was_long_ago_is_forgotten() -> None:
    """Of a long run only the newest pieces are known; an older byte is said to stand where they begin."""
    places = OffsetMap()
    for number in range(30_000):
        places.add(number * 3, 1)
    assert places.find(29_999) == 29_999 * 3
    oldest = places.find(0)
    assert oldest is not None
    assert oldest > 15_000 * 3
    assert places.find(29_999 // 2) == oldest


def test_servers_of_several_processes_have_numbers_of_their_own(tmp_path: Path) -> None:
    """Also those of a process that came in place of another; what one of them says stands where its events say."""
    events: list[Event] = []
    log = ServerLog(tmp_path / "server.log", Redactor(), 1000)
    one, two = (EventMerger(number, 2, log, events.append, set()) for number in (1, 2))
    one.take((start(1, 0), b"one\n", start(2, 4)))
    two.take((start(1, 0), b"two\n", call(1, 0)))
    one.take((b"three\n", call(2, 4), ServerExit(server=1, died=False, log_offset=10)))
    one.renew()
    one.take((start(1, 0), b"four\n", call(1, 0)))
    assert [event.server for event in events if isinstance(event, ServerStart)] == [1, 3, 2, 5]
    text = (tmp_path / "server.log").read_bytes()
    assert text == b"one\ntwo\nthree\nfour\n"
    offsets = [event.log_offset for event in events if isinstance(event, ToolCall)]
    assert [text[offset:].split(b"\n")[0] for offset in offsets] == [b"two", b"three", b"four"]


def test_what_each_warns_of_is_told_once(tmp_path: Path) -> None:
    """But what concerns a query is told of each."""
    events: list[Event] = []
    known: set[str] = set()
    log = ServerLog(tmp_path / "server.log", Redactor(), 1000)
    for number in (1, 2):
        own = WarningEvent(where=AttemptRef("q", number), message="slow")
        EventMerger(number, 2, log, events.append, known).take((WarningEvent(message="a tool was left out"), own))
    assert [(event.where is None, event.where and event.where.repeat) for event in events] == [
        (True, None),
        (False, 1),
        (False, 2),
    ]


def test_a_parcel_holds_no_secret_and_survives_its_journey() -> None:
    """Not in events, and not in what servers say; a token that was learned meanwhile is one as well."""
    redactor = Redactor(["sk-secret"])
    outbox = EventBuffer(redactor)
    outbox.log.write("the key is sk-secret\n")
    redactor.learn(["tok-learned"])
    outbox.emit(call(1, 0, "sk-secret tok-learned"))
    parcel = outbox.pack(error=RunError(ErrorKind.BAD_TOOLS, "bad", stderr="words"))
    assert parcel.events == (b"the key is [redacted]\n", call(1, 0, "[redacted] [redacted]"))
    arrived = pickle.loads(pickle.dumps(parcel))
    assert arrived == parcel
    error = arrived.error
    assert (error.kind, str(error), error.stderr) == (ErrorKind.BAD_TOOLS, "bad", "words")
    assert outbox.pack().events == ()
