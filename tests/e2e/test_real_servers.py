"""The example folders of `prompts/`, run by the commands in their READMEs against third-party servers."""

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

FOLDER_NAMES = list(FOLDERS)

PORT = "8765"
"""The port in the prompts of `fetch/`. The tests replace it with a free one."""


@dataclass(frozen=True)
class FolderResults:
    """The queries of a folder, and the results of running them one at a time and 32 at once."""

    queries: list[dict[str, Any]]
    one: Result
    many: Result


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Install the servers from npm if necessary, and return their `node_modules` folder."""
    if missing := npm.missing():
        pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
    return npm.node_modules()


@pytest.fixture(scope="session")
def site() -> Iterator[int]:
    """Serve the site of `fetch/`, and yield its port."""
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
        """Log nothing."""


@pytest.fixture(scope="session")
def results_of(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str], FolderResults]:
    """Return a function that runs a folder on its first use and caches the results."""
    cache: dict[str, FolderResults] = {}

    def run(name: str) -> FolderResults:
        if name not in cache:
            port = request.getfixturevalue("site") if name == "fetch" else PORT
            modules = request.getfixturevalue("node_modules") if name in FROM_NPM else None
            cache[name] = _run_twice(name, tmp_path_factory.mktemp(name), str(port), modules)
        return cache[name]

    return run


def _run_twice(name: str, tmp: Path, port: str, modules: Path | None) -> FolderResults:
    """Run a folder's command with one query at a time, and again with 32 at once."""
    here = tmp / "here"

    def run(concurrency: int) -> Result:
        if here.exists():
            shutil.rmtree(here)  # use the same path: some results contain it
        _prepare(name, here, port, modules)
        arguments = command(PROMPTS / name / "README.md", {"$(mktemp -d)": "sandbox"})
        more = ["--concurrency", str(concurrency), "--out", str(tmp / f"{concurrency}-at-{quarter}")]
        return run_mcprun(*arguments, *more, cwd=here, env=_environment(name, here))

    # The time server returns today's date, and in some time zone midnight may fall on any quarter of an hour.
    # Two runs are comparable only if both are within the same quarter.
    while True:
        quarter = int(time.time()) // 900
        one, many = run(1), run(32)
        if name != "time" or int(time.time()) // 900 == quarter:
            return FolderResults(read_jsonl(here / "prompts" / name / f"{name}.jsonl"), one, many)


def _prepare(name: str, here: Path, port: str, modules: Path | None) -> None:
    """Create the folder in which a README's command runs, with the files that its server needs."""
    shutil.copytree(PROMPTS / name, here / "prompts" / name)
    prompts = here / "prompts" / name / f"{name}.jsonl"
    prompts.write_text(prompts.read_text().replace(PORT, port))
    if modules:
        (here / "node_modules").symlink_to(modules)  # npx prefers packages installed here
    if name == "filesystem":
        (here / "sandbox").mkdir()
    if name == "git":
        make = ["sh", "prompts/git/make-repos.sh"]
        subprocess.run(make, cwd=here, env=clean_environment(), check=True, timeout=60)


def _environment(name: str, here: Path) -> dict[str, str]:
    if name == "git":
        return {"HOME": str(here)}  # keeps git from reading the user's settings
    if name == "fetch":
        # If the server finds Node, it runs `npm install` to simplify pages: keep Node off its PATH.
        return {"PATH": commands()}
    return {}


def command(readme: Path, replace: dict[str, str]) -> list[str]:
    """Return the arguments of the mcprun command in a README."""
    (line,) = re.findall(r"^mcprun (.+)$", readme.read_text(), re.MULTILINE)
    for old, new in replace.items():
        line = line.replace(old, new)
    return shlex.split(line)


def ids_tagged(queries: list[dict[str, Any]], tag: str) -> list[str]:
    """Return the ids of the queries with a tag."""
    return [query["id"] for query in queries if tag in query.get("tags", [])]


def lines_without_clock(queries: list[dict[str, Any]], result: Result) -> list[bytes]:
    """Return the transcript lines of a run, except those whose results contain the time of day."""
    lines = result.bytes.splitlines(keepends=True)
    clock = ids_tagged(queries, "clock")
    return [line for query, line in zip(queries, lines, strict=True) if query["id"] not in clock]


def fill_from(scripted: Any, sent: Any) -> Any:
    """Replace every `$from` in a scripted input with the value that was sent."""
    if isinstance(scripted, dict) and "$from" in scripted:
        return sent
    if isinstance(scripted, dict) and isinstance(sent, dict):
        return {key: fill_from(value, sent.get(key)) for key, value in scripted.items()}
    return scripted


def tool_results(transcript: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the `tool_result` blocks of a conversation."""
    blocks = [block for message in transcript["messages"] for block in message["content"]]
    return [block for block in blocks if isinstance(block, dict) and block["type"] == "tool_result"]


@pytest.mark.parametrize("name", FOLDER_NAMES)
def test_every_query_passes(name: str, results_of: Callable[[str], FolderResults]) -> None:
    """The README's command exits with 0, and every query passes, in the order of the file."""
    folder = results_of(name)
    for result in (folder.one, folder.many):
        assert result.code == 0, result.stderr
        assert list(result.verdicts.items()) == [(query["id"], "passed") for query in folder.queries]


@pytest.mark.parametrize("name", FOLDER_NAMES)
def test_scripts_are_played_to_their_ends(name: str, results_of: Callable[[str], FolderResults]) -> None:
    """Each transcript has the turns, calls, inputs and final text of its script."""
    folder = results_of(name)
    for query, transcript in zip(folder.queries, folder.one.transcripts, strict=True):
        sent = transcript["calls"]
        scripted = [call for turn in query["script"] for call in turn.get("calls", [])]
        assert [call["tool"] for call in sent] == [call["tool"] for call in scripted]
        for call, written in zip(sent, scripted, strict=True):
            assert call["input"] == fill_from(written.get("input", {}), call["input"])
            assert "$from" not in json.dumps(call["input"])
        assert len(transcript["turns"]) == len(query["script"])
        assert transcript["text"] == query["script"][-1]["text"]


@pytest.mark.parametrize("name", FOLDER_NAMES)
def test_only_queries_tagged_error_have_error_results(name: str, results_of: Callable[[str], FolderResults]) -> None:
    """A query has a call with an error result if and only if it is tagged `error`."""
    folder = results_of(name)
    with_errors = [one["id"] for one in folder.one.transcripts if any(call["is_error"] for call in one["calls"])]
    assert with_errors == ids_tagged(folder.queries, "error")


@pytest.mark.parametrize(
    ("name", "clock"),
    [
        ("everything", ["embedded-resources"]),  # their text contains the time
        ("fetch", []),
        ("filesystem", []),
        ("git", ["stage-and-commit"]),  # a commit's hash depends on its time
        ("time", []),
    ],
)
def test_concurrency_changes_no_byte(name: str, clock: list[str], results_of: Callable[[str], FolderResults]) -> None:
    """Apart from the time of day, transcripts are byte for byte the same with a concurrency of 1 and of 32."""
    folder = results_of(name)
    assert ids_tagged(folder.queries, "clock") == clock
    assert lines_without_clock(folder.queries, folder.one) == lines_without_clock(folder.queries, folder.many)


@pytest.mark.parametrize("transport", ["streamableHttp", "sse"])
def test_transport_changes_no_byte(
    transport: str, results_of: Callable[[str], FolderResults], node_modules: Path, tmp_path: Path
) -> None:
    """Over HTTP, server-everything passes all its queries with the same transcripts as over stdio."""
    folder = results_of("everything")
    with npm.everything_over_http(transport, tmp_path / "node.log") as port:
        server = f"http://127.0.0.1:{port}/mcp"
        if transport == "sse":  # a URL alone means Streamable HTTP
            entry = {"type": "sse", "url": f"http://127.0.0.1:{port}/sse"}
            (tmp_path / "servers.json").write_text(json.dumps({"mcpServers": {"everything": entry}}))
            server = "servers.json"
        prompts = PROMPTS / "everything" / "everything.jsonl"
        result = run_mcprun("batch", prompts, server, "--model", "script", cwd=tmp_path)
    assert result.code == 0, result.stderr
    assert lines_without_clock(folder.queries, result) == lines_without_clock(folder.queries, folder.one)


def test_every_content_type_is_recorded_and_sent_to_the_model(results_of: Callable[[str], FolderResults]) -> None:
    """Content is recorded unchanged, and sent to the model as blocks that the Messages API accepts."""
    types = {
        transcript["id"]: (
            [item["type"] for call in transcript["calls"] for item in call["content"]],
            [block["type"] for result in tool_results(transcript) for block in result["content"]],
        )
        for transcript in results_of("everything").one.transcripts
    }
    assert types["image"] == (["text", "image", "text"], ["text", "image", "text"])
    assert types["annotated"] == (["text", "image"], ["text", "image"])
    assert types["resource-links"] == (["text", "resource_link", "resource_link", "text"], ["text"] * 4)
    assert types["embedded-resources"] == (["text", "resource", "text"] * 2, ["text"] * 6)
    assert types["binary-resource"] == (["resource"], ["text"])


def test_structured_content_is_recorded_and_reusable(results_of: Callable[[str], FolderResults]) -> None:
    """Structured content is recorded beside its text form, and a later call takes values from it."""
    transcript = next(one for one in results_of("everything").one.transcripts if one["id"] == "structured")
    new_york, chicago, together = transcript["calls"]
    assert new_york["structured"] == json.loads(new_york["content"][0]["text"])
    temperatures = [city["structured"]["temperature"] for city in (new_york, chicago)]
    assert list(together["input"].values()) == temperatures


def test_readmes_list_every_folder() -> None:
    """The table in `prompts/README.md` has a row per folder, and each folder's command runs its own prompts."""
    folders = sorted(file.parent.name for file in PROMPTS.glob("*/*.jsonl"))
    assert folders == sorted([*FOLDERS, "regression", "state"])
    table = re.findall(r"^\| \[`(\w+)/`\]", (PROMPTS / "README.md").read_text(), re.MULTILINE)
    assert sorted(table) == folders
    for name in folders:
        assert f"mcprun batch prompts/{name}/{name}.jsonl" in (PROMPTS / name / "README.md").read_text()
