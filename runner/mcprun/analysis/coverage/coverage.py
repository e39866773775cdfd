"""The coverage of a server's surface by one or several runs, as plain values. Reports take a `Coverage`.

What it promises:

- The tools are all those that any session of any of the runs listed, under the server's own names, before
  `--allow-tool`, `--deny-tool` and `--read-only`. Malformed tools and tools that can't be sent to a model are among
  them. Waived tools are too: waiving is a matter of the gates (`analysis/coverage/gates.py`).
- Only calls that reached the server count. Calls that mcprun did not send are counted in `unsent`, and calls of tools
  that the server does not list in `unlisted`.
- The calls of all attempts count, those of steps included, and those that the server did not answer, as when it died:
  they failed. Of a baseline, which has no trace, only the last attempt of each query is known. Of a query that
  `--resume` has run again, the earlier calls do not count, and neither do those of a query that it has dropped.
- A tool is covered if one of its calls returned without error. An argument, or a value of one, is exercised if such
  a call passed it.
- Lists are sorted by name, so that equal runs in any order have equal coverage.
- `prompts`, `resources` and `resource_templates` are None if no run knows them: they were not listed, or the run is a
  baseline.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from mcprun._util.json_value import JsonObject


class ToolState(StrEnum):
    """How far a tool was exercised: a call returned without error, all calls failed, or no call reached it."""

    COVERED = "covered"
    FAILED = "failed"
    UNCALLED = "uncalled"


@dataclass(frozen=True, slots=True)
class ArgumentCoverage:
    """An argument of a tool: a property of its input schema, or a nested one.

    Attributes:
        path: Its path in the input: `state`, `filter.state`, `labels[*]`.
        exercised: Whether a call without error passed it.
        kind: `enum` or `boolean` if its schema lists its values, else None.
        seen: The listed values that calls without error passed, in the order of the schema.
        unseen: The other listed values.
    """

    path: str
    exercised: bool
    kind: Literal["enum", "boolean"] | None = None
    seen: tuple[Any, ...] = ()
    unseen: tuple[Any, ...] = ()

    def as_json(self) -> JsonObject:
        """Return the JSON object for `mcprun coverage --json`."""
        values = {"kind": self.kind, "seen": list(self.seen), "unseen": list(self.unseen)} if self.kind else {}
        return {"path": self.path, "exercised": self.exercised, **values}


@dataclass(frozen=True, slots=True)
class ToolCoverage:
    """A tool of the server.

    Attributes:
        name: The server's own name for it.
        calls: The number of calls that reached the server.
        errors: The number of these that failed: the server returned an error, or no valid result.
        arguments: Its arguments, in the order of its schema. Those of all schemas that the server listed for it.
        unusable: Why no model can call it: its entry is malformed, or can't be sent. Empty if one can.
        unreturned: The number of the failed calls to which the server returned no error, such as those that timed out.
    """

    name: str
    calls: int = 0
    errors: int = 0
    arguments: tuple[ArgumentCoverage, ...] = ()
    unusable: str = ""
    unreturned: int = 0

    @property
    def state(self) -> ToolState:
        """Whether the tool is covered, only ever failed, or was not called."""
        if self.calls > self.errors:
            return ToolState.COVERED
        return ToolState.FAILED if self.calls else ToolState.UNCALLED

    @property
    def is_covered(self) -> bool:
        """Whether a call of the tool returned without error."""
        return self.state is ToolState.COVERED

    @property
    def lacks_error(self) -> bool:
        """Whether the tool was called and never returned an error, so that its error path was never seen."""
        return self.calls > 0 and self.errors == self.unreturned

    @property
    def unexercised(self) -> tuple[ArgumentCoverage, ...]:
        """The arguments that no call without error passed."""
        return tuple(one for one in self.arguments if not one.exercised)

    def as_json(self) -> JsonObject:
        """Return the JSON object for `mcprun coverage --json`."""
        return {
            "name": self.name,
            "state": self.state.value,
            "calls": self.calls,
            "errors": self.errors,
            "returned_errors": self.errors - self.unreturned,
            "arguments": [one.as_json() for one in self.arguments],
            **({"unusable": self.unusable} if self.unusable else {}),
        }


@dataclass(frozen=True, slots=True)
class ItemCoverage:
    """A prompt by its name, or a resource by its URI or template, and how often queries took it from the server."""

    name: str
    reads: int = 0
    errors: int = 0

    @property
    def is_covered(self) -> bool:
        """Whether it was read without error."""
        return self.reads > self.errors

    def as_json(self) -> JsonObject:
        """Return the JSON object for `mcprun coverage --json`."""
        return {"name": self.name, "covered": self.is_covered, "reads": self.reads, "errors": self.errors}


@dataclass(frozen=True, slots=True)
class Share:
    """`done` of `total` things."""

    done: int
    total: int

    @property
    def value(self) -> float | None:
        """The share from 0 to 1, None if there is nothing to cover."""
        return self.done / self.total if self.total else None

    def as_json(self) -> JsonObject:
        """Return the JSON object for `mcprun coverage --json`."""
        return {"done": self.done, "total": self.total}


@dataclass(frozen=True, slots=True)
class Coverage:
    """What some runs have exercised of a server's surface. The module describes what counts.

    Attributes:
        tools: The tools, by name.
        prompts: The prompts by name, None if they are not known.
        resources: The resources by URI, None if they are not known.
        resource_templates: The templates of resources by URI template, None if they are not known.
        unlisted: The number of calls by tool, of tools that the server does not list.
        unsent: The number of calls by tool that mcprun did not send, such as denied ones.
        runs: The number of runs.
    """

    tools: tuple[ToolCoverage, ...] = ()
    prompts: tuple[ItemCoverage, ...] | None = None
    resources: tuple[ItemCoverage, ...] | None = None
    resource_templates: tuple[ItemCoverage, ...] | None = None
    unlisted: Mapping[str, int] = field(default_factory=dict)
    unsent: Mapping[str, int] = field(default_factory=dict)
    runs: int = 0

    def __repr__(self) -> str:
        """Return the shares only: `<Coverage: 1 of 2 tools, 2 of 4 arguments, 0 of 2 values>`."""
        shares = {"tools": self.covered, "arguments": self.arguments, "values": self.values}
        return f"<Coverage: {', '.join(f'{one.done:,} of {one.total:,} {name}' for name, one in shares.items())}>"

    def without(self, names: Collection[str]) -> Coverage:
        """Return the coverage without some tools, such as those that are waived."""
        return replace(self, tools=tuple(tool for tool in self.tools if tool.name not in names))

    def in_state(self, state: ToolState) -> tuple[ToolCoverage, ...]:
        """Return the tools that are in a state."""
        return tuple(tool for tool in self.tools if tool.state is state)

    @property
    def covered(self) -> Share:
        """The share of the tools that are covered."""
        return Share(len(self.in_state(ToolState.COVERED)), len(self.tools))

    @property
    def arguments(self) -> Share:
        """The share of the arguments of all tools that were exercised."""
        every = [one for tool in self.tools for one in tool.arguments]
        return Share(sum(one.exercised for one in every), len(every))

    @property
    def values(self) -> Share:
        """The share of the enum and boolean values of all arguments that were exercised."""
        every = [one for tool in self.tools for one in tool.arguments]
        seen = sum(len(one.seen) for one in every)
        return Share(seen, seen + sum(len(one.unseen) for one in every))

    @property
    def without_error(self) -> tuple[str, ...]:
        """The names of the tools whose error path was never seen: they were called and never returned an error."""
        return tuple(tool.name for tool in self.tools if tool.lacks_error)

    def as_json(self) -> JsonObject:
        """Return the JSON object for `mcprun coverage --json`."""
        return {
            "runs": self.runs,
            "coverage": {
                "tools": self.covered.as_json(),
                "arguments": self.arguments.as_json(),
                "values": self.values.as_json(),
            },
            "tools": [one.as_json() for one in self.tools],
            "prompts": _items(self.prompts),
            "resources": _items(self.resources),
            "resource_templates": _items(self.resource_templates),
            "unlisted": dict(self.unlisted),
            "unsent": dict(self.unsent),
        }


def _items(items: tuple[ItemCoverage, ...] | None) -> list[JsonObject] | None:
    return None if items is None else [one.as_json() for one in items]
