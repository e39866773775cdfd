"""Events of queries that ran in other processes, merged as if they had run in this one."""

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


def server_start(server: int, offset: int) -> ServerStart:
    """Return the start event of a server."""
    return ServerStart(server=server, server_name="s", version="1", protocol="p", tools=0, log_offset=offset)


def tool_call(server: int, offset: int, tool: str = "t") -> ToolCall:
    """Return a tool call event whose log text begins at the offset."""
    return ToolCall(where=AttemptRef("q"), call=0, tool=tool, input={}, server=server, log_offset=offset)


@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=9)), max_size=40))
def test_each_byte_is_mapped_to_its_position_in_the_merged_log(pieces: list[tuple[bool, bytes]]) -> None:
    """Each byte of a log is found in the merged log, whatever other processes write in between."""
    offsets, own_log, merged_log = OffsetMap(), b"", b""
    for is_own, piece in pieces:
        if is_own:
            offsets.add(len(merged_log), len(piece))
            own_log += piece
        merged_log += piece
    positions = [offsets.find(offset) for offset in range(len(own_log))]
    assert [merged_log[position] for position in positions if position is not None] == list(own_log)
    assert offsets.find(len(own_log)) is None


def test_old_offsets_are_dropped() -> None:
    """Of a long run, only the newest pieces are mapped. An older byte is mapped to where they begin."""
    offsets = OffsetMap()
    for number in range(30_000):
        offsets.add(number * 3, 1)
    assert offsets.find(29_999) == 29_999 * 3
    oldest = offsets.find(0)
    assert oldest is not None
    assert oldest > 15_000 * 3
    assert offsets.find(29_999 // 2) == oldest


def test_servers_of_several_processes_get_distinct_numbers(tmp_path: Path) -> None:
    """Servers of each process, and of a replacement process, get distinct numbers.

    Their events point to their own log text.
    """
    events: list[Event] = []
    log = ServerLog(tmp_path / "server.log", Redactor(), 1000)
    first, second = (EventMerger(number, 2, log, events.append, set()) for number in (1, 2))
    first.take((server_start(1, 0), b"one\n", server_start(2, 4)))
    second.take((server_start(1, 0), b"two\n", tool_call(1, 0)))
    first.take((b"three\n", tool_call(2, 4), ServerExit(server=1, died=False, log_offset=10)))
    first.renew()
    first.take((server_start(1, 0), b"four\n", tool_call(1, 0)))
    assert [event.server for event in events if isinstance(event, ServerStart)] == [1, 3, 2, 5]
    text = (tmp_path / "server.log").read_bytes()
    assert text == b"one\ntwo\nthree\nfour\n"
    offsets = [event.log_offset for event in events if isinstance(event, ToolCall)]
    assert [text[offset:].split(b"\n")[0] for offset in offsets] == [b"two", b"three", b"four"]


def test_a_warning_of_several_processes_is_emitted_once(tmp_path: Path) -> None:
    """A warning of the whole run is emitted once, and a warning of a query for each query."""
    events: list[Event] = []
    emitted: set[str] = set()
    log = ServerLog(tmp_path / "server.log", Redactor(), 1000)
    for number in (1, 2):
        query_warning = WarningEvent(where=AttemptRef("q", number), message="slow")
        EventMerger(number, 2, log, events.append, emitted).take(
            (WarningEvent(message="a tool was left out"), query_warning)
        )
    assert [(event.where is None, event.where and event.where.repeat) for event in events] == [
        (True, None),
        (False, 1),
        (False, 2),
    ]


def test_messages_contain_no_secrets_and_can_be_pickled() -> None:
    """Secrets, including tokens learned during the run, are redacted in events and server logs.

    A message survives pickling.
    """
    redactor = Redactor(["sk-secret"])
    buffer = EventBuffer(redactor)
    buffer.log.write("the key is sk-secret\n")
    redactor.learn(["tok-learned"])
    buffer.emit(tool_call(1, 0, "sk-secret tok-learned"))
    message = buffer.pack(error=RunError(ErrorKind.BAD_TOOLS, "bad", stderr="words"))
    assert message.events == (b"the key is [redacted]\n", tool_call(1, 0, "[redacted] [redacted]"))
    received = pickle.loads(pickle.dumps(message))
    assert received == message
    error = received.error
    assert (error.kind, str(error), error.stderr) == (ErrorKind.BAD_TOOLS, "bad", "words")
    assert buffer.pack().events == ()
