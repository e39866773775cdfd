"""Compare two transcripts of one query, as parsed from their lines. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import from_json

from mcprun._util.alignment import Alignment
from mcprun._util.json_text import TooDeepError, finite, loads
from mcprun._util.json_value import JsonObject, json_equal, json_same, key_of
from mcprun._util.short_repr import short_repr
from mcprun._util.surrogates import well_formed_bytes, well_formed_json
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.variables import VariablePairs
from mcprun.errors import UsageError
from mcprun.option_kinds import type_name
from mcprun.prompts.names import UNIQUE, unique_text

ASPECTS = ("verdict", "calls", "results", "tools", "text", "usage")
"""What can be compared: `tools` of the servers, the others of each query. The last two are off by default."""

DEFAULT_ASPECTS = frozenset(ASPECTS[:4])

What = Literal["verdict", "stop", "prompt", "call_added", "call_removed", "input", "result", "text", "usage", "fault"]


_SENT = frozenset({"input", "result"})
"""The parts of a call that may hold values of variables."""

_CALLS, _MESSAGES = 3, 5
"""Levels of keys that are mcprun's own: `calls[*].result`, `messages[*].content[*].text`."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `call` is the number of the call in HEAD, or in BASE if it was removed.

    `tool` is the call's tool, and `input` its input unless that is what changed. `before` and `after` are JSON values,
    `None` if absent. `are_errors` is whether the results before and after are errors. A `fault` is a query that could
    not be compared, with the reason in `after`.
    """

    what: What
    before: Any = None
    after: Any = None
    call: int | None = None
    tool: str | None = None
    input: Any = None
    are_errors: tuple[bool, bool] = (False, False)

    def __repr__(self) -> str:
        """Return what changed, with both values shortened: `<Change result of call 0: 5 → 6>`."""
        where = "" if self.call is None else f" of call {self.call}"
        return f"<Change {self.what}{where}: {short_repr(self.before)} → {short_repr(self.after)}>"


@dataclass(frozen=True, slots=True)
class ComparableTranscript:
    """The compared parts of a transcript, scrubbed.

    Each of `calls` has `tool`, `input`, `result`, `is_error`, `problem` and `form` (`_form`). Those that a routed run
    only asked for have no `result`. `text` is the model's final text, `stop` is how the conversation stopped, and
    `opening` are the messages made from the server's prompt and resources.
    """

    calls: Sequence[JsonObject]
    text: Any = None
    stop: str | None = None
    opening: Any = None


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What to compare: `aspects` is a subset of `ASPECTS`, and `scrubber` removes volatile values."""

    aspects: frozenset[str] = DEFAULT_ASPECTS
    scrubber: Scrubber = field(default_factory=Scrubber)

    def __post_init__(self) -> None:
        """Raise `UsageError` for unknown aspects, which would compare nothing, and for wrong types."""
        if isinstance(self.aspects, str) or not isinstance(self.aspects, Iterable):
            raise UsageError(f"aspects must be a set of strings, not {type_name(self.aspects)}")
        if unknown := [one for one in self.aspects if one not in ASPECTS]:
            raise UsageError(f"aspects must be some of {', '.join(ASPECTS)}, not {unknown[0]!r}")
        object.__setattr__(self, "aspects", frozenset(self.aspects))
        if not isinstance(self.scrubber, Scrubber):
            raise UsageError(f"scrubber must be an object of type mcprun.Scrubber, not {type_name(self.scrubber)}")

    def comparable(self, transcript: JsonObject, base: JsonObject | None = None) -> ComparableTranscript:
        """Return the compared parts of a transcript.

        With a `base`, the values of variables are those of that transcript, wherever the two differ only by them. They
        are replaced before anything is scrubbed, which would leave only parts of some, and again afterwards, where a
        text differed by scrubbed values too.
        """
        parts = self._parts(transcript)
        pairs = variable_pairs(base, transcript) if base else None
        if not base or not pairs:
            return self._scrubbed(parts)
        of_base = self._parts(base)
        parts = self._scrubbed(_as_base(pairs, of_base, parts))
        return _as_base(pairs, self._scrubbed(of_base), parts) if self.scrubber else parts

    def _parts(self, transcript: JsonObject) -> ComparableTranscript:
        """Return the parts of a transcript that are compared, as they are."""
        return ComparableTranscript(
            _calls(transcript),
            transcript["text"] if "text" in self.aspects else None,
            stop_reason(transcript) if "verdict" in self.aspects else None,
            opening_messages(transcript) if "results" in self.aspects else None,
        )

    def _scrubbed(self, parts: ComparableTranscript) -> ComparableTranscript:
        """Return the parts of a transcript, scrubbed."""
        calls, text, opening = parts.calls, parts.text, parts.opening
        if self.scrubber:
            cleaned = self.scrubber.clean({"calls": calls}, frame=_CALLS).get("calls", [])
            calls = [call for call in cleaned if isinstance(call, dict)]  # the others are placeholders of ignored calls
        if text is not None:
            text = self.scrubber.clean({"text": text}, frame=1).get("text")
        if opening and self.scrubber:
            opening = self.scrubber.clean({"messages": opening}, frame=_MESSAGES).get("messages")
        return ComparableTranscript(calls, text, parts.stop, opening)

    def changes(self, base: JsonObject, head: JsonObject) -> Iterator[Change]:
        """Yield the changes from one transcript to the other, in order."""
        if "verdict" in self.aspects and base["verdict"] != head["verdict"]:
            yield Change("verdict", base["verdict"], head["verdict"])
        is_same = all(json_same(part(base), part(head)) for part in (_made, _requested, opening_messages))
        if "text" in self.aspects or stop_reason(base) != stop_reason(head) or not is_same:
            yield from self.comparable_changes(self.comparable(base), self.comparable(head, base))
        if "usage" in self.aspects and (before := total_usage(base)) != (after := total_usage(head)):
            yield Change("usage", before, after)

    def comparable_changes(self, base: ComparableTranscript, head: ComparableTranscript) -> Iterator[Change]:
        """Yield the changes in the stop reason, the server's messages, the calls and the model's text."""
        if base.stop != head.stop:
            yield Change("stop", base.stop, head.stop)
        if base.opening and head.opening and not json_same(base.opening, head.opening):
            yield Change("prompt", base.opening, head.opening)
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
            is_same = _has_same_problem(one, other) or (errors[0] is errors[1] and json_same(*results))
            if "results" in self.aspects and not is_same:
                yield Change("result", *results, after, tool, other.get("input"), errors)
            elif "results" in self.aspects and "result" in one and {one.get("form"), other.get("form")} == _FORMS:
                sides = (
                    json.dumps(call["result"]) if call["form"] == "text" else call["result"] for call in (one, other)
                )
                yield Change("result", next(sides), next(sides), after, tool, other.get("input"), errors)
        elif "calls" not in self.aspects:
            return
        elif after is not None:
            yield Change("call_added", None, head[after].get("input"), after, head[after].get("tool"))
        elif before is not None:
            yield Change("call_removed", base[before].get("input"), None, before, base[before].get("tool"))


def variables_of(transcript: JsonObject) -> JsonObject:
    """Return the values of a transcript's variables by name, with `unique` if the query may have used it."""
    found = transcript.get("vars")
    values = found if isinstance(found, dict) else {}
    match transcript:
        case {"id": str(name), "repeat": int(repeat)} if values or transcript.get("steps"):
            return {**values, UNIQUE: unique_text(name, repeat)}
    return values


def variable_pairs(base: JsonObject, head: JsonObject) -> VariablePairs | None:
    """Return the pairs of values of two transcripts' variables; None if there are none."""
    before, after = variables_of(base), variables_of(head)
    return (before and after and VariablePairs.of(before, after)) or None


def _made(transcript: JsonObject) -> list[Any]:
    return list(transcript["calls"])


def _requested(transcript: JsonObject) -> list[JsonObject]:
    """Return the calls that the model asked for in a routed run; empty in others."""
    match transcript:
        case {"routed": [*calls]}:
            return [call for call in calls if isinstance(call, dict) and call.keys() >= {"tool", "input"}]
    return []


def _calls(transcript: JsonObject) -> list[JsonObject]:
    """Return the calls to compare. Those of a routed run have no result."""
    requested = [
        {"tool": call["tool"], "input": call["input"], "is_error": False, "problem": None, "form": None}
        for call in _requested(transcript)
    ]
    return requested + [
        {
            "tool": call["tool"],
            "input": call["input"],
            "result": result_of(call),
            "is_error": call["is_error"],
            "problem": call.get("problem"),
            "form": _form(call),
        }
        for call in transcript["calls"]
    ]


def _as_base(pairs: VariablePairs, base: ComparableTranscript, head: ComparableTranscript) -> ComparableTranscript:
    """Return the parts of HEAD with BASE's values of the variables."""
    return ComparableTranscript(
        _calls_as_base(pairs, base.calls, head.calls),
        head.text and pairs.as_base(base.text, head.text),
        head.stop,
        head.opening and pairs.as_base(base.opening, head.opening),
    )


def _calls_as_base(
    pairs: VariablePairs, base: Sequence[JsonObject], head: Sequence[JsonObject]
) -> Sequence[JsonObject]:
    """Return HEAD's calls with BASE's values of the variables. Calls that were added keep theirs."""
    calls = [*head]
    for before, after in _aligned_by_pairs(pairs, base, head):
        one, other = base[before], head[after]
        calls[after] = {
            **other,
            **{part: pairs.as_base(one[part], other[part]) for part in _SENT & one.keys() & other.keys()},
        }
    return calls


def _aligned_by_pairs(
    pairs: VariablePairs, base: Sequence[JsonObject], head: Sequence[JsonObject]
) -> Iterator[tuple[int, int]]:
    """Align two lists of calls, and yield the pairs of indexes of calls that both have."""
    if len(base) == len(head) and all(
        one.get("tool") == other.get("tool") and pairs.equal(one.get("input"), other.get("input"))
        for one, other in zip(base, head, strict=True)
    ):
        yield from zip(range(len(base)), range(len(head)), strict=True)
        return
    replaced = [{**call, "input": pairs.inverse.to_head(call.get("input"), in_texts=True)} for call in head]
    for before, after in align(base, replaced):
        if before is not None and after is not None:
            yield before, after


def align(base: Sequence[JsonObject], head: Sequence[JsonObject]) -> Iterator[tuple[int | None, int | None]]:
    """Align two lists of calls like the lines of two texts, and yield pairs of indexes; None for a missing partner.

    Calls of the same tool with the same input are paired first; between those, calls of the same tool.
    """
    if len(base) == len(head) and all(map(_same_call, base, head)):  # the usual case
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


def _has_same_problem(one: JsonObject, other: JsonObject) -> bool:
    """Return whether mcprun synthesised both results for the same reason. Their texts are not compared then."""
    return one.get("problem") is not None and one.get("problem") == other.get("problem")


def _fails(call: JsonObject) -> bool:
    return call.get("is_error") is True and "result" in call  # whether an ignored result is an error is ignored too


def total_usage(transcript: JsonObject) -> JsonObject:
    """Return the turns and tokens that a transcript used."""
    return {"turns": len(transcript["turns"]), **(transcript["usage"] or {})}


def stop_reason(transcript: JsonObject) -> str:
    """Return the stop reason of a conversation, with the kind of its error if there was one."""
    error = transcript["error"]
    return f"{transcript['stop']} ({error.get('kind')})" if error else str(transcript["stop"])


def opening_messages(transcript: JsonObject) -> list[Any]:
    """Return the messages made from the server's prompt and resources."""
    match transcript:
        case {"given": {"messages": int(count)}, "messages": [*messages]}:
            return messages[:count]
    return []


def result_of(call: JsonObject) -> Any:
    """Return a call's result in its shortest complete form, so that nothing is reported twice.

    Structured content replaces the text that repeats it (MCP, "Structured Content"), without the `result` key that
    servers wrap non-objects in. A single text replaces its block, and the JSON in it replaces the text.
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
        return shortest if isinstance(inner, str) else inner  # JSON that a tool returned as text
    return {"content": shortest, "structured": structured}


def _form(call: JsonObject) -> str | None:
    """Return `text` for a single text with a JSON list, `blocks` for no or several texts and other content, else None.

    Their values may be equal (`result_of`), but not their contents.
    """
    content = call["content"]
    if call["structured"] is not None:
        return None
    if len(content) != 1 or content[0].keys() != {"type", "text"}:
        return "blocks"
    return "text" if content[0]["text"][:1] == "[" and isinstance(_json_in(content[0]["text"], None), list) else None


def _values_in(texts: list[str]) -> Any:
    """Return the JSON values in texts: a single one, or a list. Text that is not JSON becomes a unique sentinel."""
    values = [_json_in(text, _NONE, any_value=True) for text in texts]
    return values[0] if len(values) == 1 else values


_NONE = object()

_FORMS = {"text", "blocks"}


def read_json(line: bytes) -> Any:
    """Parse a line of a run's files. Raises `ValueError` if it is not JSON.

    Lone surrogates are replaced with U+FFFD, and NaN and infinities with their names: older files contain both.
    """
    value = _read_json(line)
    return finite(value) if b"NaN" in line or b"Infinity" in line else value


def _read_json(line: bytes) -> Any:
    try:
        return from_json(line)
    except (ValueError, TypeError):  # JSON that only Python's parser accepts; TypeError: a lone surrogate
        try:
            return json.loads(well_formed_bytes(line))
        except RecursionError:
            raise TooDeepError("nested too deeply") from None


def _json_in(text: str, otherwise: Any, *, any_value: bool = False) -> Any:
    """Return the object or list in a JSON text, with `any_value` any JSON value; `otherwise` if it holds none.

    JSON that two parsers may read differently is not parsed. NaN and Infinity, which Python's `json` writes, are.
    """
    if not any_value and text[:1] not in ("{", "["):
        return otherwise
    try:
        return well_formed_json(loads(text, allow_nan=True))
    except ValueError:
        return otherwise
