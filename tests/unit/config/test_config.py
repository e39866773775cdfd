"""Settings of the project and the environment: precedence, empty variables, misspelt names."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from mcprun.cli import main
from mcprun.cli.argument_sources import COMMAND_LINE, Arguments, Origin, Source, merge
from mcprun.cli.arguments import options_of
from mcprun.cli.config_command import ConfigurableCommand
from mcprun.config.project import Config, Setting, environment, setting, variable_of
from mcprun.errors import UsageError


def resolved(*args: str, file: str = "", env: dict[str, str] | None = None, command: str = "batch") -> dict[str, Any]:
    """Give the parameters of a command in a project whose file and environment these are."""
    files = [Config(Path("mcprun.toml"), {key.replace("-", "_"): value for key, value in tomllib.loads(file).items()})]
    made = main.commands[command]
    context = made.make_context(command, [*args], click.Context(main), variables=env or {}, files=files)
    return dict(context.obj.values)


def test_precedence_is_one_function() -> None:
    """The variable comes before the file, one file before the next, and what is empty or blank is not set."""
    files = [Config(Path("a"), {"model": "a"}), Config(Path("b"), {"model": "b", "server": "b"})]
    assert setting("model", {"MCPRUN_MODEL": " v "}, files) == Setting("v", "MCPRUN_MODEL", is_variable=True)
    for blank in ({}, {"MCPRUN_MODEL": ""}, {"MCPRUN_MODEL": " \t"}):
        assert setting("model", blank, files) == Setting("a", "a", is_variable=False)
    assert setting("server", {}, files) == Setting("b", "b", is_variable=False)
    assert setting("out", {}, files) is None


def test_an_empty_variable_leaves_the_word_to_env_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ours, that is: an empty key of the API hides that of `.env`, as python-dotenv has it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("MCPRUN_MODEL=m\nANTHROPIC_API_KEY=k\nMCPRUN_EFFORT=low\n")
    for name, value in {"MCPRUN_MODEL": "", "ANTHROPIC_API_KEY": "", "MCPRUN_EFFORT": "max"}.items():
        monkeypatch.setenv(name, value)
    found = environment()
    assert [found[name] for name in ("MCPRUN_MODEL", "ANTHROPIC_API_KEY", "MCPRUN_EFFORT")] == ["m", "", "max"]


@pytest.mark.parametrize(
    "name", sorted(name for name, one in main.commands.items() if isinstance(one, ConfigurableCommand))
)
def test_every_switch_that_can_be_set_can_be_undone(name: str, tmp_path: Path) -> None:
    """By a `--no-` form, on the same line of the help; a variable undoes what the file sets, and a flag both."""
    command, batch = main.commands[name], main.commands["batch"]
    assert isinstance(command, ConfigurableCommand)
    assert isinstance(batch, ConfigurableCommand)
    assert command.settable().keys() <= batch.settable().keys()  # pytest knows only those
    context = command.make_context(name, [], resilient_parsing=True)
    switches = {key: one for key, one in command.settable().items() if isinstance(one, click.Option) and one.is_flag}
    assert len(switches) == {"batch": 9, "chat": 3}.get(name, 0)
    for key, switch in switches.items():
        (yes,), (no,) = [one for one in switch.opts if one.startswith("--")], switch.secondary_opts
        assert {yes.startswith("--no-"), no.startswith("--no-")} == {True, False}
        record = switch.get_help_record(context)
        assert record
        assert record[0].endswith(f"{yes} / {no}")
        file, words = f"{key} = true", ["server.py"] if name == "chat" else []
        variable = variable_of(key)
        assert resolved(*words, file=file, command=name)[key] is True
        assert resolved(*words, no, file=file, command=name)[key] is False
        for off in ("false", "0", "no", "off", "FALSE"):
            assert resolved(*words, file=file, env={variable: off}, command=name)[key] is False
        assert resolved(*words, yes, file=file, env={variable: "false"}, command=name)[key] is True
        assert resolved(*words, no, env={variable: "1"}, command=name)[key] is False
        assert resolved(*words, file=file, env={variable: ""}, command=name)[key] is True


@pytest.mark.parametrize(
    ("args", "env", "file", "name", "expected"),
    [
        ([], {}, "no-retry = true", "retries", 0),
        (["--retries", "3"], {}, "no-retry = true", "retries", 3),
        (["--retry"], {}, "no-retry = true", "retries", 5),
        (["--no-retry"], {}, "retries = 3", "retries", 0),
        (["--retry"], {}, "retries = 3", "retries", 3),
        ([], {"MCPRUN_RETRIES": "3"}, "no-retry = true", "retries", 3),
        ([], {"MCPRUN_NO_RETRY": "1"}, "retries = 3", "retries", 0),
        ([], {"MCPRUN_NO_RETRY": "0"}, "retries = 3", "retries", 3),
        (["--servers", "2"], {}, "fresh-server = true", "servers", 2),
        (["--servers", "1"], {}, "fresh-server = true", "fresh_server", True),
        (["--fresh-server"], {}, "servers = 2", "servers", 1),
        (["--no-fresh-server"], {}, "servers = 2", "servers", 2),
        ([], {"MCPRUN_SERVERS": "2"}, "fresh-server = true", "fresh_server", False),
        ([], {"MCPRUN_FRESH_SERVER": "1"}, "servers = 2", "servers", 1),
    ],
)
def test_an_option_does_away_with_its_opposite_of_a_weaker_source(
    args: list[str], env: dict[str, str], file: str, name: str, expected: Any
) -> None:
    """It need not be undone by name."""
    config = Config(Path("mcprun.toml"), {key.replace("-", "_"): value for key, value in tomllib.loads(file).items()})
    commands = ["batch", "chat"] if name == "retries" else ["batch"]
    for command in commands:
        made = main.commands[command]
        context = made.make_context(command, [*args, *["s.py"][: command == "chat"]], variables=env, files=[config])
        options = options_of(context.obj.values)
        assert (options.limits.retries if name == "retries" else getattr(options, name)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MCPRUN_CONCURENCY", "the environment sets the unknown option 'MCPRUN_CONCURENCY'; did you mean 'MCPRUN_CONCURRENCY'?"),
        ("MCPRUN_DENY_TOOLS", "did you mean 'MCPRUN_DENY_TOOL'?"),
        ("MCPRUN_FILTERS", "did you mean 'MCPRUN_FILTER'?"),
        ("MCPRUN_TOKEN_STOR", "did you mean 'MCPRUN_TOKEN_STORE'?"),
        ("MCPRUN_RESUME", "the environment sets the unknown option 'MCPRUN_RESUME'"),
        ("MCPRUN_ZZZ", "the environment sets the unknown option 'MCPRUN_ZZZ'"),
    ],
)  # fmt: skip
def test_a_mistyped_variable_is_refused(name: str, expected: str) -> None:
    """As the file's keys are, by each command that reads any; its value is not repeated, and an empty one is not set."""
    for command in ("batch", "tools", "diff", "login"):
        with pytest.raises(UsageError) as raised:
            resolved(*["run"][: command == "diff"], env={name: "s3cret"}, command=command)
        assert expected in str(raised.value)
        assert "s3cret" not in str(raised.value)
    resolved(env={name: " ", "MCPRUN_TOKEN_STORE": "x", "_MCPRUN_COMPLETE": "y", "MCPRUNNER": "z"})


RECORDED = Origin(Source.RUN, "outputs/run")


def merged(given: dict[str, Any], recorded: dict[str, Any], **defaults: Any) -> Arguments:
    """Merge the arguments of a command line with those of a run."""
    line = Arguments({**defaults, **given}, dict.fromkeys(given, COMMAND_LINE))
    return merge(line, Arguments(recorded, dict.fromkeys(recorded, RECORDED)))


def test_given_arguments_take_precedence_over_recorded_ones_and_these_over_defaults() -> None:
    found = merged({"limit": 3}, {"limit": 2, "concurrency": 4}, concurrency=8, servers=1)
    assert found.values == {"limit": 3, "concurrency": 4, "servers": 1}
    assert (found.source("limit"), found.origin("concurrency"), found.source("servers")) == (
        Source.COMMAND_LINE,
        RECORDED,
        Source.DEFAULT,
    )


def test_a_given_option_resets_a_recorded_one_that_contradicts_it() -> None:
    found = merged({"retries": 3}, {"no_retry": True})
    assert (found.values["no_retry"], found.source("no_retry")) == (False, Source.DEFAULT)
    assert merged({}, {"retries": 3, "no_retry": True}).values == {"retries": 3, "no_retry": True}
    assert merged({"servers": 1}, {"fresh_server": True}).values["fresh_server"] is True


@pytest.mark.parametrize(
    ("given", "recorded", "expected", "lost"),
    [
        ((), ("a", "b"), ("a", "b"), ()),
        (("c",), ("a",), ("a", "c"), ()),
        (("c",), ("a", "[redacted]"), ("a", "c"), ()),
        (
            ("c",),
            ("a", "[redacted]", "[redacted]"),
            ("a", "c"),
            ("2 --redact patterns of this run contain secrets and were not recorded: pass all of them again, not 1",),
        ),
    ],
)
def test_redact_patterns_are_combined(
    given: tuple[str, ...], recorded: tuple[str, ...], expected: tuple[str, ...], lost: tuple[str, ...]
) -> None:
    found = merged({"redact": given} if given else {}, {"redact": recorded}, redact=())
    assert (found.values["redact"], found.lost) == (expected, lost)


def test_recorded_values_that_are_redacted_must_be_given_again() -> None:
    recorded = {"server": "http://[redacted]@host/", "token": "[redacted]", "server_args": ("--key", "[redacted]")}
    assert merged({}, recorded).lost == (
        "SERVER (after PROMPTS) of this run contains a secret and was not recorded: pass it again",
        "the server's arguments in this run contain a secret and were not recorded: pass them again",
        "--token of this run contains a secret and was not recorded: pass it again",
    )
    assert merged(dict.fromkeys(recorded, "x"), recorded).lost == ()
