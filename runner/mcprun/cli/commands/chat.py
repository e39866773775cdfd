"""`mcprun chat`: talk to a model with a server's tools, and save the questions as prompts."""

from __future__ import annotations

from typing import Any

import click

from mcprun.cli.configurable_command import ServerCommand, require
from mcprun.cli.options import limits as limit_options
from mcprun.cli.options import model as model_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options import server as server_options
from mcprun.cli.options.option import Heading, option
from mcprun.errors import ExitCode

_SET = (
    "server", *server_options.NAMES, "model", "base_url", "bare_api", "system",
    "effort", "thinking", "allow_tool", "deny_tool", "read_only", "max_turns", "max_calls", "max_tokens",
    "max_result_bytes", "roots", "log_level", "max_sampling",
    "connect_timeout", "request_timeout", "call_timeout", "max_call_timeout", "query_timeout", "restarts",
    "retries", "no_retry", "max_retry_wait", "budget_tokens", "budget_usd", "redact",
)  # fmt: skip
"""Options that a project may set."""


@click.command(
    cls=ServerCommand,
    only=_SET,
    first=("model", "system", "ask", "env", "out"),
    short_help="Chat with a model that uses a server's tools.",
)
@run_options.SERVER
@server_options.reaching
@run_options.ELICIT
@run_options.ROOT
@run_options.LOG_LEVEL
@model_options.MODEL
@model_options.BASE_URL
@model_options.BARE_API
@run_options.SYSTEM
@model_options.EFFORT
@model_options.THINKING
@run_options.ALLOW_TOOL
@run_options.DENY_TOOL
@run_options.READ_ONLY
@option(
    "--ask",
    heading=Heading.OPTIONS,
    type=click.Choice(["all", "marked", "none"]),
    default="marked",
    metavar="TOOLS",
    help="Ask before calling: all, marked or none",
    details="Confirm before calling: all tools, those annotated as destructive (marked: destructiveHint), or none.",
    default_text="marked",
)
@run_options.OUT
@limit_options.MAX_TURNS
@limit_options.MAX_CALLS
@limit_options.MAX_SAMPLING
@limit_options.MAX_TOKENS
@limit_options.MAX_RESULT_BYTES
@limit_options.CONNECT_TIMEOUT
@limit_options.REQUEST_TIMEOUT
@limit_options.CALL_TIMEOUT
@limit_options.MAX_CALL_TIMEOUT
@limit_options.QUERY_TIMEOUT
@limit_options.RESTARTS
@limit_options.RETRIES
@limit_options.NO_RETRY
@limit_options.MAX_RETRY_WAIT
@limit_options.BUDGET_TOKENS
@limit_options.BUDGET_USD
@run_options.REDACT
@click.pass_context
def chat(ctx: click.Context, /, **parameters: Any) -> None:
    """Chat with a model that uses the tools of SERVER, and record the chat as a run.

    SERVER is a .py or .js file, an http(s) URL, FILE.json#name (an MCP client's configuration), or a command
    line in quotes. Arguments after -- are passed to the server. Input is read from the terminal or a pipe.

    \b
      mcprun chat server.py
      mcprun chat server.py --read-only --system 'Be brief.'
      printf 'What is 2 + 3?\\nquit\\n' | mcprun chat server.py

    Type a message, or a command: /help lists them, such as /tools, /save FILE, /new and quit. Ctrl-C stops an answer.
    Each conversation is one query of the run. The limits of a query apply to each answer.

    Exits with 0 at the end, with 2 if no model is available, with 3 if the chat or a conversation ended in an error.
    """
    import asyncio

    from mcprun.chat.session_plan import make_chat_plan
    from mcprun.chat.terminal.app import ChatApp
    from mcprun.cli.arguments import as_recorded, options_of
    from mcprun.report.console import Console
    from mcprun.runs.run import Run

    require(ctx.obj, "server")
    console = Console()
    plan = make_chat_plan(parameters["server"], options_of(parameters), as_recorded(ctx.obj))
    app = ChatApp(plan, parameters["ask"], console)
    chat, last, error = asyncio.run(app.run())
    if error:
        console.run_error(error)
    if chat:
        console.files(Run(chat.path, chat.record))
    is_error = error or (chat and chat.record.exit_code is ExitCode.ERROR)  # a person judges, so nothing can fail
    ctx.exit(128 + last if last else ExitCode.ERROR if is_error else ExitCode.PASSED)
