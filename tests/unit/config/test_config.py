"""Project file and environment settings: precedence, empty variables, misspelt names."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from mcprun.cli import main
from mcprun.cli.argument_sources import COMMAND_LINE, Arguments, Origin, Source, merge
from mcprun.cli.arguments import options_of
from mcprun.cli.configurable_command import ConfigurableCommand
from mcprun.config.project import Config, Setting, environment, setting, variable_of
from mcprun.errors import UsageError


def resolve(*args: str, file: str = "", env: dict[str, str] | None = None, command: str = "batch") -> dict[str, Any]:
    """Return the parameters of a command with this project file and environment."""
    files = [Config(Path("mcprun.toml"), {key.replace("-", "_"): value for key, value in tomllib.loads(file).items()})]
    click_command = main.commands[command]
    context = click_command.make_context(command, [*args], click.Context(main), variables=env or {}, files=files)
    return dict(context.obj.values)


def test_variables_take_precedence_over_files_in_order() -> None:
    """A variable takes precedence over files, and a file over later ones. An empty or blank variable is not set."""
    files = [Config(Path("a"), {"model": "a"}), Config(Path("b"), {"model": "b", "server": "b"})]
    assert setting("model", {"MCPRUN_MODEL": " v "}, files) == Setting("v", "MCPRUN_MODEL", is_variable=True)
    for blank in ({}, {"MCPRUN_MODEL": ""}, {"MCPRUN_MODEL": " \t"}):
        assert setting("model", blank, files) == Setting("a", "a", is_variable=False)
    assert setting("server", {}, files) == Setting("b", "b", is_variable=False)
    assert setting("out", {}, files) is None


def test_an_empty_mcprun_variable_does_not_hide_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty MCPRUN_ variable does not hide the value of `.env`. An empty API key does, as in python-dotenv."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("MCPRUN_MODEL=m\nANTHROPIC_API_KEY=k\nMCPRUN_EFFORT=low\n")
    for name, value in {"MCPRUN_MODEL": "", "ANTHROPIC_API_KEY": "", "MCPRUN_EFFORT": "max"}.items():
        monkeypatch.setenv(name, value)
    variables = environment()
    assert [variables[name] for name in ("MCPRUN_MODEL", "ANTHROPIC_API_KEY", "MCPRUN_EFFORT")] == ["m", "", "max"]


@pytest.mark.parametrize(
    "name", sorted(name for name, one in main.commands.items() if isinstance(one, ConfigurableCommand))
)
def test_every_settable_switch_has_a_negation(name: str, tmp_path: Path) -> None:
    """Each switch has a `--no-` form. A variable overrides the file, and a flag overrides both."""
    command, batch = main.commands[name], main.commands["batch"]
    assert isinstance(command, ConfigurableCommand)
    assert isinstance(batch, ConfigurableCommand)
    assert command.settable().keys() <= batch.settable().keys()  # the pytest plugin reads only the settings of batch
    switches = {key: one for key, one in command.settable().items() if isinstance(one, click.Option) and one.is_flag}
    assert len(switches) == {"batch": 12, "chat": 3, "init": 1}.get(name, 0)
    for key, switch in switches.items():
        (yes,), (no,) = [one for one in switch.opts if one.startswith("--")], switch.secondary_opts
        assert {yes.startswith("--no-"), no.startswith("--no-")} == {True, False}
        file, arguments = f"{key} = true", ["server.py"] if name == "chat" else []
        variable = variable_of(key)
        assert resolve(*arguments, file=file, command=name)[key] is True
        assert resolve(*arguments, no, file=file, command=name)[key] is False
        for off in ("false", "0", "no", "off", "FALSE"):
            assert resolve(*arguments, file=file, env={variable: off}, command=name)[key] is False
        assert resolve(*arguments, yes, file=file, env={variable: "false"}, command=name)[key] is True
        assert resolve(*arguments, no, env={variable: "1"}, command=name)[key] is False
        assert resolve(*arguments, file=file, env={variable: ""}, command=name)[key] is True


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
def test_an_option_overrides_a_contradicting_one_of_lower_precedence(
    args: list[str], env: dict[str, str], file: str, name: str, expected: Any
) -> None:
    """An option overrides a contradicting one from a source of lower precedence, without a negating flag."""
    config = Config(Path("mcprun.toml"), {key.replace("-", "_"): value for key, value in tomllib.loads(file).items()})
    commands = ["batch", "chat"] if name == "retries" else ["batch"]
    for command in commands:
        click_command = main.commands[command]
        context = click_command.make_context(
            command, [*args, *["s.py"][: command == "chat"]], variables=env, files=[config]
        )
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
def test_an_unknown_variable_is_rejected(name: str, expected: str) -> None:
    """Each command that reads options rejects an unknown MCPRUN_ variable without showing its value.

    An empty one is ignored.
    """
    for command in ("batch", "tools", "diff", "login"):
        with pytest.raises(UsageError) as raised:
            resolve(*["run"][: command == "diff"], env={name: "s3cret"}, command=command)
        assert expected in str(raised.value)
        assert "s3cret" not in str(raised.value)
    resolve(env={name: " ", "MCPRUN_TOKEN_STORE": "x", "_MCPRUN_COMPLETE": "y", "MCPRUNNER": "z"})


RECORDED = Origin(Source.RUN, "outputs/run")


def merge_arguments(passed: dict[str, Any], recorded: dict[str, Any], **defaults: Any) -> Arguments:
    """Merge the arguments of a command line with those of a recorded run."""
    command_line = Arguments({**defaults, **passed}, dict.fromkeys(passed, COMMAND_LINE))
    return merge(command_line, Arguments(recorded, dict.fromkeys(recorded, RECORDED)))


def test_passed_arguments_precede_recorded_ones_and_these_precede_defaults() -> None:
    arguments = merge_arguments({"limit": 3}, {"limit": 2, "concurrency": 4}, concurrency=8, servers=1)
    assert arguments.values == {"limit": 3, "concurrency": 4, "servers": 1}
    assert (arguments.source("limit"), arguments.origin("concurrency"), arguments.source("servers")) == (
        Source.COMMAND_LINE,
        RECORDED,
        Source.DEFAULT,
    )


def test_a_passed_option_resets_a_contradicting_recorded_one() -> None:
    arguments = merge_arguments({"retries": 3}, {"no_retry": True})
    assert (arguments.values["no_retry"], arguments.source("no_retry")) == (False, Source.DEFAULT)
    assert merge_arguments({}, {"retries": 3, "no_retry": True}).values == {"retries": 3, "no_retry": True}
    assert merge_arguments({"servers": 1}, {"fresh_server": True}).values["fresh_server"] is True


@pytest.mark.parametrize(
    ("passed", "recorded", "expected", "expected_lost"),
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
def test_redact_patterns_of_both_are_combined(
    passed: tuple[str, ...], recorded: tuple[str, ...], expected: tuple[str, ...], expected_lost: tuple[str, ...]
) -> None:
    arguments = merge_arguments({"redact": passed} if passed else {}, {"redact": recorded}, redact=())
    assert (arguments.values["redact"], arguments.lost) == (expected, expected_lost)


def test_redacted_recorded_values_must_be_passed_again() -> None:
    recorded = {"server": "http://[redacted]@host/", "token": "[redacted]", "server_args": ("--key", "[redacted]")}
    assert merge_arguments({}, recorded).lost == (
        "SERVER (after PROMPTS) of this run contains a secret and was not recorded: pass it again",
        "the server's arguments in this run contain a secret and were not recorded: pass them again",
        "--token of this run contains a secret and was not recorded: pass it again",
    )
    assert merge_arguments(dict.fromkeys(recorded, "x"), recorded).lost == ()
