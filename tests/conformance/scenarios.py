"""The mcprun commands of each scenario, as a user would type them.

For most scenarios, `mcprun init` writes a query for each tool of the server and `mcprun batch` runs them. The others are
in `SPECIAL`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cli import script, write_jsonl

MODERN = "2026-07-28"

CLIENT_DOCUMENT = "https://conformance-test.local/client-metadata.json"
"""The document URL that the suite expects. It is never fetched."""

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScenarioRequest:
    """A scenario with the `url` of its server, the protocol version and the suite's extra data (`context`).

    Files are written to `folder`.
    """

    scenario: str
    url: str
    protocol: str
    context: Mapping[str, Any]
    folder: Path

    def mcprun(self, command: str, *arguments: str) -> Command:
        """Return a command line with the requested protocol. `init` has no such option and detects the protocol."""
        protocol_flags = () if command == "init" else ("--protocol", MODERN if self.protocol == MODERN else "legacy")
        return (command, *arguments, *protocol_flags)

    def batch(self, *calls: tuple[str, dict[str, Any]], **more: Any) -> Command:
        """Write a query that makes the calls in one turn, with extra query keys `more`. Return the command to run it."""
        prompts = write_jsonl(self.folder / "prompts.jsonl", script(*calls, **more))
        return self.mcprun("batch", str(prompts), self.url, "--model", "script")


def commands(request: ScenarioRequest) -> Iterator[Command]:
    """Yield the commands of a scenario. Run each before advancing: the next may depend on its output."""
    return SPECIAL.get(request.scenario, call_guarded if request.scenario.startswith("auth/") else every_tool)(request)


def every_tool(request: ScenarioRequest) -> Iterator[Command]:
    """Call each tool of the server once, with an input generated from its schema."""
    prompts = request.folder / "prompts.jsonl"
    yield request.mcprun("init", request.url, "--prompts", str(prompts), "--no-workflow")
    yield request.mcprun("batch", str(prompts), request.url, "--model", "script")


def list_tools(request: ScenarioRequest) -> Iterator[Command]:
    """List the tools. The server supports no other request."""
    yield request.mcprun("tools", request.url)


def read_schemas(request: ScenarioRequest) -> Iterator[Command]:
    """Run every command that reads the tools' schemas, without calling a tool."""
    snapshot = str(request.folder / "tools.json")
    yield request.mcprun("tools", request.url, "--snapshot", snapshot)
    yield request.mcprun("tools", request.url, "--against", snapshot)
    yield request.mcprun("init", request.url, "--prompts", str(request.folder / "made.jsonl"), "--no-workflow")
    yield request.batch()


def make_calls(request: ScenarioRequest) -> Iterator[Command]:
    """Make the calls that the suite defines."""
    yield request.batch(*((call["name"], call["arguments"]) for call in request.context["toolCalls"]))


def echo_schema(request: ScenarioRequest) -> Iterator[Command]:
    """Send the schema of a tool from the snapshot of `mcprun tools` back to the server."""
    snapshot = request.folder / "tools.json"
    yield request.mcprun("tools", request.url, "--snapshot", str(snapshot))
    schemas = {tool["name"]: tool["inputSchema"] for tool in json.loads(snapshot.read_bytes())["tools"]}
    yield request.batch(("json_schema_echo", {"schema": schemas["json_schema_2020_12_tool"]}))


def accept_defaults(request: ScenarioRequest) -> Iterator[Command]:
    """Accept the server's form with its default values."""
    yield (*request.batch(("test_client_elicitation_defaults", {})), "--elicit", "defaults")


def answer_rounds(request: ScenarioRequest) -> Iterator[Command]:
    """Answer the forms of two calls in a turn in which two others return at once.

    One result lacks `resultType`, which this protocol version requires. mcprun reports it as an error result.
    """
    names = ("echo_state", "no_state", "unrelated", "no_result_type")
    calls: list[tuple[str, dict[str, Any]]] = [(f"test_mrtr_{name}", {}) for name in names]
    answers = [{"confirmed": True}, {"confirmed": True}]
    yield request.batch(*calls, elicit=answers, expect={"tool_errors": "allow"})


def call_guarded(request: ScenarioRequest) -> Iterator[Command]:
    """Call the tool of a server that requires authorization. `client.py` runs the login that mcprun advises."""
    yield request.batch(("test-tool", {}))


def log_in_with_document(request: ScenarioRequest) -> Iterator[Command]:
    """Log in with a client ID metadata document."""
    yield ("login", request.url, "--client-metadata-url", CLIENT_DOCUMENT)
    yield from call_guarded(request)


def log_in_preregistered(request: ScenarioRequest) -> Iterator[Command]:
    """Log in as a pre-registered client."""
    client_id, secret = request.context["client_id"], request.context["client_secret"]
    yield ("login", request.url, "--oauth-client-id", client_id, "--oauth-client-secret", secret)
    yield from call_guarded(request)


def use_client_credentials(request: ScenarioRequest) -> Iterator[Command]:
    """Get tokens by client credentials, with a secret or a private key."""
    client = ["--oauth-client-id", request.context["client_id"]]
    if key := request.context.get("private_key_pem"):
        file = request.folder / "key.pem"
        file.write_text(key)
        client += ["--oauth-private-key", str(file), "--oauth-algorithm", request.context["signing_algorithm"]]
    else:
        client += ["--oauth-client-secret", request.context["client_secret"]]
    yield request.mcprun("tools", request.url, *client)


SPECIAL: dict[str, Callable[[ScenarioRequest], Iterator[Command]]] = {
    "initialize": list_tools,
    "request-metadata": list_tools,
    "json-schema-ref-no-deref": read_schemas,
    "http-custom-headers": make_calls,
    "json-schema-2020-12-preservation": echo_schema,
    "elicitation-sep1034-client-defaults": accept_defaults,
    "sep-2322-client-request-state": answer_rounds,
    "auth/basic-cimd": log_in_with_document,
    "auth/pre-registration": log_in_preregistered,
    "auth/client-credentials-basic": use_client_credentials,
    "auth/client-credentials-jwt": use_client_credentials,
}
"""Scenarios that need other commands than a call of each tool."""
