"""The pytest plugin: queries as tests, the `mcp_run` fixture, and pytest's own options."""

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

RAW_SERVER = ("--mcp-server", RAW.name)
"""A server that starts quickly."""

WRONG: dict[str, Any] = {"expect": {"text": {"contains": "six"}}}


def test_each_query_is_a_test(suite: Suite) -> None:
    """Each query is a test named by its id, in a run that `mcprun show` can read."""
    done = suite.run("quickstart.jsonl", *SERVER, "-v")
    assert done.ret == 0
    done.stdout.fnmatch_lines([f"quickstart.jsonl::{name} PASSED*" for name in IDS])
    assert (suite.record["state"], suite.record["error"], suite.ran) == ("finished", None, IDS)
    assert run_mcprun("show", "latest", cwd=suite.path).stdout.count("\npassed") == 6


def test_failure_shows_the_cause_and_the_conversation(suite: Suite) -> None:
    """The cause comes first and is in pytest's summary; the conversation is what `mcprun show` prints."""
    suite.prompts(script(("add", {"a": 2, "b": 3}), id="add", text="2 + 3 is 5.", **WRONG))
    done = suite.run("prompts.jsonl", *SERVER)
    assert done.ret == 1
    done.assert_outcomes(failed=1)
    cause = "expected text with 'six', got '2 + 3 is 5.'"
    done.stdout.fnmatch_lines([cause, f"FAILED prompts.jsonl::add - Failed: {cause}"])
    shown, again = run_mcprun("show", "latest", "add", cwd=suite.path).stdout.strip().split("\nReproduce:\n")
    conversation = [line.rstrip() for line in shown.strip().splitlines()]
    assert len(conversation) == 7
    assert "\n".join(conversation) in done.stdout.str()
    assert again.splitlines()[-1] == f"  mcprun show outputs/{suite.runs[0].name} add"
    assert f"\nmcprun show outputs/{suite.runs[0].name} add\n" in done.stdout.str()
    assert "Traceback" not in done.stdout.str()


def test_error_of_a_query_is_an_error_of_its_test(suite: Suite) -> None:
    """A query that ends with an error is an error of pytest, with its kind and the server's stderr, also in JUnit."""
    suite.prompts(script(("die", {}), id="dies"), script(id="wrong", **WRONG), script(id="fine"))
    done = suite.run("prompts.jsonl", *RAW_SERVER, "--junitxml=junit.xml")
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


def test_server_that_does_not_start_is_an_error_of_each_test(suite: Suite) -> None:
    """Each query is an error with the message; the server's stderr is printed once."""
    suite.write("broken.py", "raise SystemExit('no database')")
    done = suite.run("quickstart.jsonl", "--mcp-server", "broken.py")
    assert done.ret == 1
    done.assert_outcomes(errors=6)
    stdout = done.stdout.str().partition("short test summary")[0]  # the summary repeats each message in CI
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
def test_only_selected_queries_run(suite: Suite, args: tuple[str, ...], ids: list[str]) -> None:
    """`-k` and `-m` select by ids and tags, and the run consists of the selected queries and is finished."""
    done = suite.run(*args, *SERVER)
    assert done.ret == 0
    done.assert_outcomes(passed=len(ids), deselected=6 - len(ids) if "::" not in args[0] else 0)
    assert (sorted(suite.ran), suite.record["state"], suite.record["prompts"]["queries"]) == (
        sorted(ids),
        "finished",
        len(ids),
    )


def test_no_server_starts_if_nothing_is_selected(suite: Suite) -> None:
    """If no test is selected, pytest exits with its own 5 and no run is created."""
    assert suite.run("quickstart.jsonl", *SERVER, "-k", "nothing").ret == 5
    assert suite.runs == []


@pytest.mark.parametrize("flags", [("-x",), ("--maxfail=1",)])
def test_run_stops_at_the_first_failure(suite: Suite, flags: tuple[str, ...]) -> None:
    """With `-x`, later queries make no call, and the run is interrupted and can be resumed."""
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


def test_last_failed_and_failed_first_include_errors(suite: Suite) -> None:
    """`--lf` runs only the queries that failed or had an error, and `--ff` runs them first."""
    suite.prompts(script(id="fine"), script(id="wrong", **WRONG), script(("die", {}), id="dies"))
    assert suite.run("prompts.jsonl", *RAW_SERVER).ret == 1
    last_failed = suite.run("prompts.jsonl", *RAW_SERVER, "--lf", "-v")
    last_failed.assert_outcomes(failed=1, errors=1, deselected=1)
    failed_first = suite.run("prompts.jsonl", *RAW_SERVER, "--ff", "-v")
    failed_first.stdout.fnmatch_lines(["*::wrong FAILED*", "*::dies ERROR*", "*::fine PASSED*"])


ODD_IDS = [
    "r[2]", "a", "a::b", "a::b::c", "a::z", "x::", "::x", ":::y", "::", "a.b", "v1.2::c.d", "d.e[1.0]", "b[x]", "b[x", "b[", "[y]",
    "]", "b]c", "b[x]::z", "b[::()]", "()", "a::()", "sp ace", " lead", "trail ", "sl/ash", "/abs/x.py::t", "back\\slash",
    "ünïcödé ✓", "n\u0303", "@file", "-k", "--lf", "c@d", "%d", "{x}", "'q\"", "r",
]  # fmt: skip
"""Query ids with characters that pytest interprets. The first equals the name of the last one's second repeat."""

COLLECT_BY_NAME = """
import json

def pytest_sessionfinish(session):
    names = [item.nodeid for item in session.items]
    found = {name: [item.nodeid for item in session.perform_collect([name])] for name in names}
    with open("found.json", "w") as file:
        json.dump(found, file)
"""


def odd_queries(**more: Any) -> list[dict[str, Any]]:
    """Return a query for each of `ODD_IDS`, the last one with three repeats."""
    queries = [script(id=name, **more) for name in ODD_IDS]
    queries[-1]["repeat"] = 3
    return queries


def test_every_printed_node_id_selects_its_test(suite: Suite) -> None:
    """Each node id selects its own test only, even if it is a prefix of another one."""
    suite.write("conftest.py", COLLECT_BY_NAME)
    suite.prompts(*odd_queries())
    done = suite.run("prompts.jsonl", *RAW_SERVER, "--collect-only", "-q")
    found = json.loads((suite.path / "found.json").read_bytes())
    assert len(found) == len(ODD_IDS) + 2
    assert [*found] == done.outlines[: len(found)]
    assert {name: [name] for name in found} == found
    assert [f"prompts.jsonl::r{rest}" for rest in ("[2]", "[1]", "[2][1]", "[3]")] == [
        name for name in found if name.startswith("prompts.jsonl::r")
    ]


def test_node_ids_are_paths_from_the_working_folder(suite: Suite) -> None:
    """Node ids select their tests from a subfolder, and also for a file outside of pytest's root folder."""
    (suite.path / "root" / "sub").mkdir(parents=True)
    suite.write("root/pytest.ini", "[pytest]\n")
    file = suite.prompts(script(id="one"), script(id="b[x", **WRONG), script(id="a::b.c", **WRONG))
    (suite.path / "root" / "own.jsonl").write_bytes(file.read_bytes())
    files = ("../own.jsonl", "../../prompts.jsonl")
    args = ("--rootdir=..", "--mcp-server", str(suite.path / RAW.name), "-v")
    done = suite.run(*files, *args, folder="root/sub")
    done.assert_outcomes(passed=2, failed=4)
    node_ids = [line.partition(" FAILED")[0] for line in done.outlines if " FAILED" in line]
    assert [f"{file}::{name}" for file in files for name in ("b[x[1]", "a::b.c")] == node_ids
    assert all(f"FAILED {name} - " in done.stdout.str() for name in node_ids)
    suite.run(*node_ids, *args, folder="root/sub").assert_outcomes(failed=4)
    suite.run(*files, *args, "--lf", folder="root/sub").assert_outcomes(failed=4, deselected=2)


@given(st.lists(st.text("a:[].", min_size=1), unique=True, max_size=6), st.sampled_from([None, 1, 2]))
def test_no_name_selects_another_test(ids: list[str], repeats: int | None) -> None:
    """Names are unique, end with `]` if they contain `[`, and none is a prefix of another."""
    names = NodeNames(ids)
    numbers = [None] if repeats is None else range(1, repeats + 1)
    all_names = [names.of(one, number) for one in ids for number in numbers]
    assert len(ids) * len(numbers) == len(set(all_names))
    assert all("[" not in name or name.endswith("]") for name in all_names)
    plain_names = [name for name in all_names if "[" not in name]
    assert not [(one, other) for one in plain_names for other in all_names if other.startswith((f"{one}::", f"{one}["))]
    assert all_names == ["::".join([*groups, item]) for groups, item in map(node_names.split, all_names)]


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_last_failed_selects_every_failed_test(suite: Suite, args: tuple[str, ...]) -> None:
    """`--lf` runs each failed query and repeat again, whatever its id, and reports it by a valid node id."""
    suite.prompts(*odd_queries(**WRONG), script(id="fine"))
    first = suite.run("prompts.jsonl", *RAW_SERVER, *args, "-v")
    first.assert_outcomes(failed=len(ODD_IDS) + 2, passed=1)
    collected = suite.run("prompts.jsonl", *RAW_SERVER, "--collect-only", "-q").outlines[: len(ODD_IDS) + 2]
    for name in collected:
        assert f"FAILED {name} - " in first.stdout.str()
        assert f"{name} FAILED" in first.stdout.str() if not args else f"FAILED {name} \n" in first.stdout.str()
    suite.run("prompts.jsonl", *RAW_SERVER, *args, "--lf").assert_outcomes(
        failed=len(ODD_IDS) + 2, deselected=0 if args else 1
    )


@pytest.mark.parametrize(("dist", "workers"), [("load", 2), ("loadfile", 1)])
def test_each_worker_has_a_run_of_its_own(suite: Suite, dist: str, workers: int) -> None:
    """With pytest-xdist, each worker has its own server and run, and each query runs once."""
    done = suite.run("quickstart.jsonl", *SERVER, "-n2", f"--dist={dist}")
    assert done.ret == 0
    done.assert_outcomes(passed=6)
    assert (sorted(suite.ran), len(suite.runs)) == (sorted(IDS), workers)


def test_failure_in_a_worker_is_reported_completely(suite: Suite) -> None:
    """The failure of a query in a worker is printed with its conversation, with control characters escaped."""
    suite.prompts(script(id="wrong", text="\ufffd \x1b[2J", **WRONG))
    done = suite.run("prompts.jsonl", *RAW_SERVER, "-n2")
    assert done.ret == 1
    done.stdout.fnmatch_lines(
        [r"model    � \x1b*2J", "FAILED prompts.jsonl::wrong - Failed: expected text with 'six'*"]
    )


def test_collect_only_runs_nothing(suite: Suite) -> None:
    """`--collect-only` lists the names and creates no folder."""
    suite.prompts(script(id="one", repeat=3), script(id="rated", repeat=3, expect={"pass_rate": 0.5}))
    done = suite.run("prompts.jsonl", *RAW_SERVER, "--collect-only", "-q")
    assert done.outlines[:4] == [f"prompts.jsonl::{name}" for name in ("one[1]", "one[2]", "one[3]", "rated")]
    assert not (suite.path / "outputs").exists()


def test_repeats_with_a_pass_rate_are_one_test(suite: Suite) -> None:
    """A query with `pass_rate` is one test that passes by its rate; without one, each repeat is a test."""
    queries = [
        script(id="met", repeat=2, expect={"pass_rate": 0.5}),
        script(id="unmet", repeat=2, expect={"pass_rate": 0.5, "text": {"contains": "six"}}),
        script(id="each", repeat=2, **WRONG),
    ]
    suite.prompts(*queries)
    done = suite.run("prompts.jsonl", *RAW_SERVER, "-v")
    done.assert_outcomes(passed=1, failed=3)
    done.stdout.fnmatch_lines(["0/2 passed, 0%; required 50%"])
    done.stdout.fnmatch_lines(["FAILED prompts.jsonl::each[[]2[]] - *"])
    assert suite.ran == ["met", "met", "unmet", "unmet", "each", "each"]


def test_rubric_without_a_judge_is_an_error(suite: Suite) -> None:
    """Without a key, a query with a rubric is an error that names the setting to change, and other queries run."""
    suite.prompts(script(id="fine"), script(id="graded", expect={"judge": "It rhymes."}), script(id="last"))
    done = suite.run("prompts.jsonl", *RAW_SERVER)
    assert done.ret == 1
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["ERROR prompts.jsonl::graded - Failed: a model grades it (expect.judge), but *"])
    assert "--judge-model" not in done.stdout.str()
    assert 'judge-model = "none" in mcprun.toml' in done.stdout.str()
    assert (suite.ran, suite.record["state"]) == (["fine", "last"], "finished")
    suite.run("prompts.jsonl", *RAW_SERVER, "-k", "not graded").assert_outcomes(passed=2, deselected=1)
    suite.run("prompts.jsonl", *RAW_SERVER, "-k", "graded").assert_outcomes(errors=1, deselected=2)
    assert len(suite.runs) == 2
    suite.write("mcprun.toml", 'judge-model = "none"\n')
    suite.run("prompts.jsonl", *RAW_SERVER).assert_outcomes(passed=3)


def test_bad_lines_are_reported_at_collection(suite: Suite) -> None:
    """pytest prints the same messages as `mcprun validate` and exits with 2."""
    suite.prompts(script(id="a"), {"prompt": ""}, {"prompt": "x", "expct": {}})
    done = suite.run("prompts.jsonl", *RAW_SERVER)
    assert done.ret == 2
    stderr = run_mcprun("validate", "prompts.jsonl", cwd=suite.path).stderr
    assert len(stderr.splitlines()) == 2
    assert stderr in done.stdout.str()


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_missing_server_is_reported(suite: Suite, args: tuple[str, ...]) -> None:
    """A prompts file without a server is an error that names `--mcp-server` and the setting."""
    done = suite.run("quickstart.jsonl", *args)
    assert done.ret == (1 if args else 2)
    done.stdout.fnmatch_lines(["no server is set: pass --mcp-server SERVER, or set server under *"])


def test_plugin_is_inert_for_other_tests(suite: Suite) -> None:
    """A `.jsonl` file that is not passed is not collected, with or without a server, and nothing heavy is imported."""
    suite.write(
        "test_it.py", "import pathlib, sys\ndef test_it(): pathlib.Path('modules').write_text(' '.join(sys.modules))"
    )
    suite.write("data.jsonl", "no prompts\n")
    done = suite.run_anew(*SERVER, "-p", "no:anyio", "-p", "no:xdist")
    done.assert_outcomes(passed=1)
    imported = (suite.path / "modules").read_text().split()
    assert "mcprun.pytest_plugin" in imported
    assert {name.split(".")[0] for name in imported} & {*HEAVY, "click", "asyncio"} == set()


def test_file_of_another_plugin_is_not_collected(suite: Suite) -> None:
    """A `.jsonl` file that another plugin collects is not a prompts file unless a server is set."""
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
def test_configuration_sets_prompts_server_and_model(suite: Suite, form: str) -> None:
    """Prompts, server, model and options are read from each configuration file, relative to its folder."""
    settings = 'prompts = "data/*.jsonl"\nserver = "quickstart.py"\nmodel = "script"\ncall-timeout = 7\n'
    table = "[tool.mcprun]\n" + settings + "[tool.pytest.ini_options]\n"
    ini = "[pytest]\nmcp_prompts = data/*.jsonl\nmcp_server = quickstart.py\nmcp_model = script\n"
    suite.write(form, {"pyproject.toml": table, "mcprun.toml": settings, "pytest.ini": ini}[form])
    if form == "mcprun.toml":
        suite.write("pytest.ini", "[pytest]\n")
    folder = suite.path / "data"
    folder.mkdir()
    write_jsonl(folder / "own.jsonl", script(("add", {"a": 1, "b": 2}), id="own"))
    done = suite.run("--rootdir=.", "-v", "data")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["data/own.jsonl::own PASSED*"])
    assert suite.record["model"]["chosen"] == "requested"
    if form != "pytest.ini":
        assert suite.record["limits"]["call_seconds"] == 7


def test_runs_are_not_collected_as_prompts(suite: Suite) -> None:
    """`*` does not cross folders, and prompts saved in run folders are not collected, wherever they are."""
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
"""A server that sends workflow commands in every text."""


@pytest.mark.parametrize("job", ["GITHUB_ACTIONS", "TF_BUILD"])
def test_server_text_is_not_a_workflow_command(suite: Suite, job: str) -> None:
    """Text of a server in failures, errors, headings, summaries and reports contains no workflow command."""
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
    lines = [re.sub(r"\S*jsonl(::##\[error\]INJECTED)?", "", line) for line in lines]  # drop the user's own file names
    assert [line for line in lines if re.search(r"(?:^|\r)\s*::|##\w*\[", line)] == []
    assert sum("INJECTED" in line for line in lines) > 10


def test_invalid_configuration_is_refused(suite: Suite) -> None:
    """A setting that the command refuses is refused with the same message."""
    suite.write("mcprun.toml", "call-timeout = -1\n")
    done = suite.run("quickstart.jsonl", *SERVER)
    assert done.ret == 2
    done.stdout.fnmatch_lines(
        ["*mcprun.toml: call-timeout must be a number of seconds above 0 and at most 31,622,400, not -1"]
    )


PRINTING_TEST = """
def test_it(mcp_run, tmp_path):
    run = mcp_run([{"id": "a", "prompt": "p", "script": [{"text": "x"}]}], repeat=2)
    arguments = run.record.arguments
    print("got", arguments["server"], run.record.model.chosen, run.record.limits["retries"], run.path.parent == tmp_path)
"""


def test_variables_override_files_but_not_flags(suite: Suite) -> None:
    """This applies to server, model, patterns and all other options, for prompts files and for `mcp_run`."""
    (suite.path / "other.py").symlink_to(RAW)
    suite.prompts(script(id="a"))
    write_jsonl(suite.path / "p.jsonl", script(id="p"))
    suite.write("test_it.py", PRINTING_TEST)
    suite.write("pytest.ini", "[pytest]\nmcp_server = gone.py\nmcp_model = replay:gone\nmcp_prompts = gone/*.jsonl\n")
    suite.write(
        "mcprun.toml", 'server = "gone.py"\nmodel = "replay:gone"\nretries = 1\nprompts = "gone.jsonl"\nout = "gone"'
    )
    suite.write(".env", "MCPRUN_SERVER=gone.py\nMCPRUN_MODEL=script\nMCPRUN_RETRIES=2\nMCPRUN_PROMPTS=p*.jsonl\n")
    env = {"MCPRUN_SERVER": "raw.py", "MCPRUN_RETRIES": "", "MCPRUN_OUT": "nowhere"}
    done = suite.run("--rootdir=.", "-v", "-s", env=env)
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(["p.jsonl::p PASSED*", "prompts.jsonl::a PASSED*", "*got raw.py requested 2 True*"])
    assert {run.name for run in suite.path.glob("outputs/*")} >= {run.name for run in suite.runs}
    assert not (suite.path / "nowhere").exists()
    overridden = {"MCPRUN_SERVER": "gone.py", "MCPRUN_MODEL": "replay:gone"}
    done = suite.run("test_it.py", "--mcp-server", "other.py", "--mcp-model", "script", "-s", env=overridden)
    done.stdout.fnmatch_lines(["*got other.py requested 2 True*"])


@pytest.mark.parametrize(
    ("file", "env", "expected"),
    [
        ("call-timeout = nan\n", {}, "call-timeout must be a number of seconds above 0 and at most 31,622,400, not nan"),
        ("", {"MCPRUN_RETRYS": "1"}, "the environment sets the unknown option 'MCPRUN_RETRYS'; did you mean 'MCPRUN_RETRIES'?"),
        ("server = 3\n", {}, "*mcprun.toml: server must be a string, not a whole number"),
    ],
)  # fmt: skip
def test_invalid_settings_fail_only_tests_that_use_mcprun(
    suite: Suite, file: str, env: dict[str, str], expected: str
) -> None:
    """A prompts file is not collected and `mcp_run` raises, but tests that do not use mcprun run."""
    suite.write("mcprun.toml", file)
    suite.write("test_other.py", "def test_other(): pass")
    suite.write("test_it.py", PRINTING_TEST)
    server = () if "server" in file else RAW_SERVER
    done = suite.run("quickstart.jsonl", *server, env=env)
    assert done.ret == 2
    done.stdout.fnmatch_lines([f"*{expected}"])
    done = suite.run("test_other.py", "test_it.py", *server, env=env)
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines([f"*UsageError: *{expected.removeprefix('*')}"])


def test_invalid_prompts_setting_is_a_usage_error(suite: Suite) -> None:
    """A `prompts` setting that is not a list of strings makes pytest exit with 4."""
    suite.write("mcprun.toml", "prompts = 3\n")
    done = suite.run("quickstart.jsonl", *RAW_SERVER)
    assert done.ret == 4
    assert "mcprun.toml: prompts must be a list of strings, not a whole number" in done.stdout.str() + done.stderr.str()


def test_configuration_above_the_root_folder(suite: Suite) -> None:
    """Paths in a configuration file above pytest's root folder are relative to the file's own folder."""
    folder = suite.path / "within"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", script(id="a"))
    (folder / "pytest.ini").write_text("[pytest]\n")
    for prompts in ('"within/*.jsonl"', '["within/*.jsonl", "none/*"]'):
        suite.write("mcprun.toml", f'server = "raw.py"\nprompts = {prompts}\nenv-file = ["e.env"]\nmodel = "script"\n')
        suite.write("e.env", "A=b")
        suite.run("--rootdir=within", "within").assert_outcomes(passed=1)


def test_arguments_of_the_fixture_are_checked(suite: Suite) -> None:
    """Arguments of `mcp_run` are checked like those of the command line, and nothing runs."""
    suite.write(
        "test_it.py",
        FIXTURE
        + """
@pytest.mark.parametrize(("more", "message"), [
    ({"repeat": 0}, "repeat must be a whole number from 1 to 10,000, not 0"),
    ({"deny_tool": "add"}, "deny_tool must be a list of strings, not a string"),
    ({"pass_rate": 80}, "pass_rate must be a number above 0 and at most 1, not 80"),
    ({"limits": mcprun.Limits(query_seconds=float("nan"))}, "limits.query_seconds must be a number of seconds"),
    ({"options": {"repeat": 2}}, "options must be an object of type mcprun.Options, not a table"),
    ({"options": {}}, "options must be an object of type mcprun.Options, not a table"),
    ({"server": ""}, "SERVER is empty; pass a server file"),
])
def test_wrong(mcp_run, more, message):
    with pytest.raises(mcprun.UsageError, match=message):
        mcp_run([ADD], **{"server": server, **more})
""",
    )
    suite.run("test_it.py").assert_outcomes(passed=7)


def test_ctrl_c_during_a_call_interrupts_the_run(suite: Suite) -> None:
    """Ctrl-C during a call makes pytest exit with 2, and the run is recorded as interrupted."""
    suite.write("conftest.py", "import os; open('pid', 'w').write(str(os.getpid()))")
    suite.write("dying.py", DYING)
    suite.prompts(script(id="fine"), script(("interrupt", {}), id="interrupted"), script(id="after"))
    done = suite.run("prompts.jsonl", "--mcp-server", "dying.py")
    assert done.ret == 2
    assert "KeyboardInterrupt" in done.stdout.str()
    assert (suite.record["state"], suite.record["error"]["message"]) == ("interrupted", "pytest was interrupted")
    assert suite.record["counts"]["passed"] == 1


def test_queries_of_a_run_that_ends_early_are_errors(suite: Suite) -> None:
    """The query that ends the run and those that never start are errors, neither passed nor skipped."""
    suite.write("mcprun.toml", "restarts = 0\n")
    suite.prompts(script(id="fine"), script(("die", {}), id="dies"), script(id="after"), script(id="last"))
    done = suite.run("prompts.jsonl", *RAW_SERVER)
    assert done.ret == 1
    done.assert_outcomes(passed=1, errors=3)
    done.stdout.fnmatch_lines(
        [f"ERROR prompts.jsonl::{name} - Failed: error: server_died: *" for name in ("dies", "after", "last")]
    )
    assert done.stdout.str().count("--restarts allows no restart") >= 3


def test_unwritable_output_folder_is_an_error_of_each_test(suite: Suite) -> None:
    """If the run folder cannot be created, each query is an error of one line."""
    suite.write("outputs", "a file, no folder")
    done = suite.run("quickstart.jsonl", *SERVER)
    assert done.ret == 1
    done.assert_outcomes(errors=6)
    assert done.stdout.str().count("\ncan't create the run's folder ") == 6


def test_tag_named_like_a_pytest_mark_has_no_effect(suite: Suite) -> None:
    """A query is run and checked even if a tag has the name of one of pytest's marks."""
    tags = ("skip", "xfail", "skipif", "_private", "a tag", "area:math", "(x)")
    suite.prompts(*(script(id=f"wrong-{number}", tags=[tag], **WRONG) for number, tag in enumerate(tags)))
    suite.run("prompts.jsonl", *RAW_SERVER, "--strict-markers").assert_outcomes(failed=len(tags))


def test_long_conversation_is_truncated_at_the_start() -> None:
    """Only the last 200 lines of a conversation are shown, as the cause of a failure is at its end."""
    content = "\n".join(f"line {number}" for number in range(1000))
    lines = failure_repr.conversation(transcript("q", Verdict.FAILED, text=content[:3000])).splitlines()
    assert (lines[0], len(lines)) == ("failed q  script", 202)
    assert lines[1].startswith("… ")
    assert lines[-2].strip() == content[:3000].splitlines()[-2]


def test_escape_sequences_do_not_reach_the_terminal(suite: Suite) -> None:
    """Escape sequences in results, texts and stderr are printed as escaped text."""
    suite.write("dying.py", DYING.replace("the disk is on fire", "\\x1b]0;title\\x07"))
    suite.prompts(script(("die", {}), id="dies"), script(id="says", text="\x1b[2J", **WRONG))
    done = suite.run("prompts.jsonl", "--mcp-server", "dying.py", "--color=no")
    assert r"\x1b]0;title\x07" in done.stdout.str()
    assert r"\x1b[2J" in done.stdout.str()
    assert not any(character in done.stdout.str() for character in "\x1b\x07")


def test_rerun_of_a_test_starts_a_new_run(suite: Suite) -> None:
    """If a plugin reruns a test, a new run starts, so that no run contains a query twice."""
    suite.write(
        "conftest.py",
        """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    runtestprotocol(item, nextitem=nextitem, log=False)
""",
    )
    suite.prompts(script(id="one"), script(id="two"))
    assert suite.run("prompts.jsonl", *RAW_SERVER).ret == 0
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


def test_fixture_runs_queries_against_every_kind_of_server(suite: Suite) -> None:
    """`mcp_run` runs queries and files against servers of every kind, also within an event loop.

    It writes nothing to the working folder.
    """
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
    errors = [call.content[0]["text"].rpartition(" raised ")[2] for call in next(run.transcripts()).calls]
    assert errors == ["Skipped: no tool may skip a test", "SystemExit: 0"]

def test_wrong_usage(mcp_run):
    with pytest.raises(mcprun.UsageError, match="prompt: must not be empty"):
        mcp_run([{"prompt": ""}], server)
""",
    )
    done = suite.run("test_it.py", *SERVER)
    assert done.ret == 0, done.stdout.str()
    done.assert_outcomes(passed=7)
    assert not (suite.path / "outputs").exists()


def test_in_process_server_ignores_the_projects_server_settings(suite: Suite) -> None:
    """Settings for starting the project's server are ignored for a server object; passing them is an error."""
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


def test_fixture_reports_queries_that_did_not_pass(suite: Suite) -> None:
    """The assertion shows the failed checks and the conversation, and the traceback ends in the user's test."""
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
def test_server_arguments_are_split_only_after_a_file(first: str, args: list[str]) -> None:
    """Arguments after `--` are split off a server file; a command line is left as it is."""
    assert split(shlex.join(["server.py"]) + " -- " + shlex.join(["x", *args])) == ("server.py", ("x", *args))
    line = shlex.join(["npm", "run", first]) + " -- --flag"
    assert split(line) == (line, ())


def test_run_that_ends_by_itself_fails_the_remaining_tests(suite: Suite) -> None:
    """After three refused queries in a row, the remaining tests fail with that reason and send no request."""
    write_jsonl(suite.path / "p.jsonl", *({"id": f"q{n}", "prompt": f"{n} DROP" if n else "Hi"} for n in range(6)))

    def answer(body: Body) -> Answer:
        return error(403, "permission_error", "No") if "DROP" in prompt_of(body) else text("ok")

    with MessagesApi(answer) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = suite.run("p.jsonl", *RAW_SERVER, env=env)
        assert len(api.requests) == 4
    done.assert_outcomes(passed=1, errors=5)
    done.stdout.fnmatch_lines(["*the API refused 3 queries in a row*"])


def test_yaml_prompts_are_collected(suite: Suite) -> None:
    """A YAML file is collected like JSONL, and a bad one is an error that names the line."""
    suite.write(
        "p.yaml", "- {id: one, prompt: x, script: [{text: y}]}\n- id: two\n  prompt: x\n  script: [{text: y}]\n"
    )
    done = suite.run("p.yaml", *RAW_SERVER, "-v")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["p.yaml::one PASSED*", "p.yaml::two PASSED*"])
    suite.write("p.yaml", "- id: one\n  promt: x\n")
    suite.run("p.yaml", *RAW_SERVER).stdout.fnmatch_lines(["*p.yaml:2: promt: unknown key; did you mean 'prompt'?"])
