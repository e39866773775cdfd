"""GitHub annotations and workflow commands."""

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
from tests.support.actions import outputs_of, taken
from tests.support.facts import EVIL, facts, transcript


@given(
    st.text(st.characters(exclude_characters="\0"), min_size=1) | st.sampled_from(["a\nx=1", "<<", "a\r", "\nEOF\n"])
)
def test_folder_name_cannot_set_another_output(name: str) -> None:
    """Each output is set once, whatever the name of the run's folder."""
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
def test_annotation_has_the_path_in_the_checkout(
    tmp_path: Path, workspace: str, folder: str, name: str, file: str
) -> None:
    """The path is that of the file itself, relative to the checkout. A file outside the checkout has none."""
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
def test_number_of_annotations_is_bounded(count: int) -> None:
    """The run's error comes first. The last annotation counts the omitted ones."""
    error = ErrorInfo(kind=ErrorKind.BUDGET, message="spent")
    items = [transcript(f"q{number}", Verdict.FAILED) for number in range(count)]
    lines = list(commands(facts(*items, error=error, state="interrupted")))
    assert lines[0] == f"::error title=mcprun::{'Stopped early' if count else 'Not started'}: spent."
    assert len(lines) == min(count + 1, SHOWN)
    if count >= SHOWN:
        assert lines[-1] == f"::error title=mcprun::… and {count + 2 - SHOWN} more, listed in the step summary"


@given(st.text() | st.just(EVIL), st.text(min_size=1) | st.just(EVIL))
@settings(deadline=None)
def test_annotation_is_one_command_on_one_line(text: str, name: str) -> None:
    """The runner parses one error with mcprun's properties, whatever the texts contain."""
    (line,) = commands(facts(transcript(name, Verdict.FAILED, text=text)))
    assert not set("\r\n\x1b\u202e") & set(line)
    command = taken(line)
    assert command
    assert (command[0], set(command[1])) == ("error", {"title", "file"})


@given(st.lists(st.text() | st.sampled_from(["::", "##[", "error", "]", " ", "\n", "\u3000", "#", ":"])).map("".join))
@settings(deadline=None)
def test_text_contains_no_workflow_command(text: str) -> None:
    """Neither command syntax remains. Without whitespace, the text is unchanged."""
    escaped = without_commands(text)
    assert not re.search(r"(?m)^\s*::|##\[", escaped)
    assert "".join(escaped.split()) == "".join(text.split())


COMMANDS = ["::", ":", "##[", "#", "[", "##vso[", "vso", "error", "]", " ", "\n", "\r", "\u3000", "\x1b[31m", "x"]


@given(st.lists(st.sampled_from(COMMANDS)).map("".join), st.data())
@example("\n:" + ":error::x", None)
def test_chunked_text_contains_no_workflow_command(text: str, data: st.DataObject | None) -> None:
    """The output has no command and all of the text, however the text is split."""
    breaker, escaped, rest = Breaker(), "", text
    while rest:
        size = data.draw(st.integers(1, len(rest))) if data else 2
        escaped += breaker.take(rest[:size])
        rest = rest[size:]
    assert not re.search(r"(?:\A|[\r\n])(?:\s|\x1b\[31m)*::|##\w*\[", escaped)
    assert "".join(escaped.split()) == "".join(text.split())


def test_commands_are_escaped_in_linear_time() -> None:
    """Half a million line breaks or `#` are scanned once."""
    assert without_commands("\n" * 500_000 + "::error::x").endswith("\n: :error::x")
    assert without_commands("#" * 500_000 + "a" * 500_000).count(" ") == 0


def test_repeats_of_a_query_share_an_annotation() -> None:
    """They have the same line of the file, and would displace other queries."""
    runs = [transcript(name, Verdict.FAILED, repeat, text="why") for name in "qrs" for repeat in (1, 2, 3, 4)]
    assert list(commands(facts(*runs))) == [
        "::error title=failed%3A q,file=p.jsonl::3 queries with this cause, also r, s%0Awhy",
        "::error title=failed%3A r,file=p.jsonl::why",
        "::error title=failed%3A s,file=p.jsonl::why",
    ]
