"""Make runs of every kind that a report explains: `python -m tests.support.red_runs FOLDER [KIND…] [--queries N]`.

Each kind is made in a folder of its own, with the real command and the server `tests/servers/orders.py`; only `large`
and `routed` are written directly, and `steps` has the server `tests/servers/tracker.py`.

- `causes`: red for six causes, with queries that pass
- `renamed`: compared with a baseline, after a tool was renamed and a result has changed
- `dead`: the server exits before it answers
- `flaky`: queries that are repeated, some below their pass rate
- `turns`: a conversation of 40 turns
- `large`: 10,000 queries, 550 of which did not pass, for five causes
- `stopped`: ended early by `--max-failures`
- `diff`: the comparison of two runs
- `green`: everything passed
- `routed`: a routed run of 60 tools with long names, in which some are taken for others
- `steps`: queries with steps before and after the conversation, of which one is not set up
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcprun.report.html.page import write_page
from mcprun.report.html.run_page import report
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript, Usage
from tests.support.cli import SERVERS, clean_environment, commands, script, write_jsonl
from tests.support.routed_runs import PLANTED, ROUTE, routed
from tests.support.runs import broken, call, failed, trace_of, transcript, write_run

ORDERS = SERVERS / "orders.py"

JsonObject = dict[str, Any]

FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
"""An emoji of three, joined."""


@dataclass(frozen=True)
class Made:
    """A run and what was printed: `page` is its HTML page, `stdout` and `stderr` the output of the last command."""

    kind: str
    page: Path
    run: Path
    stdout: str = ""
    stderr: str = ""

    @property
    def markdown(self) -> Path:
        """The run's summary in Markdown; `large` has none."""
        return self.page.with_name("report.md")

    @property
    def junit(self) -> Path:
        """The run's JUnit file; `large` has none."""
        return self.page.with_name("junit.xml")


def make(kind: str, folder: Path, **options: Any) -> Made:
    """Make a run of a kind in `folder/KIND`."""
    (folder / kind).mkdir(parents=True)
    return _MAKERS[kind](folder / kind, **options)


def _causes(folder: Path) -> Made:
    limits = ("--call-timeout", "1", "--max-turns", "3", "--no-retry", "--concurrency", "4", "--system", "Be brief.")
    return _batch("causes", folder, list(_red_queries()), *limits)


def _red_queries() -> Iterator[JsonObject]:
    for at in range(12):
        order = {"order": f"A-{1200 + 7 * at}"}
        answer = {"text": f"Shipped. {FAMILY}" if at == 0 else "Shipped."}
        yield {
            "id": f"order-{at}", "prompt": f"Where is my order {order['order']}?", "tags": ["orders"],
            "metadata": {"owner": "fulfilment", "ticket": f"OPS-{at}"},
            "script": [{"calls": [{"tool": "get_order", "input": order}]}, answer],
        }  # fmt: skip
    for at in range(5):
        refunding = ("refund", {"order": f"B-{300 + at}", "amount": 250 + at})
        yield script(refunding, id=f"refund-{at}", prompt=f"Refund my order B-{300 + at}.", tags=["refunds"])
    for at in range(3):
        expected = {"text": {"contains": "12 pieces", "regex": r"^\d+ pieces(, \w+)?$"}}
        more: JsonObject = {
            "expect": expected,
            "prompt": f"How many chairs of type {at} are in stock?",
            "tags": ["stock"],
        }
        yield script(("stock", {"item": f"chair {at}"}), id=f"stock-{at}", text="21 chairs.", **more)
    for at in range(2):
        one_turn = {"max_turns": 1}
        yield script(
            ("list_stores", {"city": f"city {at}"}), id=f"stores-{at}", prompt="Which stores?", expect=one_turn
        )
    for at in range(2):
        yield script(("report", {"month": 13 + at}), id=f"report-{at}", prompt="How was the month?")
    again = [{"calls": [{"tool": "stock", "input": {"item": f"lamp {at}"}}]} for at in range(6)]
    yield {"id": "endless", "prompt": "Count all lamps.", "script": [*again, {"text": "Six."}]}
    yield script(("export", {"format": "xlsx"}), id="export", prompt="Export all orders.")
    wrong = {
        "calls": [{"tool": "get_order", "input": {"order": "C-1"}, "result": {"state": "delivered", "total": "9 EUR"}}]
    }
    yield script(("get_order", {"order": "C-1"}), id="delivered", prompt="Was C-1 delivered?", expect=wrong)


def _renamed(folder: Path) -> Made:
    queries = [
        *(
            script(("get_order", {"order": f"D-{at}"}), id=f"order-{at}", prompt=f"Where is D-{at}?")
            for at in range(11)
        ),
        *(
            script(("list_stores", {"city": f"city {at}"}), id=f"stores-{at}", prompt="Which stores?")
            for at in range(3)
        ),
        *(script(("stock", {"item": f"lamp {at}"}), id=f"stock-{at}", prompt="How many lamps?") for at in range(4)),
    ]
    _batch("renamed", folder, queries, "--out", "good")
    _mcprun(folder, "bless", "good", "baseline")
    return _batch("renamed", folder, queries, "--model", "replay:baseline", "--baseline", "baseline", "--", "changed")


def _dead(folder: Path) -> Made:
    return _batch("dead", folder, list(_red_queries())[:6], "--", "dead")


def _flaky(folder: Path) -> Made:
    rates = {"always": "111111", "mostly": "111011", "half": "010100", "never": "000000", "steady": "111111"}
    queries = [
        {**script(("roll", {"name": name, "passing": passing}), id=f"flaky-{name}"), "prompt": f"Is {name} in stock?"}
        for name, passing in rates.items()
    ]
    return _batch("flaky", folder, queries, "--repeat", "6", "--pass-rate", "0.7", "--concurrency", "1")


def _turns(folder: Path) -> Made:
    tools = ("get_order", "stock", "list_stores")
    inputs = ("order", "item", "city")
    turns: list[JsonObject] = [
        {"text": f"Step {at}.", "calls": [
            {"tool": tools[(at + n) % 3], "input": {inputs[(at + n) % 3]: f"number {at}"}} for n in range(1 + at % 4)
        ]}
        for at in range(39)
    ]  # fmt: skip
    turns[30]["calls"].append({"tool": "refund", "input": {"order": "E-30", "amount": 1000}})
    long = {
        "id": "inventory",
        "prompt": "Check all orders and their stock.",
        "script": [*turns, {"text": "All checked."}],
    }
    return _batch("turns", folder, [long, script(id="short")], "--max-turns", "50")


def _stopped(folder: Path) -> Made:
    queries = [query for query in _red_queries() if query["id"].startswith(("order", "refund", "stock", "stores"))]
    return _batch("stopped", folder, queries[::-1], "--max-failures", "9", "--concurrency", "1")


def _green(folder: Path) -> Made:
    return _batch("green", folder, list(_red_queries())[:12])


def _diff(folder: Path) -> Made:
    queries = list(_red_queries())
    chosen = [query for query in queries if query["id"].startswith(("order", "refund", "stock", "stores"))]
    _batch("diff", folder, chosen, "--out", "base")
    _batch("diff", folder, [*chosen[1:], script(id="new")], "--out", "head", "--", "changed")
    done = _mcprun(folder, "diff", "base", "head", "--html", "diff.html")
    return Made("diff", folder / "diff.html", folder / "head", done.stdout, done.stderr)


def _steps(folder: Path) -> Made:
    number = {"$from": "issue", "path": "/structuredContent/id"}
    get, delete = {"tool": "get_issue", "input": {"id": number}}, {"tool": "delete_issue", "input": {"id": number}}
    queries: list[JsonObject] = [
        {
            "id": name, "before": [{"id": "issue", "tool": "create_issue", "input": {"title": title}}],
            "vars": {"number": number}, "prompt": "Close issue {{number}}.",
            "script": [{"calls": [{"tool": "close_issue", "input": {"id": "{{number}}"}}]}, {"text": "Closed."}],
            "after": [{**get, "id": "state", "result": {"status": status}}, {"resource": "issue://log"}],
            "cleanup": [delete, *([delete] if status == "open" else [])],
        }
        for name, title, status in (("closed", "Broken {{unique}}", "closed"), ("open", "Odd", "open"), ("untitled", "", ""))
    ]  # fmt: skip
    return _batch("steps", folder, queries, server=SERVERS / "tracker.py")


def _routed(folder: Path) -> Made:
    names = [f"a_long_name_that_all_tools_begin_with_{number:02}" for number in range(60)]
    queries = [routed(f"right-{n}", name, name) for n, name in enumerate(names)]
    queries += [routed(f"wrong-{n}", names[n], names[n + 1]) for n in range(12)]
    queries += [*PLANTED, routed("odd", "close_issue", FAMILY)]
    path = write_run(folder / "run", queries, trace_of(queries), route=ROUTE)
    write_page(folder / "report.html", report(Run.read(str(path))))
    return Made("routed", folder / "report.html", path)


def _large(folder: Path, queries: int = 10_000) -> Made:
    path = write_run(folder / "run", many_queries(queries), trace_of(many_queries(queries)))
    write_page(folder / "report.html", report(Run.read(str(path))))
    return Made("large", folder / "report.html", path)


def many_queries(number: int) -> Iterator[Transcript]:
    """Generate transcripts. About 6 % did not pass, for five causes that differ in numbers and names only."""
    usage = Usage(input_tokens=900, output_tokens=40)
    for at in range(number):
        name, prompt = f"query-{at:05}", f"What does item {at} cost, and is it in stock?"
        calls = [call("price", f"{at}", input={"item": f"item {at}"}), call("stock", "yes", turn=0)]
        more: JsonObject = {
            "prompt": prompt,
            "text": f"It costs {at}. " + "The words of a usual answer. " * 12,
            "usage": usage,
        }
        match at % 100:
            case 3 | 53:
                yield failed(name, f"call 0, price: limit exceeded ({at} > 2)", *calls, **more)
            case 17:
                yield failed(name, f'text.contains: expected "{at + 1}", got "It costs {at}."', *calls, **more)
            case 40:
                yield broken(
                    name, "query_timeout", f"timed out after {1 + at % 7} s in call 1, `stock`", *calls, **more
                )
            case 71:
                yield failed(name, f"took {3 + at % 3} turns, at most 2 allowed", *calls, **more)
            case 95 if at % 200 == 95:
                yield broken(name, "server_died", f"the server exited with code {at % 4 + 1}", *calls, **more)
            case _:
                yield transcript(name, *calls, **more)


_MAKERS: dict[str, Callable[..., Made]] = {
    "causes": _causes, "renamed": _renamed, "dead": _dead, "flaky": _flaky, "turns": _turns, "large": _large,
    "stopped": _stopped, "diff": _diff, "green": _green, "steps": _steps, "routed": _routed,
}  # fmt: skip

KINDS = tuple(_MAKERS)


def _batch(kind: str, folder: Path, queries: list[JsonObject], *arguments: str, server: Path = ORDERS) -> Made:
    """Run queries and write every report. Arguments after `--` select the server's version."""
    write_jsonl(folder / "queries.jsonl", *queries)
    options, version = list(arguments), []
    if "--" in options:
        at = options.index("--")
        options, version = options[:at], options[at:]
    if "--out" not in options:
        options += ["--out", "run"]
    out = options[options.index("--out") + 1]
    reports = ("--html", "report.html", "--markdown", "report.md", "--junit", "junit.xml")
    done = _mcprun(folder, "batch", "queries.jsonl", str(server), *options, *reports, *version)
    return Made(kind, folder / "report.html", folder / out, done.stdout, done.stderr)


def _mcprun(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command. Exit codes of red runs are expected; usage errors are not."""
    command = [str(Path(commands(), "mcprun")), *arguments]
    done = subprocess.run(command, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(done.stderr)
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make runs of every kind.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument("--queries", type=int, default=10_000, help="queries of the kind large")
    asked = parser.parse_args()
    for name in asked.kinds:
        made = make(name, asked.folder, **({"queries": asked.queries} if name == "large" else {}))
        sys.stdout.write(f"{made.page}: {made.page.stat().st_size:,} bytes\n{made.stdout}{made.stderr}\n")
