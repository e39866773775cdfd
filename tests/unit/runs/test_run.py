"""Run directories: complete or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcprun._util.json_io import dumps
from mcprun._util.run_stop import RunStop
from mcprun.engine.recorder import Recorder
from mcprun.errors import UsageError
from mcprun.runs.directory import mark_latest, new_directory
from mcprun.runs.events import AttemptRef, Event, QueryEnd, WarningEvent
from mcprun.runs.redaction import Redactor
from mcprun.runs.run import Run
from mcprun.runs.run_record import ModelRecord, PromptsRecord, RunRecord
from mcprun.runs.transcript import Transcript, Verdict
from mcprun.runs.writer import RunWriter
from mcprun.telemetry import NoTelemetry


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


RECORD = RunRecord(
    state="started",
    started="2026-01-01T00:00:00.000Z",
    arguments={},
    prompts=PromptsRecord(file="p.jsonl", sha256="0", queries=1),
    model=ModelRecord(kind="script", name="script", chosen="asked for"),
    limits={},
    versions={},
)


def journal(path: Path) -> RunWriter:
    """Begin a run."""
    begun = RunWriter(path)
    begun.write_record(RECORD)
    return begun


def transcript(name: str, **more: Any) -> Transcript:
    """Make a transcript of a query that passed."""
    given: dict[str, Any] = {
        "verdict": Verdict.PASSED, "stop": "end_turn", "prompt": "x", "model": "script", "messages": [],
        "calls": [], "text": "", "checks": [], "turns": [],
    }  # fmt: skip
    return Transcript(id=name, **(given | more))


def end(writer: RunWriter, name: str, **more: Any) -> None:
    """Have a query end."""
    writer.handle(QueryEnd(where=AttemptRef(name), seconds=0.1, transcript=transcript(name, **more)))


def test_transcripts_end_in_the_order_that_was_asked_for(here: Path) -> None:
    """While running they stand in order of finishing, when closed in the order of the prompts."""
    writer = journal(here)
    for name in ("c", "a", "b"):
        end(writer, name)
    assert [one.id for one in Run.read(".").transcripts()] == ["c", "a", "b"]
    writer.close([(name, 1) for name in ("a", "b", "missing", "c")], RECORD)
    assert [one.id for one in Run.read(".").transcripts()] == ["a", "b", "c"]
    assert writer.totals.counts().passed == 3


def test_each_line_is_on_disk_when_its_query_has_ended(here: Path) -> None:
    """A line is flushed whole before anything else happens, and the trace has the verdict alone."""
    writer = journal(here)
    end(writer, "a")
    assert json.loads((here / "transcripts.jsonl").read_bytes())["id"] == "a"
    traced = json.loads((here / "trace.jsonl").read_bytes())
    assert traced.pop("at")
    assert traced == {
        "event": "query_end", "query": "a", "repeat": 1, "attempt": 1, "seconds": 0.1, "verdict": "passed",
    }  # fmt: skip
    writer.close([], RECORD)


def test_a_torn_last_line_does_not_count(here: Path) -> None:
    """What was not written whole was never finished."""
    writer = journal(here)
    end(writer, "a")
    writer.close([("a", 1)], RECORD)
    with (here / "transcripts.jsonl").open("ab") as file:
        file.write(b'{"schema":1,"id":"b"')
    assert [one.id for one in Run.read(".").transcripts()] == ["a"]


def test_text_that_utf8_cannot_hold_is_replaced(here: Path) -> None:
    """Half of a surrogate pair, as a server may send it, is written as U+FFFD, and all else read back the same."""
    writer = journal(here)
    end(writer, "a", text="\ud800 é\u2028")
    writer.close([("a", 1)], RECORD)
    (found,) = Run.read(".").transcripts()
    assert found.text == "\ufffd é\u2028"
    again = RunWriter(here, lambda _: True)
    assert ("a", 1) in again  # a run that goes on knows it as done
    again.release()


def test_the_index_finds_each_transcript(here: Path) -> None:
    """A transcript is read from its place, without reading those before it."""
    writer = journal(here)
    for name in ("a", "é", "c"):
        end(writer, name)
    writer.close([(name, 1) for name in ("a", "é", "c")], RECORD)
    run = Run.read(".")
    assert [run.at(offset).id for offset in run.index.values()] == ["a", "é", "c"]
    run.close()


def test_new_directories_never_share_a_name() -> None:
    """Two runs that start in the same second get folders of their own."""
    found = {new_directory("p", None) for _ in range(5)}
    assert len(found) == 5
    assert all(path.parent == Path("outputs") for path in found)


def test_latest_names_the_last_run(here: Path) -> None:
    """`latest` follows its link; without one, and with a run that is none, it says so."""
    with pytest.raises(UsageError, match=r"there is no run in outputs/ yet: create one with mcprun batch"):
        Run.read("latest")
    path = new_directory("p", None)
    journal(path).close([], RECORD)
    mark_latest(path)
    assert Run.read("latest").path == path
    assert Run.read(path.name).path == path
    with pytest.raises(UsageError, match=r"there is no run at nope or outputs/nope"):
        Run.read("nope")
    (here / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty is not a run: it has no run\.json"):
        Run.read("empty")


def test_latest_may_be_a_text_file(here: Path) -> None:
    """Where links can't be made, a file of that name holds the folder's."""
    path = new_directory("p", None)
    journal(path).close([], RECORD)
    (here / "outputs" / "latest").write_text(path.name)
    assert Run.read("latest").path == path
    (here / "latest").write_text("notes of a user")
    assert Run.read("latest").path == path
    (here / "elsewhere" / "outputs").mkdir(parents=True)
    (here / "elsewhere" / "outputs" / "latest").write_text(f"../../outputs/{path.name}")
    assert Run.read("elsewhere/outputs/latest").path.resolve() == path.resolve()


@pytest.mark.parametrize("content", ["", "{}", "[]", "{", '{"state": "gone"}'])
def test_a_run_that_cannot_be_read_says_so(here: Path, content: str) -> None:
    """A damaged `run.json` is one message."""
    (here / "run.json").write_text(content)
    with pytest.raises(UsageError, match=r"can't read run\.json: "):
        Run.read(".")


def test_numbers_that_json_has_none_of_become_text() -> None:
    """Whatever a server sends, the files stay JSON."""
    assert dumps({"a": [float("nan"), 1.5], "b": float("-inf")}) == '{"a":["NaN",1.5],"b":"-Infinity"}'


def test_events_are_read_as_they_were_written(here: Path) -> None:
    """In order of happening; a torn last line was never written, and a folder without a trace has none."""
    writer = journal(new_directory("p", "run"))
    end(writer, "a")
    end(writer, "b")
    writer.release()
    run = Run.read("run")
    with (here / "run" / "trace.jsonl").open("a") as trace:
        trace.write('{"event":"query_e')
    assert [(event["event"], event["query"], event["seconds"]) for event in run.events()] == [
        ("query_end", "a", 0.1), ("query_end", "b", 0.1)
    ]  # fmt: skip
    (here / "run" / "trace.jsonl").unlink()
    assert list(run.events()) == []


@pytest.mark.parametrize("line", ["{", "[]", "\xff"])
def test_a_damaged_trace_is_one_message(here: Path, line: str) -> None:
    """A whole line that is no event is told, with the file."""
    writer = journal(new_directory("p", "run"))
    writer.release()
    (here / "run" / "trace.jsonl").write_text(line + "\n", encoding="latin-1")
    with pytest.raises(UsageError, match=r"run/trace\.jsonl has a line that is not an event"):
        list(Run.read("run").events())


class Broken(NoTelemetry):
    """A watcher that can't be told anything."""

    def handle(self, _: Event) -> None:
        """Break."""
        raise RuntimeError("broken")


def test_a_watcher_that_breaks_takes_nothing_from_others() -> None:
    """The event that it died of is told to the next watcher all the same."""
    events: list[Event] = []
    writer = journal(new_directory("run", None))
    recorder = Recorder(writer, RECORD, Redactor(), events.append, RunStop(), is_latest=False, telemetry=Broken())
    lines = [WarningEvent(message=str(number)) for number in range(3)]
    for event in lines:
        recorder.emit(event)
    writer.release()
    assert events == lines
