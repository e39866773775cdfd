"""What mcprun is asked to do in each scenario: plain commands, as a user would give them.

Most scenarios need nothing of their own: `mcprun init` writes a query for each tool of the server, `mcprun batch`
runs them. The others are in `SPECIAL`.
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
"""The one that the suite knows; nobody ever fetches it."""

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the suite asks of a client: its server's `url`, the protocol, and what it knows besides (`context`).

    Files are written to `folder`.
    """

    scenario: str
    url: str
    protocol: str
    context: Mapping[str, Any]
    folder: Path

    def mcprun(self, command: str, *arguments: str) -> Command:
        """Return a command line with the requested protocol. `init` has no such option, and detects it."""
        insisted = () if command == "init" else ("--protocol", MODERN if self.protocol == MODERN else "legacy")
        return (command, *arguments, *insisted)

    def batch(self, *calls: tuple[str, dict[str, Any]], **more: Any) -> Command:
        """Return the command that makes some calls in one turn. `more` are other keys of the query."""
        prompts = write_jsonl(self.folder / "prompts.jsonl", script(*calls, **more))
        return self.mcprun("batch", str(prompts), self.url, "--model", "script")


def commands(asked: Asked) -> Iterator[Command]:
    """Yield the commands of a scenario. Run each before the next is requested, which may read its output."""
    return SPECIAL.get(asked.scenario, call_guarded if asked.scenario.startswith("auth/") else every_tool)(asked)


def every_tool(asked: Asked) -> Iterator[Command]:
    """Call each tool of the server once, with an input that is made from its schema."""
    prompts = asked.folder / "prompts.jsonl"
    yield asked.mcprun("init", asked.url, "--prompts", str(prompts), "--no-workflow")
    yield asked.mcprun("batch", str(prompts), asked.url, "--model", "script")


def list_tools(asked: Asked) -> Iterator[Command]:
    """List the tools, and no more: the server knows nothing else."""
    yield asked.mcprun("tools", asked.url)


def read_schemas(asked: Asked) -> Iterator[Command]:
    """Do all that looks into the tools' schemas, and call none of the tools."""
    snapshot = str(asked.folder / "tools.json")
    yield asked.mcprun("tools", asked.url, "--snapshot", snapshot)
    yield asked.mcprun("tools", asked.url, "--against", snapshot)
    yield asked.mcprun("init", asked.url, "--prompts", str(asked.folder / "made.jsonl"), "--no-workflow")
    yield asked.batch()


def make_calls(asked: Asked) -> Iterator[Command]:
    """Make the calls that the suite defines."""
    yield asked.batch(*((call["name"], call["arguments"]) for call in asked.context["toolCalls"]))


def echo_schema(asked: Asked) -> Iterator[Command]:
    """Send the schema of a tool back to the server, as `mcprun tools` has it."""
    snapshot = asked.folder / "tools.json"
    yield asked.mcprun("tools", asked.url, "--snapshot", str(snapshot))
    schemas = {tool["name"]: tool["inputSchema"] for tool in json.loads(snapshot.read_bytes())["tools"]}
    yield asked.batch(("json_schema_echo", {"schema": schemas["json_schema_2020_12_tool"]}))


def accept_defaults(asked: Asked) -> Iterator[Command]:
    """Accept the form that the server sends, as it is filled already."""
    yield (*asked.batch(("test_client_elicitation_defaults", {})), "--elicit", "defaults")


def answer_rounds(asked: Asked) -> Iterator[Command]:
    """Answer the forms of two calls of a turn, while two others come back at once.

    The result of one lacks `resultType`, which a server of this version must send: mcprun tells that as an error.
    """
    names = ("echo_state", "no_state", "unrelated", "no_result_type")
    calls: list[tuple[str, dict[str, Any]]] = [(f"test_mrtr_{name}", {}) for name in names]
    answers = [{"confirmed": True}, {"confirmed": True}]
    yield asked.batch(*calls, elicit=answers, expect={"tool_errors": "allow"})


def call_guarded(asked: Asked) -> Iterator[Command]:
    """Call the tool of a server that wants authorization; mcprun says that a login is wanted, and `client.py` does it."""
    yield asked.batch(("test-tool", {}))


def known_document(asked: Asked) -> Iterator[Command]:
    """Log in as a client that a document on the web describes."""
    yield ("login", asked.url, "--client-metadata-url", CLIENT_DOCUMENT)
    yield from call_guarded(asked)


def known_client(asked: Asked) -> Iterator[Command]:
    """Log in as a client that is registered already."""
    client_id, secret = asked.context["client_id"], asked.context["client_secret"]
    yield ("login", asked.url, "--oauth-client-id", client_id, "--oauth-client-secret", secret)
    yield from call_guarded(asked)


def get_machine_token(asked: Asked) -> Iterator[Command]:
    """Let the client get its tokens without a user, with a secret or a key."""
    client = ["--oauth-client-id", asked.context["client_id"]]
    if key := asked.context.get("private_key_pem"):
        file = asked.folder / "key.pem"
        file.write_text(key)
        client += ["--oauth-private-key", str(file), "--oauth-algorithm", asked.context["signing_algorithm"]]
    else:
        client += ["--oauth-client-secret", asked.context["client_secret"]]
    yield asked.mcprun("tools", asked.url, *client)


SPECIAL: dict[str, Callable[[Asked], Iterator[Command]]] = {
    "initialize": list_tools,
    "request-metadata": list_tools,
    "json-schema-ref-no-deref": read_schemas,
    "http-custom-headers": make_calls,
    "json-schema-2020-12-preservation": echo_schema,
    "elicitation-sep1034-client-defaults": accept_defaults,
    "sep-2322-client-request-state": answer_rounds,
    "auth/basic-cimd": known_document,
    "auth/pre-registration": known_client,
    "auth/client-credentials-basic": get_machine_token,
    "auth/client-credentials-jwt": get_machine_token,
}
"""Scenarios that want something else than a call of each tool."""
