"""Execute the commands of a chat: list tools, show one, save the conversations."""

from __future__ import annotations

import json
from pathlib import Path

from mcprun._util.json_io import dumps, write_file
from mcprun.chat.approval import Ask, needs_approval
from mcprun.chat.session import ChatSession
from mcprun.chat.terminal.commands import HELP, Command, quoted
from mcprun.errors import UsageError
from mcprun.prompts.yaml_file import is_yaml
from mcprun.prompts.yaml_text import yaml_text
from mcprun.report.chat import ChatPrinter
from mcprun.report.console import Console
from mcprun.report.text import cut, plural, visible
from mcprun.report.tools import tool_rows
from mcprun.runs.directory import check_report_path
from mcprun.tools.toolset import ToolSet

_SHOWN = 10_000
"""Maximum number of characters shown of a tool."""


def run_command(command: Command, chat: ChatSession, ask: Ask, console: Console, printer: ChatPrinter) -> None:
    """Execute any command except `quit`, and show its result. `ask` determines which calls need approval."""
    if command.problem:
        printer.note(command.problem)
        return
    match command.name:
        case "/help":
            for name, description in HELP.items():
                printer.print_line((f"{name:<12}", "cyan"), (description, ""))
        case "/tools":
            _list(chat, ask, console, printer)
        case "/tool":
            _show(chat, command.argument, printer)
        case "/run":
            printer.print_line((str(chat.path), ""))
        case "/new":
            chat.new()
            printer.note(f"Started {chat.name}. The model no longer sees earlier messages.")
        case "/save" | "/save!":
            printer.note(_save(chat, _path(command.argument), is_replaced=command.name == "/save!"))


def _list(chat: ChatSession, ask: Ask, console: Console, printer: ChatPrinter) -> None:
    """List the tools that the model may use, and name those that need approval and those that are not allowed."""
    server, allowed = chat.server, {*chat.tools.names.values()}
    used = [tool for tool in server.tools if tool["name"] in allowed]
    console.lines(tool_rows(server.model_copy(update={"tools": used}), ToolSet.of(used), console.width))
    for label, names in (
        ("need approval", {tool["name"] for tool in used if needs_approval(tool, ask)}),
        ("not allowed", {tool["name"] for tool in server.tools} - allowed),
    ):
        if names:
            printer.print_line((visible(f"{label}: {', '.join(sorted(names))}"), "dim"))


def _show(chat: ChatSession, name: str, printer: ChatPrinter) -> None:
    tool = next((tool for tool in chat.server.tools if tool["name"] == name), None)
    if tool is None:
        printer.note(f"the server has no tool {name!r}; /tools lists them")
        return
    text = json.dumps(tool, ensure_ascii=False, indent=2)
    printer.print_line((visible(cut(text, _SHOWN)), ""))


def _path(name: str) -> Path:
    """Return the path for a name, with a leading `~` expanded."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # no such user
        return Path(name)


def _save(chat: ChatSession, path: Path, *, is_replaced: bool) -> str:
    """Write the conversations to a prompts file. Return a message that reports the result or the error."""
    queries = chat.queries
    if not queries:
        return "nothing to save: no message has a reply yet"
    try:
        if path.exists() and not path.is_file():
            return f"can't write {path}: it is {'a folder' if path.is_dir() else 'not a file'}"
        if path.exists() and not is_replaced:
            return f"{path} exists: use /save! {quoted(str(path))} to overwrite it"
        check_report_path(path)
        lines = "".join(f"{dumps(query)}\n" for query in queries)
        write_file(path, (yaml_text(queries) if is_yaml(str(path)) else lines).encode())
    except UsageError as error:
        return str(error)
    except OSError as error:
        return f"can't write {path}: {error.strerror}"
    except ValueError:  # its message differs between versions of Python
        return f"can't write {path}: a file name can't hold a NUL character"
    return f"saved {plural(len(queries), 'query')} to {path}"
