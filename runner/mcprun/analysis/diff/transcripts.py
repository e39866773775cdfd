"""What changed between two transcripts of one query. Pure: what `json.loads` gives of their lines in, changes out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import from_json

from mcprun._util.alignment import Alignment
from mcprun._util.json_text import TooDeepError, finite, loads
from mcprun._util.json_value import JsonObject, json_equal, json_same, key_of
from mcprun._util.surrogates import well_formed_bytes, well_formed_json
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.errors import UsageError
from mcprun.option_kinds import type_name

ASPECTS = ("verdict", "calls", "results", "tools", "text", "usage")
"""What can be compared: of the servers, `tools`; of each query, the rest. The last two are only when asked for."""

DEFAULT_ASPECTS = frozenset(ASPECTS[:4])

What = Literal["verdict", "stop", "prompt", "call_added", "call_removed", "input", "result", "text", "usage", "fault"]


_CALLS, _MESSAGES = 3, 5
"""Levels of what is compared that have mcprun's own keys: `calls[*].result`, `messages[*].content[*].text`."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs. `call` is the number of a call: in HEAD, or of a removed one in BASE.

    `tool` is its name, and `input` what it was given, where that is not what changed. `before` and `after` are JSON
    values, `None` where there is nothing to hold against; `are_errors` tells which results are errors. A
    `fault` is a query that could not be compared, with the reason in `after`.
    """

    what: What
    before: Any = None
    after: Any = None
    call: int | None = None
    tool: str | None = None
    input: Any = None
    are_errors: tuple[bool, bool] = (False, False)


@dataclass(frozen=True, slots=True)
class ComparableTranscript:
    """What of a transcript is compared, cleaned.

    `calls` hold `tool`, `input`, `result` and `is_error`, `text` the model's last words, `stop` how it ended, `given`
    the messages that the server's own prompt and resources made.
    """

    calls: Sequence[JsonObject]
    text: Any = None
    stop: str | None = None
    given: Any = None


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Says what counts: `aspects` are those of `ASPECTS`, and the `scrubber` takes out what does not mean anything."""

    aspects: frozenset[str] = DEFAULT_ASPECTS
    scrubber: Scrubber = field(default_factory=Scrubber)

    def __post_init__(self) -> None:
        """Raise `UsageError` for aspects that are not known: nothing would be compared."""
        if isinstance(self.aspects, str) or not isinstance(self.aspects, Iterable):
            raise UsageError(f"aspects must be a set of strings, not {type_name(self.aspects)}")
        if unknown := [one for one in self.aspects if one not in ASPECTS]:
            raise UsageError(f"aspects must be some of {', '.join(ASPECTS)}, and {unknown[0]!r} is not one of them")
        object.__setattr__(self, "aspects", frozenset(self.aspects))
        if not isinstance(self.scrubber, Scrubber):
            raise UsageError(f"scrubber must be an object of type mcprun.Scrubber, not {type_name(self.scrubber)}")

    def seen(self, transcript: JsonObject) -> ComparableTranscript:
        """Give what of a transcript is compared."""
        calls = [
            {"tool": call["tool"], "input": call["input"], "result": result_of(call), "is_error": call["is_error"]}
            for call in transcript["calls"]
        ]
        if self.scrubber:
            cleaned = self.scrubber.clean({"calls": calls}, frame=_CALLS).get("calls", [])
            calls = [call for call in cleaned if isinstance(call, dict)]  # the others are ignored
        text = None
        if "text" in self.aspects:
            text = self.scrubber.clean({"text": transcript["text"]}, frame=1).get("text")
        given = given_of(transcript) if "results" in self.aspects else None
        if given and self.scrubber:
            given = self.scrubber.clean({"messages": given}, frame=_MESSAGES).get("messages")
        return ComparableTranscript(calls, text, stop_of(transcript) if "verdict" in self.aspects else None, given)

    def changes(self, base: JsonObject, head: JsonObject) -> Iterator[Change]:
        """Give what changed from one transcript to the other, in order."""
        if "verdict" in self.aspects and base["verdict"] != head["verdict"]:
            yield Change("verdict", base["verdict"], head["verdict"])
        is_same = json_same(base["calls"], head["calls"]) and json_same(given_of(base), given_of(head))
        if "text" in self.aspects or stop_of(base) != stop_of(head) or not is_same:
            yield from self.seen_changes(self.seen(base), self.seen(head))
        if "usage" in self.aspects and (before := spent(base)) != (after := spent(head)):
            yield Change("usage", before, after)

    def seen_changes(self, base: ComparableTranscript, head: ComparableTranscript) -> Iterator[Change]:
        """Give what changed in how it ended, in what the server gave, in the calls, and in what the model said."""
        if base.stop != head.stop:
            yield Change("stop", base.stop, head.stop)
        if base.given and head.given and not json_same(base.given, head.given):
            yield Change("prompt", base.given, head.given)
        if self.aspects & {"calls", "results"}:
            for before, after in align(base.calls, head.calls):
                yield from self._call_changes(base.calls, before, head.calls, after)
        if "text" in self.aspects and base.text != head.text:
            yield Change("text", base.text, head.text)

    def _call_changes(
        self, base: Sequence[JsonObject], before: int | None, head: Sequence[JsonObject], after: int | None
    ) -> Iterator[Change]:
        if before is not None and after is not None:
            one, other = base[before], head[after]
            tool = other.get("tool")
            if "calls" in self.aspects and not json_same(one.get("input"), other.get("input")):
                yield Change("input", one.get("input"), other.get("input"), after, tool)
            results, errors = (one.get("result"), other.get("result")), (_fails(one), _fails(other))
            if "results" in self.aspects and not (errors[0] is errors[1] and json_same(*results)):
                yield Change("result", *results, after, tool, other.get("input"), errors)
        elif "calls" not in self.aspects:
            return
        elif after is not None:
            yield Change("call_added", None, head[after].get("input"), after, head[after].get("tool"))
        elif before is not None:
            yield Change("call_removed", base[before].get("input"), None, before, base[before].get("tool"))


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
    return Alignment(list(base), list(head)).get_opcodes()


def _same_call(one: JsonObject, other: JsonObject) -> bool:
    return one.get("tool") == other.get("tool") and json_same(one.get("input"), other.get("input"))


def _as_text(call: JsonObject) -> str:
    return key_of([call.get("tool"), call.get("input")])


def _fails(call: JsonObject) -> bool:
    return call.get("is_error") is True and "result" in call  # of a result that is ignored, nothing counts


def spent(transcript: JsonObject) -> JsonObject:
    """Give how many turns and tokens it took."""
    return {"turns": len(transcript["turns"]), **(transcript["usage"] or {})}


def stop_of(transcript: JsonObject) -> str:
    """Say how a conversation stopped: the stop reason, and the kind of the error if there was one."""
    error = transcript["error"]
    return f"{transcript['stop']} ({error.get('kind')})" if error else str(transcript["stop"])


def given_of(transcript: JsonObject) -> list[Any]:
    """Give the messages that the server's own prompt and resources made."""
    match transcript:
        case {"given": {"messages": int(count)}, "messages": [*messages]}:
            return messages[:count]
    return []


def result_of(call: JsonObject) -> Any:
    """Return a call's result in its shortest whole form, so that nothing is reported twice.

    Structured content stands for the text that repeats it (MCP, "Structured Content"), without the `result` that
    servers wrap it in when it is not an object. A single text stands for its block, and the JSON in it for the text.
    """
    content, structured = call["content"], call["structured"]
    texts = [block["text"] for block in content if block.keys() == {"type", "text"}]
    if len(texts) != len(content):
        return content if structured is None else {"content": content, "structured": structured}
    shortest: Any = texts if len(texts) != 1 else _json_in(texts[0], texts[0])
    if structured is None:
        return shortest if texts else content
    inner = structured["result"] if isinstance(structured, dict) and structured.keys() == {"result"} else structured
    forms = [shortest, texts, *texts[:1], finite(_values_in(texts))]
    if any(json_equal(form, value) for form in forms for value in (inner, structured)):
        return inner
    return {"content": shortest, "structured": structured}


def _values_in(texts: list[str]) -> Any:
    """Return the JSON values in texts: the only one, or a list of them. Text that is not JSON equals no value."""
    values = [_json_in(text, _NONE, any_value=True) for text in texts]
    return values[0] if len(values) == 1 else values


_NONE = object()


def read_json(line: bytes) -> Any:
    """Parse a line of a run's files.

    U+FFFD stands for each half of a surrogate pair, and its name for NaN or an infinite number: older files hold both
    as they are. Raises `ValueError`.
    """
    value = _read_json(line)
    return finite(value) if b"NaN" in line or b"Infinity" in line else value


def _read_json(line: bytes) -> Any:
    try:
        return from_json(line)
    except (ValueError, TypeError):  # JSON that only Python's parser accepts; TypeError: half of a surrogate pair
        try:
            return json.loads(well_formed_bytes(line))
        except RecursionError:
            raise TooDeepError("nested too deeply") from None


def _json_in(text: str, otherwise: Any, *, any_value: bool = False) -> Any:
    """Parse the object or list that a text is, or with `any_value` any JSON.

    JSON that two parsers may read differently stays text. NaN and Infinity, which Python's `json` writes, are read.
    """
    if not any_value and text[:1] not in ("{", "["):
        return otherwise
    try:
        return well_formed_json(loads(text, allow_nan=True))
    except ValueError:
        return otherwise
