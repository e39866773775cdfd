"""The command that a report prints for a failed query, pasted into a shell, fails in the same way."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mcprun.report.data import gather
from mcprun.runs.run import Run
from tests.support.cli import Result, clean_environment, run_mcprun, script, stdlib_server, write_jsonl

SERVER = stdlib_server("""
import os, sys, time
server = StdlibServer("options")

@server.tool()
def variable() -> str:
    return os.environ.get("MODE", "unset")

@server.tool()
def folder() -> str:
    return " ".join(sorted(os.listdir()))

@server.tool()
def arguments() -> str:
    return " ".join(sys.argv[1:])

@server.tool()
def slow() -> str:
    time.sleep(1)
    return "done"

@server.tool()
def count() -> str:
    server.counted = getattr(server, "counted", 0) + 1
    return str(server.counted)

@server.tool()
def broken() -> str:
    raise ValueError("no")

server.run()
""")


def expecting(tool: str, result: str, **more: Any) -> dict[str, Any]:
    """Return a query that calls a tool and expects its result."""
    return script((tool, {}), id="it", expect={"calls": [{"tool": tool, "result": result}]}, **more)


@dataclass(frozen=True)
class Case:
    """A query that fails with these options, and passes without them.

    `before` are the options of a run that is made first; `env` is the environment of both commands, and `settings` the
    project's file.
    """

    query: dict[str, Any]
    flags: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    settings: str = ""
    args: tuple[str, ...] = ()


def _scripted(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "it", "prompt": "Do it.", "script": [*turns, {"text": "Done."}], **more}


_VARIABLE = {"calls": [{"tool": "variable"}]}

CASES = {
    "variable": Case(expecting("variable", "unset"), ("--env", "MODE"), env={"MODE": "fast"}),
    "variable with a value": Case(expecting("variable", "unset"), ("--env", "MODE=s3cret-mode"), env={"MODE": "s3cret-mode"}),
    "variable of the project": Case(expecting("variable", "unset"), settings='env = { MODE = "s3cret-mode" }'),
    "variable of the environment": Case(
        expecting("variable", "unset"), env={"MCPRUN_ENV": "MODE=s3cret-mode"}
    ),
    "file of variables": Case(expecting("variable", "unset"), ("--env-file", "mode.env")),
    "arguments": Case(expecting("arguments", ""), args=("--port", "two words")),
    "working folder": Case(expecting("folder", "here.py mode.env outputs p.jsonl there"), ("--cwd", "there")),
    "scratch": Case(expecting("folder", "here.py mode.env outputs p.jsonl there"), ("--scratch",)),
    "timeout": Case(expecting("slow", "done"), ("--call-timeout", "0.1")),
    "turns": Case(_scripted(_VARIABLE, _VARIABLE), ("--max-turns", "2")),
    "turns of the environment": Case(_scripted(_VARIABLE, _VARIABLE), env={"MCPRUN_MAX_TURNS": "2"}),
    "calls": Case(_scripted(_VARIABLE, _VARIABLE), ("--max-calls", "1")),
    "tool that is denied": Case(script(("variable", {}), id="it"), ("--deny-tool", "var*")),
    "tool that is not allowed": Case(script(("variable", {}), id="it"), ("--allow-tool", "folder")),
    "switch that is off": Case(
        script(("broken", {}), id="it"), ("--no-allow-tool-errors",), settings="allow-tool-errors = true"
    ),
    "repeats": Case(script(("count", {}), id="it", expect={"calls": [{"tool": "count", "result": "1"}]}), ("--repeat", "2")),
    "baseline": Case(
        script(("variable", {}), id="it"), ("--env", "MODE", "--baseline", "latest"), ("--out", "outputs/before"),
        env={"MODE": "fast"},
    ),
    "baseline with rules": Case(
        script(("arguments", {}), ("variable", {}), id="it"),
        ("--env", "MODE", "--baseline", "outputs/before", "--ignore", "calls[0].result", "--scrub", "port"),
        ("--out", "outputs/before"), env={"MODE": "fast"},
    ),
    "recording": Case(
        script(("variable", {}), id="it"),
        ("--env", "MODE", "--model", "replay:latest", "--on-divergence", "fail"), ("--out", "outputs/before"),
        env={"MODE": "fast"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_printed_command_fails_alike(name: str, tmp_path: Path) -> None:
    """It has every option that makes the query fail, and no value of a secret. Other queries are left out."""
    case = CASES[name]
    here = folder_of(case, tmp_path)
    done = run(case, here)
    facts = gather(Run.read(str(done.run)))
    command = facts.commands.batch("it")
    assert "s3cret" not in command + (done.run / "run.json").read_text()
    again = pasted(command, here, case.env)
    assert (again.returncode, outcome(latest(here))) == (1, outcome(done.run)), command
    assert {one["id"] for one in transcripts(latest(here))} == {"it"}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.settings])
def test_the_command_without_its_options_passes(name: str, tmp_path: Path) -> None:
    """The cases are failures of their options, so that a command which drops one would be noticed."""
    here = folder_of(CASES[name], tmp_path)
    assert run_mcprun("batch", "p.jsonl", "here.py", "--model", "script", "--filter", "it", cwd=here).code == 0


@pytest.mark.parametrize(
    "flags", [("--", "--port", "1"), ("--env", "DEAD=s3cret"), ("--env-file", "dead.env"), ("--cwd", "dead")]
)
def test_the_command_after_a_dead_server_starts_it_alike(flags: tuple[str, ...], tmp_path: Path) -> None:
    """It has the server's arguments, variables and folder, without which the server starts."""
    (tmp_path / "here.py").write_text(
        "import os, sys\nif sys.argv[1:] or 'DEAD' in os.environ or os.path.basename(os.getcwd()) == 'dead': sys.exit(1)\n"
        + SERVER
    )
    (tmp_path / "dead").mkdir()
    (tmp_path / "dead.env").write_text("DEAD=1\n")
    write_jsonl(tmp_path / "p.jsonl", script(id="it"))
    before, at = (flags[: flags.index("--")], flags.index("--")) if "--" in flags else (flags, len(flags))
    done = run_mcprun("batch", "p.jsonl", "here.py", *before, "--out", "run", *flags[at:], cwd=tmp_path)
    command = next(line for line in done.stdout.splitlines() if line.startswith("Next: ")).removeprefix("Next: ")
    assert (done.code, "s3cret" in done.stdout) == (3, False)
    assert ("Set DEAD first" in done.stdout) == ("--env" in flags)
    assert pasted(command, tmp_path, {"DEAD": "1"} if "--env" in flags else {}).returncode == 3
    assert run_mcprun("tools", "here.py", cwd=tmp_path).code == 0


def test_the_command_that_shows_a_query_prints_its_conversation(tmp_path: Path) -> None:
    """An id with spaces, quotes and a dash in front is one word, also after a run in another folder."""
    name = "-a 'b' [1]"
    write_jsonl(tmp_path / "p.jsonl", script(("broken", {}), id=name), script(id="fine"))
    (tmp_path / "here.py").write_text(SERVER)
    done = run_mcprun("batch", "p.jsonl", "here.py", "--out", "my run", cwd=tmp_path)
    commands = gather(Run.read(str(done.run))).commands
    shown = pasted(commands.show(name), tmp_path)
    assert (shown.returncode, "Error executing tool broken" in shown.stdout) == (0, True)
    again = pasted(commands.batch(name), tmp_path)
    assert (again.returncode, [one["id"] for one in transcripts(latest(tmp_path))]) == (1, [name])


def test_prompts_from_stdin_and_from_a_program_are_run_again(tmp_path: Path) -> None:
    """The run keeps a copy of them, which the command names."""
    (tmp_path / "here.py").write_text(SERVER)
    query = json.dumps(expecting("variable", "other"))
    done = run_mcprun("batch", "-", "here.py", "--model", "script", cwd=tmp_path, input=f"{query}\n")
    assert done.code == 1
    again = pasted(gather(Run.read(str(done.run))).commands.batch("it"), tmp_path)
    assert (again.returncode, outcome(latest(tmp_path))) == (1, outcome(done.run))


def folder_of(case: Case, folder: Path) -> Path:
    """Return a folder with the server, the prompts and the settings of a case."""
    here = folder / "here"
    (here / "there").mkdir(parents=True)
    (here / "here.py").write_text(SERVER)
    (here / "mode.env").write_text("MODE=fast\n")
    write_jsonl(here / "p.jsonl", script(id="other"), case.query)
    if case.settings:
        (here / "mcprun.toml").write_text(f"{case.settings}\n")
    return here


def run(case: Case, here: Path) -> Result:
    """Run a case: its first run, which passes, and then the one that fails."""
    batch = ("batch", "p.jsonl", "here.py")
    if case.before:
        assert run_mcprun(*batch, "--model", "script", *case.before, cwd=here).code == 0
    model = () if "--model" in case.flags else ("--model", "script")
    args = ("--", *case.args) if case.args else ()
    done = run_mcprun(*batch, *model, *case.flags, *args, cwd=here, env=case.env)
    assert done.code == 1, done.stdout + done.stderr
    return done


def pasted(command: str, folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command line in a shell."""
    assert shlex.split(command)[0] == "mcprun"
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=clean_environment() | (env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def latest(folder: Path) -> Path:
    """Return the run that was written last."""
    return Run.read(str(folder / "outputs" / "latest")).path


def transcripts(run: Path) -> list[dict[str, Any]]:
    """Return the parsed transcripts of a run."""
    return [json.loads(line) for line in (run / "transcripts.jsonl").read_bytes().splitlines()]


def outcome(run: Path) -> list[Any]:
    """Return the verdicts of the query, why it failed, and how it regressed."""
    facts = gather(Run.read(str(run)))
    return [
        (one.verdict, facts.is_red(one), facts.causes(one), [call.content for call in one.calls])
        for one in facts.transcripts()
        if one.id == "it"
    ]
