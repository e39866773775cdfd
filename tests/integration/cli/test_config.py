"""Settings in the project's file and the environment, as commands read and report them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.cli import QUICKSTART, RAW, Result, run_mcprun, script, stdlib_server, write_jsonl
from tests.support.transcripts import call, transcript


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Create a project with a prompts file and a folder within it."""
    (tmp_path / "tests").mkdir()
    write_jsonl(tmp_path / "tests" / "p.jsonl", script(("ok", {}), id="a"), script(("ok", {}), id="b"))
    (tmp_path / "within").mkdir()
    return tmp_path


def write_config(project: Path, *lines: str, name: str = "mcprun.toml") -> None:
    """Write a configuration file that sets the prompts, the server and the options in `lines`."""
    head = "[tool.mcprun]\n" if name == "pyproject.toml" else ""
    common = [f"prompts = {json.dumps('tests/p.jsonl')}", f"server = {json.dumps(str(RAW))}"]
    (project / name).write_text(head + "\n".join([*common, *lines]) + "\n")


def parse_config(done: Result) -> dict[str, tuple[str, str]]:
    """Parse the output of `--show-config` into pairs of value and source, by key."""
    rows = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    return {key: (rest.rsplit("  ", 1)[0].strip(), rest.rsplit("  ", 1)[1]) for key, rest in rows}


@pytest.mark.parametrize("name", ["mcprun.toml", "pyproject.toml"])
def test_batch_needs_no_arguments_in_a_configured_project(project: Path, name: str) -> None:
    """`mcprun batch` takes every setting from the project's file, also in a folder within the project.

    Paths are relative to the file.
    """
    write_config(project, 'filter = "a"', "concurrency = 2", "call-timeout = 7", 'out = "run.d"', name=name)
    for folder, out in ((project, "run.d"), (project / "within", "../run.d")):
        done = run_mcprun("batch", cwd=folder)
        assert (done.code, list(done.verdicts)) == (0, ["a"])
        assert (done.record["limits"]["concurrency"], done.record["limits"]["call_seconds"]) == (2, 7.0)
        assert done.record["arguments"]["out"] == out
        for file in (project / "run.d").iterdir():
            file.unlink()
        (project / "run.d").rmdir()


def test_prompts_may_be_a_pattern(project: Path) -> None:
    """A pattern that matches one prompts file runs it.

    Several matches exit with 2 and are named; so does a pattern without a match.
    """
    (project / "mcprun.toml").write_text(f"prompts = 'tests/*.jsonl'\nserver = {json.dumps(str(RAW))}\n")
    done = run_mcprun("batch", "--out", "run", cwd=project)
    assert (done.code, done.record["arguments"]["prompts"]) == (0, "tests/p.jsonl")
    assert run_mcprun("batch", "--resume", "run", cwd=project).code == 0
    assert run_mcprun("batch", cwd=project / "within").code == 0
    write_jsonl(project / "tests" / "q.jsonl", script(("ok", {}), id="c"))
    several = run_mcprun("batch", cwd=project)
    assert (several.code, several.stdout) == (2, "")
    message = f"2 prompts files match tests/*.jsonl (set by {project / 'mcprun.toml'})"
    assert several.stderr == f"Error: {message}: name one of tests/p.jsonl, tests/q.jsonl\n"
    assert run_mcprun("batch", "tests/q.jsonl", cwd=project).code == 0
    for file in (project / "tests").iterdir():
        file.unlink()
    none = run_mcprun("batch", cwd=project)
    message = f"Error: no prompts file matches tests/*.jsonl (set by {project / 'mcprun.toml'})\n"
    assert (none.code, none.stderr) == (2, message)


def test_flags_override_the_environment_then_the_file_then_the_default(project: Path) -> None:
    """Flags come before the environment, the environment before the file, and the file before the default.

    `--show-config` prints the source of each value and runs nothing.
    """
    write_config(project, "concurrency = 2", "retries = 3", 'model = "script"', 'filter = ["a", "b"]')
    (project / ".env").write_text("MCPRUN_CALL_TIMEOUT=9\nMCPRUN_MODEL=claude-x\n")
    env = {"MCPRUN_CONCURRENCY": "4", "MCPRUN_FILTER": "'a a' b", "MCPRUN_ALLOW_TOOL_ERRORS": "true"}
    done = run_mcprun("batch", "--concurrency", "5", "--show-config", cwd=project, env=env)
    shown = parse_config(done)
    file = str(project / "mcprun.toml")
    assert done.code == 0
    assert shown["concurrency"] == ("5", "command line")
    assert shown["filter"] == ('["a a", "b"]', "MCPRUN_FILTER")
    assert shown["allow-tool-errors"] == ("true", "MCPRUN_ALLOW_TOOL_ERRORS")
    assert shown["call-timeout"] == ("9.0", "MCPRUN_CALL_TIMEOUT")
    assert shown["model"] == ('"claude-x"', "MCPRUN_MODEL")
    assert shown["retries"] == ("3", file)
    assert shown["max-turns"] == ("25", "default")
    assert not (project / "outputs").exists()
    without = run_mcprun("batch", "--show-config", cwd=project / "within", env={"MCPRUN_CONCURRENCY": " "})
    assert parse_config(without)["concurrency"] == ("2", file)
    assert parse_config(without)["prompts"] == ('"../tests/p.jsonl"', file)


def test_an_unknown_variable_in_an_env_file_is_a_usage_error(project: Path) -> None:
    """An unknown `MCPRUN_` variable in `.env` exits with 2, but help and shell completion work.

    A variable for another command's option is accepted.
    """
    write_config(project)
    (project / ".env").write_text("MCPRUN_FILTR=a\n")
    done = run_mcprun("batch", cwd=project)
    message = "Error: the environment sets the unknown option 'MCPRUN_FILTR'; did you mean 'MCPRUN_FILTER'?\n"
    assert (done.code, done.stdout, done.stderr) == (2, "", message)
    assert run_mcprun("batch", "--help", cwd=project).code == 0
    (project / ".env").write_text("MCPRUN_FILTER=a\n")
    assert run_mcprun("tools", cwd=project).code == 0
    assert complete("mcprun batch --call", project) == ["--call-timeout"]
    (project / ".env").write_text("MCPRUN_FILTR=a\n")
    assert complete("mcprun batch --call", project) == ["--call-timeout"]


def test_show_config_redacts_secrets(project: Path) -> None:
    """`--show-config` prints the names of variables and headers, and no secret value.

    Headers do not apply to a file, nor variables to a URL, so they have the default there.
    """
    write_config(project, '[env]\nTOKEN = "s3cret-one"', '[header]\nAuthorization = "Bearer s3cret-two"')
    flags = ("--base-url", "http://me:s3cret-three@api.example", "--oauth-client-secret", "s3cret-four")
    file = str(project / "mcprun.toml")
    env, header = ('["TOKEN=[redacted]"]', file), ('["Authorization: [redacted]"]', file)
    for server, expected in (
        ((), (env, ("[]", "default"))),
        (("p", "http://127.0.0.1:9"), (("[]", "default"), header)),
    ):
        done = run_mcprun("batch", "--show-config", *flags, "--oauth-assertion", "s3cret-five", *server, cwd=project)
        shown = parse_config(done)
        assert "s3cret" not in done.stdout + done.stderr
        assert (shown["env"], shown["header"]) == expected


def test_show_config_includes_the_server_arguments(project: Path) -> None:
    """`--show-config` prints the server's arguments and their source, and redacts the credentials in URLs."""
    write_config(project, 'server-args = ["-v", "postgres://me:s3cret@db/x"]')

    def show_server_args(*args: str, **env: str) -> tuple[str, str]:
        done = run_mcprun("batch", *args, cwd=project, env=env)
        return parse_config(done)["server-args"]

    value, file = '["-v", "postgres://[redacted]@db/x"]', str(project / "mcprun.toml")
    assert show_server_args("--show-config") == (value, file)
    assert show_server_args("--show-config", MCPRUN_SERVER_ARGS="a 'b c'") == ('["a", "b c"]', "MCPRUN_SERVER_ARGS")
    assert show_server_args("--show-config", "--", "-w") == ('["-w"]', "command line")
    assert show_server_args("--show-config", "--") == ("[]", "command line")
    (project / "mcprun.toml").unlink()
    assert show_server_args("--show-config") == ("[]", "default")
    assert run_mcprun("batch", "tests/p.jsonl", RAW, "--out", "run", "--", "-x", cwd=project).code == 0
    write_config(project, 'server-args = ["-v"]')
    assert show_server_args("--resume", "run", "--show-config") == ('["-x"]', "run")


def test_the_env_table_and_server_args_reach_the_server(tmp_path: Path) -> None:
    """The `env` table and the `server-args` of the project's file reach the server.

    Arguments after `--` replace `server-args`.
    """
    server = tmp_path / "server.py"
    server.write_text(
        f"{stdlib_server('')}import os\nserver = StdlibServer('x')\n"
        "@server.tool()\ndef told() -> str:\n    return f'{sys.argv[1:]} {os.environ[\"COLOUR\"]}'\nserver.run()\n"
    )
    write_jsonl(
        tmp_path / "p.jsonl", script(("told", {}), expect={"calls": [{"tool": "told", "result": "['-v'] reddish"}]})
    )
    config = 'prompts = "p.jsonl"\nserver = "server.py"\nserver-args = ["-v"]\n[env]\nCOLOUR = "reddish"\n'
    (tmp_path / "mcprun.toml").write_text(config)
    assert run_mcprun("batch", cwd=tmp_path).code == 0
    assert run_mcprun("tools", cwd=tmp_path).code == 0
    other = run_mcprun("batch", "p.jsonl", "server.py", "--", "-w", cwd=tmp_path)
    assert "['-w'] [redacted]" in other.stderr


def test_a_resumed_run_keeps_its_settings(project: Path) -> None:
    """`--resume` uses the settings that the run was started with, whatever the project or the environment sets now."""
    write_config(project, "concurrency = 2", 'filter = "a"')
    assert run_mcprun("batch", "--out", "run", cwd=project).code == 0
    write_config(project, "concurrency = 7", 'filter = "b"')
    done = run_mcprun("batch", "--resume", "run", "--show-config", cwd=project, env={"MCPRUN_CONCURRENCY": "9"})
    assert parse_config(done)["concurrency"] == ("2", "run")
    assert run_mcprun("batch", "--resume", "run", cwd=project, env={"MCPRUN_CONCURRENCY": "9"}).code == 0


def test_redact_patterns_accumulate(project: Path) -> None:
    """`--redact` and `MCPRUN_REDACT` add to the project's patterns."""
    write_config(project, 'redact = "hidden-[a-z]+"')
    write_jsonl(project / "tests" / "p.jsonl", script(id="a", prompt="hidden-one and other-two"))
    done = run_mcprun("batch", "--redact", "other-[a-z]+", cwd=project)
    assert done.transcripts[0]["prompt"] == "[redacted] and [redacted]"
    done = run_mcprun("batch", cwd=project, env={"MCPRUN_REDACT": "other-[a-z]+"})
    assert done.transcripts[0]["prompt"] == "[redacted] and [redacted]"


def test_diff_uses_the_ignore_setting_of_the_project(project: Path) -> None:
    """`mcprun diff` ignores the paths in the project's `ignore`."""
    for name in ("base", "head"):
        write_jsonl(project / f"{name}.jsonl", transcript(calls=[call("a", structured={"at": name})]))
    assert run_mcprun("diff", "base.jsonl", "head.jsonl", cwd=project).code == 1
    write_config(project, 'ignore = "**.at"')
    assert run_mcprun("diff", "base.jsonl", "head.jsonl", cwd=project).code == 0


def test_diff_uses_the_ignore_order_setting_of_the_project(project: Path) -> None:
    """`mcprun diff` ignores the order of the lists at the paths in the project's `ignore-order`."""
    for name, items in (("base", [1, 2]), ("head", [2, 1])):
        write_jsonl(project / f"{name}.jsonl", transcript(calls=[call("a", structured={"items": items})]))
    assert run_mcprun("diff", "base.jsonl", "head.jsonl", cwd=project).code == 1
    assert run_mcprun("diff", "base.jsonl", "head.jsonl", "--ignore-order", "**.items", cwd=project).code == 0
    write_config(project, 'ignore-order = ["**.items"]')
    assert run_mcprun("diff", "base.jsonl", "head.jsonl", cwd=project).code == 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["concurency = 3"], "mcprun.toml sets the unknown option 'concurency'; did you mean 'concurrency'?"),
        (["zzz = 3"], "mcprun.toml sets the unknown option 'zzz'\n"),
        (["resume = 'latest'"], "sets the unknown option 'resume'"),
        (["concurrency = 0"], "mcprun.toml: concurrency must be a whole number from 1 to 10,000, not 0\n"),
        (["concurrency = true"], "concurrency must be a whole number from 1 to 10,000, not True"),
        (["allow-tool-errors = 1"], "allow-tool-errors must be true or false, not 1"),
        (["concurrency = [1]"], "concurrency must be a whole number from 1 to 10,000, not a list"),
        (["a ="], "can't read "),
    ],
)
def test_invalid_settings_are_usage_errors(project: Path, lines: list[str], message: str) -> None:
    """An unknown option, an invalid value or an unreadable file exits with 2 and one message. `--help` still works."""
    write_config(project, *lines)
    done = run_mcprun("batch", cwd=project)
    assert (done.code, message in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    assert run_mcprun("batch", "--help", cwd=project).code == 0


def test_an_invalid_variable_is_named(project: Path) -> None:
    """The message about an invalid environment variable names the variable."""
    write_config(project)
    done = run_mcprun("batch", cwd=project, env={"MCPRUN_RETRIES": "many"})
    assert (done.code, "must be a whole number from 0 to 1,000, not 'many' (set by MCPRUN_RETRIES)" in done.stderr) == (
        2,
        True,
    )
    done = run_mcprun("batch", cwd=project, env={"MCPRUN_FILTER": "'"})
    assert (done.code, "can't read MCPRUN_FILTER: No closing quotation" in done.stderr) == (2, True)


def test_the_search_for_a_configuration_file_ends_at_the_repository(tmp_path: Path) -> None:
    """A configuration file above the repository is not read. Without a file, the arguments are required."""
    write_jsonl(tmp_path / "p.jsonl", script())
    (tmp_path / "mcprun.toml").write_text("nonsense = 1\n")
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    done = run_mcprun("batch", cwd=tmp_path / "repository")
    assert (done.code, "Missing argument 'PROMPTS'" in done.stderr) == (2, True)


def complete(words: str, folder: Path) -> list[str]:
    """Return the completions that a shell gets for a command line."""
    env = {"_MCPRUN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = run_mcprun(cwd=folder, env={**env, "PATH": os.environ["PATH"]})
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_shell_completion_offers_commands_options_runs_and_queries(tmp_path: Path) -> None:
    """Shell completion offers commands, options, the names of runs, and the ids of their queries."""
    run_mcprun("batch", *QUICKSTART, "--quiet", cwd=tmp_path)
    (name,) = (folder.name for folder in (tmp_path / "outputs").iterdir() if not folder.is_symlink())
    assert "batch" in complete("mcprun ba", tmp_path)
    assert complete("mcprun batch --call", tmp_path) == ["--call-timeout"]
    assert complete("mcprun show ", tmp_path)[:2] == ["latest", name]
    assert complete("mcprun show latest add", tmp_path) == ["add", "add-twice"]


@pytest.mark.parametrize(
    ("setting", "variable", "flags"),
    [
        ("scratch = true", "MCPRUN_SCRATCH", ["--scratch"]),
        ("cwd = '.'", "MCPRUN_CWD", ["--cwd", "."]),
        ("python = 'python3'", "MCPRUN_PYTHON", ["--python", "python3"]),
        ("env = { A = 'b' }", "MCPRUN_ENV", ["--env", "A=b"]),
        ("env-file = 'my.env'", "MCPRUN_ENV_FILE", ["--env-file", "my.env"]),
        ("server-args = ['-v']", "MCPRUN_SERVER_ARGS", ["--", "-v"]),
    ],
)
def test_settings_for_starting_a_server_are_ignored_for_a_url(
    tmp_path: Path, setting: str, variable: str, flags: list[str]
) -> None:
    """Those of the file and of the environment are ignored, and a flag is refused: the URL is only tried without."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), id="a"))
    (tmp_path / "my.env").write_text("A=b\n")
    batch = ("batch", "p.jsonl", "http://127.0.0.1:9/mcp", "--connect-timeout", "2", "--no-retry")
    refused = run_mcprun(*batch, *flags, cwd=tmp_path)
    assert (refused.code, "server that mcprun starts" in refused.stderr) == (2, True)
    by_variable = run_mcprun(*batch, cwd=tmp_path, env={variable: flags[-1] if len(flags) > 1 else "1"})
    assert by_variable.code == 3
    (tmp_path / "mcprun.toml").write_text(f"{setting}\n")
    assert run_mcprun(*batch, cwd=tmp_path).code == 3


def test_an_empty_variable_for_the_server_is_warned_about(tmp_path: Path) -> None:
    """A variable that is copied from the environment may be unset by mistake. One that is set to be empty is meant so."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), id="a"))
    warning = "Warning: --env KEY: the variable is empty in this environment, and the server gets it so\n"
    for args, is_warned in ((("--env", "KEY"), True), (("--env", "OTHER="), False)):
        for command in (("batch", "p.jsonl"), ("tools",)):
            done = run_mcprun(*command, RAW, *args, cwd=tmp_path, env={"KEY": ""})
            assert (done.code, warning in done.stderr) == (0, is_warned)
    (tmp_path / "mcprun.toml").write_text('env = ["KEY"]\n')
    assert warning in run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path, env={"KEY": ""}).stderr


@pytest.mark.parametrize(
    ("setting", "flags"),
    [
        ("token = 'abcdefgh'", ["--token", "abcdefgh"]),
        ("header = { X-Key = 'abcdefgh' }", ["--header", "X-Key: abcdefgh"]),
        ("oauth-client-id = 'abcdefgh'\noauth-client-secret = 'env:S'", ["--oauth-client-id", "abcdefgh"]),
        ("python = 'python3'", ["--python", "python3"]),
    ],
)
def test_settings_for_another_kind_of_server_are_ignored_for_a_command(
    tmp_path: Path, setting: str, flags: list[str]
) -> None:
    """Credentials for a URL, and a Python for a file, do not keep a command line from running. Flags are refused."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), id="a"))
    batch = ("batch", "p.jsonl", f"python3 {RAW}")
    assert run_mcprun(*batch, *flags, cwd=tmp_path).code == 2
    (tmp_path / "mcprun.toml").write_text(f"{setting}\n")
    assert run_mcprun(*batch, cwd=tmp_path).code == 0
    assert run_mcprun("tools", f"python3 {RAW}", cwd=tmp_path).code == 0
