"""The commands that reproduce a run's queries."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.name_patterns import fits
from mcprun.cli.commands.batch import batch
from mcprun.cli.commands.tools import tools
from mcprun.config.option_table import KEYS, KINDS
from mcprun.option_kinds import OneOf, Share, Whole
from mcprun.report.reproduce import IRRELEVANT, SELECTION, Commands, tools_command
from mcprun.runs.run_record import BaselineRecord, ModelRecord
from tests.support.facts import facts, transcript

_OPTIONS = {str(param.name): param for param in batch.params if isinstance(param, click.Option)}

_SECRET = "[redacted]"

_RECORDED: dict[str, Any] = {
    "env": ["KEY=[redacted]"], "header": ["X-Key: [redacted]"], "token": "env:OTHER",
    "oauth_client_secret": "env:OTHER", "oauth_assertion": "env:OTHER", "model": "script", "alpha": 0.5,
    "pass_rate": 0.5, "thinking": "2048", "shard": "1/2",
}  # fmt: skip
"""How a run records options that do not accept `3`."""


def commands(arguments: dict[str, Any], folder: str | None = None, run: str = "outputs/r", **more: Any) -> Commands:
    """Return the commands of a run with these recorded arguments, besides its prompts and its server."""
    record = facts(transcript("q")).record
    recorded = {"prompts": "p.jsonl", "server": "s.py", **arguments}
    return Commands.of(record.model_copy(update={"arguments": recorded, "folder": folder, **more}), run)


def value_of(name: str) -> Any:
    """Return a value of an option as a run records it."""
    option, kind = _OPTIONS[name], KINDS.get(KEYS.get(name, name))
    if isinstance(kind, OneOf):
        return kind.names[-1]
    if isinstance(kind, Whole):
        return min(kind.maximum, 3000)
    if isinstance(kind, Share):
        return 0.5
    default: Any = True if option.is_flag else ["3"] if option.multiple else "3"
    return _RECORDED.get(name, default)


@pytest.mark.parametrize("name", sorted(_OPTIONS))
def test_every_option_of_batch_is_repeated_or_listed_as_irrelevant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new option fails this test until a command repeats it, or it is among those that change no verdict."""
    monkeypatch.setenv("KEY", "value")
    more: dict[str, Any] = {"baseline": BaselineRecord(path="3")} if name == "baseline" else {}
    command = commands({name: value_of(name)}, **more).batch(None if name in SELECTION else "q")
    context = batch.make_context("batch", shlex.split(command)[2:], variables={}, files=[])
    is_repeated = context.obj.is_given(name)
    assert is_repeated != (name in IRRELEVANT), f"--{name}: repeat it, or say in IRRELEVANT why not"
    if name not in ("env", "header") and is_repeated:
        value = context.obj.values[name]
        assert (list(value) if isinstance(value, tuple) else value) in (value_of(name), 3.0)


_OF_TOOLS = {str(param.name) for param in tools.params if isinstance(param, click.Option)}


@pytest.mark.parametrize("name", sorted((_OPTIONS.keys() & _OF_TOOLS) - {"quiet", "verbose", "show_config"}))
def test_the_command_that_starts_the_server_repeats_every_option_that_tools_has(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options that select a server, or say how to connect to it, are the same in both commands."""
    monkeypatch.setenv("KEY", "value")
    record = facts(transcript("q")).record
    arguments = {"server": "s.py", name: value_of(name)}
    command, _ = tools_command(record.model_copy(update={"arguments": arguments}))
    context = tools.make_context("tools", shlex.split(command)[2:], variables={}, files=[])
    assert context.obj.is_given(name) != (name in IRRELEVANT), command


def test_the_command_that_starts_a_server_keeps_its_secrets() -> None:
    """Its note names what must be set, and what it could not name."""
    record = facts(transcript("q")).record
    arguments = {"server": "http://[redacted]@h/mcp", "header": ["Authorization: [redacted]"], "token": _SECRET}
    command, note = tools_command(record.model_copy(update={"arguments": arguments}))
    assert command == "mcprun tools SERVER --header 'Authorization: '\"$AUTHORIZATION\""
    assert note == (
        "Set AUTHORIZATION and MCPRUN_TOKEN first: secrets are not recorded; replace SERVER, which contained a secret."
    )


def test_irrelevant_options_exist() -> None:
    """No entry outlives its option."""
    assert IRRELEVANT.keys() <= _OPTIONS.keys()


def test_the_command_repeats_every_recorded_option_and_selects_one_query() -> None:
    """Values keep their form, a switch that is off is `--no-…`, and the run's own selection is replaced."""
    arguments = {
        "call_timeout": 3.0, "alpha": 0.01, "budget_usd": 1234567.25, "thinking": "2048", "read_only": False,
        "fresh_server": True, "ignore": ["a b", "c"], "server_args": ["--port", "1"], "filters": ["x"], "limit": 1,
        "shard": "1/2", "out": "r", "html": "r.html", "system": "",
    }  # fmt: skip
    found = commands(arguments)
    assert found.batch("a") == (
        "mcprun batch p.jsonl s.py --model script --call-timeout 3 --budget-usd 1234567.25 --thinking 2048 --system ''"
        " --no-read-only --fresh-server --ignore 'a b' --ignore c --alpha 0.01 --filter a -- --port 1"
    )
    assert found.batch().endswith(" --filter x --limit 1 --shard 1/2 -- --port 1")
    assert found.note == ""


def test_secrets_are_named_and_never_printed() -> None:
    """Variables and headers are taken from the environment, and the note says which must be set."""
    arguments = {
        "env": ["KEY=[redacted]", "SHARED"], "header": ["Authorization: [redacted]", "$odd: [redacted]"],
        "token": _SECRET, "oauth_client_secret": "env:CLIENT", "redact": ["sk-[a-z]+", _SECRET],
        "cwd": "/home/[redacted]", "server_args": ["--key", _SECRET],
    }  # fmt: skip
    found = commands(arguments)
    assert found.batch("a") == (
        "mcprun batch p.jsonl s.py --model script --env KEY --env SHARED"
        """ --header 'Authorization: '"$AUTHORIZATION" --header '$odd: '"$_ODD" --oauth-client-secret env:CLIENT"""
        " --cwd CWD --filter a -- --key ARG"
    )
    assert found.note == (
        "Set KEY, SHARED, AUTHORIZATION, _ODD, MCPRUN_TOKEN, CLIENT and MCPRUN_REDACT first: secrets are not recorded;"
        " replace CWD and ARG, which contained a secret."
    )


def test_what_the_projects_file_sets_is_not_repeated() -> None:
    """It applies in the run's folder anyway. A variable may be missing there, so its value is repeated."""
    arguments = {
        "env": ["KEY=[redacted]"], "scrub": ["uuid"], "server": "http://[redacted]@x/", "elicit": "defaults",
        "max_turns": 3, "server_args": ["x"], "header": ["A: [redacted]"], "baseline": "base", "model": "script",
    }  # fmt: skip
    sources = dict.fromkeys(("env", "scrub", "server", "server_args", "baseline", "model"), "file")
    sources |= {"max_turns": "environment", "header": "environment"}
    baseline = BaselineRecord(path="base")
    found = commands(arguments, configured=sources, baseline=baseline)
    assert found.batch("a") == "mcprun batch p.jsonl --model script --max-turns 3 --elicit defaults --filter a"
    assert found.note == "Set MCPRUN_HEADER first: secrets are not recorded."


def test_names_that_mean_another_run_by_now_are_resolved() -> None:
    """`latest` is the failed run itself once it has ended, so the recorded path is printed."""
    model = ModelRecord(kind="replay", name="replay:outputs/old", chosen="requested")
    arguments = {"model": "replay:latest", "baseline": "latest"}
    found = commands(arguments, model=model, baseline=BaselineRecord(path="outputs/older"))
    expected = "mcprun batch p.jsonl s.py --model replay:outputs/old --baseline outputs/older --filter a"
    assert found.batch("a") == expected
    from_file = commands(
        arguments, model=model, baseline=BaselineRecord(path="outputs/older"), configured={"baseline": "file"}
    )
    assert from_file.batch("a") == expected


def test_sampling_is_not_limited_beside_message_batches() -> None:
    """`--max-sampling` and `--batch-api` can't be combined, and batches offer no sampling."""
    assert "sampling" not in commands({"batch_api": True, "max_sampling": 0}).batch("a")
    assert "--max-sampling 0" in commands({"max_sampling": 0}).batch("a")


def test_a_run_that_a_command_can_not_repeat_has_no_command() -> None:
    """A server in the caller's process, a baseline and a chat can only be shown."""
    for found in (commands({"server": "adder (in this process)"}), Commands.of(facts().record, "r")):
        assert found.show("a") == f"mcprun show {found.run} a"
    assert commands({"server": "adder (in this process)"}).batch("a") == ""
    record = facts().record
    assert Commands.of(record.model_copy(update={"arguments": {"server": "s.py"}})).batch("a") == ""


def test_prompts_of_a_pipe_are_read_from_their_copy(tmp_path: Path) -> None:
    """The run keeps what came from stdin, unless it contains secrets."""
    assert commands({"prompts": "-"}).batch("a").startswith("mcprun batch - s.py ")
    (tmp_path / "prompts.jsonl").write_text("")
    found = commands({"prompts": "-"}, run=str(tmp_path))
    assert found.batch("a").startswith(f"mcprun batch {tmp_path / 'prompts.jsonl'} s.py ")


def test_the_run_is_named_from_the_folder_of_its_command(tmp_path: Path) -> None:
    """Both commands are run in one folder, wherever the report is made."""
    assert commands({}, str(tmp_path), str(tmp_path / "outputs" / "r")).show("a") == "mcprun show outputs/r a"
    assert commands({}, str(tmp_path / "x"), str(tmp_path / "r")).show("a") == f"mcprun show {tmp_path / 'r'} a"


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_any_id_is_one_word_of_both_commands(name: str) -> None:
    """An id that is quoted, that looks like a flag, or that holds wildcards selects itself."""
    found = commands({})
    context = batch.make_context("batch", shlex.split(found.batch(name))[2:], variables={}, files=[])
    (pattern,) = context.obj.values["filters"]
    assert fits(name, [pattern], {name, "other"})
    assert not fits("other", [pattern], {name, "other"}) or name == "other"
    assert shlex.split(found.show(name))[-1] == name


@pytest.mark.parametrize(
    "name", ["env", "header", "server_args", "filters", "ignore", "token", "call_timeout", "resume"]
)
@pytest.mark.parametrize("value", [5, "x", ["x", 5], {"x": 5}, [], True, None, [None]])
def test_a_record_with_another_kind_of_value_costs_no_report(name: str, value: Any) -> None:
    """Nothing validates recorded arguments, and commands are part of every report."""
    found = commands({name: value})
    assert shlex.split(found.batch("q"))[:4] == ["mcprun", "batch", "p.jsonl", "s.py"]
    assert shlex.split(found.batch())[:2] == ["mcprun", "batch"]
