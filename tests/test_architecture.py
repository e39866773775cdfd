"""The shape of the code: what may import what, and what must not be imported before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mcprun
from tests.support.cli import QUICKSTART, clean_environment, write_jsonl

PACKAGE = Path(mcprun.__file__).parent

LAYERS = (
    "pytest_plugin", "cli", "report", "trial", "login", "redirects", "api", "baseline", "merging", "chatplan", "chatrun", "chat", "planning", "batch", "listing", "recorder", "repeats", "resume", "ray", "rayhand", "raycluster", "station", "workplace", "setup", "attempt", "judge", "grading", "approval", "mending", "loop", "conversation", "opener", "answers", "models", "diff", "variants", "compare", "scrub", "saving", "refusals", "prices", "pool", "catalog", "connect", "unreached", "toolpages", "server", "raw_results", "output_schemas", "listening", "rounds", "desk", "asking", "in_process",
    "link", "traffic", "authorizer", "oauthflow", "tokenstore", "grants", "stdio", "streamable", "legacy_sse", "http_client", "http_events", "http_reports", "http_answers", "http_body", "http_failure", "bounded", "pipes", "wire", "parcels", "access", "process", "serverlog", "pipe_reader", "server_argument", "config_file", "config_entry", "placeholders", "jsonc", "target", "catalogchanges",
    "snapshot", "journal", "folders", "rundir", "jsonfiles", "sdklog", "supervisor", "verdict_rules", "untried", "checks", "callchecks", "call_index", "firstprompts", "ciworkflow", "examples", "samples", "schemaviews", "toolchanges", "schemachanges", "schemakeywords", "schemadoc", "toollint", "show", "code_points", "alignment", "tools", "schemas", "schema_keys", "sampling", "opening", "list_items", "mcp_results", "mcp_shapes", "content", "media", "prompts", "known", "misspelt_keywords", "jsonl", "source", "shard", "queries", "promptblocks", "serverinput",
    "elicitation", "expectations", "matchers", "aliases",
    "telemetry",
    "heard", "redact", "secretforms", "promptfiles", "option_patterns", "spelt_patterns", "config", "config_paths", "option_table", "oauthclient", "integrity", "command_line", "name_patterns", "operating_system", "compact", "warn_once", "assignment", "events", "tally", "outline", "paid", "records", "ending", "heap", "together", "deadline", "nesting", "limits", "option_values", "network", "credentials", "evaluation", "evaluation_process", "evaluation_worker", "json_schema", "json_schema_keywords", "schema_violations", "schema_references", "json_values", "jsontext", "patterns", "long_integers", "surrogates", "special_files", "errors",
)  # fmt: skip
"""Every part of the package, from the command line down to plain values. Each may import only what stands after it."""

HEAVY = {
    "mcp",
    "mcp_types",
    "anthropic",
    "pydantic",
    "rich",
    "jsonschema",
    "httpx2",
    "jinja2",
    "rstr",
    "rapidfuzz",
    "prompt_toolkit",
    "opentelemetry",
}


def part(module: str) -> str:
    """Name the layer of `mcprun.report.console`: `report`."""
    return module.split(".")[1]


def imports(file: Path) -> set[str]:
    """Find the modules of this package that a file imports, within functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mcprun":
            found |= {node.module} if "." in node.module else {f"mcprun.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith("mcprun.")}
    return found - {"mcprun.__version__"}


def test_layers_name_every_module() -> None:
    """A new module must be given its place."""
    modules = {file.stem for file in PACKAGE.glob("*.py") if not file.stem.startswith("__")}
    packages = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert modules | packages == set(LAYERS)


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_one_way(file: Path) -> None:
    """A module imports only what stands below its own layer, or within its own package."""
    relative = file.relative_to(PACKAGE)
    own = relative.parts[0].removesuffix(".py")
    if own.startswith("__"):
        own = "__main__"
    place = LAYERS.index(own) if own in LAYERS else -1
    wrong = {
        module
        for module in imports(file)
        if not (LAYERS.index(part(module)) > place or (len(relative.parts) > 1 and part(module) == own))
    }
    assert wrong == set()


def imported(*command: str, cwd: Path, code: int = 0) -> set[str]:
    """Run a command of mcprun, which exits with `code`, and give the top-level packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mcprun", *command],
        cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert any("click" in line for line in lines)
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        *([name, "--help"] for name in ("batch", "chat", "init", "login", "logout", "report", "show", "tools")),
        ["--version"],
    ],
)
def test_help_imports_nothing_heavy(command: list[str], tmp_path: Path) -> None:
    """Help is as quick as click itself, because nothing else is there yet."""
    assert imported(*command, cwd=tmp_path) & {*HEAVY, "asyncio"} == set()


def test_what_is_wrong_with_a_run_is_told_before_an_sdk_is_imported(tmp_path: Path) -> None:
    """Whoever has mistyped a name, or written a bad line, hears of it at once."""
    prompts, server = map(str, QUICKSTART)
    bad = str(write_jsonl(tmp_path / "bad.jsonl", {"prompt": 1}))
    for wrong in ((bad, server), (prompts, "nope.py"), (prompts, server, "--filter", "nope")):
        assert imported("batch", *wrong, cwd=tmp_path, code=2) & {"anthropic", "mcp", "mcp_types"} == set()


def test_scripts_and_recordings_never_import_the_api_client(tmp_path: Path) -> None:
    """Neither `script` nor `replay` imports anthropic, and reading a run imports no SDK at all."""
    prompts, server = map(str, QUICKSTART)
    assert imported("batch", prompts, server, cwd=tmp_path) & {"anthropic"} == set()
    assert imported("batch", prompts, server, "--model", "replay:latest", cwd=tmp_path) & {"anthropic"} == set()
    assert imported("show", cwd=tmp_path) & {"anthropic", "mcp", "mcp_types"} == set()
    assert imported("report", "--html", "r.html", cwd=tmp_path) & {"anthropic", "mcp", "mcp_types"} == set()
    assert imported("report", "--junit", "j.xml", cwd=tmp_path) & {"anthropic", "mcp", "mcp_types"} == set()
    assert imported("validate", prompts, cwd=tmp_path) & {"anthropic", "mcp", "mcp_types", "rich"} == set()
