"""HTML reports as the commands write them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.servers.kinds import PNG
from tests.support.cli import EXAMPLE_SERVERS, QUICKSTART, ROOT, SERVERS, run_mcprun, script, stdlib_server, write_jsonl
from tests.support.markup import _Markup
from tests.support.runs import call, trace_of, transcript, write_run

REGRESSION = ROOT / "prompts" / "regression"


def test_report_is_one_self_contained_file(tmp_path: Path) -> None:
    """A report contains every conversation and table, loads no resource, and is identical each time."""
    assert run_mcprun("batch", *QUICKSTART, cwd=tmp_path).code == 0
    done = run_mcprun("report", "--html", "report.html", cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    text = (tmp_path / "report.html").read_text()
    page = _Markup(text)
    assert sorted(page.islands) == ["c-0", "c-1", "c-2", "c-3", "c-4", "c-5", "data"]
    assert [row[:3] for row in page.islands["data"]["rows"]][:2] == [["add", 1, "passed"], ["add-twice", 1, "passed"]]
    assert page.islands["data"]["tools"] == ["add", "divide", "save_note", "read_note"]
    assert not page.attributes & {"src", "srcset", "action", "background", "style"}
    assert {link[:5] for link in re.findall(r'href="([^"]*)"', text)} == {"data:", "#tool"}  # links within the page
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|innerHTML =|eval\(", text)
    run_mcprun("report", "--html", "again.html", cwd=tmp_path)
    assert (tmp_path / "again.html").read_text() == text
    assert not list(tmp_path.glob("*.new"))


def test_diff_page_shows_differences_side_by_side(tmp_path: Path) -> None:
    """`mcprun diff --html` prints the same to the terminal, and the page shows differing results side by side."""
    for version, out, model in (("shop", "good", "script"), ("shop_renamed", "head", "replay:good")):
        args = (REGRESSION / "regression.jsonl", EXAMPLE_SERVERS / f"{version}.py", "--model", model, "--out", out)
        run_mcprun("batch", *args, cwd=tmp_path)
    plain = run_mcprun("diff", "good", "head", cwd=tmp_path)
    done = run_mcprun("diff", "good", "head", "--html", "diff.html", cwd=tmp_path)
    assert (done.code, done.stdout) == (1, plain.stdout)
    assert re.fullmatch(r"diff\.html: \d+\.\d kB\n", done.stderr)
    text = (tmp_path / "diff.html").read_text()
    page = _Markup(text)
    assert "✗ price  removed, probably renamed to unit_price" in text
    assert page.islands["data"]["rows"] == [
        ["apple", 1, "changed", "passed", "failed", 1, ["price → 0.5 → error: Unknown tool: price"], [], 1]
    ]
    (changed,) = page.islands["d-0"]["calls"]
    assert (changed["state"], changed["titles"]) == ("changed", ['price{item: "apple"}'] * 2)
    assert changed["result"] == [[["0.5", True]], [["error: Unknown tool: price", True]]]
    assert changed["fails"] is True
    assert page.islands["d-0"]["prompts"] == ["What does an apple cost?"] * 2
    assert page.islands["d-0"]["sides"][1]["causes"] == [
        "tool_errors: call 0: price{item: \"apple\"} returned an error: 'Unknown tool: price'"
        " (the server has no tool 'price'; did you mean 'unit_price'?)"
    ]


def test_scrubbed_and_ignored_values_do_not_differ_on_the_page(tmp_path: Path) -> None:
    """`--scrub` and `--ignore` apply to the page's side-by-side view, and transcript files can be compared."""
    for name, at, price in (("base", "2026-11-22", 1), ("head", "2026-11-23", 2)):
        one = transcript("q", call("price", structured={"at": at, "seen": name, "price": price}))
        write_jsonl(tmp_path / f"{name}.jsonl", one.line())
    args = ("--scrub", "timestamp", "--ignore", "**.seen", "--html", "d.html")
    assert run_mcprun("diff", "base.jsonl", "head.jsonl", *args, cwd=tmp_path).code == 1
    (compared,) = _Markup((tmp_path / "d.html").read_text()).islands["d-0"]["calls"]
    assert [line for line, differs in compared["result"][1] if differs] == [['    "price": ', "2"]]


def test_repeats_share_one_row_of_the_page(tmp_path: Path) -> None:
    """A repeated query has one row with its rates, and shows the repeats that differ most clearly."""
    for name, prices in (("base", (1, 1, 1, 1)), ("head", (1, 1, 3, 3))):
        transcripts = [
            transcript("q", call("price", structured={"price": price}), repeat=number).line()
            for number, price in enumerate(prices, 1)
        ]
        write_jsonl(tmp_path / f"{name}.jsonl", *transcripts)
    assert run_mcprun("diff", "base.jsonl", "head.jsonl", "--html", "d.html", cwd=tmp_path).code == 1
    islands = _Markup((tmp_path / "d.html").read_text()).islands
    message = "new in 2 runs, for example repeat 3: call 0 price{} result"
    assert islands["data"]["rows"] == [["q", 1, "changed", "4/4", "4/4", 1, [message], [], 1]]
    (shown,) = islands["d-0"]["calls"]
    differing = [["".join(line).strip() for line, differs in side if differs] for side in shown["result"]]
    assert differing == [['"price": 1'], ['"price": 3']]


def test_report_of_a_slim_baseline(tmp_path: Path) -> None:
    """The report of a slim baseline states that durations are unknown, and shows its calls."""
    assert run_mcprun("batch", *QUICKSTART, cwd=tmp_path).code == 0
    assert run_mcprun("bless", "latest", "baseline", "--slim", cwd=tmp_path).code == 0
    assert run_mcprun("report", "baseline", "--html", "b.html", cwd=tmp_path).code == 0
    text = (tmp_path / "b.html").read_text()
    assert "No durations: this run has no trace." in text
    assert [item["kind"] for item in _Markup(text).islands["c-0"]["items"]] == ["call", "text"]


def test_report_shows_every_kind_of_content(tmp_path: Path) -> None:
    """Images of permitted types are embedded, and all other binary content is named."""
    tools = ["image", "drawing", "audio", "link", "embedded_text", "embedded_pdf", "empty"]
    prompts = write_jsonl(tmp_path / "p.jsonl", script(*((tool, {}) for tool in tools)))
    assert run_mcprun("batch", prompts, SERVERS / "kinds.py", cwd=tmp_path).code == 0
    run_mcprun("report", "--html", "r.html", cwd=tmp_path)
    items = _Markup((tmp_path / "r.html").read_text()).islands["c-0"]["items"]
    assert [[one.get("text", one.get("data")) for one in item["items"]] for item in items if item["kind"] == "call"] == [
        [PNG], ["[image, image/svg+xml, 41 bytes, not shown]"], ["[audio, audio/wav]"], ["[resource link demo://readme]"],
        ["[resource demo://readme]\n# Read me"], ["[resource demo://paper, binary]"], [],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["report", "nope", "--html", "r.html"], "there is no run at nope"),
        (["report", "run", "--html", "run/run.json/r.html"], "can't write run/run.json/r.html: "),
        (["report", "torn", "--html", "r.html"], "torn/trace.jsonl has a line that is not an event"),
        (["diff", "torn", "run", "--html", "no/d.html"], "can't write no/d.html: No such file or directory"),
    ],
)
def test_failed_report_writes_no_file(tmp_path: Path, args: list[str], message: str) -> None:
    """A report that fails exits with 2, prints one message and writes no file."""
    write_run(tmp_path / "run", [transcript("a")])
    write_run(tmp_path / "torn", [transcript("a")], [{"event": "model_call"}])
    done = run_mcprun(*args, cwd=tmp_path)
    assert (done.code, message in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    assert not list(tmp_path.glob("*.html*"))


@pytest.mark.parametrize(
    "line",
    ["nothing", "[]", '{"event": 1, "at": "2026-11-22T10:00:00Z"}', '{"event": "x"}', '{"event": "x", "at": "noon"}',
     '{"event": "x", "at": "2026-11-22T10:00:00Z", "seconds": "1"}',
     '{"event": "x", "at": "2026-11-22T10:00:00Z", "seconds": NaN}'],
)  # fmt: skip
def test_invalid_trace_line_is_one_message(tmp_path: Path, line: str) -> None:
    """A complete line that is not an event is one error; an invalid last line without a newline is ignored."""
    run = write_run(tmp_path / "run", [transcript("a")], trace_of([transcript("a")]))
    with (run / "trace.jsonl").open("a") as stream:
        stream.write(line)
    assert run_mcprun("report", "run", "--html", "r.html", cwd=tmp_path).code == 0
    with (run / "trace.jsonl").open("a") as stream:
        stream.write("\n")
    done = run_mcprun("report", "run", "--html", "r.html", cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "Error: run/trace.jsonl has a line that is not an event\n")


def test_page_of_a_regressed_run_is_red_and_shows_what_changed(tmp_path: Path) -> None:
    """The page has a banner, links to each regressed query, and both results; without a baseline, the recorded one."""
    server = stdlib_server(
        "import pathlib\nserver = StdlibServer('s')\n@server.tool()\ndef price() -> str:\n"
        "    return pathlib.Path('price').read_text()\nserver.run()\n"
    )
    (tmp_path / "s.py").write_text(server)
    (tmp_path / "price").write_text("it is 5")
    write_jsonl(tmp_path / "p.jsonl", script(("price", {}), id="a/b"), script(id="same"))
    batch = ("batch", "p.jsonl", "s.py")
    assert run_mcprun(*batch, "--out", "base", cwd=tmp_path).code == 0
    (tmp_path / "price").write_text("it is 6")
    replay = (*batch, "--model", "replay:base", "--html", "h.html")
    assert run_mcprun(*replay, "--baseline", "base", "--out", "red", cwd=tmp_path).code == 1
    page = (tmp_path / "h.html").read_text()
    assert '<p class="outcome failed" role="status">FAILED: 1 regression</p>' in page
    assert '<span class="message">regressed: call 0 price{}: it is 5 → it is 6</span>' in page
    assert '<a href="#q=a%2Fb">a/b</a>' in page
    assert '<a href="#baseline=result">1 result changed</a>, 1 unchanged' in " ".join(page.split())
    paths = [{"path": "", "sides": [[[["it is ", "5"], True]], [[["it is ", "6"], True]]], "errors": [False, False]}]
    changed = {"what": "result", "title": "call 0 price{}", "call": 0, "paths": paths, "more": 0}
    assert _Markup(page).islands["c-0"]["against"] == [changed]
    assert "recorded" not in _Markup(page).islands["c-0"]
    assert "against" not in _Markup(page).islands["c-1"]
    assert run_mcprun(*replay, cwd=tmp_path).code == 0
    page = (tmp_path / "h.html").read_text()
    assert _Markup(page).islands["c-0"]["recorded"] == [changed]
    assert '<p class="outcome' not in page
    assert run_mcprun("report", "red", "--html", "later.html", cwd=tmp_path).code == 0
    assert "FAILED: 1 regression" in (tmp_path / "later.html").read_text()


def test_tags_metadata_and_expectations_are_recorded_without_secrets(tmp_path: Path) -> None:
    """A transcript holds what its query asks for, redacted, so that the page shows it wherever the run is."""
    secret = "s3cret-of-the-shop"
    asked: dict[str, Any] = {"tags": ["slow", secret], "metadata": {"owner": "billing", "token": secret},
             "expect": {"text": {"not_contains": [secret]}}}  # fmt: skip
    write_jsonl(tmp_path / "p.jsonl", script(id="a", **asked), script(id="b"))
    args = ("batch", "p.jsonl", EXAMPLE_SERVERS / "shop.py", "--env", "TOKEN", "--out", "run", "--html", "r.html")
    done = run_mcprun(*args, cwd=tmp_path, env={"TOKEN": secret})
    assert done.code == 0
    first, second = done.transcripts
    assert (first["tags"][0], first["metadata"]["owner"]) == ("slow", "billing")
    assert list(first["expect"]["text"]) == ["not_contains"]
    assert not {"tags", "metadata", "expect"} & second.keys()
    page = (tmp_path / "r.html").read_text()
    assert _Markup(page).islands["c-0"]["asked_for"]["tags"][0] == "slow"
    assert _Markup(page).islands["c-1"]["asked_for"] == {}
    assert secret not in page + (tmp_path / "run" / "transcripts.jsonl").read_text()
