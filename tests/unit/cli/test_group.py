"""The `mcprun` group: other names for commands, the command that was meant, and help in the order of use."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from click.testing import CliRunner, Result

from mcprun.cli import main


@pytest.fixture(autouse=True)
def unchanged_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the group from changing loggers, the garbage collector and the streams of the test process."""
    for name in ("mcprun.cli.drop_sdk_logs", "mcprun.cli.leave_all_at_exit", "mcprun.cli.group.install"):
        monkeypatch.setattr(name, lambda: None)


def run(*args: str) -> Result:
    """Run a command line in this process, on a terminal of 80 columns."""
    return CliRunner().invoke(main, list(args), prog_name="mcprun", terminal_width=80)


def error_of(*args: str) -> str:
    """Run a command line that is rejected as wrong usage, and return the message."""
    done = run(*args)
    assert done.exit_code == 2
    return done.output.splitlines()[-1]


@pytest.mark.parametrize("name", ["run", "test", "batch"])
def test_run_and_test_are_batch(name: str) -> None:
    """`run` and `test` are understood as `batch`, also by its help and its errors."""
    assert run(name, "--help").output.startswith("Usage: mcprun batch [OPTIONS] PROMPTS SERVER")
    assert run(name, "--nope").output.startswith("Usage: mcprun batch [OPTIONS] PROMPTS SERVER")


def test_help_takes_a_command() -> None:
    """`mcprun help batch` prints the help of `batch`, and `mcprun help` that of the group."""
    assert run("help", "batch").output == run("batch", "--help").output
    assert run("help", "run").output == run("batch", "--help").output
    assert run("help").output == run("--help").output
    assert error_of("help", "bacth") == "Error: No such command: bacth. Did you mean batch?"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ls", "mcprun tools SERVER"), ("list", "mcprun tools SERVER"), ("view", "mcprun show"), ("version", "mcprun --version"),
        ("exec", "mcprun batch PROMPTS SERVER"), ("compare", "mcprun diff BASE HEAD"), ("accept", "mcprun bless RUN BASELINE"),
        ("check", "mcprun validate PROMPTS"), ("new", "mcprun init SERVER"), ("inspect", "mcprun tools SERVER"),
        ("resume", "mcprun batch --resume RUN"), ("replay", "mcprun batch PROMPTS SERVER --model replay:RUN"),
        ("html", "mcprun report"), ("bacth", "batch"), ("reprot", "report"), ("Diff", "diff"),
        ("tests.jsonl", "mcprun batch tests.jsonl SERVER"),
    ],
)  # fmt: skip
def test_an_unknown_command_names_the_one_that_was_meant(given: str, meant: str) -> None:
    """A name of another tool, a misspelling and a prompts file are answered with what to type."""
    message = error_of(given)
    assert message.startswith(f"Error: No such command: {given}. Did you mean ")
    assert meant in message


@pytest.mark.parametrize("server", ["server.py", "server.ts", "http://me:s3cret@127.0.0.1:9/mcp"])
def test_a_server_without_a_command_names_the_commands_for_it(server: str) -> None:
    """A server in the place of the command is answered with commands, and is not repeated."""
    message = error_of(server)
    assert (
        message
        == "Error: Expected a command before the server. Did you mean mcprun init SERVER, or mcprun tools SERVER?"
    )


def test_nothing_is_proposed_for_an_unrelated_word() -> None:
    """A word that resembles no command gets no proposal."""
    assert error_of("xyzzy") == "Error: No such command: xyzzy."


def test_help_lists_each_command_once_on_one_line() -> None:
    """The help of the group has a line for each command under a heading, within 80 columns."""
    lines = run("--help").output.splitlines()
    assert max(map(len, lines)) <= 80
    listed = [
        line.split()[0]
        for line in lines[lines.index("Write queries:") : lines.index("Options:")]
        if line.startswith("  ")
    ]
    assert listed == main.list_commands(click.Context(main))
    assert sorted(listed) == sorted(main.commands)
    assert listed.index("init") < listed.index("batch") < listed.index("show") < listed.index("diff")


@pytest.mark.parametrize("name", ["", *sorted(main.commands)])
def test_each_example_in_help_is_a_valid_command_line(name: str) -> None:
    """Each `mcprun …` line in a help has a command and options that exist."""
    text = run(*([name] if name else []), "--help").output
    for line in re.findall(r"^ {4}(?: *printf .*\| )?mcprun (?!\[)(.*)$", text, re.MULTILINE):
        command, *rest = shlex.split(line.partition(" | ")[0], comments=True)
        parsed = main.commands[command].make_parser(click.Context(main.commands[command])).parse_args(rest)
        assert parsed
