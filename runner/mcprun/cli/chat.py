"""`mcprun chat`: talk to a server by hand, and save what was asked as prompts."""

from __future__ import annotations

from typing import Any

import click

from mcprun.cli import modeloptions, options, serveroptions
from mcprun.cli.configured import ServerCommand
from mcprun.errors import ExitCode

_SET = (
    "server", *serveroptions.NAMES, "model", "base_url", "bare_api", "system",
    "effort", "thinking", "allow_tool", "deny_tool", "read_only", "max_turns", "max_calls", "max_tokens",
    "max_result_bytes", "roots", "log_level", "max_sampling",
    "connect_timeout", "request_timeout", "call_timeout", "max_call_timeout", "query_timeout", "restarts",
    "retries", "no_retry", "max_retry_wait", "budget_tokens", "budget_usd", "redact",
)  # fmt: skip
"""What a project may set."""


@click.command(cls=ServerCommand, only=_SET, short_help="Talk to a server by hand; save what was asked as prompts.")
@options.SERVER
@serveroptions.reaching
@options.ELICIT
@options.ROOT
@options.LOG_LEVEL
@modeloptions.MODEL
@modeloptions.BASE_URL
@modeloptions.BARE_API
@options.SYSTEM
@modeloptions.EFFORT
@modeloptions.THINKING
@options.ALLOW_TOOL
@options.DENY_TOOL
@options.READ_ONLY
@click.option(
    "--ask",
    type=click.Choice(["all", "marked", "none"]),
    default="marked",
    show_default=True,
    help="Ask before a call is sent: before each, before those of tools that are marked as destructive"
    " (destructiveHint), or never.",
)
@options.OUT
@options.MAX_TURNS
@options.MAX_CALLS
@options.MAX_SAMPLING
@options.MAX_TOKENS
@options.MAX_RESULT_BYTES
@options.CONNECT_TIMEOUT
@options.REQUEST_TIMEOUT
@options.CALL_TIMEOUT
@options.MAX_CALL_TIMEOUT
@options.QUERY_TIMEOUT
@options.RESTARTS
@options.RETRIES
@options.NO_RETRY
@options.MAX_RETRY_WAIT
@options.BUDGET_TOKENS
@options.BUDGET_USD
@options.REDACT
@click.pass_context
def chat(ctx: click.Context, /, **given: Any) -> None:
    """Talk to the model about SERVER, with its tools, and write a run like any other.

    SERVER is a .py or .js file, an http(s) URL, FILE.json#name (an MCP client's configuration), or a command
    line in quotes. What follows -- is handed to the server. Lines come from the terminal, or from a pipe.

    \b
      mcprun chat server.py
      mcprun chat server.py --read-only --system 'Be brief.'
      printf 'What is 2 + 3?\\nquit\\n' | mcprun chat server.py

    What is typed is said to the model. /help lists what else can be typed: /tools, /save FILE, /new, quit. Ctrl-C stops
    an answer. Each conversation is a query of the run; limits that are a query's hold for each answer here.

    Exits with 0 at the end, with 2 when nobody could answer, with 3 when the chat could not go on, or a conversation
    got no answer but an error.
    """
    import asyncio

    from mcprun.chatplan import make_chat_plan
    from mcprun.cli.plan import arguments_of, options_of
    from mcprun.cli.talking import Talking
    from mcprun.report.console import Console
    from mcprun.rundir import Run

    console = Console()
    arguments = arguments_of(ctx, ctx.meta.get(options.WithServerArgs.KEY, ()))
    talking = Talking(make_chat_plan(given["server"], options_of(ctx), arguments), given["ask"], console)
    chat, last, error = asyncio.run(talking.talk())
    if error:
        console.run_error(error)
    if chat:
        console.files(Run(chat.path, chat.record))
    is_error = error or (chat and chat.record.exit_code is ExitCode.ERROR)  # a person judges: nothing fails
    ctx.exit(128 + last if last else ExitCode.ERROR if is_error else ExitCode.PASSED)
