"""`mcprun call`: one call, its result, and the query that repeats it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import SERVERS, run_mcprun

KINDS = SERVERS / "kinds.py"


@pytest.mark.parametrize(
    ("words", "code", "stdout", "stderr"),
    [
        (["echo", "text=hi there"], 0, "hi there\n", ""),
        (["echo", '{"text": "\\u001b[31m"}'], 0, "\\x1b[31m\n", ""),
        (["structured", "name=x"], 0, '{\n  "greeting": "Hello, x"\n}\n', ""),
        (["empty"], 0, "(no content)\n", ""),
        (["fails", "why=no"], 1, "Error executing tool fails\n", "Error: fails returned an error\n"),
        (["ecko"], 2, "", "Error: the server has no tool 'ecko'; did you mean 'echo'?\n"),
        (["echo", "txet=hi"], 2, "", "Error: echo: txet: there is no such argument; did you mean 'text'?\n"),
        (["echo", "hi"], 2, "", "Error: echo: 'hi' is neither KEY=VALUE nor a JSON object\n"),
        (
            ["hangs", "--call-timeout", "0.2"],
            1,
            "No answer from hangs within 0.2 s.\n",
            "Error: hangs returned an error (timeout)\n",
        ),
        (["echo", "text=a", "--id", "x"], 2, "", "Error: --id needs --save FILE\n"),
    ],
)
def test_a_call_prints_its_result(tmp_path: Path, words: list[str], code: int, stdout: str, stderr: str) -> None:
    """The result is on stdout, and the exit code tells whether the call succeeded."""
    done = run_mcprun("call", KINDS, *words, cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr) == (code, stdout, stderr)


def test_without_a_tool_the_tools_are_listed(tmp_path: Path) -> None:
    """`call SERVER` prints what `tools SERVER` does."""
    assert run_mcprun("call", KINDS, cwd=tmp_path).stdout == run_mcprun("tools", KINDS, cwd=tmp_path).stdout
    assert run_mcprun("call", KINDS, "--save", "p.jsonl", cwd=tmp_path).code == 2


def test_a_server_that_does_not_start_or_dies_is_an_error(tmp_path: Path) -> None:
    """A server that can't be reached, or ends during the call, exits with 3."""
    done = run_mcprun("call", "false", "echo", cwd=tmp_path)
    assert done.code == 3
    assert done.stderr.startswith("Error: ")


def test_images_are_saved_to_files(tmp_path: Path) -> None:
    """Binary content is written to the folder of --files, and its place is printed."""
    (tmp_path / "out").mkdir()
    done = run_mcprun("call", KINDS, "image", "--files", "out", cwd=tmp_path)
    assert (done.code, done.stdout) == (0, "[image, image/png, 70 bytes: saved to out/image-1.png]\n")
    assert (tmp_path / "out" / "image-1.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_the_result_as_sent(tmp_path: Path) -> None:
    """`--json` prints one JSON object, and saves nothing."""
    done = run_mcprun("call", KINDS, "image", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["content"][0]["type"] == "image"
    assert not list(tmp_path.iterdir())


def test_arguments_come_from_stdin(tmp_path: Path) -> None:
    """`-` reads a JSON object from stdin."""
    done = run_mcprun("call", KINDS, "echo", "-", cwd=tmp_path, input='{"text": "hi"}\n')
    assert (done.code, done.stdout) == (0, "hi\n")


def test_saved_calls_run_as_queries_and_pass(tmp_path: Path) -> None:
    """`--save` appends a query with a script and an expectation; failures are expected to fail."""
    for words in (["echo", "text=hi"], ["echo", "text=ho"], ["structured", "name=x"], ["fails", "why=no"], ["image"]):
        done = run_mcprun("call", KINDS, *words, "--save", "p.jsonl", cwd=tmp_path)
        assert "Added query" in done.stderr
    queries = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [query["id"] for query in queries] == ["echo", "echo-2", "structured", "fails", "image"]
    assert queries[0]["expect"] == {"calls": [{"tool": "echo", "input": {"text": "hi"}, "result": "hi"}]}
    assert queries[3]["expect"]["calls"][0]["is_error"] is True
    assert run_mcprun("batch", "p.jsonl", KINDS, cwd=tmp_path).code == 0


def test_what_was_not_sent_by_the_server_is_not_saved(tmp_path: Path) -> None:
    """A timed out call is no expectation, and an invalid file is refused before the call."""
    done = run_mcprun("call", KINDS, "hangs", "--call-timeout", "0.2", "--save", "p.jsonl", cwd=tmp_path)
    assert (done.code, (tmp_path / "p.jsonl").exists()) == (1, False)
    (tmp_path / "bad.jsonl").write_text("{\n", encoding="utf-8")
    done = run_mcprun("call", KINDS, "echo", "text=hi", "--save", "bad.jsonl", cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")


def test_secrets_are_redacted_in_output_and_file(tmp_path: Path) -> None:
    """A value of --env appears neither in the result nor in the saved query."""
    done = run_mcprun(
        "call", KINDS, "echo", "text=hunter2secret", "--env", "KEY=hunter2secret", "--save", "p.jsonl", cwd=tmp_path
    )
    assert done.code == 0
    assert "hunter2" not in done.stdout + done.stderr + (tmp_path / "p.jsonl").read_text(encoding="utf-8")
    assert "holds a secret" in done.stderr
