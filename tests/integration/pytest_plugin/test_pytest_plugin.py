"""The pytest plugin: queries as tests, the fixture, and pytest's own options."""

from __future__ import annotations

import json
import re
import shlex
import sys
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.pytest_plugin import failure_repr, node_names
from mcprun.pytest_plugin.config import split
from mcprun.pytest_plugin.node_names import NodeNames
from mcprun.runs.transcript import Verdict
from tests.support.cli import RAW, SERVERS, read_jsonl, run_mcprun, script, write_jsonl
from tests.support.facts import transcript
from tests.support.heavy_modules import HEAVY
from tests.support.messages_api import Answer, Body, MessagesApi, error, prompt_of, text
from tests.support.pytest_plugin import DYING, Suite, suite

__all__ = ["suite"]

pytest_plugins = ["pytester"]

IDS = ["add", "add-twice", "divide", "divide-by-zero", "note", "two-questions"]

SERVER = ("--mcp-server", "quickstart.py")

BARE = ("--mcp-server", RAW.name)
"""A server that starts at once, for queries that need no more of one."""

WRONG: dict[str, Any] = {"expect": {"text": {"contains": "six"}}}


def test_each_query_is_a_test(suite: Suite) -> None:
    """They pass by their names, in a run that `mcprun show` reads like any other."""
    done = suite.run("quickstart.jsonl", *SERVER, "-v")
    assert done.ret == 0
    done.stdout.fnmatch_lines([f"quickstart.jsonl::{name} PASSED*" for name in IDS])
    assert (suite.record["state"], suite.record["error"], suite.ran) == ("finished", None, IDS)
    assert run_mcprun("show", "latest", cwd=suite.path).stdout.count("\npassed") == 6


def test_a_failure_reads_like_mcpruns_own(suite: Suite) -> None:
    """The cause comes first and stands in the summary; the conversation is what `mcprun show` prints."""
    suite.prompts(script(("add", {"a": 2, "b": 3}), id="add", text="2 + 3 is 5.", **WRONG))
    done = suite.run("prompts.jsonl", *SERVER)
    assert done.ret == 1
    done.assert_outcomes(failed=1)
    cause = "expected text with 'six', got '2 + 3 is 5.'"
    done.stdout.fnmatch_lines([cause, f"FAILED prompts.jsonl::add - Failed: {cause}"])
    shown = [line.rstrip() for line in run_mcprun("show", "latest", "add", cwd=suite.path).stdout.strip().splitlines()]
    assert len(shown) == 7
    done.stdout.str()
    assert "\n".join(shown) in done.stdout.str()
    assert f"\nmcprun show outputs/{suite.runs[0].name} add\n" in done.stdout.str()
    assert "Traceback" not in done.stdout.str()


def test_an_error_is_none_of_the_failures(suite: Suite) -> None:
    """A query that could not be completed is an error of pytest, with its kind and the server's stderr; so in JUnit."""
    suite.prompts(script(("die", {}), id="dies"), script(id="wrong", **WRONG), script(id="fine"))
    done = suite.run("prompts.jsonl", *BARE, "--junitxml=junit.xml")
    assert done.ret == 1
    done.assert_outcomes(errors=1, failed=1, passed=1)
    done.stdout.fnmatch_lines(
        [
            "*ERROR at setup of dies*",
            "error: server_died: the connection to the server was lost during die;*",
            "Last lines of the server's stderr:",
            "  fatal: out of cheese",
            "  *exited with code 3*",
            "ERROR prompts.jsonl::dies - Failed: error: server_died: *",
        ]
    )
    cases = {
        case.get("name"): [child.tag for child in case] for case in ET.parse(suite.path / "junit.xml").iter("testcase")
    }
    assert cases == {"dies": ["error"], "wrong": ["failure"], "fine": []}


def test_a_server_that_does_not_start(suite: Suite) -> None:
    """Every query is an error; the whole message, with the stderr, is told once, and nothing is tried again."""
    suite.write("broken.py", "raise SystemExit('no database')")
    done = suite.run("quickstart.jsonl", "--mcp-server", "broken.py")
    assert done.ret == 1
    done.assert_outcomes(errors=6)
    stdout = done.stdout.str().partition("short test summary")[0]  # which in CI has each message whole
    assert stdout.count("\nerror: server_start: the server exited before it responded: broken.py\n") == 6
    assert stdout.count("Last lines of the server's stderr:") == 1
    assert "  no database" in stdout
    assert "During handling" not in stdout


@pytest.mark.parametrize(
    ("args", "ids"),
    [
        (("quickstart.jsonl", "-k", "divide and not zero"), ["divide"]),
        (("quickstart.jsonl", "-k", "division"), ["divide", "divide-by-zero"]),
        (("quickstart.jsonl", "-m", "division", "--strict-markers"), ["divide", "divide-by-zero"]),
        (("quickstart.jsonl::note", "quickstart.jsonl::add"), ["add", "note"]),
        (("quickstart.jsonl", "--deselect", "quickstart.jsonl::note"), [*IDS[:4], IDS[5]]),
    ],
)
def test_what_is_not_selected_is_not_run(suite: Suite, args: tuple[str, ...], ids: list[str]) -> None:
    """Ids and tags are what `-k` and `-m` choose by; the run is one of what was chosen, and whole."""
    done = suite.run(*args, *SERVER)
    assert done.ret == 0
    done.assert_outcomes(passed=len(ids), deselected=6 - len(ids) if "::" not in args[0] else 0)
    assert (sorted(suite.ran), suite.record["state"], suite.record["prompts"]["queries"]) == (
        sorted(ids),
        "finished",
        len(ids),
    )


def test_nothing_selected(suite: Suite) -> None:
    """Then pytest exits with its own 5, and no server was started."""
    assert suite.run("quickstart.jsonl", *SERVER, "-k", "nothing").ret == 5
    assert suite.runs == []


@pytest.mark.parametrize("flags", [("-x",), ("--maxfail=1",)])
def test_stopping_at_the_first_failure(suite: Suite, flags: tuple[str, ...]) -> None:
    """No call is made for what comes later, and the run can be gone on with."""
    calls = [("add", {"a": 1, "b": 1})]
    suite.prompts(script(*calls, id="one"), script(*calls, id="two", **WRONG), script(*calls, id="three"))
    server = shlex.join([str(SERVERS / "counting.py"), "--", str(suite.path / "calls")])
    done = suite.run("prompts.jsonl", "--mcp-server", server, *flags)
    assert done.ret == 1
    done.assert_outcomes(passed=1, failed=1)
    assert (suite.path / "calls").read_text().count("add") == 2
    assert (suite.ran, suite.record["state"]) == (["one", "two"], "interrupted")
    assert suite.record["error"]["message"] == "pytest requested 2 of 3 queries"
    resumed = run_mcprun("batch", "--resume", "latest", cwd=suite.path)
    assert list(resumed.verdicts) == ["one", "two", "three"]
    assert (suite.path / "calls").read_text().count("add") == 3


def test_last_failed_and_failed_first(suite: Suite) -> None:
    """What failed or erred last time is run alone, or before the others."""
    suite.prompts(script(id="fine"), script(id="wrong", **WRONG), script(("die", {}), id="dies"))
    assert suite.run("prompts.jsonl", *BARE).ret == 1
    last = suite.run("prompts.jsonl", *BARE, "--lf", "-v")
    last.assert_outcomes(failed=1, errors=1, deselected=1)
    first = suite.run("prompts.jsonl", *BARE, "--ff", "-v")
    first.stdout.fnmatch_lines(["*::wrong FAILED*", "*::dies ERROR*", "*::fine PASSED*"])


ODD_IDS = [
    "r[2]", "a", "a::b", "a::b::c", "a::z", "x::", "::x", ":::y", "::", "a.b", "v1.2::c.d", "d.e[1.0]", "b[x]", "b[x", "b[", "[y]",
    "]", "b]c", "b[x]::z", "b[::()]", "()", "a::()", "sp ace", " lead", "trail ", "sl/ash", "/abs/x.py::t", "back\\slash",
    "ünïcödé ✓", "n\u0303", "@file", "-k", "--lf", "c@d", "%d", "{x}", "'q\"", "r",
]  # fmt: skip
"""Ids of queries that mean something to pytest. The first is what the second repeat of the last is called as well."""

BY_NAME = """
import json

def pytest_sessionfinish(session):
    names = [item.nodeid for item in session.items]
    found = {name: [item.nodeid for item in session.perform_collect([name])] for name in names}
    with open("found.json", "w") as file:
        json.dump(found, file)
"""


def odd_queries(**more: Any) -> list[dict[str, Any]]:
    """Write a query for each of the odd ids; the last one has three repeats."""
    queries = [script(id=name, **more) for name in ODD_IDS]
    queries[-1]["repeat"] = 3
    return queries


def test_every_node_id_that_is_printed_selects_its_test(suite: Suite) -> None:
    """It selects that one and no other, also where an id is the beginning of another one."""
    suite.write("conftest.py", BY_NAME)
    suite.prompts(*odd_queries())
    done = suite.run("prompts.jsonl", *BARE, "--collect-only", "-q")
    found = json.loads((suite.path / "found.json").read_bytes())
    assert len(found) == len(ODD_IDS) + 2
    assert [*found] == done.outlines[: len(found)]
    assert {name: [name] for name in found} == found
    assert [f"prompts.jsonl::r{rest}" for rest in ("[2]", "[1]", "[2][1]", "[3]")] == [
        name for name in found if name.startswith("prompts.jsonl::r")
    ]


def test_node_ids_are_paths_from_the_working_folder(suite: Suite) -> None:
    """They select their tests from a subfolder, and of a file outside of pytest's root folder too."""
    (suite.path / "root" / "sub").mkdir(parents=True)
    suite.write("root/pytest.ini", "[pytest]\n")
    file = suite.prompts(script(id="one"), script(id="b[x", **WRONG), script(id="a::b.c", **WRONG))
    (suite.path / "root" / "own.jsonl").write_bytes(file.read_bytes())
    files = ("../own.jsonl", "../../prompts.jsonl")
    args = ("--rootdir=..", "--mcp-server", str(suite.path / RAW.name), "-v")
    done = suite.run(*files, *args, folder="root/sub")
    done.assert_outcomes(passed=2, failed=4)
    named = [line.partition(" FAILED")[0] for line in done.outlines if " FAILED" in line]
    assert [f"{file}::{name}" for file in files for name in ("b[x[1]", "a::b.c")] == named
    assert all(f"FAILED {name} - " in done.stdout.str() for name in named)
    suite.run(*named, *args, folder="root/sub").assert_outcomes(failed=4)
    suite.run(*files, *args, "--lf", folder="root/sub").assert_outcomes(failed=4, deselected=2)


@given(st.lists(st.text("a:[].", min_size=1), unique=True, max_size=6), st.sampled_from([None, 1, 2]))
def test_no_name_selects_another(ids: list[str], repeats: int | None) -> None:
    """Names are unique, end with a bracket if they hold one, and none is the beginning of another."""
    names = NodeNames(ids)
    numbers = [None] if repeats is None else range(1, repeats + 1)
    given = [names.of(one, number) for one in ids for number in numbers]
    assert len(ids) * len(numbers) == len(set(given))
    assert all("[" not in name or name.endswith("]") for name in given)
    whole = [name for name in given if "[" not in name]
    assert not [(one, other) for one in whole for other in given if other.startswith((f"{one}::", f"{one}["))]
    assert given == ["::".join([*groups, item]) for groups, item in map(node_names.split, given)]


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_last_failed_finds_every_test_again(suite: Suite, args: tuple[str, ...]) -> None:
    """Every failed query and repeat is run again, whatever its id, and is reported by an id that pytest takes."""
    suite.prompts(*odd_queries(**WRONG), script(id="fine"))
    first = suite.run("prompts.jsonl", *BARE, *args, "-v")
    first.assert_outcomes(failed=len(ODD_IDS) + 2, passed=1)
    collected = suite.run("prompts.jsonl", *BARE, "--collect-only", "-q").outlines[: len(ODD_IDS) + 2]
    for name in collected:
        assert f"FAILED {name} - " in first.stdout.str()
        assert f"{name} FAILED" in first.stdout.str() if not args else f"FAILED {name} \n" in first.stdout.str()
    suite.run("prompts.jsonl", *BARE, *args, "--lf").assert_outcomes(
        failed=len(ODD_IDS) + 2, deselected=0 if args else 1
    )


@pytest.mark.parametrize(("dist", "workers"), [("load", 2), ("loadfile", 1)])
def test_several_workers(suite: Suite, dist: str, workers: int) -> None:
    """Each has a server and a run of its own, and each query is run once."""
    done = suite.run("quickstart.jsonl", *SERVER, "-n2", f"--dist={dist}")
    assert done.ret == 0
    done.assert_outcomes(passed=6)
    assert (sorted(suite.ran), len(suite.runs)) == (sorted(IDS), workers)


def test_a_failure_in_a_worker_reads_the_same(suite: Suite) -> None:
    """Whatever it says has come through to the process that reports."""
    suite.prompts(script(id="wrong", text="\ufffd \x1b[2J", **WRONG))
    done = suite.run("prompts.jsonl", *BARE, "-n2")
    assert done.ret == 1
    done.stdout.fnmatch_lines(
        [r"model    � \x1b*2J", "FAILED prompts.jsonl::wrong - Failed: expected text with 'six'*"]
    )


def test_collecting_runs_nothing(suite: Suite) -> None:
    """The names are listed, and no folder is made."""
    suite.prompts(script(id="one", repeat=3), script(id="rated", repeat=3, expect={"pass_rate": 0.5}))
    done = suite.run("prompts.jsonl", *BARE, "--collect-only", "-q")
    assert done.outlines[:4] == [f"prompts.jsonl::{name}" for name in ("one[1]", "one[2]", "one[3]", "rated")]
    assert not (suite.path / "outputs").exists()


def test_repeats_that_may_fail_are_one_test(suite: Suite) -> None:
    """Where a rate of passes is asked for, the query passes or fails by it; without one each repeat does by itself."""
    queries = [
        script(id="met", repeat=2, expect={"pass_rate": 0.5}),
        script(id="unmet", repeat=2, expect={"pass_rate": 0.5, "text": {"contains": "six"}}),
        script(id="each", repeat=2, **WRONG),
    ]
    suite.prompts(*queries)
    done = suite.run("prompts.jsonl", *BARE, "-v")
    done.assert_outcomes(passed=1, failed=3)
    done.stdout.fnmatch_lines(["0/2 passed, 0%; required 50%"])
    done.stdout.fnmatch_lines(["FAILED prompts.jsonl::each[[]2[]] - *"])
    assert suite.ran == ["met", "met", "unmet", "unmet", "each", "each"]


def test_nobody_to_grade(suite: Suite) -> None:
    """Without a key a query with a rubric is an error that says what pytest can do; the others are run."""
    suite.prompts(script(id="fine"), script(id="graded", expect={"judge": "It rhymes."}), script(id="last"))
    done = suite.run("prompts.jsonl", *BARE)
    assert done.ret == 1
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["ERROR prompts.jsonl::graded - Failed: a model grades it (expect.judge), but *"])
    assert "--judge-model" not in done.stdout.str()
    assert 'judge-model = "none" in mcprun.toml' in done.stdout.str()
    assert (suite.ran, suite.record["state"]) == (["fine", "last"], "finished")
    suite.run("prompts.jsonl", *BARE, "-k", "not graded").assert_outcomes(passed=2, deselected=1)
    suite.run("prompts.jsonl", *BARE, "-k", "graded").assert_outcomes(errors=1, deselected=2)
    assert len(suite.runs) == 2
    suite.write("mcprun.toml", 'judge-model = "none"\n')
    suite.run("prompts.jsonl", *BARE).assert_outcomes(passed=3)


def test_a_bad_prompts_file(suite: Suite) -> None:
    """Every bad line is told as mcprun tells it, and pytest exits with 2."""
    suite.prompts(script(id="a"), {"prompt": ""}, {"prompt": "x", "expct": {}})
    done = suite.run("prompts.jsonl", *BARE)
    assert done.ret == 2
    stderr = run_mcprun("validate", "prompts.jsonl", cwd=suite.path).stderr
    assert len(stderr.splitlines()) == 2
    assert stderr in done.stdout.str()


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_no_server(suite: Suite, args: tuple[str, ...]) -> None:
    """Who names a prompts file and no server is told what to give."""
    done = suite.run("quickstart.jsonl", *args)
    assert done.ret == (1 if args else 2)
    done.stdout.fnmatch_lines(["no server is set: pass --mcp-server SERVER, or set server under *"])


def test_it_is_inert(suite: Suite) -> None:
    """A `.jsonl` file that nobody names is nobody's, with a server or without, and nothing heavy is imported."""
    suite.write(
        "test_it.py", "import pathlib, sys\ndef test_it(): pathlib.Path('modules').write_text(' '.join(sys.modules))"
    )
    suite.write("data.jsonl", "no prompts\n")
    done = suite.run_anew(*SERVER, "-p", "no:anyio", "-p", "no:xdist")
    done.assert_outcomes(passed=1)
    imported = (suite.path / "modules").read_text().split()
    assert "mcprun.pytest_plugin" in imported
    assert {name.split(".")[0] for name in imported} & {*HEAVY, "click", "asyncio"} == set()


def test_another_plugins_file_is_left_alone(suite: Suite) -> None:
    """A named `.jsonl` file that someone else collects is no prompts file, as long as no server is given."""
    suite.write(
        "conftest.py",
        """
import pytest

class Item(pytest.Item):
    def runtest(self): pass

class File(pytest.File):
    def collect(self): yield Item.from_parent(self, name="theirs")

def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".jsonl": return File.from_parent(parent, path=file_path)
""",
    )
    done = suite.run("quickstart.jsonl")
    assert done.ret == 0
    done.assert_outcomes(passed=1)


@pytest.mark.parametrize("form", ["pyproject.toml", "mcprun.toml", "pytest.ini"])
def test_the_configuration(suite: Suite, form: str) -> None:
    """It names prompts, server and model, and says how a run is done; paths are seen from its folder."""
    own = 'prompts = "data/*.jsonl"\nserver = "quickstart.py"\nmodel = "script"\ncall-timeout = 7\n'
    table = "[tool.mcprun]\n" + own + "[tool.pytest.ini_options]\n"
    ini = "[pytest]\nmcp_prompts = data/*.jsonl\nmcp_server = quickstart.py\nmcp_model = script\n"
    suite.write(form, {"pyproject.toml": table, "mcprun.toml": own, "pytest.ini": ini}[form])
    if form == "mcprun.toml":
        suite.write("pytest.ini", "[pytest]\n")
    folder = suite.path / "data"
    folder.mkdir()
    write_jsonl(folder / "own.jsonl", script(("add", {"a": 1, "b": 2}), id="own"))
    done = suite.run("--rootdir=.", "-v", "data")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["data/own.jsonl::own PASSED*"])
    assert suite.record["model"]["chosen"] == "asked for"
    if form != "pytest.ini":
        assert suite.record["limits"]["call_seconds"] == 7


def test_a_second_session_collects_no_outputs(suite: Suite) -> None:
    """`*` stays within a folder, and runs are no prompts, wherever they are."""
    suite.write("mcprun.toml", 'prompts = "**/p*.jsonl"\nserver = "raw.py"\nmodel = "script"\n')
    suite.write("pytest.ini", "[pytest]\n")
    suite.prompts(script(id="a"))
    nested = suite.path / "tests" / "outputs" / "earlier"
    nested.mkdir(parents=True)
    for file in ("prompts.jsonl", "own/prompts.jsonl"):
        (suite.path / file).parent.mkdir(exist_ok=True)
        write_jsonl(suite.path / file, script(id="a"))
    write_jsonl(nested / "prompts.jsonl", script(id="old"))
    (suite.path / "own" / "run.json").touch()
    for _ in range(2):
        done = suite.run("--rootdir=.")
        done.assert_outcomes(passed=1)


COMMANDING = """
import json, sys
evil = "no\\n::stop-commands::x\\n  ::error::INJECTED\\r::error::INJECTED\\n##[error]INJECTED ##vso[task.setvariable]INJECTED"
print(evil, file=sys.stderr, flush=True)
for line in sys.stdin:
    message = json.loads(line)
    number, method = message.get("id"), message.get("method")
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": evil, "version": evil}},
        "tools/list": {"tools": [{"name": "t", "description": evil, "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": evil}], "isError": True},
    }.get(method)
    if number is not None:
        answer = {"result": result} if result else {"error": {"code": -32000, "message": evil}}
        print(json.dumps({"jsonrpc": "2.0", "id": number, **answer}), flush=True)
"""
"""A server that says commands to the job that it is run in."""


@pytest.mark.parametrize("job", ["GITHUB_ACTIONS", "TF_BUILD"])
def test_no_text_of_a_server_is_a_command(suite: Suite, job: str) -> None:
    """In failures, errors, headings, summaries, reports, and in what `mcp_run` raises."""
    env = {job: "true"}
    suite.write("commanding.py", COMMANDING)
    suite.write("fails.py", "import sys; sys.exit('::error::INJECTED\\n##[error]INJECTED')")
    suite.prompts(script(("t", {}), id="##[error]INJECTED"), script(("t", {}), id="b"))
    suite.write("test_own.py", "def test_it(mcp_run):\n    mcp_run('prompts.jsonl', 'commanding.py')\n"
        "def test_wrong(mcp_run):\n    mcp_run('#' + '#[error]INJECTED', 'commanding.py')\n")  # fmt: skip
    suite.write("##[error].jsonl", '{"prompt": 1, "::error::INJECTED": 2}\n')
    done = suite.run(
        "prompts.jsonl", "test_own.py", "--mcp-server", "commanding.py", "-rA", "--junitxml=j.xml", env=env
    )
    done.assert_outcomes(failed=4)
    broken = suite.run("##[error].jsonl", "--mcp-server", "commanding.py", env=env)
    started = suite.run("prompts.jsonl", "--mcp-server", "fails.py", "-rfE", env=env)
    started.assert_outcomes(errors=2)
    lines = [line for one in (done, broken, started) for line in [*one.outlines, *one.errlines]]
    lines += re.sub(r' name=".*?"', "", (suite.path / "j.xml").read_text()).splitlines()
    lines = [re.sub(r"\S*jsonl(::##\[error\]INJECTED)?", "", line) for line in lines]  # names of the user's own
    assert [line for line in lines if re.search(r"(?:^|\r)\s*::|##\w*\[", line)] == []
    assert sum("INJECTED" in line for line in lines) > 10


def test_a_wrong_configuration(suite: Suite) -> None:
    """What the command would refuse is refused, in its words."""
    suite.write("mcprun.toml", "call-timeout = -1\n")
    done = suite.run("quickstart.jsonl", *SERVER)
    assert done.ret == 2
    done.stdout.fnmatch_lines(
        ["*mcprun.toml: call-timeout must be a number of seconds above 0 and at most 31,622,400, not -1"]
    )


PRINTS = """
def test_it(mcp_run, tmp_path):
    run = mcp_run([{"id": "a", "prompt": "p", "script": [{"text": "x"}]}], repeat=2)
    arguments = run.record.arguments
    print("got", arguments["server"], run.record.model.chosen, run.record.limits["retries"], run.path.parent == tmp_path)
"""


def test_variables_come_before_files_and_after_flags(suite: Suite) -> None:
    """The server, the model, the patterns and all other options, for prompts files and for `mcp_run` alike."""
    (suite.path / "other.py").symlink_to(RAW)
    suite.prompts(script(id="a"))
    write_jsonl(suite.path / "p.jsonl", script(id="p"))
    suite.write("test_it.py", PRINTS)
    suite.write("pytest.ini", "[pytest]\nmcp_server = gone.py\nmcp_model = replay:gone\nmcp_prompts = gone/*.jsonl\n")
    suite.write(
        "mcprun.toml", 'server = "gone.py"\nmodel = "replay:gone"\nretries = 1\nprompts = "gone.jsonl"\nout = "gone"'
    )
    suite.write(".env", "MCPRUN_SERVER=gone.py\nMCPRUN_MODEL=script\nMCPRUN_RETRIES=2\nMCPRUN_PROMPTS=p*.jsonl\n")
    env = {"MCPRUN_SERVER": "raw.py", "MCPRUN_RETRIES": "", "MCPRUN_OUT": "nowhere", "MCPRUN_BASELINE": "nowhere"}
    done = suite.run("--rootdir=.", "-v", "-s", env=env)
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(["p.jsonl::p PASSED*", "prompts.jsonl::a PASSED*", "*got raw.py asked for 2 True*"])
    assert {run.name for run in suite.path.glob("outputs/*")} >= {run.name for run in suite.runs}
    assert not (suite.path / "nowhere").exists()
    wrong = {"MCPRUN_SERVER": "gone.py", "MCPRUN_MODEL": "replay:gone"}
    done = suite.run("test_it.py", "--mcp-server", "other.py", "--mcp-model", "script", "-s", env=wrong)
    done.stdout.fnmatch_lines(["*got other.py asked for 2 True*"])


@pytest.mark.parametrize(
    ("file", "env", "expected"),
    [
        ("call-timeout = nan\n", {}, "call-timeout must be a number of seconds above 0 and at most 31,622,400, not nan"),
        ("", {"MCPRUN_RETRYS": "1"}, "the environment sets the unknown option 'MCPRUN_RETRYS'; did you mean 'MCPRUN_RETRIES'?"),
        ("server = 3\n", {}, "*mcprun.toml: server must be a string, not a whole number"),
    ],
)  # fmt: skip
def test_wrong_settings_are_told_by_whoever_uses_them(
    suite: Suite, file: str, env: dict[str, str], expected: str
) -> None:
    """A prompts file is not collected, `mcp_run` raises; tests that do not use mcprun are run all the same."""
    suite.write("mcprun.toml", file)
    suite.write("test_other.py", "def test_other(): pass")
    suite.write("test_it.py", PRINTS)
    server = () if "server" in file else BARE
    done = suite.run("quickstart.jsonl", *server, env=env)
    assert done.ret == 2
    done.stdout.fnmatch_lines([f"*{expected}"])
    done = suite.run("test_other.py", "test_it.py", *server, env=env)
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines([f"*UsageError: *{expected.removeprefix('*')}"])


def test_prompts_that_are_no_patterns(suite: Suite) -> None:
    """They are an error of usage: whoever sets them wants prompts files to be collected."""
    suite.write("mcprun.toml", "prompts = 3\n")
    done = suite.run("quickstart.jsonl", *BARE)
    assert done.ret == 4
    assert "mcprun.toml: prompts must be a list of strings, not a whole number" in done.stdout.str() + done.stderr.str()


def test_a_file_above_the_root(suite: Suite) -> None:
    """Its paths are seen from its own folder: the server, and the patterns, one or a list."""
    folder = suite.path / "within"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", script(id="a"))
    (folder / "pytest.ini").write_text("[pytest]\n")
    for prompts in ('"within/*.jsonl"', '["within/*.jsonl", "none/*"]'):
        suite.write("mcprun.toml", f'server = "raw.py"\nprompts = {prompts}\nenv-file = ["e.env"]\nmodel = "script"\n')
        suite.write("e.env", "A=b")
        suite.run("--rootdir=within", "within").assert_outcomes(passed=1)


def test_the_fixtures_arguments_are_checked(suite: Suite) -> None:
    """As the command line's are: nothing runs, and nothing is green."""
    suite.write(
        "test_it.py",
        FIXTURE
        + """
@pytest.mark.parametrize(("more", "told"), [
    ({"repeat": 0}, "repeat must be a whole number from 1 to 10,000, not 0"),
    ({"deny_tool": "add"}, "deny_tool must be a list of strings, not a string"),
    ({"pass_rate": 80}, "pass_rate must be a number above 0 and at most 1, not 80"),
    ({"limits": mcprun.Limits(query_seconds=float("nan"))}, "limits.query_seconds must be a number of seconds"),
    ({"options": {"repeat": 2}}, "options must be an object of type mcprun.Options, not a table"),
    ({"options": {}}, "options must be an object of type mcprun.Options, not a table"),
    ({"server": ""}, "SERVER is empty; pass a server file"),
])
def test_wrong(mcp_run, more, told):
    with pytest.raises(mcprun.UsageError, match=told):
        mcp_run([ADD], **{"server": server, **more})
""",
    )
    suite.run("test_it.py").assert_outcomes(passed=7)


def test_an_interrupt_leaves_nothing(suite: Suite) -> None:
    """Ctrl-C in the middle of a call ends pytest with its own 2; the run says so, and no server is left."""
    suite.write("conftest.py", "import os; open('pid', 'w').write(str(os.getpid()))")
    suite.write("dying.py", DYING)
    suite.prompts(script(id="fine"), script(("interrupt", {}), id="interrupted"), script(id="after"))
    done = suite.run("prompts.jsonl", "--mcp-server", "dying.py")
    assert done.ret == 2
    assert "KeyboardInterrupt" in done.stdout.str()
    assert (suite.record["state"], suite.record["error"]["message"]) == ("interrupted", "pytest was interrupted")
    assert suite.record["counts"]["passed"] == 1


def test_a_run_that_ends_early(suite: Suite) -> None:
    """What takes the run with it, and what it did not come to, are errors; none of it is passed or skipped."""
    suite.write("mcprun.toml", "restarts = 0\n")
    suite.prompts(script(id="fine"), script(("die", {}), id="dies"), script(id="after"), script(id="last"))
    done = suite.run("prompts.jsonl", *BARE)
    assert done.ret == 1
    done.assert_outcomes(passed=1, errors=3)
    done.stdout.fnmatch_lines(
        [f"ERROR prompts.jsonl::{name} - Failed: error: server_died: *" for name in ("dies", "after", "last")]
    )
    assert done.stdout.str().count("--restarts allows no restart") >= 3


def test_a_folder_that_nobody_may_write(suite: Suite) -> None:
    """Where no run can be written, each query is an error in one line."""
    suite.write("outputs", "a file, no folder")
    done = suite.run("quickstart.jsonl", *SERVER)
    assert done.ret == 1
    done.assert_outcomes(errors=6)
    assert done.stdout.str().count("\ncan't create the run's folder ") == 6


def test_a_tag_is_a_name_and_nothing_else(suite: Suite) -> None:
    """Whatever it is called, the query is run and judged."""
    tags = ("skip", "xfail", "skipif", "_private", "a tag", "area:math", "(x)")
    suite.prompts(*(script(id=f"wrong-{number}", tags=[tag], **WRONG) for number, tag in enumerate(tags)))
    suite.run("prompts.jsonl", *BARE, "--strict-markers").assert_outcomes(failed=len(tags))


def test_a_long_conversation_is_cut_short() -> None:
    """What a query fails for stands at its end: that is what is shown."""
    content = "\n".join(f"line {number}" for number in range(1000))
    lines = failure_repr.conversation(transcript("q", Verdict.FAILED, text=content[:3000])).splitlines()
    assert (lines[0], len(lines)) == ("failed q  script", 202)
    assert lines[1].startswith("… ")
    assert lines[-2].strip() == content[:3000].splitlines()[-2]


def test_hostile_text_does_not_reach_the_terminal(suite: Suite) -> None:
    """Escapes in results, texts and stderr are shown, never obeyed."""
    suite.write("dying.py", DYING.replace("the disk is on fire", "\\x1b]0;title\\x07"))
    suite.prompts(script(("die", {}), id="dies"), script(id="says", text="\x1b[2J", **WRONG))
    done = suite.run("prompts.jsonl", "--mcp-server", "dying.py", "--color=no")
    assert r"\x1b]0;title\x07" in done.stdout.str()
    assert r"\x1b[2J" in done.stdout.str()
    assert not any(character in done.stdout.str() for character in "\x1b\x07")


def test_an_item_that_is_run_again(suite: Suite) -> None:
    """As by plugins that try again: a new run begins, and no run holds a query twice."""
    suite.write(
        "conftest.py",
        """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    runtestprotocol(item, nextitem=nextitem, log=False)
""",
    )
    suite.prompts(script(id="one"), script(id="two"))
    assert suite.run("prompts.jsonl", *BARE).ret == 0
    assert [[one["id"] for one in read_jsonl(run / "transcripts.jsonl")] for run in suite.runs] == [
        ["one"],
        ["one", "two"],
        ["two"],
    ]


FIXTURE = """
import asyncio
import mcprun, pytest
from mcp.server import MCPServer

server = MCPServer("adder")

@server.tool()
def add(a: int, b: int) -> int:
    return a + b

@server.tool()
def skip() -> str:
    pytest.skip("no tool may skip a test")

@server.tool()
async def leave() -> str:
    raise SystemExit(0)

ADD = {"id": "add", "prompt": "2 + 3?", "script": [{"calls": [{"tool": "add", "input": {"a": 2, "b": 3}}]}, {"text": "5"}]}
WRONG = {**ADD, "id": "wrong", "expect": {"text": {"contains": "six"}}}

"""


def test_the_fixture(suite: Suite) -> None:
    """It runs queries and files against servers of every kind, within an event loop too, and leaves nothing here."""
    suite.write(
        "test_it.py",
        FIXTURE
        + """
def test_object(mcp_run, tmp_path):
    run = mcp_run([ADD], server)
    (transcript,) = run.transcripts()
    assert transcript.calls[0].structured == {"result": 5}
    assert run.path.is_relative_to(tmp_path)
    assert mcp_run([ADD], server).path != run.path

def test_given_server_and_file(mcp_run):
    assert mcp_run("quickstart.jsonl").record.counts.passed == 6

def test_options(mcp_run):
    assert mcp_run([ADD], server, repeat=3).record.counts.passed == 3
    assert mcp_run([ADD], server, mcprun.Options(model="script", repeat=2)).record.counts.passed == 2

def test_loop(mcp_run):
    async def within():
        return mcp_run([ADD], server)
    assert asyncio.run(within()).record.exit_code == 0

def test_unchecked(mcp_run):
    assert mcp_run([ADD, WRONG], server, check=False).record.counts.failed == 1

def test_exits(mcp_run):
    turn = {"calls": [{"tool": "skip", "input": {}}, {"tool": "leave", "input": {}}]}
    run = mcp_run([{"prompt": "x", "script": [turn, {"text": "ok"}]}, ADD], server, check=False)
    assert [one.verdict for one in run.transcripts()] == ["failed", "passed"]
    told = [call.content[0]["text"].rpartition(" raised ")[2] for call in next(run.transcripts()).calls]
    assert told == ["Skipped: no tool may skip a test", "SystemExit: 0"]

def test_wrong_usage(mcp_run):
    with pytest.raises(mcprun.UsageError, match="prompt: must not be empty"):
        mcp_run([{"prompt": ""}], server)
""",
    )
    done = suite.run("test_it.py", *SERVER)
    assert done.ret == 0, done.stdout.str()
    done.assert_outcomes(passed=7)
    assert not (suite.path / "outputs").exists()


def test_a_server_in_the_process_is_not_the_projects(suite: Suite) -> None:
    """How the project's server is started does not concern one in this process; given for it, it is an error."""
    config = [
        'server = "quickstart.py"',
        'server-args = ["--verbose"]',
        'env = { LOG_LEVEL = "debug" }',
        'env-file = "server.env"',
        'cwd = "data"',
        f"python = {json.dumps(sys.executable)}",
    ]
    suite.write("mcprun.toml", "\n".join(config))
    suite.write("server.env", "A=b")
    (suite.path / "data").mkdir()
    suite.write(
        "test_it.py",
        FIXTURE
        + """
def test_object(mcp_run):
    assert mcp_run([ADD], server).record.counts.passed == 1

def test_its_own(mcp_run):
    assert mcp_run("quickstart.jsonl").record.counts.passed == 6

@pytest.mark.parametrize("more", [{"env": {"A": "b"}}, {"options": mcprun.Options(env={"A": "b"})}])
def test_given(mcp_run, more):
    with pytest.raises(mcprun.UsageError, match="adder .in this process. runs in this process and accepts neither"):
        mcp_run([ADD], server, **more)
""",
    )
    done = suite.run("test_it.py")
    assert done.ret == 0, done.stdout.str()


def test_the_fixture_tells_what_did_not_pass(suite: Suite) -> None:
    """The assertion reads like mcprun's own, and the traceback ends at the user's line."""
    suite.write(
        "test_it.py",
        FIXTURE
        + """
def test_wrong(mcp_run):
    mcp_run([ADD, WRONG], server)

def test_no_start(mcp_run):
    mcp_run([ADD], "broken.py")

def test_no_server(mcp_run):
    mcp_run([ADD])
""",
    )
    suite.write("broken.py", "raise SystemExit('no database')")
    done = suite.run("test_it.py")
    assert done.ret == 1
    done.stdout.fnmatch_lines(
        [
            ">       mcp_run([[]ADD, WRONG], server)",
            "E       AssertionError: 1 of 2 queries passed",
            "E       wrong: expected text with 'six', got '5'",
            "E       failed wrong  script",
            "E       model    5",
            "test_it.py:*: AssertionError",
            "E       AssertionError: 0 of 1 query passed",
            "E       error: server_start: the server exited before it responded: broken.py",
            "E         no database",
            "*no server is set: pass one to mcp_run, or use --mcp-server SERVER",
        ]
    )
    assert "fixtures.py" not in done.stdout.str().split("test_no_server")[0]


@given(st.text(), st.lists(st.text()))
def test_what_a_command_line_holds_stays_its_own(first: str, args: list[str]) -> None:
    """Arguments are split off behind a file alone; all others are the command line's."""
    assert split(shlex.join(["server.py"]) + " -- " + shlex.join(["x", *args])) == ("server.py", ("x", *args))
    line = shlex.join(["npm", "run", first]) + " -- --flag"
    assert split(line) == (line, ())


def test_a_run_that_stops_by_itself_ends_pytest(suite: Suite) -> None:
    """The tests that follow fail with its reason: no worker waits for another query then."""
    write_jsonl(suite.path / "p.jsonl", *({"id": f"q{n}", "prompt": f"{n} DROP" if n else "Hi"} for n in range(6)))

    def answer(body: Body) -> Answer:
        return error(403, "permission_error", "No") if "DROP" in prompt_of(body) else text("ok")

    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = suite.run("p.jsonl", *BARE, env=env)
        assert len(api.requests) == 4
    done.assert_outcomes(passed=1, errors=5)
    done.stdout.fnmatch_lines(["*the API refused 3 queries in a row*"])
