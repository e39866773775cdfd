"""GitHub annotations and log commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcprun.errors import ErrorKind
from mcprun.report.github import SHOWN, commands, step_outputs
from mcprun.report.workflow_commands import Breaker, without_commands
from mcprun.runs.run import Run
from mcprun.runs.run_record import PromptsRecord
from mcprun.runs.transcript import ErrorInfo, Verdict
from tests.support.actions import outputs_of
from tests.support.facts import EVIL, facts, transcript
from tests.support.workflow_commands import taken


@given(
    st.text(st.characters(exclude_characters="\0"), min_size=1) | st.sampled_from(["a\nx=1", "<<", "a\r", "\nEOF\n"])
)
def test_no_folder_is_another_output(name: str) -> None:
    """Whatever the folder of a run is called, each output is set once."""
    run = Run(Path(name), facts().record)
    outputs = outputs_of(step_outputs(run))
    assert {"run": str(Path(name)), "passed": "0", "failed": "0", "error": "0", "skipped": "0"} == outputs
    assert len(step_outputs(run).split("\n")) <= 8 + name.count("\n")


@pytest.mark.parametrize(
    ("workspace", "folder", "name", "file"),
    [
        ("repo", "repo/sub", "../p.jsonl", "p.jsonl"),
        ("repo", "repo", "sub/../p.jsonl", "p.jsonl"),
        ("repo", "repo", "./sub//./q.jsonl", "sub/q.jsonl"),
        ("repo", "repo/sub", "{top}/repo/p.jsonl", "p.jsonl"),
        ("repo", "repo/sub", "{top}/repo/sub/../p.jsonl", "p.jsonl"),
        ("repo/", "repo/sub", "q.jsonl", "sub/q.jsonl"),
        ("repo/sub/..", "repo", "sub/q.jsonl", "sub/q.jsonl"),
        ("repo", "repo", "link.jsonl", "sub/q.jsonl"),
        ("repo", "repo", "linked/q.jsonl", "sub/q.jsonl"),
        ("repo", "repo", "linked/../p.jsonl", "p.jsonl"),
        ("repo", "repo", "away/../other/p.jsonl", ""),
        ("checkout", "repo/sub", "../p.jsonl", "p.jsonl"),
        ("repo", "checkout/sub", "../p.jsonl", "p.jsonl"),
        ("repo", "repo", "outside.jsonl", "outside.jsonl"),
        ("repo", "repo", "gone.jsonl", "gone.jsonl"),
        ("repo", "other", "p.jsonl", ""),
        ("repo", "repo", "../other/p.jsonl", ""),
        ("repo", "repo", "{top}/other/p.jsonl", ""),
        ("repo", "repo", "../repository/p.jsonl", ""),
        ("repo", "{top}/no/such/machine", "sub/../p.jsonl", "p.jsonl"),
        ("repo", "{top}/no/such/machine", "../p.jsonl", ""),
        ("repo", "repo", "-", ""),
        ("", "repo", "./sub/../p.jsonl", "p.jsonl"),
        ("", "repo", "../p.jsonl", "../p.jsonl"),
        ("repo", "repo", "a\0b", "a\0b"),
    ],
)
def test_the_file_of_an_annotation(tmp_path: Path, workspace: str, folder: str, name: str, file: str) -> None:
    """It is the path of the file itself in the checkout, however it was called; there is none for one outside of it."""
    (tmp_path / "repo" / "sub").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for one in ("repo/p.jsonl", "repo/sub/q.jsonl", "other/p.jsonl"):
        (tmp_path / one).touch()
    for link, target in (
        ("repo/link.jsonl", "sub/q.jsonl"), ("repo/linked", "sub"), ("repo/away", "../other"), ("checkout", "repo"),
        ("repo/outside.jsonl", "../other/p.jsonl"),
    ):  # fmt: skip
        (tmp_path / link).symlink_to(target)
    prompts = PromptsRecord(file=name.format(top=tmp_path), sha256="0", queries=1, runs=1)
    found = facts(transcript("q", Verdict.FAILED), prompts=prompts, folder=str(tmp_path / folder.format(top=tmp_path)))
    ((_, properties, _),) = map(taken, commands(found, str(tmp_path / workspace) if workspace else ""))  # type: ignore[misc]
    assert {"title": "failed: q", **({"file": file.encode("unicode_escape").decode()} if file else {})} == properties


@pytest.mark.parametrize("count", [0, SHOWN, SHOWN + 1, 500])
def test_there_are_never_more_than_are_shown(count: int) -> None:
    """The last one counts the rest, and what ended the run comes first."""
    error = ErrorInfo(kind=ErrorKind.BUDGET, message="spent")
    items = [transcript(f"q{at}", Verdict.FAILED) for at in range(count)]
    lines = list(commands(facts(*items, error=error, state="interrupted")))
    assert lines[0] == "::error title=mcprun::budget: spent"
    assert len(lines) == min(count + 1, SHOWN)
    if count >= SHOWN:
        assert lines[-1] == f"::error title=mcprun::… and {count + 2 - SHOWN} more, listed in the step summary"


@given(st.text() | st.just(EVIL), st.text(min_size=1) | st.just(EVIL))
@settings(deadline=None)
def test_a_command_is_one_line(text: str, name: str) -> None:
    """Whatever a query is called and a server says, the runner takes one error, with our properties."""
    (line,) = commands(facts(transcript(name, Verdict.FAILED, text=text)))
    assert not set("\r\n\x1b\u202e") & set(line)
    command = taken(line)
    assert command
    assert (command[0], set(command[1])) == ("error", {"title", "file"})


@given(st.lists(st.text() | st.sampled_from(["::", "##[", "error", "]", " ", "\n", "\u3000", "#", ":"])).map("".join))
@settings(deadline=None)
def test_no_text_is_a_command(text: str) -> None:
    """Neither form is left, wherever a line begins, and taking the spaces out gives the text back."""
    reported = without_commands(text)
    assert not re.search(r"(?m)^\s*::|##\[", reported)
    assert "".join(reported.split()) == "".join(text.split())


COMMANDS = ["::", ":", "##[", "#", "[", "##vso[", "vso", "error", "]", " ", "\n", "\r", "\u3000", "\x1b[31m", "x"]


@given(st.lists(st.sampled_from(COMMANDS)).map("".join), st.data())
@example("\n:" + ":error::x", None)
def test_no_pieces_make_a_command(text: str, data: st.DataObject | None) -> None:
    """However a text is cut, what is written has none, and all of the text."""
    breaker, reported, rest = Breaker(), "", text
    while rest:
        size = data.draw(st.integers(1, len(rest))) if data else 2
        reported += breaker.take(rest[:size])
        rest = rest[size:]
    assert not re.search(r"(?:\A|[\r\n])(?:\s|\x1b\[31m)*::|##\w*\[", reported)
    assert "".join(reported.split()) == "".join(text.split())


def test_line_breaks_without_end_are_no_work() -> None:
    """A text is looked through once."""
    assert without_commands("\n" * 500_000 + "::error::x").endswith("\n: :error::x")
    assert without_commands("#" * 500_000 + "a" * 500_000).count(" ") == 0
