"""Recognise results that say in words that a call failed, although they are not marked as errors (`isError`). Pure.

Many servers answer `Error: …`, `{"error": …}` or `{"success": false}` as an ordinary result. The rules are narrow, so
that a tool that lists errors, or a text that mentions one, is not taken for a failure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from mcprun._util.json_value import JsonObject

_MAX_CHARS = 2000
"""Maximum characters of a text to search: a failure says so at the start."""

_SHORT = 300
"""Maximum characters of a text that is a failure if it mentions one anywhere."""

_MAX_LEVELS = 3
"""Maximum levels of objects to search: servers wrap results in `result` or `data`."""

_REPORTS = re.compile(r"error|exception|fail|issue|problem|warning|log(?:s|ging)?\b|lint|valid|diagnos|check", re.I)
"""Names of tools whose results may be about errors, such as `list_errors`."""

_DECORATION = re.compile(r"^[^\w\[({\"'<]+", re.ASCII)
_START = re.compile(
    r"""
    (?:[\w.-]+\ ){0,3}?(?:[a-z]\w*)?(?:error|exception)\b(?:\ [^\n:]{0,80})?[*_]{0,2}\s*[:!]
    | \[?(?:error|failure|failed)\]?\s*(?:$|[-:!.]|\n)
    | (?:[\w.-]+\ ){0,3}?(?:error|exception)\ (?:occurred|happened|while|executing|calling|fetching|reading|running)\b
    | (?:sorry,\ )?(?:(?:i|we)\ )?(?:failed|unable|cannot|can't|can\ not|could\ not|couldn't|not\ able)\ (?!be\b)
    | (?:http\ |status\ )(?:error\ |code\ |status\ )?:?\ ?[45]\d\d\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""The start of a text that says that a call failed."""

_SHORT_START = re.compile(
    r"(?:invalid|illegal|missing|unknown|unsupported|unauthori[sz]ed|forbidden|not found|no such|access denied"
    r"|permission denied|bad request|not authenticated|not connected|timed? ?out|connection refused)\b",
    re.IGNORECASE,
)
"""The start of a short text that says that a call failed."""

_MENTION = re.compile(
    r"""
    \bnot\ found\b | \bdo(?:es)?\ ?(?:not|n't)\ exist | \bno\ such\b | \b(?:permission|access)\ denied\b
    | \bfailed\ (?:to|with|because)\b | \bfailed: | \bis\ (?:not\ a\ valid|not\ valid|invalid|required|not\ supported)\b
    | \bmust\ (?:be|have|provide|start|specify|contain)\b | \btimed\ out\b | \bconnection\ (?:refused|error|failed)\b
    | \bnot\ (?:authori[sz]ed|authenticated|connected|running|initiali[sz]ed|installed|configured|allowed|implemented)\b
    | \b(?:unauthori[sz]ed|forbidden)\b | \binvalid\ \w+ | \b(?:could|can)\ ?not\b | \b(?:couldn't|can't)\b
    | \bunable\ to\b | \bstatus(?:\ code)?:?\ [45]\d\d\b | \berror:\ | \bENOENT\b | \bECONNREFUSED\b | \bEACCES\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What only a failure says in so short a text."""

_TRACE = re.compile(r"Traceback \(most recent call last\):|\n\s+at [^\n]{1,200}:\d+:\d+\)?")
"""A stack trace of Python or JavaScript."""

_ERROR_KEYS = ("error", "err", "exception", "error_message", "errorMessage", "error_msg", "traceback")
_WRAPPERS = ("result", "response", "data", "output", "content", "body")
_FAILED = frozenset({"error", "errored", "failed", "failure", "fail", "exception", "not_found", "unauthorized"})
_VALIDITY = frozenset({"valid", "isValid", "is_valid", "passed"})
_BESIDE_ERRORS = frozenset({"errors", "data", "extensions", "status", "success", "ok", "code", "message", "path"})


_UNAVAILABLE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|fetch failed|getaddrinfo|name resolution|resolve host|\bunreachable"
    r"|connection error|connection refused|failed to connect|could not connect|all connection attempts failed"
    r"|install chrome|chrom\w+ (?:is |was )?not found|could not find chrom|browser (?:is |was )?not (?:found|installed)"
    r"|api.?key|api token|\bcredentials?\b|unauthori[sz]ed|\b40[13]\b|not logged in|kubeconfig",
    re.IGNORECASE,
)


def is_unavailable(reason: str) -> bool:
    """Return whether an error is about a network, a browser, a service or an account, so that no other input helps."""
    return bool(_UNAVAILABLE.search(reason))


def failure_in(tool: str, content: Sequence[JsonObject], structured: Any = None) -> str:
    """Return the words by which a result says that its call failed, on one line; empty if it does not.

    `tool` is the tool's name, `content` and `structured` are those of the MCP result.
    """
    texts = [str(block["text"]) for block in content if block.get("type") == "text" and block.get("text")]
    values = [structured] if isinstance(structured, dict) else []
    for value in [*values, *texts]:
        for words in _failures(value, bool(_REPORTS.search(tool)), 0):
            return " ".join(words.split())
    return ""


def _failures(value: Any, is_report: bool, level: int) -> Iterator[str]:
    """Yield what says that a call failed in a text or an object."""
    if isinstance(value, str):
        text = value[:_MAX_CHARS].strip()
        parsed = _parsed(value)
        if parsed is not None:
            yield from _failures(parsed, is_report, level)
        elif _says_failure(text, len(value), is_report):
            yield text
    elif isinstance(value, dict) and level < _MAX_LEVELS:
        yield from _of_object(value, is_report)
        for key in _WRAPPERS:
            if key in value and (len(value) <= len(_WRAPPERS) or isinstance(value[key], dict)):
                yield from _failures(value[key], is_report, level + 1)


def _of_object(value: JsonObject, is_report: bool) -> Iterator[str]:
    if is_report and value.keys() & _VALIDITY:  # what was validated is wrong, not the call
        return
    for key in _ERROR_KEYS:
        if value.get(key) and not isinstance(value[key], int | float):
            yield f"{key}: {_text(value[key])}"
        elif value.get(key) is True:
            yield f"{key}: true"
    for key in ("success", "ok", "succeeded"):
        if value.get(key) is False:
            yield f"{key}: false{_message(value)}"
    for key in ("isError", "is_error", "failed"):
        if value.get(key) is True:
            yield f"{key}: true{_message(value)}"
    status = value.get("status")
    if isinstance(status, str) and status.lower() in _FAILED:
        yield f"status: {status}{_message(value)}"
    for key in ("status", "statusCode", "status_code"):
        code = value.get(key)
        if isinstance(code, int) and 400 <= code < 600:
            yield f"{key}: {code}{_message(value)}"
    errors, has_result = value.get("errors"), bool(value.get("data")) or not value.keys() <= _BESIDE_ERRORS
    if errors and isinstance(errors, list) and not has_result and not is_report:
        yield f"errors: {_text(errors)}"


def _says_failure(text: str, length: int, is_report: bool) -> bool:
    start = _DECORATION.sub("", text)
    if _TRACE.search(text) or (_START.match(start) and not (is_report and length > _SHORT)):
        return True
    is_mentioned = _SHORT_START.match(start) or _MENTION.search(text)
    return length <= _SHORT and not is_report and bool(is_mentioned)


def _message(value: JsonObject) -> str:
    return next((f", {value[key]}" for key in ("message", "detail", "reason") if isinstance(value.get(key), str)), "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parsed(text: str) -> JsonObject | list[Any] | None:
    """Return the object or list that a text holds as JSON; None if it holds anything else."""
    if text.lstrip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
            return found if isinstance(found, dict | list) else None
    return None
