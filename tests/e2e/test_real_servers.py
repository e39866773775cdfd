"""The folders of `prompts/`, run by the commands of their READMEs against real servers."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support import npm
from tests.support.cli import PROMPTS, Result, clean_environment, commands, read_jsonl, run_mcprun
from tests.support.example_folders import FOLDERS

FROM_NPM = ("everything", "filesystem")

EACH = list(FOLDERS)

PORT = "8765"
"""Where the prompts of `fetch/` expect their site. The tests serve it where a port is free."""


@dataclass(frozen=True)
class Ran:
    """A folder's queries, and what came of them: run one at a time, and 32 at once."""

    queries: list[dict[str, Any]]
    one: Result
    many: Result


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Have the servers from npm installed; give the folder that they are in."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
    return npm.node_modules()


@pytest.fixture(scope="session")
def site() -> Iterator[int]:
    """Serve the site of `fetch/`; give its port."""
    handler = partial(_Quiet, directory=str(PROMPTS / "fetch" / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[[str], Ran]:
    """Give what came of a folder; it is run when a test first asks for it."""
    known: dict[str, Ran] = {}

    def run(name: str) -> Ran:
        if name not in known:
            port = request.getfixturevalue("site") if name == "fetch" else PORT
            modules = request.getfixturevalue("node_modules") if name in FROM_NPM else None
            known[name] = _run_twice(name, tmp_path_factory.mktemp(name), str(port), modules)
        return known[name]

    return run


def _run_twice(name: str, tmp: Path, port: str, modules: Path | None) -> Ran:
    """Run a folder's command with one query at a time, and again with 32 at once."""
    here = tmp / "here"

    def run(concurrency: int) -> Result:
        if here.exists():
            shutil.rmtree(here)  # the same path again: some results name it
        _prepare(name, here, port, modules)
        arguments = command(PROMPTS / name / "README.md", {"$(mktemp -d)": "sandbox"})
        more = ["--concurrency", str(concurrency), "--out", str(tmp / f"{concurrency}-at-{quarter}")]
        return run_mcprun(*arguments, *more, cwd=here, env=_environment(name, here))

    # The time server answers with today's date, and at each quarter of an hour it may be midnight in some zone:
    # two runs can be compared when both are in the same quarter.
    while True:
        quarter = int(time.time()) // 900
        one, many = run(1), run(32)
        if name != "time" or int(time.time()) // 900 == quarter:
            return Ran(read_jsonl(here / "prompts" / name / f"{name}.jsonl"), one, many)


def _prepare(name: str, here: Path, port: str, modules: Path | None) -> None:
    """Make the folder that a README's command is run in, with all that its server needs."""
    shutil.copytree(PROMPTS / name, here / "prompts" / name)
    prompts = here / "prompts" / name / f"{name}.jsonl"
    prompts.write_text(prompts.read_text().replace(PORT, port))
    if modules:
        (here / "node_modules").symlink_to(modules)  # npx takes what is installed here
    if name == "filesystem":
        (here / "sandbox").mkdir()
    if name == "git":
        make = ["sh", "prompts/git/make-repos.sh"]
        subprocess.run(make, cwd=here, env=clean_environment(), check=True, timeout=60)


def _environment(name: str, here: Path) -> dict[str, str]:
    if name == "git":
        return {"HOME": str(here)}  # git reads its user's settings there
    if name == "fetch":
        # The server simplifies pages with Node where it finds it, and has npm install what it needs for that.
        return {"PATH": commands()}
    return {}


def command(readme: Path, replace: dict[str, str]) -> list[str]:
    """Find the mcprun command in a README; give its arguments."""
    (line,) = re.findall(r"^mcprun (.+)$", readme.read_text(), re.MULTILINE)
    for old, new in replace.items():
        line = line.replace(old, new)
    return shlex.split(line)


def tagged(queries: list[dict[str, Any]], tag: str) -> list[str]:
    """Find the ids of the queries that have a tag."""
    return [query["id"] for query in queries if tag in query.get("tags", [])]


def fixed(queries: list[dict[str, Any]], result: Result) -> list[bytes]:
    """Read the lines of a run's transcripts, without those whose results hold the time of day."""
    lines = result.bytes.splitlines(keepends=True)
    clock = tagged(queries, "clock")
    return [line for query, line in zip(queries, lines, strict=True) if query["id"] not in clock]


def filled(scripted: Any, made: Any) -> Any:
    """Put what was made in place of every `$from` of a script's input."""
    if isinstance(scripted, dict) and "$from" in scripted:
        return made
    if isinstance(scripted, dict) and isinstance(made, dict):
        return {key: filled(value, made.get(key)) for key, value in scripted.items()}
    return scripted


def tool_results(transcript: dict[str, Any]) -> list[dict[str, Any]]:
    """Find the `tool_result` blocks of a conversation."""
    blocks = [block for message in transcript["messages"] for block in message["content"]]
    return [block for block in blocks if isinstance(block, dict) and block["type"] == "tool_result"]


@pytest.mark.parametrize("name", EACH)
def test_every_query_passes(name: str, ran: Callable[[str], Ran]) -> None:
    """The README's command exits with 0, and every query has passed, in the order of the file."""
    folder = ran(name)
    for result in (folder.one, folder.many):
        assert result.code == 0, result.stderr
        assert list(result.verdicts.items()) == [(query["id"], "passed") for query in folder.queries]


@pytest.mark.parametrize("name", EACH)
def test_scripts_are_played_to_their_ends(name: str, ran: Callable[[str], Ran]) -> None:
    """Each query has the turns of its script, the calls with their inputs, and the last words."""
    folder = ran(name)
    for query, transcript in zip(folder.queries, folder.one.transcripts, strict=True):
        made = transcript["calls"]
        scripted = [call for turn in query["script"] for call in turn.get("calls", [])]
        assert [call["tool"] for call in made] == [call["tool"] for call in scripted]
        for call, written in zip(made, scripted, strict=True):
            assert call["input"] == filled(written.get("input", {}), call["input"])
            assert "$from" not in json.dumps(call["input"])
        assert len(transcript["turns"]) == len(query["script"])
        assert transcript["text"] == query["script"][-1]["text"]


@pytest.mark.parametrize("name", EACH)
def test_errors_are_those_that_are_expected(name: str, ran: Callable[[str], Ran]) -> None:
    """A call came back as an error in each query that is tagged so, and in no other."""
    folder = ran(name)
    came = [one["id"] for one in folder.one.transcripts if any(call["is_error"] for call in one["calls"])]
    assert came == tagged(folder.queries, "error")


@pytest.mark.parametrize(
    ("name", "clock"),
    [
        ("everything", ["embedded-resources"]),  # the server writes the time into them
        ("fetch", []),
        ("filesystem", []),
        ("git", ["stage-and-commit"]),  # a commit's hash holds its time
        ("time", []),
    ],
)
def test_concurrency_changes_no_byte(name: str, clock: list[str], ran: Callable[[str], Ran]) -> None:
    """One query at a time and 32 at once write the same transcripts, byte for byte, but for the time of day."""
    folder = ran(name)
    assert tagged(folder.queries, "clock") == clock
    assert fixed(folder.queries, folder.one) == fixed(folder.queries, folder.many)


@pytest.mark.parametrize("transport", ["streamableHttp", "sse"])
def test_transport_changes_no_byte(
    transport: str, ran: Callable[[str], Ran], node_modules: Path, tmp_path: Path
) -> None:
    """Over HTTP, server-everything passes all its queries, with the transcripts that it has over stdio."""
    folder = ran("everything")
    with npm.everything_over_http(transport, tmp_path / "node.log") as port:
        server = f"http://127.0.0.1:{port}/mcp"
        if transport == "sse":  # a URL alone means Streamable HTTP
            entry = {"type": "sse", "url": f"http://127.0.0.1:{port}/sse"}
            (tmp_path / "servers.json").write_text(json.dumps({"mcpServers": {"everything": entry}}))
            server = "servers.json"
        prompts = PROMPTS / "everything" / "everything.jsonl"
        result = run_mcprun("batch", prompts, server, "--model", "script", cwd=tmp_path)
    assert result.code == 0, result.stderr
    assert fixed(folder.queries, result) == fixed(folder.queries, folder.one)


def test_every_kind_of_content(ran: Callable[[str], Ran]) -> None:
    """What server-everything sends is kept as it came, and told to the model in blocks that the API takes."""
    kinds = {
        transcript["id"]: (
            [item["type"] for call in transcript["calls"] for item in call["content"]],
            [block["type"] for result in tool_results(transcript) for block in result["content"]],
        )
        for transcript in ran("everything").one.transcripts
    }
    assert kinds["image"] == (["text", "image", "text"], ["text", "image", "text"])
    assert kinds["annotated"] == (["text", "image"], ["text", "image"])
    assert kinds["resource-links"] == (["text", "resource_link", "resource_link", "text"], ["text"] * 4)
    assert kinds["embedded-resources"] == (["text", "resource", "text"] * 2, ["text"] * 6)
    assert kinds["binary-resource"] == (["resource"], ["text"])


def test_structured_content(ran: Callable[[str], Ran]) -> None:
    """Structured content is kept beside the text that repeats it, and a later call takes numbers from it."""
    found = next(one for one in ran("everything").one.transcripts if one["id"] == "structured")
    new_york, chicago, together = found["calls"]
    assert new_york["structured"] == json.loads(new_york["content"][0]["text"])
    temperatures = [city["structured"]["temperature"] for city in (new_york, chicago)]
    assert list(together["input"].values()) == temperatures


def test_readmes_name_every_folder() -> None:
    """The table of `prompts/` has a line for each folder, and each folder's command runs its own prompts."""
    folders = sorted(file.parent.name for file in PROMPTS.glob("*/*.jsonl"))
    assert folders == sorted([*FOLDERS, "regression"])
    table = re.findall(r"^\| \[`(\w+)/`\]", (PROMPTS / "README.md").read_text(), re.MULTILINE)
    assert sorted(table) == folders
    for name in folders:
        assert command(PROMPTS / name / "README.md", {})[:2] == ["batch", f"prompts/{name}/{name}.jsonl"]
