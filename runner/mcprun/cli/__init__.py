"""The `mcprun` command line. Each command has one module, which only prints and exits.

No SDK, pydantic or rich is imported before a command runs, so that `--help` is as fast as click itself.
"""

from __future__ import annotations

from typing import Any

import click

from mcprun._util.gc_tuning import leave_all_at_exit
from mcprun._version import __version__
from mcprun.cli.commands.batch import batch
from mcprun.cli.commands.bless import bless
from mcprun.cli.commands.chat import chat
from mcprun.cli.commands.diff import diff
from mcprun.cli.commands.init.command import init
from mcprun.cli.commands.login import login, logout
from mcprun.cli.commands.merge import merge
from mcprun.cli.commands.report import report
from mcprun.cli.commands.show import show
from mcprun.cli.commands.tools import tools
from mcprun.cli.commands.validate import validate
from mcprun.client.sdk_logging import drop_sdk_logs
from mcprun.errors import ExitCode, PromptsError, RunError, UsageError
from mcprun.report.output import install


class _Group(click.Group):
    """A group that prints mcprun's errors as one message, and exits with their code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        install()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            problems = isinstance(error, PromptsError)  # one per line, like compilers
            click.echo(str(error) if problems else f"Error: {error}", err=True)
            ctx.exit(ExitCode.USAGE)
        except RunError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(ExitCode.ERROR)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(ExitCode.INTERRUPTED)
        except OSError as error:  # such as a full disk or a closed terminal: the system's message is the clearest
            click.echo(f"Error: {error}", err=True)
            ctx.exit(ExitCode.ERROR)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:  # noqa: BLE001  Python would exit with 1, which means that a query failed
            import traceback

            click.echo(f"{traceback.format_exc()}This is an internal error in mcprun.", err=True)
            ctx.exit(ExitCode.ERROR)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all passed; 1 something failed; 2 wrong usage or an invalid prompts file, nothing was run;"
    " 3 errors (the server did not start, the API refused the key, queries could not be completed) and no failure;"
    " 129, 130 or 143 interrupted by SIGHUP (the terminal was closed), Ctrl-C or SIGTERM.",
)
@click.version_option(__version__, prog_name="mcprun")
def main() -> None:
    """A batch runner and regression harness for MCP servers.

    Runs each query of a JSONL file in a model's tool-use loop against an MCP server, unattended, and records
    transcripts and traces that can be replayed and compared.
    """
    leave_all_at_exit()
    drop_sdk_logs()


for command in (batch, diff, bless, merge, show, report, tools, chat, init, validate, login, logout):
    main.add_command(command)
