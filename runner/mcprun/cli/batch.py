"""`mcprun batch`: run the queries of a prompts file against a server."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

from mcprun.cli import options

if TYPE_CHECKING:
    from mcprun.batch import Result
    from mcprun.interrupt import Interrupt


@click.command(cls=options.WithServerArgs, short_help="Run the queries of a prompts file against a server.")
@options.PROMPTS
@options.SERVER
@options.MODEL
@options.BASE_URL
@options.SYSTEM
@options.FILTER
@options.LIMIT
@click.option("--out", metavar="DIR", help="Folder of the run.  [default: outputs/<date>-<time>-<prompts>]")
@click.option("--allow-tool-errors", is_flag=True, help="Calls that come back as errors do not fail a query.")
@options.CONCURRENCY
@click.option(
    "--servers", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
    help="Server processes (or sessions) to spread the queries over.",
)  # fmt: skip
@click.option(
    "--fresh-server",
    is_flag=True,
    help="Start a new server for each query, so that none sees another's state.",
)
@options.MAX_TURNS
@options.MAX_TOKENS
@options.CONNECT_TIMEOUT
@options.REQUEST_TIMEOUT
@options.CALL_TIMEOUT
@options.QUERY_TIMEOUT
@options.RESTARTS
@options.RETRIES
@options.NO_RETRY
@options.MAX_RETRY_WAIT
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but what did not pass.")
@click.pass_context
def batch(ctx: click.Context, /, **given: Any) -> None:
    """Run the queries of PROMPTS against SERVER, and write a run directory.

    PROMPTS is a JSONL file, one query a line, or - for stdin. SERVER is a .py or .js file, an http(s) URL,
    FILE.json#name (a client's mcpServers configuration), or a command line in quotes. What follows -- is handed
    to the server.

    \b
      mcprun batch prompts.jsonl server.py
      mcprun batch prompts.jsonl "npx -y @modelcontextprotocol/server-everything"
      mcprun batch prompts.jsonl server.py --model replay:outputs/latest
      mcprun batch prompts.jsonl server.py --filter 'add-*' -- --verbose
    """
    import asyncio

    from mcprun.batch import run_batch
    from mcprun.interrupt import Interrupt
    from mcprun.report.console import Console
    from mcprun.rundir import Run

    if given["fresh_server"] and given["servers"] > 1:
        raise click.UsageError("--servers shares servers among queries and --fresh-server does not: choose one")
    plan = _plan(given, ctx.meta.get(options.WithServerArgs.KEY, ()), _written(ctx))
    console = Console(quiet=given["quiet"])
    with plan.prompts, console.progress(plan.model.record, total=len(plan.prompts.ids)) as progress:
        interrupt = Interrupt()
        signals = _Signals(interrupt, progress.note)
        result = asyncio.run(signals.heeded(run_batch(plan, progress.handle, interrupt)))
    if result.error:
        console.run_error(result.error)
    console.summary(Run(result.path, result.record))
    ctx.exit(128 + signals.last if signals.last and result.record.state != "finished" else result.record.exit_code)


class _Signals:
    """Signals, as a run takes them: the first Ctrl-C is gentle; a second one, SIGTERM and SIGHUP are not."""

    def __init__(self, interrupt: Interrupt, note: Callable[[str], None]) -> None:
        self.last = 0
        self._interrupt = interrupt
        self._note = note

    async def heeded(self, run: Coroutine[Any, Any, Result]) -> Result:
        """Await a run, and hand on to it what comes."""
        import asyncio

        loop = asyncio.get_running_loop()
        if sys.platform == "win32":
            return await run  # there asyncio turns Ctrl-C into a cancellation, and knows no other signal
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._take, number)
        return await run

    def _take(self, number: int) -> None:
        self.last = number
        if number == signal.SIGINT and not self._interrupt.stopping:
            self._interrupt.stop()
            self._note("Stopping: queries in flight may end, no other is started. Ctrl-C again cancels them.")
        else:
            self._interrupt.end()
            self._note("Ending: queries in flight are cancelled, servers are closed.")


def _plan(given: dict[str, Any], server_args: tuple[str, ...], written: dict[str, Any]) -> Any:
    """Read and check everything that can be wrong before anything is run."""
    from mcprun.batch import Plan
    from mcprun.limits import Limits
    from mcprun.models.choose import Account, choose, needs_script
    from mcprun.prompts import Select, read_prompts
    from mcprun.target import parse_target

    target = parse_target(given["server"], server_args)
    account = Account.find()
    spec = given["model"] or account.model
    select = Select(tuple(given["filters"]), given["limit"])
    prompts = read_prompts(given["prompts"], select, need_script=needs_script(spec))
    model = choose(spec, account, all_scripted=prompts.scripted == len(prompts.ids), base_url=given["base_url"])
    return Plan(
        prompts=prompts,
        target=target,
        model=model,
        limits=Limits(
            connect_seconds=given["connect_timeout"],
            request_seconds=given["request_timeout"],
            call_seconds=given["call_timeout"],
            query_seconds=given["query_timeout"],
            restarts=given["restarts"],
            retries=0 if given["no_retry"] else given["retries"],
            retry_wait_seconds=given["max_retry_wait"],
            max_turns=given["max_turns"],
            max_tokens=given["max_tokens"],
            concurrency=given["concurrency"],
        ),
        system=given["system"],
        allow_tool_errors=given["allow_tool_errors"],
        servers=given["servers"],
        fresh_server=given["fresh_server"],
        out=given["out"],
        arguments=_arguments(written, server_args),
    )


def _arguments(written: dict[str, Any], server_args: tuple[str, ...]) -> dict[str, Any]:
    """Give what `run.json` keeps of the command line; of a URL without what may be secret in it."""
    from mcprun.target import without_secrets

    written = {
        name: without_secrets(value) if name in ("server", "base_url") and "://" in value else value
        for name, value in written.items()
    }
    return {**written, "server_args": list(server_args)} if server_args else written


def _written(ctx: click.Context) -> dict[str, Any]:
    """What the user gave on the command line, defaults left out."""
    default = click.core.ParameterSource.DEFAULT
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in ctx.params.items()
        if ctx.get_parameter_source(name) is not default
    }
