"""`mcprun coverage`, and the gates of `batch` and `merge`."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Result, run_mcprun, script, squeezed, stdlib_server, write_jsonl
from tests.support.markdown_text import tokens

SERVER = """
server = StdlibServer("shop")


@server.tool()
def get(id: int, full: bool = False) -> str:
    \"\"\"Return an item.\"\"\"
    return f"item {id}"


@server.tool()
def put(id: int) -> str:
    \"\"\"Always fail.\"\"\"
    raise ValueError(id)
"""

NEW_TOOL = """

@server.tool()
def refund(id: int) -> str:
    \"\"\"Refund an order.\"\"\"
    return "refunded"
"""

GET = script(("get", {"id": 1}), id="get")
JUNIT = ("--junit", "junit.xml")
PUT = script(("put", {"id": 1}), id="put", expect={"tool_errors": "allow"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a server of two tools, of which one always fails, and a query for each."""
    (tmp_path / "server.py").write_text(stdlib_server(SERVER + "\nserver.run()"))
    write_jsonl(tmp_path / "p.jsonl", GET, PUT)
    return tmp_path


def add_tool(folder: Path) -> None:
    (folder / "server.py").write_text(stdlib_server(SERVER + NEW_TOOL + "\nserver.run()"))


def batch(folder: Path, *arguments: str, **more: Any) -> Result:
    return run_mcprun("batch", "p.jsonl", "server.py", *arguments, cwd=folder, **more)


def coverage(folder: Path, *arguments: str) -> Result:
    return run_mcprun("coverage", *arguments, cwd=folder, env={"COLUMNS": "80"})


def coverage_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("Coverage: ")]


def test_added_tool_fails_the_gate_which_names_it(folder: Path) -> None:
    """A suite that covers all tools turns red when the server gets another one."""
    gates = ("--min-coverage", "1", "--waive", "put")
    before = batch(folder, *gates)
    assert before.code == 0, before.stderr
    add_tool(folder)
    after = batch(folder, *gates)
    assert after.code == 1
    message = "coverage is below --min-coverage 1: 1 of 2 tools (50 %); not called: refund"
    assert f"● {message}" in after.stdout
    assert after.stdout.splitlines()[-1] == "FAILED: coverage 1 of 2 tools"
    assert f"Next: mcprun coverage {after.run.relative_to(folder)}" in after.stdout
    assert after.record["coverage"] == {
        "min_coverage": 1.0,
        "require": [],
        "waive": ["put"],
        "outcome": {"covered": 1, "tools": 2, "failures": [message], "notes": ["waived, but called: put"]},
    }


def test_red_coverage_is_red_everywhere(folder: Path) -> None:
    """Every command that reads the run says why it is red, also with `--quiet`."""
    done = batch(folder, "--require", "put", "--quiet")
    message = "--require put: it is not covered, since its only call failed"
    assert (done.code, message in done.stdout) == (1, True)
    assert coverage_lines(done.stdout) == []
    waived = batch(folder, "--waive", "put", "--quiet")
    assert (waived.code, waived.stdout, waived.stderr) == (0, "", "Warning: waived, but called: put\n")
    done = batch(folder, "--require", "put", "--quiet")
    shown = run_mcprun("show", cwd=folder)
    markdown = run_mcprun("report", "--markdown", "-", cwd=folder)
    junit = run_mcprun("report", "--junit", "-", cwd=folder)
    assert message in shown.stdout
    for report in (markdown, junit):
        assert message in report.stdout
    (failure,) = ET.fromstring(junit.stdout).iter("failure")
    assert failure.attrib == {"message": message, "type": "coverage"}


def test_every_summary_has_a_line(folder: Path) -> None:
    """`batch`, `report` and `show` print the coverage in one line, with the tools that are missing."""
    line = "Coverage: 1 of 2 tools (50 %), 1 of 3 arguments, 0 of 2 values; only failed: put"
    assert coverage_lines(batch(folder).stdout) == [line]
    for command in ("report", "show"):
        assert coverage_lines(run_mcprun(command, cwd=folder).stdout) == [line]
    waived = batch(folder, "--waive", "put", "--waive", "gone_*")
    assert coverage_lines(waived.stdout) == ["Coverage: 1 of 1 tool (100 %), 1 of 2 arguments, 0 of 2 values; 1 waived"]
    assert "Warning: waived, but called: put" in waived.stderr
    assert "Warning: --waive gone_* matches no tool of the server" in waived.stderr


def test_table_lists_what_is_missing_first(folder: Path) -> None:
    """The table has a row for each tool, with the arguments and values that no call has passed."""
    add_tool(folder)
    write_jsonl(
        folder / "p.jsonl", script(("get", {"id": 1, "full": True}), ("nope", {}), expect={"tool_errors": "allow"}), PUT
    )
    batch(folder)
    done = coverage(folder, "--require", "refund", "--min-coverage", "0.3")
    assert squeezed(done.stdout) == [
        "tool calls failed args values not exercised",
        "─",
        "○ refund 0 0 0/1 not called",
        "✗ put 1 1 0/1 only failed",
        "✓ get 1 0 2/2 1/2 full: false",
        "Error path never seen: get",
        "Calls of tools that are not listed: nope (1)",
        "● --require refund: it is not covered, since no call reached it",
        "Coverage: 1 of 3 tools (33.3 %), 2 of 4 arguments, 1 of 2 values: FAILED",
    ]
    assert done.code == 1
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_several_runs_add_up(folder: Path) -> None:
    """A tool that any run covers is covered."""
    add_tool(folder)
    write_jsonl(folder / "p.jsonl", GET)
    batch(folder, "--out", "one")
    write_jsonl(folder / "p.jsonl", script(("refund", {"id": 1})))
    batch(folder, "--out", "two")
    both = coverage(folder, "one", "two", "--min-coverage", "0.6")
    assert (both.code, coverage_lines(both.stdout)[0].partition(",")[0]) == (0, "Coverage: 2 of 3 tools (66.6 %)")
    assert coverage(folder, "one", "--min-coverage", "0.6").code == 1


def test_run_that_is_named_twice_counts_once(folder: Path) -> None:
    """`latest` may be one of the runs that are named."""
    batch(folder, "--out", "outputs/one")
    assert coverage(folder, "latest", "outputs/one", "one").stdout == coverage(folder).stdout


def test_runs_of_different_servers_are_named(folder: Path) -> None:
    """Their tools add up, which is rarely meant."""
    batch(folder, "--out", "one")
    (folder / "server.py").write_text(stdlib_server(SERVER.replace('"shop"', '"a\x1b[31m shelf"') + "\nserver.run()"))
    batch(folder, "--out", "two")
    both = coverage(folder, "one", "two")
    assert (both.code, coverage(folder, "one").stderr) == (0, "")
    assert both.stderr == (
        "Warning: the runs are of different servers, whose tools are added up: shop, a\\x1b[31m shelf\n"
    )


def test_denied_calls_do_not_cover(folder: Path) -> None:
    """A denied tool is in the denominator and is not covered. Its calls are counted apart."""
    done = batch(folder, "--deny-tool", "get", "--allow-tool-errors", "--min-coverage", "0.1")
    assert done.code == 1
    found = json.loads(coverage(folder, "--json").stdout)
    assert found["coverage"]["tools"] == {"done": 0, "total": 2}
    assert found["unsent"] == {"get": 1}
    (get,) = [tool for tool in found["tools"] if tool["name"] == "get"]
    assert (get["state"], get["calls"]) == ("uncalled", 0)


DIES_ONCE = """
from pathlib import Path


@server.tool()
def once() -> str:
    \"\"\"End the server at the first call.\"\"\"
    mark = Path("called")
    if not mark.exists():
        mark.touch()
        sys.exit(3)
    return "twice"
"""


def test_calls_of_an_attempt_that_is_tried_again_count(folder: Path) -> None:
    """The call that killed the server is a failed call, and those before it reached the server too."""
    (folder / "server.py").write_text(stdlib_server(SERVER + DIES_ONCE + "\nserver.run()"))
    query = script(("get", {"id": 1}))
    query["script"][1:1] = script(("once", {}))["script"][:1]
    write_jsonl(folder / "p.jsonl", query)
    assert [one["attempts"] for one in batch(folder).transcripts] == [2]
    found = {tool["name"]: tool for tool in json.loads(coverage(folder, "--json").stdout)["tools"]}
    assert [(found[name]["calls"], found[name]["errors"]) for name in ("get", "once")] == [(2, 0), (2, 1)]
    assert found["once"]["returned_errors"] == 0


def test_json_has_everything(folder: Path) -> None:
    """The JSON object has each tool with its arguments and values, and the gates."""
    batch(folder)
    done = coverage(folder, "--json", "--min-coverage", "0.9", "--waive", "put")
    found = json.loads(done.stdout)
    assert found["tools"][0] == {
        "name": "get",
        "state": "covered",
        "calls": 1,
        "errors": 0,
        "returned_errors": 0,
        "arguments": [
            {"path": "id", "exercised": True},
            {"path": "full", "exercised": False, "kind": "boolean", "seen": [], "unseen": [True, False]},
        ],
    }
    assert found["gates"] == {
        "min_coverage": 0.9, "require": [], "waive": ["put"], "met": True, "covered": 1, "tools": 1, "failures": [],
        "notes": ["waived, but called: put"],
    }  # fmt: skip


def test_markdown_contains_no_markup_of_the_server(tmp_path: Path) -> None:
    """Names of tools and arguments are text, whatever characters they have."""
    hostile = "[a](b) <b>|`x`\\u202e"
    code = f"{SERVER}\nserver.add_tool(get, {hostile!r})\nserver.run()"
    (tmp_path / "server.py").write_text(stdlib_server(code))
    write_jsonl(tmp_path / "p.jsonl", GET)
    batch(tmp_path)
    done = coverage(tmp_path, "--markdown", "--min-coverage", "1")
    parsed = tokens(done.stdout)
    assert "link_open" not in {token.type for token in parsed}
    assert [token.content for token in parsed if token.type == "html_inline"] == ["<code>", "</code>"] * 3
    assert done.code == 1
    table = coverage(tmp_path)
    assert "\\u202e" in table.stdout
    assert "\u202e" not in table.stdout + done.stdout


def test_shard_only_reports_and_merge_evaluates(folder: Path) -> None:
    """A gate that no shard meets alone is met by all of them; a gate that is not met fails the merged run only."""
    add_tool(folder)
    write_jsonl(folder / "p.jsonl", GET, script(("refund", {"id": 1}), id="refund"))
    for share, code in (("0.6", 0), ("0.9", 1)):
        for number in (1, 2):
            done = batch(folder, "--shard", f"{number}/2", "--out", f"{share}-{number}", "--min-coverage", share)
            assert (done.code, done.record["coverage"]["outcome"]) == (0, None)
            assert len(coverage_lines(done.stdout)) == 1
        merged = run_mcprun("merge", f"{share}-1", f"{share}-2", "--out", f"{share}-merged", *JUNIT, cwd=folder)
        assert merged.code == code, merged.stdout
        failures = [failure.attrib["type"] for failure in ET.parse(folder / "junit.xml").iter("failure")]
        assert failures == ["coverage"] * code
        assert ("coverage is below" in merged.stdout) == bool(code)
    mixed = run_mcprun("merge", "0.6-1", "0.9-2", cwd=folder)
    assert (mixed.code, "--min-coverage, --require or --waive differs" in mixed.stderr) == (2, True)


def test_resumed_run_evaluates_the_gates_of_the_first_process(folder: Path) -> None:
    """An unfinished run has no outcome. Once it is resumed, the calls of both processes count."""
    write_jsonl(folder / "p.jsonl", {**PUT, "expect": {}}, GET)
    begun = batch(folder, "--max-failures", "1", "--concurrency", "1", "--require", "get", "--out", "run")
    assert (begun.code, begun.record["state"], begun.record["coverage"]["outcome"]) == (1, "interrupted", None)
    assert "Warning: run has not finished: its other queries may cover more" in coverage(folder, "run").stderr
    done = run_mcprun("batch", "--resume", "run", "--max-failures", "5", cwd=folder)
    outcome = json.loads((folder / "run" / "run.json").read_bytes())["coverage"]["outcome"]
    assert (outcome["failures"], done.code) == ([], 1)


def test_calls_of_a_dropped_or_changed_query_do_not_count(folder: Path) -> None:
    """`--resume --force` keeps the trace, but what no query does any longer must not make a gate green."""
    add_tool(folder)
    other = script(("refund", {"id": 1}), id="refund")
    write_jsonl(folder / "p.jsonl", GET, other, PUT)
    assert batch(folder, "--min-coverage", "0.6", "--out", "run").code == 0
    write_jsonl(folder / "p.jsonl", {**GET, "script": PUT["script"], "expect": PUT["expect"]}, other)
    done = run_mcprun("batch", "--resume", "run", "--force", cwd=folder)
    assert (
        "coverage is below --min-coverage 0.6: 1 of 3 tools (33.3 %); not called: get; only failed: put" in done.stdout
    )
    assert done.code == 1
    found = {tool["name"]: tool["calls"] for tool in json.loads(coverage(folder, "run", "--json").stdout)["tools"]}
    assert found == {"get": 0, "put": 1, "refund": 1}


def test_project_sets_gates_for_whole_suites(folder: Path) -> None:
    """Gates in `mcprun.toml` hold for `batch` and `coverage`, but not for queries that the command line selects."""
    (folder / "mcprun.toml").write_text('min-coverage = 0.9\nwaive = "nothing_*"\n')
    assert batch(folder).code == 1
    assert coverage(folder).code == 1
    assert coverage(folder, "--min-coverage", "0.5").code == 0
    selected = batch(folder, "--filter", "get")
    assert (selected.code, selected.record["coverage"]) == (0, None)
    assert batch(folder, "--filter", "get", "--min-coverage", "0.9").code == 1


@pytest.mark.parametrize("command", [("batch", "p.jsonl", "server.py"), ("coverage",)])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--min-coverage", "90"), "'--min-coverage': must be a share from 0 to 1, not 90; did you mean 0.9?"),
        (("--waive", "a["), "'--waive': must close each [ with a ]; [[] stands for the character ["),
        (("--require", ""), "'--require': must not be empty"),
    ],
)
def test_invalid_gates_are_usage_errors(
    folder: Path, command: tuple[str, ...], arguments: tuple[str, ...], message: str
) -> None:
    """A malformed pattern or share is reported before anything is run."""
    done = run_mcprun(*command, *arguments, cwd=folder)
    assert (done.code, message in done.stderr) == (2, True), done.stderr
    assert not (folder / "outputs").exists()


def test_invalid_gates_of_a_project_name_the_file(folder: Path) -> None:
    """An invalid setting is an error of every command that has the option."""
    (folder / "mcprun.toml").write_text("min-coverage = 90\n")
    for command in (("batch", "p.jsonl", "server.py", "--dry-run"), ("coverage",), ("validate", "p.jsonl")):
        done = run_mcprun(*command, cwd=folder)
        assert done.code == 2
        assert "mcprun.toml: min-coverage must be a share from 0 to 1, not 90; did you mean 0.9?" in done.stderr
    (folder / "mcprun.toml").write_text('waive = ["a*", "b["]\n')
    done = run_mcprun("validate", "p.jsonl", cwd=folder)
    assert "mcprun.toml: waive item 2 must close each [ with a ]; [[] stands for the character [" in done.stderr
    (folder / "mcprun.toml").write_text('waive = "a*"\n')
    assert run_mcprun("validate", "p.jsonl", cwd=folder).code == 0


def test_server_that_lists_nothing_is_below_any_gate(tmp_path: Path) -> None:
    """0 of 0 tools are not enough, and the summary has no line."""
    (tmp_path / "server.py").write_text(stdlib_server('StdlibServer("empty").run()'))
    write_jsonl(tmp_path / "p.jsonl", script())
    done = batch(tmp_path, "--min-coverage", "0.5")
    assert (done.code, coverage_lines(done.stdout)) == (1, [])
    assert "no tool counts for --min-coverage 0.5: the server lists none" in done.stdout
    assert coverage_lines(coverage(tmp_path).stdout) == ["Coverage: the server lists no tools"]


def test_run_whose_server_did_not_start_has_no_coverage(tmp_path: Path) -> None:
    """`mcprun coverage` says why there is nothing to cover."""
    (tmp_path / "server.py").write_text("raise SystemExit(1)")
    write_jsonl(tmp_path / "p.jsonl", GET)
    done = batch(tmp_path, "--out", "run")
    assert done.code == 3
    found = coverage(tmp_path, "run")
    assert (found.code, "run: there are no tools to cover, since the server did not start" in found.stderr) == (2, True)


def test_baseline_has_coverage_and_no_gates(folder: Path) -> None:
    """The coverage of a baseline, also of a slim one, is that of its run. Its gates are not those of the next run."""
    batch(folder, "--min-coverage", "0.5")
    expected = coverage(folder).stdout
    for arguments in ((), ("--slim",)):
        run_mcprun("bless", "latest", "baseline", "--force", *arguments, cwd=folder)
        assert coverage(folder, "baseline").stdout == expected
        assert json.loads((folder / "baseline" / "run.json").read_bytes())["coverage"] is None


CATALOG = """

@server.prompt()
def summary() -> str:
    \"\"\"Summarise.\"\"\"
    return "Summarise it."


@server.prompt()
def review() -> str:
    \"\"\"Review.\"\"\"
    return "Review it."


@server.resource("note://one", "text/plain")
def one() -> str:
    \"\"\"A note.\"\"\"
    return "One."


@server.resource("note://two", "text/plain")
def two() -> str:
    \"\"\"A note.\"\"\"
    return "Two."
"""

TEMPLATES = """

@server.resource("note://by/{author}", "text/plain")
def by(author: str) -> str:
    \"\"\"Notes of an author.\"\"\"
    return author


@server.resource("log://{day}", "text/plain")
def log(day: str) -> str:
    \"\"\"A log.\"\"\"
    return day
"""

OPENING = {"server_prompt": "summary", "resources": ["note://one"]}


@pytest.fixture
def library(folder: Path) -> Path:
    """Return the folder with a server that has prompts and resources as well."""
    (folder / "server.py").write_text(stdlib_server(SERVER + CATALOG + "\nserver.run()"))
    return folder


@pytest.mark.parametrize("arguments", [(), ("--fresh-server",), ("--servers", "2")])
def test_prompts_and_resources_are_covered_by_queries_that_take_them(library: Path, arguments: tuple[str, ...]) -> None:
    """Once a query uses one, the server's lists are read, and those that no query uses are named."""
    query = script(("get", {"id": 1}), id="a") | OPENING
    write_jsonl(library / "p.jsonl", query, query | {"id": "b", "resources": ["note://one", "note://gone"]})
    done = batch(library, *arguments)
    server = done.record["server"]
    assert (server["prompts"], server["resources"]) == (["summary", "review"], ["note://one", "note://two"])
    lines = coverage(library).stdout.splitlines()
    assert "Prompts: 1 of 2 (50 %); not used: review" in lines
    assert "Resources: 1 of 2 (50 %); not used: note://two" in lines
    found = json.loads(coverage(library, "--json").stdout)
    assert [one["covered"] for one in found["resources"]] == [True, False]
    assert len([event for event in done.trace if event["event"] == "catalog_listed"]) == 1


def test_lists_are_not_read_for_queries_that_take_nothing(library: Path) -> None:
    """A suite about tools makes no other requests, and knows no prompts."""
    done = batch(library)
    assert (done.record["server"]["prompts"], done.record["server"]["resources"]) == (None, None)
    found = json.loads(coverage(library, "--json").stdout)
    assert (found["prompts"], found["resources"]) == (None, None)


def test_resource_template_is_covered_by_a_uri_that_matches_it(library: Path) -> None:
    """A resource that only a template describes is not in the list of resources, and covers the template."""
    (library / "server.py").write_text(stdlib_server(SERVER + CATALOG + TEMPLATES + "\nserver.run()"))
    write_jsonl(library / "p.jsonl", script(id="a", resources=["note://by/ann", "note://by/bob", "note://one"]))
    done = batch(library)
    assert done.record["server"]["resource_templates"] == ["note://by/{author}", "log://{day}"]
    lines = coverage(library).stdout.splitlines()
    assert "Resources: 1 of 2 (50 %); not used: note://two" in lines
    assert "Resource templates: 1 of 2 (50 %); not used: log://{day}" in lines
    found = json.loads(coverage(library, "--json").stdout)["resource_templates"]
    assert [(one["name"], one["reads"]) for one in found] == [("log://{day}", 0), ("note://by/{author}", 2)]
    markdown = coverage(library, "--markdown").stdout
    assert "- Resource templates: 1 of 2 (50 %)" in markdown


def test_merged_run_knows_the_prompts_of_all_shards(library: Path) -> None:
    """The shard that takes nothing from the server has no lists; the merged run has those of the other."""
    write_jsonl(library / "p.jsonl", script(("get", {"id": 1}), id="a") | OPENING, GET)
    for number in (1, 2):
        batch(library, "--shard", f"{number}/2", "--out", f"s{number}")
    run_mcprun("merge", "s2", "s1", "--out", "merged", cwd=library)
    assert "Prompts: 1 of 2 (50 %); not used: review" in coverage(library, "merged").stdout


def test_diff_reports_coverage_that_fell(folder: Path) -> None:
    """`diff` names what HEAD no longer covers and new tools without a query, and does not count them as differences."""
    write_jsonl(folder / "p.jsonl", GET, script(("get", {"id": 1, "full": True}), id="full"))
    batch(folder, "--out", "base")
    add_tool(folder)
    batch(folder, "--out", "head")
    done = run_mcprun("diff", "base", "head", cwd=folder)
    assert done.code == 0
    assert squeezed(done.stdout)[-3:] == [
        "~ coverage 1 of 2 tools (50 %) → 1 of 3 tools (33.3 %)",
        "~ new tools without a query: refund",
        "2 unchanged",
    ]
    write_jsonl(folder / "p.jsonl", GET, PUT)
    batch(folder, "--out", "less")
    less = run_mcprun("diff", "base", "less", cwd=folder)
    assert "~ no longer exercised: get full" in squeezed(less.stdout)
    found = [json.loads(line) for line in run_mcprun("diff", "base", "less", "--json", cwd=folder).stdout.splitlines()]
    (coverage_found,) = [one["coverage"] for one in found if "coverage" in one]
    assert coverage_found == {
        "before": {"done": 1, "total": 2},
        "after": {"done": 1, "total": 3},
        "lost": [],
        "arguments": [{"tool": "get", "path": "full", "values": []}],
        "new": ["refund"],
    }
    assert "coverage" in run_mcprun("diff", "base", "less", "--markdown", cwd=folder).stdout
    run_mcprun("diff", "base", "less", "--html", "diff.html", cwd=folder)
    page = squeezed((folder / "diff.html").read_text())
    assert "Coverage of the server's tools: 1 of 2 tools (50 %) → 1 of 3 tools (33.3 %)" in "\n".join(page)
    assert '<li><span class="error">new tools without a query:</span> <code>refund</code></li>' in page
    assert '<li><span class="error">no longer exercised:</span> <code>get full</code></li>' in page
    verdicts = run_mcprun("diff", "base", "less", "--only", "verdict", cwd=folder)
    assert "coverage" not in verdicts.stdout


def test_damaged_files_are_named(folder: Path) -> None:
    """`coverage` needs the trace and the tools of a run, and `diff` compares transcripts without its trace."""
    batch(folder, "--out", "base")
    batch(folder, "--out", "head")
    trace = folder / "head" / "trace.jsonl"
    trace.write_bytes(b"no event\n" + trace.read_bytes())
    assert "head/trace.jsonl has a line that is not an event" in coverage(folder, "head").stderr
    assert run_mcprun("diff", "base", "head", cwd=folder).code == 0
    record = json.loads((folder / "base" / "run.json").read_bytes())
    record["server"]["tools"].append({"inputSchema": {}})
    (folder / "base" / "run.json").write_text(json.dumps(record))
    for command in (("coverage", "base"), ("diff", "base", "head"), ("show", "base")):
        done = run_mcprun(*command, cwd=folder)
        message = "base/run.json is damaged: server.tools[2]: a tool without a name"
        assert (done.code, message in done.stderr) == (2, True), done.stderr


def test_baseline_reports_coverage_that_fell(folder: Path) -> None:
    """The end of a run with a baseline names new tools too, but not if only some queries were selected."""
    batch(folder, "--out", "first")
    run_mcprun("bless", "first", "baseline", cwd=folder)
    add_tool(folder)
    done = batch(folder, "--baseline", "baseline", "--markdown", "report.md", "--html", "report.html")
    assert (done.code, "new tools without a query: refund" in done.stdout) == (0, True)
    assert "new tools without a query: refund" in run_mcprun("diff", "baseline", cwd=folder).stdout
    assert "new tools without a query: refund" in (folder / "report.md").read_text()
    assert "<summary>Coverage fell: 1 of 2 tools (50 %) → 1 of 3" in (folder / "report.html").read_text()
    selected = batch(folder, "--baseline", "baseline", "--filter", "get")
    assert "new tools without a query" not in selected.stdout
