"""Judge the tries of generated queries, and note in each query what its author should fix. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mcprun._util.json_value import JsonObject
from mcprun.prompts.chains import WorkedCalls
from mcprun.prompts.generate import FIX_HINT, FirstPrompts, noted
from mcprun.prompts.script_query import as_json, plain
from mcprun.runs.transcript import Call, Transcript
from mcprun.tools.failures import failure_in
from mcprun.tools.results import result_text

_REASON = 300
"""Maximum characters of a reason in a note."""

_FAILED_HINT = "write an input that works"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is wrong with a try: an error of a call, a result that says that the call failed, or a verdict.

    All are empty if the query does real work.
    """

    error: str = ""
    failure: str = ""
    cause: str = ""

    @property
    def works(self) -> bool:
        """Whether the query passed, and all of its calls did what they were asked to."""
        return not self.reason

    @property
    def reason(self) -> str:
        """What is wrong, whatever its kind; empty if nothing is."""
        return self.error or self.failure or self.cause


def outcome_of(transcript: Transcript) -> Outcome:
    """Judge one try."""
    wrong = next((call for call in transcript.calls if call.is_error), None)
    if wrong and transcript.error is None:
        return Outcome(error=plain(_describe(wrong), _REASON))
    if transcript.cause:
        return Outcome(cause=plain(transcript.cause, _REASON))
    words = (failure_in(call.tool, call.content, call.structured) for call in transcript.calls)
    return Outcome(failure=plain(next(filter(None, words), ""), _REASON))


@dataclass(frozen=True, slots=True)
class Tries:
    """The queries after they were tried: the tries of each by its id.

    `first` holds the queries, with notes.
    """

    first: FirstPrompts
    transcripts: Mapping[str, Sequence[Transcript]] = field(default_factory=dict)

    @property
    def working(self) -> list[str]:
        """The ids of the queries that do real work in each try."""
        return [name for name, tries in self.transcripts.items() if all(outcome_of(one).works for one in tries)]


def worked_calls(query: JsonObject, tool: JsonObject, transcript: Transcript) -> WorkedCalls:
    """Return the calls of a query that worked, as scripted."""
    calls = [call for turn in query["script"] for call in turn.get("calls", ())]
    last = transcript.calls[-1]
    return WorkedCalls(tool, calls, last.content, last.structured)


def mark_failures(first: FirstPrompts, transcripts: Mapping[str, Sequence[Transcript]]) -> FirstPrompts:
    """Note what is wrong with queries after some tries. One whose call returned an error gets `tool_errors: allow`.

    A single failure counts.
    """
    queries = {query["id"]: query for query in first.queries}
    notes, red = dict(first.notes), set()
    for name, tries in transcripts.items():
        outcome = next((one for one in map(outcome_of, tries) if not one.works), None)
        if outcome is None:
            notes.pop(name, None)
        elif outcome.error:
            notes.setdefault(name, f"returned an error: {outcome.error}")
            if "metadata" not in queries[name]:
                queries[name] = noted(queries[name], f"the call returned an error: {FIX_HINT}")
        elif outcome.cause:
            notes[name] = f"did not pass: {outcome.cause}"
            queries[name] = {**queries[name], "metadata": {"todo": "find out why this query does not pass"}}
            red.add(name)
        else:
            notes[name] = f"its result says that the call failed: {outcome.failure}"
            todo = f"the result says that the call failed: {_FAILED_HINT}"
            queries[name] = {**queries[name], "metadata": {"todo": todo}}
    return replace(first, queries=tuple(queries.values()), notes=notes, red=frozenset(red))


def _describe(call: Call) -> str:
    return result_text(call.content) or as_json(call.structured)
