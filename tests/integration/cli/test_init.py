"""`mcprun init`: a first prompts file and a workflow, written from a server's tools and run as a user runs them."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.cli.commands.init.github_workflow import Commands, workflow
from mcprun.prompts.generate import generate_prompts
from mcprun.prompts.query import parse_query
from tests.support.catalogs import catalog
from tests.support.cli import QUICKSTART, RAW, clean_environment, read_jsonl, run_mcprun, stdlib_server
from tests.support.json_strategies import JSON
from tests.support.schema_strategies import of, wholes

SERVER = QUICKSTART[1]

WORKFLOW = Path(".github", "workflows", "mcprun.yml")


def steps_of(file: Path) -> dict[str, dict[str, Any]]:
    """Read a workflow's steps, by name, by what they use, or by what they run."""
    (job,) = yaml.safe_load(file.read_text())["jobs"].values()
    return {step.get("name") or step.get("uses") or step["run"]: step for step in job["steps"]}


def mcprun_lines(file: Path) -> Iterator[list[str]]:
    """Give the mcprun commands of a workflow: the one with a baseline, then the one without."""
    for line in steps_of(file)["Run the queries"]["run"].splitlines():
        if line.strip().startswith("mcprun "):
            yield shlex.split(line)[1:]


def test_a_server_has_a_smoke_test_with_two_commands(tmp_path: Path) -> None:
    """One query a tool, and a workflow; the commands that come next are told, and they work."""
    (tmp_path / "server.py").write_bytes(RAW.read_bytes())
    done = run_mcprun("init", "server.py", "--try", "--tool", "ok", "--tool", "sorry", cwd=tmp_path)
    assert done.code == 0
    assert done.stdout.splitlines() == [
        "prompts.jsonl: 2 queries, for the tools of raw 0",
        ".github/workflows/mcprun.yml: runs them on each push in GitHub Actions",
        "! sorry  returned an error: I can't",
        "Each was tried twice: 2 passed. 1 query needs fixing, see metadata.todo.",
        "Next:",
        "  mcprun batch prompts.jsonl server.py --fresh-server",
        "  mcprun bless latest baseline",
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == [".github", "prompts.jsonl", "server.py"]
    valid = run_mcprun("validate", "prompts.jsonl", cwd=tmp_path)
    assert (valid.code, valid.stdout) == (0, "prompts.jsonl: 2 queries, all with a script\n")
    for line in done.stdout.splitlines()[-2:]:
        assert run_mcprun(*shlex.split(line)[1:], cwd=tmp_path).code == 0
    replay, script = mcprun_lines(tmp_path / WORKFLOW)
    assert run_mcprun(*replay, cwd=tmp_path).code == 0
    (tmp_path / "run").rename(tmp_path / "first")
    assert run_mcprun(*script, cwd=tmp_path).code == 0
    assert (tmp_path / "junit.xml").exists()


def test_the_queries(tmp_path: Path) -> None:
    """A prompt that a model could act on, a script that does it, and the call that is expected."""
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


def test_no_tool_is_called_unless_that_is_asked_for(tmp_path: Path) -> None:
    """Only `--try` calls tools; what is not tried is told, and the first run shows it."""
    (tmp_path / "server.py").write_text(
        f"{stdlib_server('')}server = StdlibServer('s')\n\n@server.tool()\ndef mark() -> None:\n"
        "    open('called', 'a').write('x')\n\nserver.run()\n"
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


def test_the_same_server_gives_the_same_bytes(tmp_path: Path) -> None:
    """Tried or not, here or elsewhere: what errors say stays out of the file."""
    for number in "ab":
        folder = tmp_path / number
        folder.mkdir()
        (folder / "server.py").write_text(LOST)
        done = run_mcprun("init", "server.py", "--try", cwd=folder)
        assert (done.code, done.stdout.count(str(folder))) == (0, 2)
    files = [tmp_path / number / "prompts.jsonl" for number in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert [query["expect"]["tool_errors"] for query in read_jsonl(files[0])] == ["allow", "allow"]
    assert str(tmp_path) not in files[0].read_text()


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    """Either file: one message that names it, before the server is started, and nothing is written."""
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
def test_what_goes_wrong_is_one_message(tmp_path: Path, args: list[str | Path], code: int, message: str) -> None:
    """Exit 2 for what can't be written or asked, 3 for a server that does not start; nothing is written."""
    catalog(tmp_path)
    (tmp_path / "file").touch()
    before = sorted(tmp_path.iterdir())
    done = run_mcprun("init", *args, cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr[: len(message)]) == (code, "", message)
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def hinted(name: str, **hints: bool) -> dict[str, Any]:
    """Make a tool with annotations."""
    schema = {**of(path={"type": "string"}), "required": ["path"]}
    return {"name": name, "inputSchema": schema, "annotations": {f"{key}Hint": value for key, value in hints.items()}}


def test_what_runs_only_as_a_task_is_left_out(tmp_path: Path) -> None:
    """It has no query, and the reason is told; batch leaves it out as well, with a warning."""
    tool = {"name": "slow", "inputSchema": of(), "execution": {"taskSupport": "required"}}
    server = catalog(tmp_path, tool, hinted("look", readOnly=True))
    done = run_mcprun("init", "--no-workflow", *server, cwd=tmp_path)
    why = "it can only be called as a task, which mcprun does not support"
    assert (done.code, f"left out: slow  {why}" in done.stdout.splitlines()) == (0, True)
    run = run_mcprun("batch", "prompts.jsonl", *server, cwd=tmp_path)
    assert run.record["server"]["warnings"] == [f"tool 'slow' is left out: {why}"]


def test_what_says_that_it_destroys_is_left_out(tmp_path: Path) -> None:
    """Unless that is asked for; tags tell what the annotations say, and only what reads is given what may be there."""
    server = catalog(
        tmp_path, hinted("delete", destructive=True), hinted("look", readOnly=True, destructive=True),
        hinted("plain"), hinted("put", readOnly=False, destructive=False),
    )  # fmt: skip
    left = "left out: delete  its annotations say that it is destructive; include it with --destructive"
    done = run_mcprun("init", "--no-workflow", *server, cwd=tmp_path)
    assert (done.code, left in done.stdout.splitlines()) == (0, True)
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


def test_a_trial_foretells_what_the_first_run_brings(tmp_path: Path) -> None:
    """Errors of tools are permitted from then on; a query that kills its server is told to stay red, and it does."""
    tools = ["--tool", "ok", "--tool", "sorry", "--tool", "die"]
    done = run_mcprun("init", RAW, "--try", "--no-workflow", *tools, cwd=tmp_path)
    assert done.code == 0
    assert "! sorry  returned an error: I can't" in done.stdout.splitlines()
    assert "! die  did not pass: server_died: " in done.stdout
    assert "Each was tried twice: 2 passed, 1 did not. 2 queries need fixing, see metadata.todo." in done.stdout
    ran = run_mcprun("batch", "prompts.jsonl", RAW, cwd=tmp_path)
    assert (ran.code, ran.verdicts) == (3, {"die": "error", "ok": "passed", "sorry": "passed"})


def test_a_trial_is_seen_going_on(tmp_path: Path) -> None:
    """Each try has a line on stderr, as in a batch, and a call that is not answered takes as long as it is given."""
    tools = ["--tool", "ok", "--tool", "hang"]
    done = run_mcprun("init", RAW, "--try", "--no-workflow", *tools, "--call-timeout", "0.2", cwd=tmp_path)
    first, *lines = done.stderr.splitlines()
    tries = sorted(line.partition("  2 turns")[0] for line in lines if not line.startswith(" "))
    assert (done.code, first) == (0, "4 queries; model: script (asked for)")
    assert tries == ["failed  hang", "failed  hang (2)", "passed  ok", "passed  ok (2)"]
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


def test_what_works_only_sometimes_is_found_out(tmp_path: Path) -> None:
    """A tool that works once, and one that works only when another was called before: both are noted as errors."""
    (tmp_path / "server.py").write_text(STATEFUL)
    done = run_mcprun("init", "server.py", "--try", "--no-workflow", cwd=tmp_path)
    noted = [query["id"] for query in read_jsonl(tmp_path / "prompts.jsonl") if "metadata" in query]
    assert (done.code, noted) == (0, ["go_on", "once"])
    assert run_mcprun("batch", "prompts.jsonl", "server.py", cwd=tmp_path).code == 0


def test_a_hostile_server_does_no_harm(tmp_path: Path) -> None:
    """Odd names, schemas that are none, keys that mean something to a query: the file is good, the terminal clean."""
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
def test_whatever_is_listed_the_queries_are_good(tools: list[dict[str, Any]]) -> None:
    """Each tool with a name has one query, with an id of its own, that a prompts file may hold."""
    first = generate_prompts(tools)
    queries = [parse_query(json.loads(line)) for line in first.lines.splitlines()]
    assert len({query.id for query in queries}) == len(queries)
    called = [turn.calls[0].tool for query in queries for turn in query.script or () if turn.calls]
    assert called == [name for name in dict.fromkeys(tool["name"] for tool in tools) if name not in first.left_out]
    assert all(isinstance(query.prompt, str) and query.prompt.isprintable() for query in queries)


# The workflow. -------------------------------------------------------------------------------------------


def test_secrets_stay_names(tmp_path: Path) -> None:
    """Values that were given are in no file and no output: the workflow takes them from the repository's secrets."""
    tool = {"name": "t", "description": "Key hunter2secret.", "inputSchema": {"type": "object"}}
    server, *args = catalog(tmp_path, tool)
    done = run_mcprun("init", server, "--env", "API_KEY=hunter2secret", *args, "key=hunter2secret", cwd=tmp_path)
    assert done.code == 0
    files = [tmp_path / "prompts.jsonl", tmp_path / WORKFLOW]
    assert not any(
        "hunter2secret" in text for text in (done.stdout, done.stderr, *(file.read_text() for file in files))
    )
    assert (
        "  mcprun batch prompts.jsonl catalog.py --fresh-server --env API_KEY -- listed.json 'key=[redacted]'"
        in done.stdout
    )
    step = steps_of(tmp_path / WORKFLOW)["Run the queries"]
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
"""A server that starts with one argument and one variable, and not without them."""


def next_commands(stdout: str) -> Iterator[list[str]]:
    """Give the commands that are told to come next."""
    for line in stdout.splitlines():
        if line.startswith("  mcprun "):
            yield shlex.split(line)[1:]


def test_what_the_project_sets_is_not_repeated(tmp_path: Path) -> None:
    """The commands that come next read it as well, and so does the workflow, which needs no secret for it."""
    (tmp_path / "server.py").write_text(PARTICULAR)
    (tmp_path / "mcprun.toml").write_text('server-args = ["--verbose"]\nenv = { LOG_LEVEL = "debug" }\n')
    done = run_mcprun("init", "server.py", "--try", cwd=tmp_path)
    assert (done.code, "secret" in done.stdout) == (0, False)
    assert done.stdout.splitlines()[-2:] == [
        "  mcprun batch prompts.jsonl server.py --fresh-server",
        "  mcprun bless latest baseline",
    ]
    for command in next_commands(done.stdout):
        assert run_mcprun(*command, cwd=tmp_path).code == 0
    assert "env" not in steps_of(tmp_path / WORKFLOW)["Run the queries"]
    assert run_mcprun(*next(mcprun_lines(tmp_path / WORKFLOW)), cwd=tmp_path).code == 0


@pytest.mark.parametrize("known", ["info", "debug"])
def test_what_was_given_is_asked_for_again(tmp_path: Path, known: str) -> None:
    """Its value stays unsaid: what must be set, here and in the repository, is told, and with that the commands work."""
    (tmp_path / "server.py").write_text(PARTICULAR)
    given = ("--env", "LOG_LEVEL=debug" if known == "info" else "LOG_LEVEL")
    done = run_mcprun("init", "server.py", *given, "--", "--verbose", cwd=tmp_path, env={"LOG_LEVEL": known})
    message = "First set LOG_LEVEL to the given values, which are not repeated here. Values that are not secret can be set in mcprun.toml."
    assert (done.code, message in done.stdout.splitlines()) == (0, known == "info")
    assert (
        ".github/workflows/mcprun.yml: runs them on each push in GitHub Actions, with the repository secret LOG_LEVEL"
        in done.stdout.splitlines()
    )
    assert "debug" not in done.stdout + (tmp_path / WORKFLOW).read_text()
    commands = [*next_commands(done.stdout), next(mcprun_lines(tmp_path / WORKFLOW))]
    for command in commands:
        assert run_mcprun(*command, cwd=tmp_path, env={"LOG_LEVEL": "debug"}).code == 0


def test_what_the_environment_sets_is_not_in_the_workflows(tmp_path: Path) -> None:
    """The next command finds it here; the workflow must be given it."""
    (tmp_path / "server.py").write_text(PARTICULAR)
    env = {"MCPRUN_ENV": "LOG_LEVEL=debug", "MCPRUN_SERVER_ARGS": "--verbose"}
    done = run_mcprun("init", "server.py", cwd=tmp_path, env=env)
    assert "  mcprun batch prompts.jsonl server.py --fresh-server" in done.stdout.splitlines()
    assert "Set LOG_LEVEL" not in done.stdout
    for command in next_commands(done.stdout):
        assert run_mcprun(*command, cwd=tmp_path, env=env).code == 0
    command = next(mcprun_lines(tmp_path / WORKFLOW))
    assert command[-4:] == ["--env", "LOG_LEVEL", "--", "--verbose"]
    assert run_mcprun(*command, cwd=tmp_path, env={"LOG_LEVEL": "debug"}).code == 0


def test_headers_come_from_variables() -> None:
    """A shell puts the value of the variable behind the header's name."""
    commands = Commands("p.jsonl", "https://example.com/mcp", headers=["X-Api-Key"])
    (job,) = yaml.safe_load(workflow(commands))["jobs"].values()
    assert job["steps"][3]["env"] == {"X_API_KEY": "${{ secrets.X_API_KEY }}"}
    shell = ["sh", "-c", f"mcprun() {{ printf '%s\\n' \"$@\"; }}; {commands.batch()}"]
    env = {**clean_environment(), "X_API_KEY": "two words"}
    output = subprocess.run(shell, env=env, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.splitlines()[3:] == ["--fresh-server", "--header", "X-Api-Key: two words"]


def test_the_workflow_installs_what_the_folder_holds(tmp_path: Path) -> None:
    """By the files that say so."""
    run_mcprun("init", SERVER, cwd=tmp_path)
    assert list(steps_of(tmp_path / WORKFLOW))[2:4] == ["pip install mcprun", "Run the queries"]
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "package-lock.json").write_text("{}")
    run_mcprun("init", SERVER, "--force", cwd=tmp_path)
    assert list(steps_of(tmp_path / WORKFLOW))[2:6] == [
        "pip install mcprun", "pip install .", "npm ci", "Run the queries"
    ]  # fmt: skip


def test_a_workflow_is_at_the_root_of_its_repository(tmp_path: Path) -> None:
    """GitHub looks nowhere else; its steps work in the folder that init was called in, and there they pass."""
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "my servers" / "one"
    folder.mkdir(parents=True)
    (folder / "server.py").write_bytes(RAW.read_bytes())
    (folder / "requirements.txt").touch()
    done = run_mcprun("init", "server.py", "--tool", "ok", cwd=folder)
    message = f"../../{WORKFLOW}: runs them on each push in GitHub Actions"
    assert (done.code, message in done.stdout.splitlines()) == (0, True)
    assert sorted(file.name for file in folder.iterdir()) == ["prompts.jsonl", "requirements.txt", "server.py"]
    (job,) = yaml.safe_load((tmp_path / WORKFLOW).read_text())["jobs"].values()
    place = job["defaults"]["run"]["working-directory"]
    assert tmp_path / place == folder
    assert "pip install -r requirements.txt" in [step.get("run") for step in job["steps"]]
    assert run_mcprun(*list(mcprun_lines(tmp_path / WORKFLOW))[1], cwd=tmp_path / place).code == 0
    assert all((tmp_path / path).exists() for path in job["steps"][-1]["with"]["path"].splitlines())
    again = run_mcprun("init", "server.py", "--prompts", "new.jsonl", cwd=folder)
    assert again.stderr == f"Error: ../../{WORKFLOW} already exists: use --force to replace it\n"
    named = run_mcprun("init", "server.py", "--prompts", "new.jsonl", "--workflow", "own.yml", cwd=folder)
    (job,) = yaml.safe_load((folder / "own.yml").read_text())["jobs"].values()
    assert (named.code, job["defaults"]["run"]["working-directory"]) == (0, place)
