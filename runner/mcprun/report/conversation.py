"""One query's transcript as a conversation in plain text, whole or shortened: messages, tool calls and results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

from rich.table import Table
from rich.text import Text

from mcprun._util.json_value import JsonObject
from mcprun.checks.evaluate import COMPLETE_STOP_REASONS
from mcprun.checks.route import FIRST_TURN_STOPS
from mcprun.errors import ErrorKind
from mcprun.prompts.server_input import FROM_SERVER
from mcprun.report.routed_turn import call_title, ungraded_text
from mcprun.report.steps import NOT_ASKED, is_after_check, is_unmet, step_content, step_title
from mcprun.report.styles import AMBER, STYLES
from mcprun.report.text import cut, one_line, visible
from mcprun.runs.transcript import Asked, Call, StepCall, Transcript
from mcprun.tools.format import ValueFormatter

_SHOWN = 4000
"""Maximum number of characters shown of one text or result; `transcripts.jsonl` has all of it."""

_MARGIN = 8
"""Minimum width of the speakers, in characters."""

_STEP_NAME = 20
"""Maximum number of characters shown of a step's name."""

_EXCERPT_LINE = 300
"""Maximum number of characters of one text, call or result in an excerpt."""

_EXCERPT_LINES = 40
"""Maximum number of lines of an excerpt. It keeps the last ones, because the cause of a failure is usually there."""

Line = tuple[str, Text]
"""A speaker and the text."""


def conversation(transcript: Transcript) -> Iterator[Line]:
    """Yield a transcript's lines: the steps before, messages with calls, the steps after, then checks and the error."""
    return chain.from_iterable(_sections(transcript))


def laid_out(transcript: Transcript) -> Table:
    """Lay out a conversation as a table, with speakers in the margin. An empty line sets steps apart."""
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=_MARGIN, style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for lines in map(list, _sections(transcript)):
        if lines and table.row_count and transcript.steps:
            table.add_row()
        for line in lines:
            table.add_row(*line)
    return table


def _sections(transcript: Transcript) -> Iterator[Iterator[Line]]:
    yield chain(_steps(transcript, "before"), values_of(transcript))
    yield _messages(transcript)
    yield _steps(transcript, "after", "cleanup")
    yield _findings(transcript)


def _steps(transcript: Transcript, *phases: str) -> Iterator[Line]:
    """Yield the steps of some phases, each followed by its result."""
    for step in transcript.steps:
        if step.phase in phases:
            yield one_line(step.name, _STEP_NAME), Text(visible(cut(step_title(step), _SHOWN)), "magenta")
            speaker, result = _result(step, step_content(step))
            if step.is_error:
                unmet = AMBER if step.phase == "cleanup" else "red"  # a cleanup only warns
                result.style = unmet if is_unmet(transcript, step) else ""
            yield speaker, result


def values_of(transcript: Transcript) -> Iterator[Line]:
    """Yield the values that stand for names such as `{{number}}` in the prompts file."""
    for name, value in transcript.vars.items():
        yield _line("vars", f"{{{{{name}}}}} = {json.dumps(value, ensure_ascii=False)}", "dim")


def _messages(transcript: Transcript) -> Iterator[Line]:
    if transcript.system:
        yield _line("system", transcript.system)
    turn = 0
    for at, message in enumerate(transcript.messages):
        if at < transcript.begins:
            yield from _user(message["content"], message["role"])
        elif message["role"] == "assistant":
            yield from _assistant(message["content"], turn, transcript)
            for asked in transcript.asked:
                if asked.turn == turn:
                    yield from _server_request(asked)
            turn += 1
        else:
            yield from _user(message["content"])
    if transcript.error and transcript.error.kind is ErrorKind.SETUP:
        yield _line("model", f"({NOT_ASKED})", "dim")
    elif transcript.is_ungraded or (transcript.routed is not None and transcript.stop in FIRST_TURN_STOPS):
        return
    elif not transcript.error and transcript.stop not in COMPLETE_STOP_REASONS:
        yield _line("stop", transcript.stop)


def _findings(transcript: Transcript) -> Iterator[Line]:
    if transcript.is_ungraded:
        yield _line("skipped", ungraded_text(transcript), "dim")
        return
    for check in transcript.checks:
        if check.rubric and check.passed:
            yield _line("judge", f"✓ {check.rubric}: {check.message}", "green")
    if passed := [check.check for check in transcript.checks if check.passed and not check.rubric]:
        yield _line("checks", "✓ " + ", ".join(dict.fromkeys(passed)), "green")
    for check in transcript.checks:
        if not check.passed:
            has_name = check.message and is_after_check(check.check)
            yield _line("check", f"✗ {check.message if has_name else f'{check.check}: {check.message}'}", "red")
    if transcript.error:
        yield _line("error", f"{transcript.error.kind}: {transcript.error.message}", AMBER)


def head(transcript: Transcript) -> Text:
    """Return a transcript's title: verdict, id, repeat and model."""
    repeat = f" (repeat {transcript.repeat})" if transcript.repeat > 1 else ""
    return Text.assemble(
        (str(transcript.verdict), f"bold {STYLES[transcript.verdict]}"),
        (f" {visible(transcript.id)}{repeat}", "bold"),
        (f"  {visible(transcript.model)}", "dim"),
    )


def prompt_start(prompt: str | list[Any]) -> str:
    """Return the text at the start of a prompt: text, content blocks, or a list of either.

    Content taken from the server is named only if the prompt has nothing else.
    """
    if isinstance(prompt, str):
        return prompt
    user_items = [item for item in prompt if not (isinstance(item, dict) and item.get("type") in FROM_SERVER)]
    first = (user_items or prompt or [""])[0]
    return _block(first) if isinstance(first, dict) else prompt_start(first)


def _user(content: str | list[JsonObject], who: str = "user") -> Iterator[Line]:
    """Yield the user's content, or the assistant's in a server's prompt. Tool results are shown with their calls."""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        if block.get("type") != "tool_result":
            yield _line(who, _block(block))


def _assistant(content: list[JsonObject], turn: int, transcript: Transcript) -> Iterator[Line]:
    """Yield the model's content of one turn, each call followed by its result; calls of a routed run have none."""
    turn_calls = iter([(number, call) for number, call in enumerate(transcript.calls) if call.turn == turn])
    requested = iter(transcript.routed or ())
    for block in content:
        if block.get("type") != "tool_use":
            yield _line("model", _block(block), "dim" if block.get("type") == "thinking" else "")
            continue
        if transcript.routed is not None:
            if routed := next(requested, None):
                yield _line("request", call_title(routed), "cyan")
            continue
        number, call = next(turn_calls, ("", None))
        tool, arguments = (call.tool, call.input) if call else (block["name"], block.get("input") or {})
        yield (
            f"call {number}".strip(),
            Text.assemble((visible(tool), "cyan"), visible(ValueFormatter().input(arguments))),
        )
        yield _result(call, call.content) if call else _line("", "no result", AMBER)


def _server_request(asked: Asked) -> Iterator[Line]:
    """Yield a server's elicitation or sampling request, and the response to it."""
    request, answer = asked.request, asked.answer
    if asked.kind == "elicitation":
        question = " ".join(str(request[key]) for key in ("message", "url") if key in request)
        response = answer["action"] if answer else "no response"
        if answer and answer.get("content") is not None:
            response += f" {ValueFormatter().input(answer['content'])}"
    else:
        question = "\n".join(_sampled_text(message["content"]) for message in request.get("messages", ()))
        response = _sampled_text(answer["content"]) if answer else "no response"
    during = "" if asked.call is None else f" during call {asked.call}"
    yield _line("request", f"{asked.kind}{during}: {question}")
    reason, style = (f" ({asked.reason})", AMBER) if asked.reason else ("", "")
    yield _line("response", response + reason, style)


def _sampled_text(content: JsonObject | list[JsonObject]) -> str:
    """Return the text of a sampled message's content, which is one block or a list."""
    return "\n".join(map(_content, content if isinstance(content, list) else [content]))


def _result(call: Call | StepCall, content: list[JsonObject]) -> Line:
    text = "\n".join(_content(item) for item in content)
    if not text and call.structured is not None:
        text = json.dumps(call.structured, ensure_ascii=False)
    return _line("error" if call.is_error else "→", text or "(empty)", "red" if call.is_error else "")


def _block(block: JsonObject) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "thinking", "thinking": str(text)}:
            return text or "(thinking)"
        case {"type": "server_prompt", "name": str(name)}:
            return f"[server prompt {name}]"
        case {"type": "resource", "uri": str(uri)}:
            return f"[resource {uri}]"
    return f"[{block.get('type')}]"


def _content(item: JsonObject) -> str:
    """Return the text of an MCP content block, or a description of it in brackets."""
    match item:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource", "resource": {"uri": uri, "text": str(text)}}:
            return f"[resource {uri}]\n{text}"
        case {"type": "resource", "resource": {"uri": uri}}:
            return f"[resource {uri}, binary]"
        case {"type": "resource_link", "uri": uri}:
            return f"[resource link {uri}]"
    return f"[{item.get('type')}{', ' + str(item['mimeType']) if 'mimeType' in item else ''}]"


def _line(who: str, what: str, style: str = "") -> Line:
    return who, Text(visible(cut(what, _SHOWN)), style)


def excerpt(transcript: Transcript) -> list[str]:
    """Return the end of a conversation, one shortened line per text, call or result, with controls escaped."""
    lines = [line for line in conversation(transcript) if line[0] not in ("system", "check", "checks")]
    width = max([_MARGIN, *(len(who) for who, _ in lines)])
    shown = [f"{who:<{width}} {one_line(text.plain, _EXCERPT_LINE)}" for who, text in lines]
    left_out = len(shown) - _EXCERPT_LINES
    return [f"… {left_out:,} earlier lines omitted", *shown[-_EXCERPT_LINES:]] if left_out > 0 else shown
