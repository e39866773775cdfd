"""What changed between two runs. Pure: lines of two `transcripts.jsonl` in, differences out.

Queries are paired by id and repeat. By default the verdict, how the conversation stopped, and the calls with their
results count; tokens, ids, times and the model's words do not.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Literal

from mcprun.errors import UsageError
from mcprun.records import JsonObject
from mcprun.scrub import Scrubber

ASPECTS = ("verdict", "calls", "results", "text", "usage")
"""What can be compared. The last two are only when asked for."""

_READ = ("id", "repeat", "verdict", "stop", "calls", "text", "turns", "usage", "error")
"""What is read of a transcript here."""

Key = tuple[str, int]
What = Literal["verdict", "stop", "call_added", "call_removed", "input", "result", "text", "usage"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs. `call` is the number of a call: in HEAD, or of a removed one in BASE.

    `tool` is its name, and `input` what it was given, where that is not what changed. `before` and `after` are JSON
    values, `None` where there is nothing to hold against.
    """

    what: What
    before: Any = None
    after: Any = None
    call: int | None = None
    tool: str | None = None
    input: Any = None


@dataclass(frozen=True, slots=True)
class QueryDiff:
    """A query that differs: only in one of the runs, or changed."""

    id: str
    repeat: int
    how: Literal["added", "removed", "changed"]
    verdicts: tuple[str | None, str | None]
    changes: tuple[Change, ...] = ()


@dataclass(slots=True)
class Tally:
    """How many queries were compared, and how they came out.

    `regressions` are those that are gone, or changed for anything but the better: one that passes now and did not
    before is none.
    """

    same: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    regressions: int = 0

    @property
    def differ(self) -> bool:
        """Whether anything does."""
        return bool(self.changed or self.added or self.removed)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares the transcripts of two runs. `aspects` are those of `ASPECTS` that count; `tally` counts on.

    With `among`, queries that only BASE has are passed over when their ids are not in it: HEAD was not asked for them.
    """

    aspects: frozenset[str] = frozenset(ASPECTS[:3])
    scrubber: Scrubber = field(default_factory=Scrubber)
    among: Container[str] | None = None
    tally: Tally = field(default_factory=Tally)

    def compare(self, base: Iterable[bytes], head: Iterable[bytes]) -> Iterator[QueryDiff]:
        """Give the queries that differ, changed ones in the order they are met, then removed and added ones.

        Memory holds what has no partner yet: nothing, when both are in the same order.
        """
        waiting: tuple[dict[Key, JsonObject], dict[Key, JsonObject]] = ({}, {})
        for lines in zip_longest(base, head):
            if lines[0] == lines[1]:
                self.tally.same += 1
                continue
            for side, line in enumerate(lines):
                if line is None:
                    continue
                transcript = _read(line, ("BASE", "HEAD")[side])
                key = (transcript["id"], transcript["repeat"])
                other = waiting[1 - side].pop(key, None)
                if other is None:
                    waiting[side][key] = transcript
                else:
                    yield from self._pair(*((other, transcript) if side else (transcript, other)))
        for (name, repeat), transcript in waiting[0].items():
            if self.among is not None and name not in self.among:
                continue
            self.tally.removed += 1
            self.tally.regressions += 1
            yield QueryDiff(name, repeat, "removed", (transcript["verdict"], None))
        for (name, repeat), transcript in waiting[1].items():
            self.tally.added += 1
            yield QueryDiff(name, repeat, "added", (None, transcript["verdict"]))

    def _pair(self, base: JsonObject, head: JsonObject) -> Iterator[QueryDiff]:
        changes = tuple(self._changes(base, head))
        if changes:
            self.tally.changed += 1
            self.tally.regressions += not (head["verdict"] == "passed" != base["verdict"])
            yield QueryDiff(base["id"], base["repeat"], "changed", (base["verdict"], head["verdict"]), changes)
        else:
            self.tally.same += 1

    def _changes(self, base: JsonObject, head: JsonObject) -> Iterator[Change]:
        before: Any
        after: Any
        if "verdict" in self.aspects:
            if base["verdict"] != head["verdict"]:
                yield Change("verdict", base["verdict"], head["verdict"])
            if stop_of(base) != stop_of(head):
                yield Change("stop", stop_of(base), stop_of(head))
        if self.aspects & {"calls", "results"} and base["calls"] != head["calls"]:
            yield from self._call_changes(self._calls(base), self._calls(head))
        if "text" in self.aspects and (before := self._text(base)) != (after := self._text(head)):
            yield Change("text", before, after)
        if "usage" in self.aspects and (before := _spent(base)) != (after := _spent(head)):
            yield Change("usage", before, after)

    def _text(self, transcript: JsonObject) -> Any:
        return self.scrubber.clean({"text": transcript["text"]}).get("text")

    def _calls(self, transcript: JsonObject) -> list[JsonObject]:
        """Give the calls as they are compared: `tool`, `input` and `result`, cleaned."""
        calls = [
            {"tool": call["tool"], "input": call["input"], "result": result_of(call)} for call in transcript["calls"]
        ]
        return self.scrubber.clean({"calls": calls}).get("calls", []) if self.scrubber else calls

    def _call_changes(self, base: Sequence[JsonObject], head: Sequence[JsonObject]) -> Iterator[Change]:
        for before, after in align(base, head):
            if before is None and after is not None:
                if "calls" in self.aspects:
                    call = head[after]
                    yield Change("call_added", None, call.get("input"), after, call.get("tool"))
            elif after is None and before is not None:
                if "calls" in self.aspects:
                    call = base[before]
                    yield Change("call_removed", call.get("input"), None, before, call.get("tool"))
            elif before is not None and after is not None:
                one, other = base[before], head[after]
                tool = other.get("tool")
                if "calls" in self.aspects and one.get("input") != other.get("input"):
                    yield Change("input", one.get("input"), other.get("input"), after, tool)
                if "results" in self.aspects and one.get("result") != other.get("result"):
                    yield Change("result", one.get("result"), other.get("result"), after, tool, other.get("input"))


def align(base: Sequence[JsonObject], head: Sequence[JsonObject]) -> Iterator[tuple[int | None, int | None]]:
    """Align two lists of calls like the lines of two texts: which belong together, which were added or removed.

    Calls of the same tool with the same input belong together; between those, calls of the same tool.
    """
    if len(base) == len(head) and all(map(_same_call, base, head)):  # as it mostly is
        yield from zip(range(len(base)), range(len(head)), strict=True)
        return
    for tag, i, j, k, n in _opcodes(map(_as_text, base), map(_as_text, head)):
        if tag == "equal":
            yield from zip(range(i, j), range(k, n), strict=True)
        else:
            tools = ([str(call.get("tool")) for call in side] for side in (base[i:j], head[k:n]))
            for inner, a, b, c, d in _opcodes(*tools):
                if inner == "equal":
                    yield from zip(range(i + a, i + b), range(k + c, k + d), strict=True)
                else:
                    yield from ((before, None) for before in range(i + a, i + b))
                    yield from ((None, after) for after in range(k + c, k + d))


def _opcodes(base: Iterable[str], head: Iterable[str]) -> Sequence[tuple[str, int, int, int, int]]:
    return SequenceMatcher(None, list(base), list(head), autojunk=False).get_opcodes()


def _same_call(one: JsonObject, other: JsonObject) -> bool:
    return one.get("tool") == other.get("tool") and one.get("input") == other.get("input")


def _as_text(call: JsonObject) -> str:
    return json.dumps([call.get("tool"), call.get("input")], sort_keys=True)


def _read(line: bytes, side: str) -> JsonObject:
    wrong = f"{side} holds a line that is no transcript"
    try:
        transcript = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{wrong}: it is not JSON: {error}") from None
    if not isinstance(transcript, dict):
        raise UsageError(f"{wrong}: it is no object")
    if missing := [key for key in _READ if key not in transcript]:
        raise UsageError(f"{wrong}: it has no {missing[0]!r}")
    return transcript


def _spent(transcript: JsonObject) -> JsonObject:
    return {"turns": len(transcript["turns"]), **(transcript["usage"] or {})}


def stop_of(transcript: JsonObject) -> str:
    """Say how a conversation stopped: the stop reason, and the kind of the error if there was one."""
    error = transcript["error"]
    return f"{transcript['stop']} ({error['kind']})" if error else str(transcript["stop"])


def result_of(call: JsonObject) -> Any:
    """Give a call's result in its shortest whole form, so that nothing is told twice.

    Structured content stands for the text that repeats it (MCP, "Structured Content"), without the `result` that
    servers wrap it in when it is no object; a lone text stands for its block. An error is marked as one.
    """
    content, structured = call["content"], call["structured"]
    texts = [block["text"] for block in content if block.keys() == {"type", "text"}]
    is_text = len(texts) == len(content)
    shortest: Any = texts[0] if is_text and len(texts) == 1 else content
    if structured is not None:
        inner = structured["result"] if isinstance(structured, dict) and structured.keys() == {"result"} else structured
        if is_text and any(form in _forms(texts) for form in (structured, inner)):
            shortest = inner
        else:
            shortest = {"content": shortest, "structured": structured}
    return {"error": shortest} if call["is_error"] else shortest


def _forms(texts: list[str]) -> list[Any]:
    """Give what texts may say: themselves, the JSON value in them, or a list of those."""
    told: list[Any] = ["\n".join(texts), texts]
    try:
        values = [json.loads(text) for text in texts]
    except ValueError:
        return told
    return [*told, values, *values] if len(values) == 1 else [*told, values]
