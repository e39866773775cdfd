"""Run directories: writing, reading and errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mcprun._util.json_io import dumps
from mcprun._util.run_stop import RunStop
from mcprun.engine.recorder import Recorder
from mcprun.errors import UsageError
from mcprun.runs.directory import mark_latest, new_directory
from mcprun.runs.event_lines import EventLines
from mcprun.runs.events import AttemptRef, Event, QueryEnd, WarningEvent
from mcprun.runs.redaction import Redactor
from mcprun.runs.run import Run
from mcprun.runs.run_record import ModelRecord, PromptsRecord, RunRecord
from mcprun.runs.transcript import Transcript, Verdict
from mcprun.runs.writer import RunWriter
from mcprun.telemetry import NoTelemetry


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a temporary folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


RECORD = RunRecord(
    state="started",
    started="2026-01-01T00:00:00.000Z",
    arguments={},
    prompts=PromptsRecord(file="p.jsonl", sha256="0", queries=1),
    model=ModelRecord(kind="script", name="script", chosen="requested"),
    limits={},
    versions={},
)


def begin_run(path: Path) -> RunWriter:
    """Begin a run and write its record."""
    writer = RunWriter(path)
    writer.write_record(RECORD)
    return writer


def transcript(name: str, **fields: Any) -> Transcript:
    """Return a transcript of a query that passed."""
    defaults: dict[str, Any] = {
        "verdict": Verdict.PASSED, "stop": "end_turn", "prompt": "x", "model": "script", "messages": [],
        "calls": [], "text": "", "checks": [], "turns": [],
    }  # fmt: skip
    return Transcript(id=name, **(defaults | fields))


def end_query(writer: RunWriter, name: str, **fields: Any) -> None:
    """Write the end of a query."""
    event = QueryEnd(where=AttemptRef(name), seconds=0.1, transcript=transcript(name, **fields))
    writer.write(event, EventLines.of(event))


def test_closed_run_has_transcripts_in_prompt_order(working_folder: Path) -> None:
    """A running run has them in the order of completion."""
    writer = begin_run(working_folder)
    for name in ("c", "a", "b"):
        end_query(writer, name)
    assert [one.id for one in Run.read(".").transcripts()] == ["c", "a", "b"]
    writer.close([(name, 1) for name in ("a", "b", "missing", "c")], RECORD)
    assert [one.id for one in Run.read(".").transcripts()] == ["a", "b", "c"]
    assert writer.totals.counts().passed == 3


def test_transcript_is_on_disk_when_its_query_ends(working_folder: Path) -> None:
    """Each transcript is flushed at once. The trace has only its verdict."""
    writer = begin_run(working_folder)
    end_query(writer, "a")
    assert json.loads((working_folder / "transcripts.jsonl").read_bytes())["id"] == "a"
    traced = json.loads((working_folder / "trace.jsonl").read_bytes())
    assert traced.pop("at")
    assert traced == {
        "event": "query_end", "query": "a", "repeat": 1, "attempt": 1, "seconds": 0.1, "verdict": "passed",
    }  # fmt: skip
    writer.close([], RECORD)


def test_incomplete_last_line_is_ignored(working_folder: Path) -> None:
    """A transcript that was not written completely counts as unfinished."""
    writer = begin_run(working_folder)
    end_query(writer, "a")
    writer.close([("a", 1)], RECORD)
    with (working_folder / "transcripts.jsonl").open("ab") as file:
        file.write(b'{"schema":1,"id":"b"')
    assert [one.id for one in Run.read(".").transcripts()] == ["a"]


def test_lone_surrogate_is_replaced_on_disk(working_folder: Path) -> None:
    """A lone surrogate is written as U+FFFD. Other text is read back unchanged."""
    writer = begin_run(working_folder)
    end_query(writer, "a", text="\ud800 é\u2028")
    writer.close([("a", 1)], RECORD)
    (found,) = Run.read(".").transcripts()
    assert found.text == "\ufffd é\u2028"
    resumed = RunWriter(working_folder, lambda _: True)
    assert ("a", 1) in resumed  # a resumed run skips it
    resumed.release()


def test_index_has_the_offset_of_each_transcript(working_folder: Path) -> None:
    """A transcript is read from its offset, without those before it."""
    writer = begin_run(working_folder)
    for name in ("a", "é", "c"):
        end_query(writer, name)
    writer.close([(name, 1) for name in ("a", "é", "c")], RECORD)
    run = Run.read(".")
    assert [run.at(offset).id for offset in run.index.values()] == ["a", "é", "c"]
    run.close()


def test_new_directories_have_unique_names() -> None:
    """Runs that start in the same second get different folders."""
    found = {new_directory("p", None) for _ in range(5)}
    assert len(found) == 5
    assert all(path.parent == Path("outputs") for path in found)


def test_latest_is_the_last_run(working_folder: Path) -> None:
    """`latest` resolves to the last run. A missing run, and a folder that is not a run, are errors."""
    with pytest.raises(UsageError, match=r"there is no run in outputs/ yet: create one with mcprun batch"):
        Run.read("latest")
    path = new_directory("p", None)
    begin_run(path).close([], RECORD)
    mark_latest(path)
    assert Run.read("latest").path == path
    assert Run.read(path.name).path == path
    with pytest.raises(UsageError, match=r"there is no run at nope or outputs/nope"):
        Run.read("nope")
    (working_folder / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty is not a run: it has no run\.json"):
        Run.read("empty")


def test_latest_may_be_a_text_file(working_folder: Path) -> None:
    """If links cannot be created, the file `latest` contains the name of the folder."""
    path = new_directory("p", None)
    begin_run(path).close([], RECORD)
    (working_folder / "outputs" / "latest").write_text(path.name)
    assert Run.read("latest").path == path
    (working_folder / "latest").write_text("notes of a user")
    assert Run.read("latest").path == path
    (working_folder / "elsewhere" / "outputs").mkdir(parents=True)
    (working_folder / "elsewhere" / "outputs" / "latest").write_text(f"../../outputs/{path.name}")
    assert Run.read("elsewhere/outputs/latest").path.resolve() == path.resolve()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "run.json is damaged: it is an empty file; restore it from a copy, or replace the baseline with "),
        ("{", "run.json is damaged: it is incomplete JSON (it ends at line 1, column 1); restore it"),
        (
            '{\n  "state": "fini',
            "run.json is damaged: it is incomplete JSON (it ends at line 2, column 16); restore it",
        ),
        (
            '{"a" 1}',
            "run.json is damaged: it is invalid JSON (expecting ':' delimiter at line 1, column 6); restore it",
        ),
        ("\xff", "run.json is damaged: it is invalid UTF-8 (byte 0xff in line 1)"),
        ("{}", "mine is not a run of mcprun: its run.json is an empty object"),
        ("[]", "mine is not a run of mcprun: its run.json is a list"),
        ('{"state": "gone"}', "mine is not a run of mcprun: its run.json is an object with the key state"),
        ('{"name": "x", "scripts": {}}', "its run.json is an object with the keys name, scripts"),
        ('{"mcpServers": {}}', "its run.json is the configuration of an MCP client"),
    ],
)
def test_a_run_json_that_is_no_record_is_described(working_folder: Path, content: str, message: str) -> None:
    """A damaged record is named with its place, and another file that is called `run.json` with its content."""
    (working_folder / "mine").mkdir()
    (working_folder / "mine" / "run.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match=re.escape(message)):
        Run.read("mine")


def test_nan_and_infinity_are_written_as_text() -> None:
    """JSON has no NaN and no infinity."""
    assert dumps({"a": [float("nan"), 1.5], "b": float("-inf")}) == '{"a":["NaN",1.5],"b":"-Infinity"}'


def test_events_are_read_in_the_order_written(working_folder: Path) -> None:
    """An incomplete last line is ignored, and a run without a trace has no events."""
    writer = begin_run(new_directory("p", "run"))
    end_query(writer, "a")
    end_query(writer, "b")
    writer.release()
    run = Run.read("run")
    with (working_folder / "run" / "trace.jsonl").open("a") as trace:
        trace.write('{"event":"query_e')
    assert [(event["event"], event["query"], event["seconds"]) for event in run.events()] == [
        ("query_end", "a", 0.1), ("query_end", "b", 0.1)
    ]  # fmt: skip
    (working_folder / "run" / "trace.jsonl").unlink()
    assert list(run.events()) == []


@pytest.mark.parametrize("line", ["{", "[]", "\xff"])
def test_damaged_trace_is_an_error(working_folder: Path, line: str) -> None:
    """A complete line that is not an event raises an error with the path of the file."""
    writer = begin_run(new_directory("p", "run"))
    writer.release()
    (working_folder / "run" / "trace.jsonl").write_text(line + "\n", encoding="latin-1")
    with pytest.raises(UsageError, match=r"run/trace\.jsonl has a line that is not an event"):
        list(Run.read("run").events())


class BrokenTelemetry(NoTelemetry):
    """Telemetry whose handler raises."""

    def handle(self, _: Event) -> None:
        """Raise an error."""
        raise RuntimeError("broken")


def test_broken_telemetry_does_not_suppress_events() -> None:
    """The event at which telemetry fails still reaches the other handler."""
    events: list[Event] = []
    writer = begin_run(new_directory("run", None))
    recorder = Recorder(
        writer, RECORD, Redactor(), events.append, RunStop(), is_latest=False, telemetry=BrokenTelemetry()
    )
    expected = [WarningEvent(message=str(number)) for number in range(3)]
    for event in expected:
        recorder.emit(event)
    writer.release()
    assert events == expected
