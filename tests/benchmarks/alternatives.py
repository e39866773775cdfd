"""Other programs that run prompts against an MCP server: their packages, and the commands that run the same queries.

Each is set up as its documentation describes, with its defaults except for: the same concurrency, no cache, no
terminal display, no telemetry, no update check, and a data folder within the run's folder. Each still writes its own
logs or database of results.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import SERVER
from tests.servers_table.candidates import Candidate
from tests.servers_table.installing import install, install_packages, npm_manifest
from tests.support.cli import ROOT, clean_environment

CACHE = ROOT / ".cache" / "alternatives"
MODEL = "claude-sonnet-5-5"

INSPECT = Candidate(
    "PyPI", "inspect-ai", ">=0.3.285,<0.4", program="inspect", also=("anthropic>=2.12,<3", "mcp>=2.3,<3")
)
_ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
# promptfoo needs a newer Node than many machines have.
PROMPTFOO = Candidate("npm", "promptfoo", "~0.123.1", also=(f"node-linux-{_ARCHITECTURE}@~22.23",))

# Without a pin, npm chooses a newer version of the client, which has no `StdioClientTransport`.
MCPJAM = Candidate("npm", "@mcpjam/sdk", "~1.14", also=("@modelcontextprotocol/client@2.0.0-alpha.2",))
MCPJAM_SCRIPT = Path(__file__).with_name("mcpjam.mjs")

TASK = """
from inspect_ai import Task, task
from inspect_ai.agent import react
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.tool import mcp_server_stdio

@task
def adder(prompts: str, python: str, server: str) -> Task:
    tools = [mcp_server_stdio(command=python, args=[server])]
    return Task(dataset=json_dataset(prompts, FieldSpec(input="prompt")), solver=react(tools=tools, submit=False))
"""
"""An inspect-ai task that loops until the model calls no tool. inspect-ai starts a server per sample."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A program with its version, the command that runs all queries once, and its environment."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]


SetUp = Callable[[Path, Path, str, int], Alternative]
"""A function that sets up a program in a folder, for the queries of a prompts file, an API's URL and a concurrency."""


def mcpjam(folder: Path, prompts: Path, url: str, concurrency: int) -> Alternative:
    """Set up MCPJam's SDK for Node, for the queries of a prompts file and the API at a URL.

    The script is copied beside its `node_modules`, from where Node resolves imports.
    """
    installed = install_packages(MCPJAM, CACHE)
    script = shutil.copy(MCPJAM_SCRIPT, installed)
    command = ["node", str(script), str(prompts), url, sys.executable, str(SERVER), str(concurrency)]
    env = _environment(MCPJAM_TELEMETRY_DISABLED="1", DO_NOT_TRACK="1")
    return Alternative(f"MCPJam SDK {npm_manifest(MCPJAM, installed)['version']}", command, env)


def inspect_ai(folder: Path, prompts: Path, url: str, concurrency: int) -> Alternative:
    """Set up inspect-ai in a folder, for the queries of a prompts file and the API at a URL."""
    installed = install(INSPECT, CACHE)
    task = folder / "adder_task.py"
    task.write_text(TASK, encoding="utf-8")
    command = [
        str(installed.program), "eval", task.name, "--model", f"anthropic/{MODEL}", "--model-base-url", url,
        "-T", f"prompts={prompts}", "-T", f"python={sys.executable}", "-T", f"server={SERVER}",
        "--max-connections", str(concurrency), "--max-samples", str(concurrency),
        "--max-tokens", "4096",  # with its default of 32,000 it streams, which the stub API does not support
        "--display", "none", "--log-dir", str(folder / "logs"),
    ]  # fmt: skip
    return Alternative(f"inspect-ai {installed.version}", command, _environment(XDG_DATA_HOME=str(folder)))


def promptfoo(folder: Path, prompts: Path, url: str, concurrency: int) -> Alternative:
    """Set up promptfoo in a folder, for the queries of a prompts file and the API at a URL."""
    installed = install(PROMPTFOO, CACHE)
    node = installed.program.parents[1] / f"node-linux-{_ARCHITECTURE}" / "bin"
    config = folder / "promptfooconfig.json"
    lines = prompts.read_text(encoding="utf-8").splitlines()
    config.write_text(json.dumps(promptfoo_config([json.loads(line)["prompt"] for line in lines])), encoding="utf-8")
    command = [
        str(node / "node"), str(installed.program), "eval", "--config", str(config),
        "--no-cache", "--max-concurrency", str(concurrency), "--no-table", "--no-progress-bar",
    ]  # fmt: skip
    env = _environment(
        PATH=f"{node}{os.pathsep}{os.defpath}",
        ANTHROPIC_BASE_URL=url,
        PROMPTFOO_CONFIG_DIR=str(folder / "promptfoo"),
        PROMPTFOO_DISABLE_TELEMETRY="1",
        PROMPTFOO_DISABLE_UPDATE="1",
    )
    return Alternative(f"promptfoo {installed.version}", command, env)


def promptfoo_config(prompts: Sequence[str]) -> dict[str, object]:
    """Return a configuration that sends each prompt once. promptfoo uses one server for all of them."""
    server = {"name": "adder", "command": sys.executable, "args": [str(SERVER)]}
    provider = {"id": f"anthropic:messages:{MODEL}", "config": {"mcp": {"enabled": True, "server": server}}}
    return {
        "prompts": ["{{prompt}}"],
        "providers": [provider],
        "tests": [{"vars": {"prompt": prompt}} for prompt in prompts],
    }


def _environment(**extra: str) -> dict[str, str]:
    return clean_environment() | {"ANTHROPIC_API_KEY": "none-at-all", **extra}
