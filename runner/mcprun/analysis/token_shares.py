"""What the tokens of a conversation were spent on.

The API reports the input of a request as one number (Messages API, `usage`). It is apportioned by the bytes of what was
sent, so each share is an estimate, while their sum is what the API reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcprun._util.json_io import dumps
from mcprun._util.json_value import JsonObject
from mcprun.runs.run_record import RunRecord
from mcprun.runs.transcript import Transcript
from mcprun.tools.decoys import renamed_decoys, with_decoys
from mcprun.tools.toolset import ToolFilter, ToolSet

SHARES = ("definitions", "system", "messages", "results", "output", "sampling")
"""What tokens are spent on: the definitions of the tools, the system prompt, the prompt and earlier replies, results of
tools, the model's replies, and replies to sampling requests of the server."""

_MEDIA_BYTES = 6_000
"""What an image or a document counts as: about 1,500 tokens, however large its file is."""

_MEDIA = ("image", "document")


@dataclass(frozen=True, slots=True)
class SentDefinitions:
    """The bytes of each definition that is sent with a request by the name of its tool, and which are of `decoys`."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    decoys: frozenset[str] = frozenset()


@dataclass(slots=True)
class TokenShares:
    """Tokens by what they were spent on: `spent` by `SHARES`; `definitions`, `calls` and `results` by tool."""

    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SHARES, 0.0))
    definitions: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    results: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def whole(self) -> list[int]:
        """The tokens of each of `SHARES`, rounded so that their sum stays the same."""
        return rounded([self.spent[name] for name in SHARES])

    def add(self, other: TokenShares) -> None:
        """Add the tokens of another conversation."""
        for name, tokens in other.spent.items():
            self.spent[name] += tokens
        for mine, others in (
            (self.definitions, other.definitions), (self.calls, other.calls), (self.results, other.results)
        ):  # fmt: skip
            for tool, tokens in others.items():
                mine[tool] += tokens


def token_shares(transcript: Transcript, definitions: Mapping[str, int]) -> TokenShares | None:
    """Return what a conversation's tokens were spent on; None if the API reported none.

    `definitions` holds the bytes of each tool's definition. A turn without usage is left out.
    """
    if transcript.usage is None:
        return None
    shares, sent = TokenShares(), _Sent(definitions, len((transcript.system or "").encode(errors="replace")))
    tools = _tools_by_turn(transcript)
    turn = 0
    for at, message in enumerate(transcript.messages):
        blocks = _blocks(message["content"])
        if message["role"] != "assistant" or at < transcript.begins:
            sent.add_user(blocks)
            continue
        usage = transcript.turns[turn].usage if turn < len(transcript.turns) else None
        if usage:
            sent.share(usage.read, shares)
        written = sent.add_reply(blocks, tools.get(turn, ()))
        if usage:
            _share_output(usage.output_tokens, written, shares)
        turn += 1
    shares.spent["sampling"] += sum(asked.usage.total for asked in transcript.asked if asked.usage)
    return shares


def definition_bytes(definitions: Sequence[JsonObject], names: Mapping[str, str]) -> dict[str, int]:
    """Return the bytes of each definition that is sent with a request, by the server's name of the tool."""
    return {names[one["name"]]: _bytes(one) for one in definitions}


def sent_definitions(record: RunRecord) -> SentDefinitions:
    """Return the bytes of the definitions that a run sent: those of the tools that its options permit, and decoys."""
    arguments = record.arguments
    permit = ToolFilter(
        tuple(arguments.get("allow_tool") or ()),
        tuple(arguments.get("deny_tool") or ()),
        bool(arguments.get("read_only")),
    )
    tools = ToolSet.of(record.server.tools if record.server else ()).only(permit)
    decoys = renamed_decoys(record.route.decoys, tools) if record.route else []
    offered = with_decoys(tools, decoys) if decoys else tools
    return SentDefinitions(
        definition_bytes(offered.definitions, offered.names), frozenset(tool["name"] for tool in decoys)
    )


def rounded(values: Sequence[float]) -> list[int]:
    """Round values so that their sum is the rounded sum: each is rounded together with those before it."""
    whole, total, done = [], 0.0, 0
    for value in values:
        total += value
        whole.append(round(total) - done)
        done = round(total)
    return whole


class _Sent:
    """The bytes of a conversation so far, which each request sends again."""

    def __init__(self, definitions: Mapping[str, int], system: int) -> None:
        self._definitions = definitions
        self._system = system
        self._messages = 0
        self._results: defaultdict[str, int] = defaultdict(int)
        self._tools: dict[str, str] = {}

    def add_user(self, blocks: Sequence[JsonObject]) -> None:
        """Add a user message: the prompt, or the results of a turn's calls."""
        for block in blocks:
            if block.get("type") == "tool_result":
                tool = self._tools.get(str(block.get("tool_use_id")), "")
                self._results[tool] += sum(map(_bytes, _blocks(block.get("content") or []))) or _bytes(block)
            else:
                self._messages += _bytes(block)

    def add_reply(self, blocks: Sequence[JsonObject], tools: Sequence[str]) -> list[tuple[str, int]]:
        """Add a reply, whose calls are of `tools`. Return the bytes of its blocks, each with the tool that it calls."""
        written, following = [], iter(tools)
        for block in blocks:
            tool = ""
            if block.get("type") == "tool_use":
                tool = next(following, str(block.get("name")))
                self._tools[str(block.get("id"))] = tool
            written.append((tool, _bytes(block)))
        self._messages += sum(size for _, size in written)
        return written

    def share(self, tokens: int, shares: TokenShares) -> None:
        """Apportion the input tokens of a request that sends everything so far."""
        parts = {
            "definitions": sum(self._definitions.values()),
            "system": self._system,
            "messages": self._messages,
            "results": sum(self._results.values()),
        }
        rate = tokens / (sum(parts.values()) or 1)
        if not any(parts.values()):
            shares.spent["messages"] += tokens
        for name, size in parts.items():
            shares.spent[name] += size * rate
        for tool, size in self._definitions.items():
            shares.definitions[tool] += size * rate
        for tool, size in self._results.items():
            shares.results[tool] += size * rate


def _share_output(tokens: int, written: Sequence[tuple[str, int]], shares: TokenShares) -> None:
    shares.spent["output"] += tokens
    rate = tokens / (sum(size for _, size in written) or 1)
    for tool, size in written:
        if tool:
            shares.calls[tool] += size * rate


def _tools_by_turn(transcript: Transcript) -> dict[int, list[str]]:
    """Return the tools that each turn called, by the server's names, in order."""
    tools: dict[int, list[str]] = {}
    for call in transcript.calls:
        tools.setdefault(call.turn, []).append(call.tool)
    return tools


def _blocks(content: Any) -> Sequence[JsonObject]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(_objects(content))


def _objects(content: Any) -> Iterator[JsonObject]:
    return (block for block in content if isinstance(block, dict)) if isinstance(content, list) else iter(())


def _bytes(block: JsonObject) -> int:
    """Return the bytes of what the model reads of a block: of a text, without the JSON around it."""
    if block.get("type") in _MEDIA:
        return _MEDIA_BYTES
    text = block["text"] if isinstance(block.get("text"), str) else dumps(block)
    return len(text.encode(errors="replace"))
