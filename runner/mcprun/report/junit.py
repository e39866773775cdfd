"""JUnit XML, for the parsers of GitHub, GitLab and Jenkins.

There is no standard. The file validates against the two schemas in use: Jenkins' `junit-10.xsd` (xunit-plugin) and,
unless tests were skipped, `JUnit.xsd` of Apache Ant's tasks, including its order of elements and required attributes.
Neither allows properties or files in a testcase, so the results of repeats are properties of the suite.
"""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from functools import partial

from mcprun.errors import ExitCode
from mcprun.report.cause_text import TITLE, headline, lines
from mcprun.report.causes import failure_kind, skip_reason
from mcprun.report.conversation import excerpt
from mcprun.report.data import RunData
from mcprun.report.fault_isolation import render
from mcprun.report.progress import label, repeat_label
from mcprun.report.routing import sentences
from mcprun.report.text import one_line, plural, visible
from mcprun.report.volatile import note_blocks
from mcprun.runs.transcript import Transcript, Verdict

_OWN = "mcprun"
"""The `classname` of testcases that are not queries: the run, its comparison with a baseline, its coverage."""

_MESSAGE = 500
"""Maximum number of characters of a `message` attribute; the element's text has all of it."""

_WITH_CALLS = 500
"""Maximum number of failed queries whose calls are included, because parsers refuse files that are too large."""

_NO_XML = re.compile("[^\\t\\n\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""Characters that XML 1.0 can't hold, not even escaped (https://www.w3.org/TR/xml/#charsets)."""


def junit(facts: RunData) -> str:
    """Return a run as a document with one testsuite, in which each repeat of a query is a testcase.

    It contains a `failure` or an `error` if and only if the run's exit code is not 0. A failed repeat of a query that
    reaches its required pass rate is `skipped`, with the reason, and so is a query that the run skipped. An incomplete
    run, a comparison with a baseline, each query that only the baseline has, and coverage gates, are testcases of their
    own. The causes of a red run are in the testcase of the run, if it is incomplete, and first in `system-out`.
    """
    cases = [*_run(facts), *_queries(facts)]
    marks = Counter(child.tag for case in cases for child in case)
    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_text(facts.stem),
        tests=str(len(cases)),
        failures=str(marks["failure"]),
        errors=str(marks["error"]),
        time=f"{facts.record.seconds or 0.0:.3f}",
        timestamp=facts.record.started[:19],
        hostname="localhost",  # the schema's value for an unknown host
        id="0",
        package=_OWN,
    )
    if marks["skipped"]:  # Ant's schema does not have this attribute
        suite.set("skipped", str(marks["skipped"]))
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(facts):
        ET.SubElement(properties, "property", name=_text(name), value=_text(value))
    suite.extend(cases)
    ET.SubElement(suite, "system-out").text = _text("\n".join(_notes(facts)))
    ET.SubElement(suite, "system-err").text = _text(facts.log)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True, short_empty_elements=True) + "\n"


def _notes(facts: RunData) -> Iterator[str]:
    """Yield why the run is red, its routing, and the notes of the comparison with the baseline."""
    if facts.why:
        yield from (TITLE, *lines(facts.why))
    if facts.routing:
        yield f"Routing: {'; '.join(sentences(facts.routing))}"
    for note in note_blocks(facts.against.volatile) if facts.against else ():
        yield note.title
        yield from note.lines


def _queries(facts: RunData) -> Iterator[ET.Element]:
    red = 0
    for transcript in facts.transcripts():
        yield render(transcript, partial(_query, facts=facts, with_calls=red < _WITH_CALLS))
        red += facts.is_red(transcript)


def _query(transcript: Transcript, facts: RunData, *, with_calls: bool) -> ET.Element:
    seconds = facts.durations.get((transcript.id, transcript.repeat), 0.0)
    case = _case(label(transcript), facts.stem, seconds)
    messages = facts.causes(transcript)
    first = one_line(messages[0], _MESSAGE) if messages else str(transcript.verdict)
    if facts.is_red(transcript):
        tag = "error" if transcript.verdict is Verdict.ERROR else "failure"
        outcome = facts.outcome(transcript)
        form = "regression" if outcome == "regressed" else failure_kind(transcript)
        mark = ET.SubElement(case, tag, message=_text(first), type=_text(form))
        regression = facts.regression(transcript)
        commands = facts.commands
        again = ["", "Reproduce:", *commands.of_query(transcript), *filter(None, [commands.note])]
        calls = [*excerpt(transcript), *again] if with_calls else [f"(conversation: {commands.show(transcript.id)})"]
        mark.text = _text("\n".join([*messages, "", *(regression.lines if regression else []), *calls]))
    elif facts.is_excused(transcript):
        _skip(case, f"failed, but the query reached its required pass rate: {first}")
    elif transcript.verdict is Verdict.SKIPPED:
        _skip(case, one_line(skip_reason(transcript) or str(transcript.verdict), _MESSAGE))
    return case


def _run(facts: RunData) -> Iterator[ET.Element]:
    """Yield the testcases that are not queries. The run itself has one if it is incomplete: all its causes."""
    if facts.trouble:
        case = _case("run", _OWN, 0.0)
        causes = [*lines(facts.why)] or [facts.trouble]
        tag = "failure" if facts.code is ExitCode.FAILED else "error"
        mark = ET.SubElement(case, tag, message=_text(_run_message(facts)), type=_run_type(facts))
        mark.text = _text("\n".join([TITLE, *causes]))
        yield case
    if against := facts.against:
        case = _case("baseline", _OWN, 0.0)
        if against.breaking:
            changes = plural(len(against.breaking), "breaking tool change")
            message = f"{changes} compared with {against.name}: {against.breaking[0]}"
            mark = ET.SubElement(case, "failure", message=_text(one_line(message, _MESSAGE)), type="regression")
            mark.text = _text("\n".join(against.breaking))
        yield case
        for removed in against.removed:
            case = _case(repeat_label(removed.id, removed.repeat), facts.stem, 0.0)
            mark = ET.SubElement(case, "failure", message=_text(removed.cause), type="regression")
            mark.text = _text(f"baseline: {against.name}")
            yield case
    if facts.record.coverage and facts.record.coverage.outcome:
        case = _case("coverage", _OWN, 0.0)
        if failures := facts.record.coverage_failures:
            first = one_line(failures[0], _MESSAGE) + _and_more(len(failures) - 1, "gate")
            mark = ET.SubElement(case, "failure", message=_text(first), type="coverage")
            mark.text = _text("\n".join([*failures, "", shlex.join(["mcprun", "coverage", facts.path])]))
        yield case


def _run_message(facts: RunData) -> str:
    """Return the first cause of a red run in one line, and how many there are."""
    first, *others = [headline(cause) for cause in facts.why] or [facts.trouble]
    return one_line(first, _MESSAGE) + _and_more(len(others), "cause")


def _and_more(count: int, noun: str) -> str:
    return f" (and {plural(count, f'more {noun}')})" if count else ""


def _run_type(facts: RunData) -> str:
    error = facts.record.error
    return str(error.kind if error else facts.record.state)


def _case(name: str, group: str, elapsed: float) -> ET.Element:
    return ET.Element("testcase", name=_text(name), classname=_text(group), time=f"{elapsed:.3f}")


def _skip(case: ET.Element, reason: str) -> None:
    ET.SubElement(case, "skipped", message=_text(reason))


def _properties(facts: RunData) -> Iterator[tuple[str, str]]:
    record, server = facts.record, facts.record.server
    yield "run", facts.path
    yield "state", record.state
    yield "exit_code", str(facts.code.value)
    yield "prompts", record.prompts.file
    yield "model", record.model.name
    if server:
        yield "server", " ".join(filter(None, (server.name, server.version)))
        yield "protocol", server.protocol
    if facts.routing:
        accuracy = facts.routing.matrix.accuracy
        yield "routing.right", str(accuracy.done)
        yield "routing.graded", str(accuracy.total)
        yield "routing.ungraded", str(facts.routing.ungraded)
    for one in record.repeats:
        values = {"runs": one.runs, "passed": one.passed, "pass_rate": one.pass_rate, "flaky": str(one.flaky).lower()}
        if one.required is not None:
            values["required"] = one.required
        for name, value in values.items():
            yield f"repeats.{one.id}.{name}", str(value)


def _text(text: str) -> str:
    """Return text that XML can hold, with controls and the few other forbidden characters escaped."""
    return _NO_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), visible(text))
