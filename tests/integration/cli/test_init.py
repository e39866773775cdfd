"""`mcprun init`: a first prompts file and a workflow, generated from a server's tools."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.cli.commands.init.github_workflow import workflow
from mcprun.cli.commands.init.next_commands import Commands
from mcprun.prompts.generate import generate_prompts
from mcprun.prompts.query import parse_query
from tests.support.catalogs import catalog
from tests.support.cli import QUICKSTART, RAW, clean_environment, read_jsonl, run_mcprun, stdlib_server
from tests.support.json_strategies import JSON
from tests.support.schema_strategies import of, wholes

SERVER = QUICKSTART[1]

WORKFLOW = Path(".github", "workflows", "mcprun.yml")


def read_steps(file: Path) -> dict[str, dict[str, Any]]:
    """Read a workflow's steps, by name, action or command."""
    (job,) = yaml.safe_load(file.read_text())["jobs"].values()
    return {step.get("name") or step.get("uses") or step["run"]: step for step in job["steps"]}


def read_mcprun_commands(file: Path) -> Iterator[list[str]]:
    """Yield the mcprun commands of a workflow: the one with a baseline, then the one without."""
    for line in read_steps(file)["Run the queries"]["run"].splitlines():
        if line.strip().startswith("mcprun "):
            yield shlex.split(line)[1:]


def test_init_writes_a_smoke_test_and_prints_commands_that_work(tmp_path: Path) -> None:
    """`init` writes one query per tool and a workflow.

    The commands that it prints and those of the workflow succeed.
    """
    (tmp_path / "server.py").write_bytes(RAW.read_bytes())
    tools = ("--tool", "ok", "--tool", "sorry")
    done = run_mcprun("init", "server.py", "--try", *tools, "--install-from", "mcprun==1.0", cwd=tmp_path)
    assert done.code == 0
    assert done.stdout.splitlines() == [
        "prompts.jsonl: 2 queries, for the tools of raw 0",
        ".github/workflows/mcprun.yml: runs them on each push in GitHub Actions",
        "mcprun.toml: how they are run and compared",
        ".gitignore: keeps outputs/ out of the repository",
        "! sorry  returned an error: I can't",
        "Each was tried twice: 1 of 2 works. 1 query needs fixing, see metadata.todo.",
        "Next: run them, make the run the baseline, and compare with it after each change:",
        "  mcprun batch prompts.jsonl server.py --model script",
        "  mcprun bless latest baseline",
        "  mcprun batch prompts.jsonl server.py --model script --baseline baseline",
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        ".github", ".gitignore", "mcprun.toml", "prompts.jsonl", "server.py"
    ]  # fmt: skip
    valid = run_mcprun("validate", "prompts.jsonl", cwd=tmp_path)
    assert (valid.code, valid.stdout) == (0, "prompts.jsonl: 2 queries, all with a script\n")
    for line in done.stdout.splitlines()[-3:]:
        assert run_mcprun(*shlex.split(line)[1:], cwd=tmp_path).code == 0
    compare, script = read_mcprun_commands(tmp_path / WORKFLOW)
    assert run_mcprun(*compare, cwd=tmp_path).code == 0
    (tmp_path / "run").rename(tmp_path / "first")
    assert run_mcprun(*script, cwd=tmp_path).code == 0
    assert (tmp_path / "junit.xml").exists()


def test_a_query_has_a_prompt_a_script_and_an_expected_call(tmp_path: Path) -> None:
    """Each query has a prompt that a model can act on, a script with the call, and the call as its expectation."""
    assert run_mcprun("init", SERVER, "--no-workflow", "--tool", "add", "--tool", "read*", cwd=tmp_path).code == 0
    add, read = read_jsonl(tmp_path / "prompts.jsonl")
    call = {"tool": "add", "input": {"a": 1, "b": 2}}
    assert add == {
        "id": "add",
        "prompt": "Add two numbers: use the tool add with a = 1 and b = 2.",
        "script": [{"calls": [call]}, {"text": "Done."}],
        "expect": {"calls": [call]},
    }
    assert read["prompt"] == 'Read a note by its id: use the tool read_note with note_id = "example".'
    assert not (tmp_path / ".github").exists()


def test_tools_are_called_only_with_try(tmp_path: Path) -> None:
    """Only `--try` calls tools. Without it, the output says that no tool was called."""
    (tmp_path / "server.py").write_text(
        f"{stdlib_server('')}server = StdlibServer('s')\n\n@server.tool()\ndef mark() -> None:\n"
        f"    open({str(tmp_path / 'called')!r}, 'a').write('x')\n\nserver.run()\n"
    )
    done = run_mcprun("init", "server.py", cwd=tmp_path)
    assert (done.code, (tmp_path / "called").exists()) == (0, False)
    assert "No tool was called: the inputs are generated" in done.stdout
    assert run_mcprun("init", "server.py", "--try", "--force", cwd=tmp_path).code == 0
    assert (tmp_path / "called").read_text() == "xx"


LOST = stdlib_server("""
import os
from tests.servers.stdlib_server import ToolError
server = StdlibServer("lost")

@server.tool()
def show(path: str) -> str:
    raise ToolError(f"there is no {path} in {os.getcwd()}")

@server.tool()
def status() -> str:
    return show("status")

server.run()
""")


def test_the_prompts_file_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    """A server gives the same prompts file in every folder, because the texts of errors are not written to it."""
    for number in "ab":
        folder = tmp_path / number
        folder.mkdir()
        (folder / "server.py").write_text(LOST)
        done = run_mcprun("init", "server.py", "--try", "--no-scratch", cwd=folder)
        assert (done.code, done.stdout.count(str(folder))) == (1, 2)
        assert "none of 2 works, so that nothing would be tested. 2 queries need fixing" in done.stdout
    files = [tmp_path / number / "prompts.jsonl" for number in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert [query["expect"]["tool_errors"] for query in read_jsonl(files[0])] == ["allow", "allow"]
    assert str(tmp_path) not in files[0].read_text()


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    """If either file exists, one message names it before the server is started, and nothing is written.

    `--force` replaces both.
    """
    (tmp_path / "prompts.jsonl").write_text("mine")
    done = run_mcprun("init", RAW, "--", "exit", cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "Error: prompts.jsonl already exists: use --force to replace it\n")
    assert not (tmp_path / ".github").exists()
    (tmp_path / WORKFLOW).parent.mkdir(parents=True)
    (tmp_path / WORKFLOW).symlink_to("nowhere")
    done = run_mcprun("init", SERVER, "--prompts", "new.jsonl", cwd=tmp_path)
    assert (done.code, done.stderr) == (2, f"Error: {WORKFLOW} already exists: use --force to replace it\n")
    assert not (tmp_path / "new.jsonl").exists()
    assert run_mcprun("init", SERVER, "--force", cwd=tmp_path).code == 0
    assert len(read_jsonl(tmp_path / "prompts.jsonl")) == 4
    assert "mcprun batch prompts.jsonl" in (tmp_path / WORKFLOW).read_text()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["nope.py"], 2, "Error: server file not found: nope.py\n"),
        ([RAW, "--tool", "nope"], 2, f"Error: no tool of {RAW} matches --tool; list them with: mcprun tools\n"),
        (["catalog.py", "--", "listed.json"], 2, "Error: catalog.py has no tools to write queries for\n"),
        ([RAW, "--prompts", "file/p.jsonl"], 2, "Error: can't write file/p.jsonl: "),
        ([RAW, "--prompts", "."], 2, "Usage: "),
        ([RAW, "--header", "A: b"], 2, "Error: --header applies only to a URL; "),
        ([RAW, "--env", "A B=secret"], 2, "Error: the server's arguments can't be written to a workflow file: use --no-workf"),
        ([RAW, "--", "${{ secrets.A }}"], 2, "Error: the server's arguments can't be written to a workflow file: use --no-w"),
        ([RAW, "--", "exit"], 3, "Error: the server exited before it responded: "),
        ([RAW, "--connect-timeout", "1", "--", "mute"], 3, "Error: the server did not respond within 1 s"),
    ],
)  # fmt: skip
def test_errors_are_one_message_and_write_nothing(
    tmp_path: Path, args: list[str | Path], code: int, message: str
) -> None:
    """Invalid arguments exit with 2, and a server that does not start exits with 3.

    Each prints one message and writes nothing.
    """
    catalog(tmp_path)
    (tmp_path / "file").touch()
    before = sorted(tmp_path.iterdir())
    done = run_mcprun("init", *args, cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr[: len(message)]) == (code, "", message)
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def build_tool(name: str, **hints: bool) -> dict[str, Any]:
    """Build a tool with annotations."""
    schema = {**of(path={"type": "string"}), "required": ["path"]}
    return {"name": name, "inputSchema": schema, "annotations": {f"{key}Hint": value for key, value in hints.items()}}


def test_tools_that_require_a_task_are_left_out(tmp_path: Path) -> None:
    """A tool that can only be called as a task has no query, and the reason is printed.

    `batch` leaves it out with a warning.
    """
    tool = {"name": "slow", "inputSchema": of(), "execution": {"taskSupport": "required"}}
    server = catalog(tmp_path, tool, build_tool("look", readOnly=True))
    done = run_mcprun("init", "--no-workflow", *server, cwd=tmp_path)
    why = "it can only be called as a task, which mcprun does not support"
    assert (done.code, f"left out: slow  {why}" in done.stdout.splitlines()) == (0, True)
    run = run_mcprun("batch", "prompts.jsonl", *server, cwd=tmp_path)
    assert run.record["server"]["warnings"] == [f"tool 'slow' is left out: {why}"]


def test_destructive_tools_are_left_out(tmp_path: Path) -> None:
    """A tool annotated as destructive has no query without `--destructive`.

    Tags follow the annotations, and only read-only tools get the path of a file that may exist.
    """
    server = catalog(
        tmp_path, build_tool("delete", destructive=True), build_tool("look", readOnly=True, destructive=True),
        build_tool("plain"), build_tool("put", readOnly=False, destructive=False),
    )  # fmt: skip
    message = "left out: delete  its annotations say that it is destructive; include it with --destructive"
    done = run_mcprun("init", "--no-workflow", *server, cwd=tmp_path)
    assert (done.code, message in done.stdout.splitlines()) == (0, True)
    queries = read_jsonl(tmp_path / "prompts.jsonl")
    assert [(query["id"], query.get("tags")) for query in queries] == [
        ("look", ["read-only"]), ("plain", None), ("put", ["writes"])
    ]  # fmt: skip
    inputs = [query["script"][0]["calls"][0]["input"]["path"] for query in queries]
    assert inputs == ["README.md", "example.txt", "example.txt"]
    done = run_mcprun("init", "--no-workflow", "--force", "--destructive", *server, cwd=tmp_path)
    assert (done.code, "left out" in done.stdout) == (0, False)
    assert read_jsonl(tmp_path / "prompts.jsonl")[0]["tags"] == ["destructive"]
    only = run_mcprun("init", "--no-workflow", "--force", "--tool", "delete", *server, cwd=tmp_path)
    assert (only.code, only.stderr) == (
        2, "Error: all matching tools are left out: its annotations say that it is destructive; include it with --destructive\n"
    )  # fmt: skip


def test_try_predicts_the_verdicts_of_the_first_run(tmp_path: Path) -> None:
    """`--try` permits the errors of tools and reports a query that kills its server. The first run agrees with it."""
    tools = ["--tool", "ok", "--tool", "sorry", "--tool", "die"]
    done = run_mcprun("init", RAW, "--try", "--no-workflow", *tools, cwd=tmp_path)
    assert done.code == 0
    assert "! sorry  returned an error: I can't" in done.stdout.splitlines()
    assert "! die  did not pass: server_died: " in done.stdout
    assert "Each was tried twice: 1 of 3 works. 2 queries need fixing, see metadata.todo." in done.stdout
    ran = run_mcprun("batch", "prompts.jsonl", RAW, cwd=tmp_path)
    assert (ran.code, ran.verdicts) == (3, {"die": "error", "ok": "passed", "sorry": "passed"})


def test_try_prints_progress(tmp_path: Path) -> None:
    """`--try` prints a line per try on stderr, as `batch` does, in rounds, and obeys `--call-timeout`.

    Without `--try`, stderr is empty.
    """
    tools = ["--tool", "ok", "--tool", "hang"]
    done = run_mcprun("init", RAW, "--try", "--no-workflow", *tools, "--call-timeout", "0.2", cwd=tmp_path)
    tries = [line.partition("  2 turns")[0] for line in done.stderr.splitlines() if not line.startswith(" ")]
    assert (done.code, tries) == (0, 2 * ["2 queries; model: script (requested)", "failed  hang", "passed  ok"])
    assert "! hang  returned an error: No answer from hang within 0.2 s." in done.stdout.splitlines()
    silent = run_mcprun("init", RAW, "--no-workflow", "--force", *tools, cwd=tmp_path)
    assert (silent.code, silent.stderr) == (0, "")


STATEFUL = stdlib_server("""
import pathlib
server = StdlibServer("stateful")
seen = []

@server.tool()
def begin() -> None:
    seen.append("x")

@server.tool()
def go_on() -> str:
    return seen[0]

@server.tool()
def once() -> None:
    pathlib.Path("made").mkdir()

server.run()
""")


def test_try_finds_tools_that_depend_on_state(tmp_path: Path) -> None:
    """A tool that works only once is noted. One that works after another call gets a script with both."""
    (tmp_path / "server.py").write_text(STATEFUL)
    done = run_mcprun("init", "server.py", "--try", "--no-workflow", "--no-scratch", cwd=tmp_path)
    noted = [query["id"] for query in read_jsonl(tmp_path / "prompts.jsonl") if "metadata" in query]
    assert (done.code, noted) == (0, ["once"])
    go_on = read_jsonl(tmp_path / "prompts.jsonl")[1]["script"]
    assert [call["tool"] for turn in go_on for call in turn.get("calls", ())] == ["begin", "go_on"]
    assert run_mcprun("batch", "prompts.jsonl", "server.py", cwd=tmp_path).code == 0
    assert (tmp_path / "made").exists()


def test_tries_and_runs_leave_nothing_in_the_folder(tmp_path: Path) -> None:
    """A server works in a new folder for each query, so a tool that works once per folder works each time."""
    (tmp_path / "server.py").write_text(STATEFUL)
    done = run_mcprun("init", "server.py", "--try", "--tool", "once", cwd=tmp_path)
    assert (done.code, "needs fixing" in done.stdout) == (0, False)
    for command in (*parse_next_commands(done.stdout), *read_mcprun_commands(tmp_path / WORKFLOW)):
        assert run_mcprun(*command, cwd=tmp_path).code == 0
        if "--out" in command:
            (tmp_path / "run").rename(tmp_path / f"run-{len(command)}")
    assert not (tmp_path / "made").exists()


def test_a_server_that_needs_its_folder_is_tried_there(tmp_path: Path) -> None:
    """A server that does not start in a new folder is started in the current one, by the printed commands too."""
    (tmp_path / "server.py").write_text(f"open('settings.txt').close()\n{STATEFUL}")
    (tmp_path / "settings.txt").touch()
    done = run_mcprun("init", "server.py", "--try", "--tool", "once", "--no-workflow", cwd=tmp_path)
    assert (done.code, done.stderr.count("passed  once")) == (1, 1)
    assert tomllib.loads((tmp_path / "mcprun.toml").read_text()) == {
        "concurrency": 1, "fresh-server": True, "scratch": False
    }  # fmt: skip
    assert "scratch = false # which is started in this folder\n" in (tmp_path / "mcprun.toml").read_text()
    (why,) = [line for line in done.stdout.splitlines() if line.startswith("The server is started in this folder")]
    assert "since it did not start in a new one: " in why
    assert "FileNotFoundError" in why
    assert (tmp_path / "made").exists()
    refused = run_mcprun("init", "server.py", "--scratch", "--force", cwd=tmp_path)
    assert (refused.code, "settings.txt" in refused.stderr) == (3, True)


def test_init_starts_a_server_like_batch(tmp_path: Path) -> None:
    """`--env-file`, `--cwd` and `--protocol` apply to the tries, and are in the commands. A token is never printed."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "server.py").write_text(PARTICULAR)
    (tmp_path / "my.env").write_text("LOG_LEVEL=debug\n")
    flags = ("--cwd", "sub", "--env-file", "my.env", "--protocol", "legacy")
    done = run_mcprun("init", "server.py", "--try", *flags, "--", "--verbose", cwd=tmp_path)
    assert (done.code, "needs fixing" in done.stdout) == (0, False)
    first, *rest = parse_next_commands(done.stdout)
    assert shlex.join(first) == (
        "batch prompts.jsonl server.py --cwd sub --protocol legacy --env-file my.env --model script -- --verbose"
    )
    for command in (first, *rest):
        assert run_mcprun(*command, cwd=tmp_path).code == 0
    assert read_steps(tmp_path / WORKFLOW)["Run the queries"]["env"] == {"LOG_LEVEL": "${{ secrets.LOG_LEVEL }}"}
    compare = next(read_mcprun_commands(tmp_path / WORKFLOW))
    assert run_mcprun(*compare, cwd=tmp_path, env={"LOG_LEVEL": "debug"}).code == 0


def test_runs_are_kept_out_of_the_repository(tmp_path: Path) -> None:
    """`init` adds `outputs/` to `.gitignore` once, and keeps its other lines."""
    (tmp_path / ".gitignore").write_bytes(b".venv/")
    tools = ("--no-workflow", "--force", "--tool", "ok")
    assert ".gitignore: keeps" in run_mcprun("init", RAW, *tools, cwd=tmp_path).stdout
    assert (tmp_path / ".gitignore").read_bytes() == b".venv/\noutputs/\n"
    again = run_mcprun("init", RAW, *tools, cwd=tmp_path)
    assert (again.code, ".gitignore" in again.stdout) == (0, False)
    assert (tmp_path / ".gitignore").read_bytes() == b".venv/\noutputs/\n"


def test_a_hostile_server_gives_a_valid_file_and_escaped_output(tmp_path: Path) -> None:
    """Odd names, invalid schemas and keys with a meaning in queries give a valid prompts file.

    No control character reaches the terminal.
    """
    evil = "\x1b[2J\x07[red]red[/red]\u202e\n"
    text = {"type": "string"}
    dollars = {**of(**{"$filter": text, "a": {**of(**{"$any": text}), "required": ["$any"]}}), "required": ["a"]}
    reference = {**of(a={"const": {"$from": 0}}), "required": ["a"]}
    server = catalog(
        tmp_path,
        {"name": evil, "description": evil * 500, "inputSchema": {**of(**{evil: text}), "required": [evil]}},
        {"name": "\x07", "title": evil, "inputSchema": {"type": "object"}},
        {"name": "\x1b", "inputSchema": {"type": "object", "properties": {"a": {"type": "strnig"}}}},
        {"name": "", "inputSchema": {"type": "object"}},
        {"name": "twice", "inputSchema": {"type": "object"}},
        {"name": "twice", "inputSchema": {"type": "object", "required": ["other"]}},
        {"name": "dollars", "inputSchema": dollars},
        {"name": "dollar", "inputSchema": {**dollars, "required": ["$filter"]}},
        {"name": "reference", "inputSchema": reference},
        {"name": "never", "inputSchema": {"type": "object", "required": ["a"], "properties": {"a": False}}},
        *({"name": f"tool-{number:03}", "inputSchema": dollars} for number in range(500)),
    )  # fmt: skip
    done = run_mcprun("init", *server, cwd=tmp_path)
    assert done.code == 0
    assert not any(character in done.stdout + done.stderr for character in "\x1b\x07\u202e")
    assert len(done.stdout) < 5000
    assert "is left out: name is empty" in done.stderr
    assert "! tool-2  no valid input was found: the schema is not valid at $.properties.a.type: 'strnig'" in done.stdout
    valid = run_mcprun("validate", "prompts.jsonl", cwd=tmp_path)
    assert (valid.code, valid.stdout) == (0, "prompts.jsonl: 508 queries, all with a script\n")
    raw = (tmp_path / "prompts.jsonl").read_text()
    assert raw.replace("\n", "").isprintable()
    queries = {query["id"]: query for query in read_jsonl(tmp_path / "prompts.jsonl")}
    assert {name for name, query in queries.items() if "metadata" in query} == {"tool-2", "reference", "never"}
    assert queries["dollars"]["expect"]["calls"][0]["input"] == {"a": {"$equals": {"$any": "example"}}}
    assert queries["dollar"]["expect"]["calls"] == [{"tool": "dollar"}]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": st.text(max_size=9), "inputSchema": wholes | JSON},
            optional={"description": JSON, "title": JSON, "annotations": JSON},
        ),
        max_size=4,
    )
)
@settings(deadline=None)
def test_any_list_of_tools_gives_valid_queries(tools: list[dict[str, Any]]) -> None:
    """Each tool that is not left out has one valid query with a unique id."""
    first = generate_prompts(tools)
    queries = [parse_query(json.loads(line)) for line in first.lines.splitlines()]
    assert len({query.id for query in queries}) == len(queries)
    called = [turn.calls[0].tool for query in queries for turn in query.script or () if turn.calls]
    assert called == [name for name in dict.fromkeys(tool["name"] for tool in tools) if name not in first.left_out]
    assert all(isinstance(query.prompt, str) and query.prompt.isprintable() for query in queries)


def test_values_of_secrets_are_not_written(tmp_path: Path) -> None:
    """Values of `--env` are in no file and no output. The workflow takes them from the repository's secrets."""
    tool = {"name": "t", "description": "Key hunter2secret.", "inputSchema": {"type": "object"}}
    server, *args = catalog(tmp_path, tool)
    done = run_mcprun("init", server, "--env", "API_KEY=hunter2secret", *args, "key=hunter2secret", cwd=tmp_path)
    assert done.code == 0
    files = [tmp_path / "prompts.jsonl", tmp_path / WORKFLOW]
    assert not any(
        "hunter2secret" in text for text in (done.stdout, done.stderr, *(file.read_text() for file in files))
    )
    assert (
        "  mcprun batch prompts.jsonl catalog.py --model script --env API_KEY -- listed.json 'key=[redacted]'"
        in done.stdout
    )
    step = read_steps(tmp_path / WORKFLOW)["Run the queries"]
    assert step["env"] == {"API_KEY": "${{ secrets.API_KEY }}"}
    assert "catalog.py" in step["run"]
    assert "--env API_KEY -- listed.json" in step["run"]


PARTICULAR = stdlib_server("""
import os
server = StdlibServer("particular")

@server.tool()
def told() -> str:
    return ""

if (sys.argv[1:], os.environ.get("LOG_LEVEL")) != (["--verbose"], "debug"):
    sys.exit("not started as it must be")
server.run()
""")
"""A server that exits unless it is started with one argument and one variable."""


def parse_next_commands(stdout: str) -> Iterator[list[str]]:
    """Yield the commands that `init` prints as the next ones."""
    for line in stdout.splitlines():
        if line.startswith("  mcprun "):
            yield shlex.split(line)[1:]


def test_settings_of_the_project_are_not_repeated(tmp_path: Path) -> None:
    """The printed commands and the workflow read the project's settings, and the workflow needs no secret for them."""
    (tmp_path / "server.py").write_text(PARTICULAR)
    (tmp_path / "mcprun.toml").write_text('server-args = ["--verbose"]\nenv = { LOG_LEVEL = "debug" }\n')
    done = run_mcprun("init", "server.py", "--try", cwd=tmp_path)
    assert (done.code, "secret" in done.stdout) == (0, False)
    assert done.stdout.splitlines()[-8:-2] == [
        f"{tmp_path / 'mcprun.toml'} is left as it is. Add to it, or pass the flags below:",
        "  concurrency = 1",
        "  fresh-server = true",
        "  scratch = true",
        "Next: run them, make the run the baseline, and compare with it after each change:",
        "  mcprun batch prompts.jsonl server.py --concurrency 1 --fresh-server --scratch --model script",
    ]
    for command in parse_next_commands(done.stdout):
        assert run_mcprun(*command, cwd=tmp_path).code == 0
    assert "env" not in read_steps(tmp_path / WORKFLOW)["Run the queries"]
    assert run_mcprun(*next(read_mcprun_commands(tmp_path / WORKFLOW)), cwd=tmp_path).code == 0


@pytest.mark.parametrize("log_level", ["info", "debug"])
def test_values_of_env_must_be_set_for_the_printed_commands(tmp_path: Path, log_level: str) -> None:
    """The value of `--env` is not printed.

    The output names the variable to set, here and as a repository secret, and with it the commands work.
    """
    (tmp_path / "server.py").write_text(PARTICULAR)
    flags = ("--env", "LOG_LEVEL=debug" if log_level == "info" else "LOG_LEVEL")
    done = run_mcprun("init", "server.py", *flags, "--", "--verbose", cwd=tmp_path, env={"LOG_LEVEL": log_level})
    message = "First set LOG_LEVEL to the given values, which are not repeated here. Values that are not secret can be set in mcprun.toml."
    assert (done.code, message in done.stdout.splitlines()) == (0, log_level == "info")
    assert (
        ".github/workflows/mcprun.yml: runs them on each push in GitHub Actions, with the repository secret LOG_LEVEL"
        in done.stdout.splitlines()
    )
    assert "debug" not in done.stdout + (tmp_path / WORKFLOW).read_text()
    commands = [*parse_next_commands(done.stdout), next(read_mcprun_commands(tmp_path / WORKFLOW))]
    for command in commands:
        assert run_mcprun(*command, cwd=tmp_path, env={"LOG_LEVEL": "debug"}).code == 0
    assert tomllib.loads((tmp_path / "mcprun.toml").read_text())["env"] == ["LOG_LEVEL"]


def test_force_replaces_the_settings_that_init_wrote(tmp_path: Path) -> None:
    """Values that were changed are replaced. A file with other options, or not written by `init`, is left, and named."""
    settings = tmp_path / "mcprun.toml"
    init = ("init", RAW, "--tool", "ok", "--no-workflow", "--force")
    assert run_mcprun(*init, cwd=tmp_path).code == 0
    first = settings.read_text()
    assert "scratch = true" in first
    settings.write_text(first.replace("true", "false") + 'ignore = ["calls[*].result.old"]\n')
    assert run_mcprun(*init, cwd=tmp_path).code == 0
    assert settings.read_text() == first
    head, rest = first.split("\n", 1)
    for text in (f"{head}\ncall-timeout = 5\n", f"# mine\n{rest.replace('true', 'false')}"):
        settings.write_text(text)
        done = run_mcprun(*init, cwd=tmp_path)
        assert (done.code, settings.read_text()) == (0, text)
        assert f"{settings} is left as it is. Add to it, or pass the flags below:\n" in done.stdout
        assert "\n  fresh-server = true\n" in done.stdout


def test_settings_of_the_environment_are_written_to_the_workflow(tmp_path: Path) -> None:
    """The printed commands read settings from the environment.

    The workflow sets them, because its environment differs.
    """
    (tmp_path / "server.py").write_text(PARTICULAR)
    env = {"MCPRUN_ENV": "LOG_LEVEL=debug", "MCPRUN_SERVER_ARGS": "--verbose"}
    done = run_mcprun("init", "server.py", cwd=tmp_path, env=env)
    assert "  mcprun batch prompts.jsonl server.py --model script" in done.stdout.splitlines()
    assert "Set LOG_LEVEL" not in done.stdout
    for command in parse_next_commands(done.stdout):
        assert run_mcprun(*command, cwd=tmp_path, env=env).code == 0
    command = next(read_mcprun_commands(tmp_path / WORKFLOW))
    assert command[-4:] == ["--env", "LOG_LEVEL", "--", "--verbose"]
    assert run_mcprun(*command, cwd=tmp_path, env={"LOG_LEVEL": "debug"}).code == 0


def test_headers_come_from_variables() -> None:
    """The shell takes the value of a header from a variable, which the workflow sets from a secret."""
    commands = Commands("p.jsonl", "https://example.com/mcp", headers=["X-Api-Key"])
    (job,) = yaml.safe_load(workflow(commands, "mcprun==1.0"))["jobs"].values()
    assert job["steps"][3]["env"] == {"X_API_KEY": "${{ secrets.X_API_KEY }}"}
    shell = ["sh", "-c", f"mcprun() {{ printf '%s\\n' \"$@\"; }}; {commands.batch()}"]
    env = {**clean_environment(), "X_API_KEY": "two words"}
    output = subprocess.run(shell, env=env, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.splitlines()[3:] == ["--header", "X-Api-Key: two words"]


def test_the_workflow_installs_the_dependencies_of_the_folder(tmp_path: Path) -> None:
    """`pyproject.toml` adds `pip install .` to the workflow, and `package-lock.json` adds `npm ci`."""
    run_mcprun("init", SERVER, cwd=tmp_path)
    assert list(read_steps(tmp_path / WORKFLOW))[2:4] == ['pip install "$MCPRUN"', "Run the queries"]
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "package-lock.json").write_text("{}")
    run_mcprun("init", SERVER, "--force", cwd=tmp_path)
    assert list(read_steps(tmp_path / WORKFLOW))[2:6] == [
        'pip install "$MCPRUN"', "pip install .", "npm ci", "Run the queries"
    ]  # fmt: skip


def test_a_workflow_is_at_the_root_of_its_repository(tmp_path: Path) -> None:
    """The workflow is written to the root of the repository, the only working_directory that GitHub reads.

    Its steps run in the folder that `init` was called in, and pass there.
    """
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "my servers" / "one"
    folder.mkdir(parents=True)
    (folder / "server.py").write_bytes(RAW.read_bytes())
    (folder / "requirements.txt").touch()
    done = run_mcprun("init", "server.py", "--tool", "ok", cwd=folder)
    message = f"../../{WORKFLOW}: runs them on each push in GitHub Actions"
    assert (done.code, message in done.stdout.splitlines()) == (0, True)
    assert sorted(file.name for file in folder.iterdir()) == [
        ".gitignore", "mcprun.toml", "prompts.jsonl", "requirements.txt", "server.py"
    ]  # fmt: skip
    (job,) = yaml.safe_load((tmp_path / WORKFLOW).read_text())["jobs"].values()
    working_directory = job["defaults"]["run"]["working-directory"]
    assert tmp_path / working_directory == folder
    assert "pip install -r requirements.txt" in [step.get("run") for step in job["steps"]]
    assert run_mcprun(*list(read_mcprun_commands(tmp_path / WORKFLOW))[1], cwd=tmp_path / working_directory).code == 0
    assert all((tmp_path / path).exists() for path in job["steps"][-1]["with"]["path"].splitlines())
    second = run_mcprun("init", "server.py", "--prompts", "new.jsonl", cwd=folder)
    assert second.stderr == f"Error: ../../{WORKFLOW} already exists: use --force to replace it\n"
    named = run_mcprun("init", "server.py", "--prompts", "new.jsonl", "--workflow", "own.yml", cwd=folder)
    (job,) = yaml.safe_load((folder / "own.yml").read_text())["jobs"].values()
    assert (named.code, job["defaults"]["run"]["working-directory"]) == (0, working_directory)


VOLATILE = stdlib_server("""
import datetime, json, random, time, uuid
server = StdlibServer("volatile")
notes = {}

@server.tool()
def create_note(title: str) -> str:
    key = str(uuid.uuid4())
    notes[key] = title
    return json.dumps({"id": key, "title": title, "created_at": datetime.datetime.now().isoformat()})

@server.tool()
def get_note(note_id: str) -> str:
    return json.dumps({"title": notes[note_id]} if note_id in notes else {"error": "not found"})

@server.tool()
def find_note(text: str) -> str:
    return "Error: the index is missing"

@server.tool()
def colours() -> str:
    found = ["red", "green", "blue", "black", "white", "grey"]
    random.shuffle(found)
    return json.dumps(found)

@server.tool()
def stamp() -> str:
    return str(uuid.uuid4())

server.run()
""")


def test_what_differs_between_tries_is_masked(tmp_path: Path) -> None:
    """Rules for volatile values are written to `mcprun.toml`, and with them three runs equal the baseline.

    A tool that needs the id of another's result gets a script with both. A result that says that it failed, and one of
    which nothing is left to compare, need fixing.
    """
    (tmp_path / "server.py").write_text(VOLATILE)
    done = run_mcprun("init", "server.py", "--try", "--no-workflow", cwd=tmp_path)
    assert done.code == 0
    lines = done.stdout.splitlines()
    assert "! find_note  its result says that the call failed: Error: the index is missing" in lines
    assert "! stamp  all of its results differ in each run, so that nothing is compared" in lines
    assert "Each was tried twice: 3 of 5 work. 2 queries need fixing, see metadata.todo." in lines
    assert any(line.startswith("masked: scrub uuid  at calls[*].result.id") for line in lines)
    assert any(line.startswith("Compared of the results: stamp 0 %, ") for line in lines)
    settings = tomllib.loads((tmp_path / "mcprun.toml").read_text())
    assert set(settings["scrub"]) == {"uuid", "timestamp"}
    assert "ignore" not in settings
    queries = {query["id"]: query for query in read_jsonl(tmp_path / "prompts.jsonl")}
    assert queries["get_note"]["script"][1]["calls"][0]["input"] == {"note_id": {"$from": 0, "path": "/id"}}
    assert {name for name, query in queries.items() if "metadata" in query} == {"find_note", "stamp"}
    batch, bless, compare = parse_next_commands(done.stdout)
    for command in (batch, bless, compare, compare, compare):
        assert run_mcprun(*command, cwd=tmp_path).code == 0


DICE = stdlib_server("""
import json, pathlib
server = StdlibServer("dice")
rolls = [(3, 5), (5, 3), (1, 2), (6, 4), (4, 4), (2, 6), (1, 6), (5, 5), (2, 1)]

@server.tool()
def roll() -> str:
    count = pathlib.Path(__file__).with_suffix(".count")
    number = int(count.read_text()) if count.exists() else 0
    count.write_text(str(number + 1))
    first, second = rolls[number]
    return json.dumps({"dice": "2d6", "rolls": [first, second], "total": first + second})

server.run()
""")


def test_a_query_whose_tries_differ_is_tried_more_often(tmp_path: Path) -> None:
    """The first two rolls differ in their order only. Without more tries, the total would not be masked."""
    (tmp_path / "server.py").write_text(DICE)
    done = run_mcprun("init", "server.py", "--try", "--no-workflow", cwd=tmp_path)
    assert (done.code, (tmp_path / "server.count").read_text()) == (0, "5")
    ignored = tomllib.loads((tmp_path / "mcprun.toml").read_text())["ignore"]
    assert set(ignored) == {"calls[tool=roll].result.rolls[*]", "calls[tool=roll].result.total"}
    batch, bless, compare = parse_next_commands(done.stdout)
    assert [run_mcprun(*command, cwd=tmp_path).code for command in (batch, bless, compare, compare)] == [0, 0, 0, 0]


UNSTABLE = stdlib_server("""
import random
server = StdlibServer("unstable")

@server.tool()
def ok() -> str:
    return "good"

@server.tool()
def broken() -> str:
    return "Error: " + " ".join(random.sample("alder beech elm fir larch oak pine yew".split(), 5))

server.run()
""")


def test_a_query_whose_error_differs_in_each_try_is_left_out(tmp_path: Path) -> None:
    """No setting covers the difference, so that the query would turn the next run red."""
    (tmp_path / "server.py").write_text(UNSTABLE)
    done = run_mcprun("init", "server.py", "--try", "--no-workflow", cwd=tmp_path)
    assert done.code == 0
    assert [query["id"] for query in read_jsonl(tmp_path / "prompts.jsonl")] == ["ok"]
    (left_out,) = (line for line in done.stdout.splitlines() if line.startswith("left out: broken"))
    assert "its result says that the call failed: Error: " in left_out
    assert "differs in each try" in left_out
    batch, bless, compare = parse_next_commands(done.stdout)
    assert [run_mcprun(*command, cwd=tmp_path).code for command in (batch, bless, compare, compare)] == [0, 0, 0, 0]


def test_a_suite_of_which_nothing_works_is_no_success(tmp_path: Path) -> None:
    """If no query does real work, the files are written, but the exit code is 1."""
    (tmp_path / "server.py").write_text(VOLATILE)
    done = run_mcprun("init", "server.py", "--try", "--no-workflow", "--tool", "find_note", cwd=tmp_path)
    assert (done.code, (tmp_path / "prompts.jsonl").exists()) == (1, True)
    assert (
        "Each was tried twice: none of 1 works, so that nothing would be tested. 1 query needs fixing, see metadata.todo."
        in done.stdout.splitlines()
    )
    assert "a server that needs the files of this folder needs --no-scratch" in done.stdout


def test_a_run_of_which_every_call_is_an_error_says_so(tmp_path: Path) -> None:
    """Queries may allow errors, but a run of nothing else tests nothing, which the totals say."""
    tools = ("--tool", "sorry", "--no-workflow")
    assert run_mcprun("init", RAW, "--try", *tools, cwd=tmp_path).code == 1
    ran = run_mcprun("batch", "prompts.jsonl", RAW, cwd=tmp_path)
    assert (ran.code, "every call returned an error" in ran.stderr) == (0, True)
    both = run_mcprun("init", RAW, "--try", *tools, "--tool", "ok", "--force", cwd=tmp_path)
    assert both.code == 0
    assert "every call returned an error" not in run_mcprun("batch", "prompts.jsonl", RAW, cwd=tmp_path).stderr


def test_an_interrupt_ends_the_search_and_keeps_what_was_tried(tmp_path: Path) -> None:
    """Ctrl-C while other inputs are tried ends that only: all queries are tried a second time, and written."""
    if sys.platform == "win32":
        raise NotImplementedError
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    (tmp_path / "server.py").write_text(
        stdlib_server(f"""
import signal
server = StdlibServer("units")

@server.tool()
def ok() -> str:
    return "fine"

@server.tool()
def convert(unit: str) -> str:
    if unit == "m":
        open({str(ready)!r}, "w").close()
        signal.pause()
    return "Error: Supported units: m"

server.run()
""")
    )
    command = [sys.executable, "-m", "mcprun", "init", "server.py", "--try", "--no-workflow"]
    process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    ready.open().close()  # blocks until the other input is tried
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "Each was tried twice: 1 of 2 works. 1 query needs fixing, see metadata.todo." in stdout.splitlines()
    assert len(read_jsonl(tmp_path / "prompts.jsonl")) == 2


def test_values_that_an_error_lists_are_tried(tmp_path: Path) -> None:
    """A tool whose error lists the units that it supports is called with one of them."""
    (tmp_path / "server.py").write_text(
        stdlib_server("""
server = StdlibServer("units")

@server.tool()
def convert(unit: str, value: str) -> str:
    if unit not in ("m", "km"):
        return f"Error: unknown unit '{unit}'. Supported units: m, km"
    if not value.isdigit():
        return f"Error: invalid value '{value}'. Use a number such as '12'"
    return f"{value} {unit}"

server.run()
""")
    )
    done = run_mcprun("init", "server.py", "--try", "--no-workflow", cwd=tmp_path)
    assert (done.code, "Each was tried twice: 1 of 1 works." in done.stdout.splitlines()) == (0, True)
    (query,) = read_jsonl(tmp_path / "prompts.jsonl")
    assert query["script"][0]["calls"] == [{"tool": "convert", "input": {"unit": "m", "value": "12"}}]
