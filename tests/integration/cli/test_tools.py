"""`mcprun tools` lists, saves, compares and lints the tools of a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.catalogs import catalog
from tests.support.cli import EXAMPLE_SERVERS, RAW, clean_environment, run_mcprun, script, squeezed, write_jsonl
from tests.support.shop import REGRESSION

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

SHOP, RENAMED = EXAMPLE_SERVERS / "shop.py", EXAMPLE_SERVERS / "shop_renamed.py"


def test_tools_are_listed_with_their_inputs(tmp_path: Path) -> None:
    """`tools` lists arguments, the first line of descriptions, annotations and totals, and creates no run."""
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "number"}, "unit": {"enum": ["C", "F"]}, "tags": {"type": "array", "items": {"type": "string"}},
            "when": {"anyOf": [{"$ref": "#/$defs/Day"}, {"type": "null"}]}, "free": {},
        },
        "required": ["a"],
        "$defs": {"Day": {"type": "object", "properties": {"year": {"type": "integer"}}}},
    }  # fmt: skip
    hints = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}
    server = catalog(
        tmp_path,
        {"name": "warm", "description": "Warm it.\nNot too much.", "inputSchema": schema, "annotations": hints},
        {"name": "chill", "inputSchema": {"type": "object"}, "annotations": {"destructiveHint": False}},
    )
    done = run_mcprun("tools", *server, cwd=tmp_path, env={"COLUMNS": "200"})
    assert (done.code, done.stderr) == (0, "")
    assert squeezed(done.stdout) == [
        "catalog 1, protocol 2025-11-25",
        "chill{} [not destructive]",
        'warm{a: number, unit?: "C" | "F", tags?: string[], when?: Day | null, free?: any} Warm it. [read-only, closed world]',
        "2 tools, about 118 tokens",
    ]
    assert not list(tmp_path.glob("outputs"))


def test_a_list_fits_the_terminal(tmp_path: Path) -> None:
    """On a narrow terminal, names are not cut off and no line is wider than the terminal."""
    done = run_mcprun("tools", RAW, "--", "odd", cwd=tmp_path, env={"COLUMNS": "40"})
    assert max(map(len, done.stdout.splitlines())) <= 40
    assert "x" * 20 in done.stdout


def test_a_snapshot_is_reproducible(tmp_path: Path) -> None:
    """Two snapshots of a server have the same bytes, and the server does not differ from its snapshot."""
    done = run_mcprun("tools", SHOP, "--snapshot", "a.json", cwd=tmp_path)
    assert (done.code, done.stdout) == (0, "a.json: 2 tools, about 132 tokens\n")
    second = run_mcprun("tools", SHOP, "--snapshot", "b.json", "--against", "a.json", "--strict", cwd=tmp_path)
    assert (second.code, second.stdout) == (0, "no changes\nb.json: 2 tools, about 132 tokens\n")
    text = (tmp_path / "a.json").read_text()
    assert text == (tmp_path / "b.json").read_text()
    assert text.startswith('{\n  "schema": 1,\n  "name": "shop",\n  "version": "1.0.0",\n  "protocol": "')
    assert text.endswith("}\n")
    assert [tool["name"] for tool in json.loads(text)["tools"]] == ["price", "total"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_the_message_about_an_invalid_snapshot_names_its_key(tmp_path: Path) -> None:
    """One line names the file and the invalid key, or says that a newer version wrote the file."""
    snapshot = {"schema": 1, "name": "shop", "version": "1", "protocol": "2026-07-28", "tools": []}
    for change, expected in (
        (
            {"schema": 2},
            "old.json was written by a newer version of mcprun (its schema is 2, and this version reads up to 1)",
        ),
        ({"schema": "1"}, "old.json is not a snapshot: schema is text, not a whole number"),
        ({"protocol": 7}, "old.json is not a snapshot: protocol is a number, not text"),
        ({"tools": {}}, "old.json is not a snapshot: tools is an object, not a list"),
    ):
        (tmp_path / "old.json").write_text(json.dumps({**snapshot, **change}))
        done = run_mcprun("tools", SHOP, "--against", "old.json", cwd=tmp_path)
        assert (done.code, expected in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr


def test_a_renamed_tool_is_breaking(tmp_path: Path) -> None:
    """A renamed tool is a breaking change from a snapshot and from a run.

    It exits with 1, and one line gives the probable new name.
    """
    assert run_mcprun("batch", REGRESSION / "regression.jsonl", SHOP, cwd=tmp_path).code == 0
    run_mcprun("tools", SHOP, "--snapshot", "shop.json", cwd=tmp_path)
    for against in ("shop.json", "latest", "outputs/latest"):
        done = run_mcprun("tools", RENAMED, "--against", against, cwd=tmp_path)
        assert (done.code, done.stdout.splitlines()) == (
            1,
            ["✗ price  removed, probably renamed to unit_price", "1 breaking change, 0 non-breaking"],
        )
        assert run_mcprun("tools", SHOP, "--against", against, "--strict", cwd=tmp_path).code == 0


def test_non_breaking_changes_fail_only_with_strict(tmp_path: Path) -> None:
    """Non-breaking changes exit with 1 only with `--strict`.

    Breaking changes are listed first, and the summary counts both.
    """
    tool = {"name": "a", "description": "Old words.", "inputSchema": {"type": "object"}}
    other = {"name": "b", "inputSchema": {"type": "object"}}
    server, *args = catalog(tmp_path, tool, other)
    run_mcprun("tools", server, "--snapshot", "old.json", *args, cwd=tmp_path)
    (tmp_path / "listed.json").write_text(json.dumps([{**tool, "description": "New words."}, other]))

    def compare(*flags: str) -> tuple[int, list[str]]:
        done = run_mcprun("tools", server, "--against", "old.json", *flags, *args, cwd=tmp_path)
        return done.code, done.stdout.splitlines()

    harmless = '~ a  description: "Old words." → "New words."'
    assert compare() == (0, [harmless, "0 breaking changes, 1 non-breaking"])
    assert compare("--strict") == (1, [harmless, "0 breaking changes, 1 non-breaking"])
    needs = {"type": "object", "properties": {"x": {"type": "null"}}, "required": ["x"]}
    (tmp_path / "listed.json").write_text(
        json.dumps([{**tool, "description": "New words."}, {**other, "inputSchema": needs}])
    )
    assert compare() == (
        1,
        ['✗ b  input.x: new required argument {"type": "null"}', harmless, "1 breaking change, 1 non-breaking"],
    )


def test_line_breaks_in_names_are_replaced(tmp_path: Path) -> None:
    """A finding stays on one line if the name of the tool or the argument contains a line break."""
    schema = {"type": "object", "properties": {"x\ny": {}}}
    server, *args = catalog(tmp_path, {"name": "a\nb", "inputSchema": schema})
    done = run_mcprun("tools", server, "--lint", *args, cwd=tmp_path)
    assert all(line.startswith(("✗ a b  ", "! a b  ", "2 errors")) for line in done.stdout.splitlines())
    assert "! a b  arguments without a description: x y\n" in done.stdout


def test_lint_reports_errors_and_warnings(tmp_path: Path) -> None:
    """`--lint` exits with 1 for errors, and with `--strict` for warnings too."""
    odd = run_mcprun("tools", RAW, "--lint", "--", "odd", cwd=tmp_path)
    assert odd.code == 1
    assert "✗ keys  the property key 'user id' is sent to the API as 'user_id_9b55b418'" in odd.stdout
    assert "✗ plain  is listed twice; the second entry is left out" in odd.stdout
    assert odd.stdout.splitlines()[-1] == "8 errors, 14 warnings in 8 tools, about 243 tokens"
    shop = run_mcprun("tools", SHOP, "--lint", cwd=tmp_path)
    assert (shop.code, shop.stdout.splitlines()) == (
        0,
        [
            "! price  arguments without a description: item",
            "! total  arguments without a description: items",
            "0 errors, 2 warnings in 2 tools, about 132 tokens",
        ],
    )
    assert run_mcprun("tools", SHOP, "--lint", "--strict", cwd=tmp_path).code == 1


def test_json_has_the_same_keys_with_any_options(tmp_path: Path) -> None:
    """`--json` prints one object with the same keys each time, `null` for those that were not requested."""
    plain = json.loads(run_mcprun("tools", SHOP, "--json", "--snapshot", "shop.json", cwd=tmp_path).stdout)
    assert plain["server"] | {"protocol": ""} == {"name": "shop", "version": "1.0.0", "protocol": ""}
    assert [tool["name"] for tool in plain["tools"]] == ["price", "total"]
    assert plain["tokens"]["total"] == sum(plain["tokens"]["tools"].values())
    assert (plain["changes"], plain["findings"]) == (None, None)
    done = run_mcprun("tools", RENAMED, "--json", "--lint", "--against", "shop.json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (done.code, list(data)) == (1, list(plain))
    assert data["changes"] == [
        {
            "tool": "price", "kind": "tool_renamed", "breaking": True,
            "message": "removed, probably renamed to unit_price", "before": "price", "after": "unit_price",
        }
    ]  # fmt: skip
    assert [finding["rule"] for finding in data["findings"]] == ["argument_description", "argument_description"]


WRITE = "; write a snapshot with: mcprun tools SERVER --snapshot FILE\n"
"""The end of the message about a file that is not a snapshot."""


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["nope.py"], 2, "Error: server file not found: nope.py\n"),
        ([RAW, "--against", "nope"], 2, "Error: there is no snapshot or run at nope or outputs/nope; write a"
         " snapshot with: mcprun tools SERVER --snapshot nope\n"),
        ([RAW, "--against", "latest"], 2, "Error: there is no run in outputs/ yet: create one with mcprun batch\n"),
        ([RAW, "--against", "text"], 2, "Error: text is not a snapshot: it is text that begins with 'no JSON'; "),
        ([RAW, "--against", "list"], 2, f"Error: list is not a snapshot: it is a list{WRITE}"),
        ([RAW, "--against", "prompts.jsonl"], 2, f"Error: prompts.jsonl is not a snapshot: it is a prompts file{WRITE}"),
        ([RAW, "--against", "query.json"], 2, f"Error: query.json is not a snapshot: it is a prompts file{WRITE}"),
        ([RAW, "--against", "cut.json"], 2, "Error: cut.json is not a snapshot: it is incomplete JSON (it ends at line 1, column 16); "),
        ([RAW, "--against", "deep"], 2, "Error: deep is not a snapshot: it is nested more than 200 deep; "),
        ([RAW, "--against", "abyss"], 2, "Error: abyss is not a snapshot: it is nested more than 200 deep; "),
        ([RAW, "--against", "bare"], 2, "Error: bare is not a snapshot: protocol is missing; "),
        ([RAW, "--against", "unnamed"], 2, "Error: unnamed is not a snapshot: a tool has no name; "),
        ([RAW, "--snapshot", "no/such/a.json"], 2, "Error: can't write no/such/a.json: there is no folder no/such\n"),
        ([RAW, "--header", "A: b"], 2, "Error: --header applies only to a URL; "),
        ([RAW, "--", "exit"], 3, "Error: the server exited before it responded: "),
        ([RAW, "--", "no-list"], 3, "Error: the server's tool list is invalid: tools is null, not a list"),
        ([RAW, "--connect-timeout", "1", "--", "mute"], 3, "Error: the server did not respond within 1 s"),
    ],
)  # fmt: skip
def test_errors_are_one_message_and_write_nothing(
    tmp_path: Path, args: list[str | Path], code: int, message: str
) -> None:
    """Invalid arguments and snapshots exit with 2, and a server that does not start exits with 3.

    Each prints one message and writes nothing.
    """
    (tmp_path / "text").write_text("no JSON")
    (tmp_path / "list").write_text("[]")
    write_jsonl(tmp_path / "prompts.jsonl", script(), script(id="r"))
    write_jsonl(tmp_path / "query.json", script())
    (tmp_path / "cut.json").write_text('{"schema": 1, "t')
    (tmp_path / "deep").write_text('{"a":' + "[" * 250 + "]" * 250 + "}")
    (tmp_path / "abyss").write_text("[" * 100_000 + "]" * 100_000)
    (tmp_path / "bare").write_text('{"tools": []}')
    (tmp_path / "unnamed").write_text('{"protocol": "x", "tools": [{"name": 1}]}')
    before = sorted(tmp_path.iterdir())
    done = run_mcprun("tools", *args, cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr[: len(message)]) == (code, "", message)
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_the_stderr_of_a_server_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    """The message is followed by the last lines of the server's stderr."""
    done = run_mcprun("tools", RAW, "--", "exit", cwd=tmp_path)
    assert done.stderr.splitlines()[1:3] == ["Last lines of the server's stderr:", "  fatal: DATABASE_URL is not set"]


def test_non_protocol_output_on_stdout_is_a_warning(tmp_path: Path) -> None:
    """Non-protocol output on the server's stdout gives a warning, and the command succeeds."""
    done = run_mcprun("tools", RAW, "--", "noise", cwd=tmp_path)
    assert done.code == 0
    assert done.stderr == (
        "Warning: the server wrote non-protocol output to stdout; log to stderr instead: Server is listening!\n"
    )


def test_secrets_are_redacted(tmp_path: Path) -> None:
    """A value of `--env` that a tool repeats, and text that matches `--redact`, are in no file and no output."""
    tool = {"name": "t", "description": "Key hunter2secret, code 12345.", "inputSchema": {"type": "object"}}
    server, *args = catalog(tmp_path, tool)
    hidden = ["--env", "KEY=hunter2secret", "--redact", "[0-9]{5}"]
    more = ["--snapshot", "a.json", "--lint", "--json"]
    done = run_mcprun("tools", server, *hidden, *more, *args, cwd=tmp_path)
    output = (tmp_path / "a.json").read_text() + done.stdout + done.stderr
    assert "hunter2secret" not in output
    assert "12345" not in output
    assert output.count("Key [redacted], code [redacted].") == 2
    assert run_mcprun("tools", server, *hidden, "--against", "a.json", "--strict", *args, cwd=tmp_path).code == 0


def test_control_characters_and_markup_are_escaped(tmp_path: Path) -> None:
    """Escape sequences and markup in the texts of a tool are printed as visible text, and the output is bounded."""
    evil = "\x1b[2J\x07[red]red[/red]\u202e\n"
    schema = {"type": "object", "properties": {evil: {"enum": [evil]}, "x" * 5000: {"const": evil}}, evil: evil}
    server, *args = catalog(tmp_path, {"name": evil, "description": f"{evil}{evil * 500}", "inputSchema": schema})
    shown = [
        run_mcprun("tools", server, *flags, *args, cwd=tmp_path) for flags in ([], ["--lint"], ["--snapshot", "a"])
    ]
    (tmp_path / "listed.json").write_text(json.dumps([{"name": evil, "inputSchema": {"type": "object", evil: 1}}]))
    shown.append(run_mcprun("tools", server, "--against", "a", *args, cwd=tmp_path))
    for done in shown:
        assert not any(character in done.stdout + done.stderr for character in "\x1b\x07\u202e")
        assert len(done.stdout) < 15_000
    assert all(r"\x1b[2J\x07[red]red[/red]\u202e" in one.stdout.replace("\n", "") for one in (shown[1], shown[3]))


def test_an_interrupt_exits_with_130_and_stops_the_server(tmp_path: Path) -> None:
    """Ctrl-C while the server does not respond prints one word and exits with 130, and the server exits."""
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    (tmp_path / "mute.py").write_text(f"import sys; open({str(ready)!r}, 'w').close(); sys.stdin.read()")
    command = [sys.executable, "-m", "mcprun", "tools", "mute.py"]
    process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True)
    ready.open().close()  # blocks until the server runs
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "Interrupted.\n")
