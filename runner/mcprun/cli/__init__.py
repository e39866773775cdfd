"""The `mcprun` command line. Each command has one module, which only prints and exits.

No SDK, pydantic or rich is imported before a command runs, so that `--help` is as fast as click itself.
"""

from __future__ import annotations

import click

from mcprun._util.gc_tuning import leave_all_at_exit
from mcprun._version import __version__
from mcprun.cli.commands.batch import batch
from mcprun.cli.commands.bless import bless
from mcprun.cli.commands.call import call
from mcprun.cli.commands.chat import chat
from mcprun.cli.commands.coverage import coverage
from mcprun.cli.commands.diff import diff
from mcprun.cli.commands.init.command import init
from mcprun.cli.commands.login import login, logout
from mcprun.cli.commands.merge import merge
from mcprun.cli.commands.report import report
from mcprun.cli.commands.runs import runs
from mcprun.cli.commands.show import show
from mcprun.cli.commands.tools import tools
from mcprun.cli.commands.validate import validate
from mcprun.cli.group import McprunGroup
from mcprun.client.sdk_logging import drop_sdk_logs


@click.group(
    cls=McprunGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
    Exit codes:
      0  all passed
      1  something failed or regressed
      2  wrong usage or an invalid prompts file; nothing was run
      3  errors and no failure: no server, a refused key, incomplete queries
      129, 130, 143  interrupted: SIGHUP (a closed terminal), Ctrl-C, SIGTERM
    """,
)
@click.version_option(__version__, prog_name="mcprun")
def main() -> None:
    """A batch runner and regression harness for MCP servers.

    Runs each query of a JSONL file in a model's tool-use loop against an MCP server, unattended, and records
    transcripts and traces that can be replayed and compared.

    \b
    First steps, without a model or an API key:
      mcprun init server.py --try                       # write prompts.jsonl
      mcprun batch prompts.jsonl server.py -m script    # run it
      mcprun bless latest baseline                      # accept the run
      mcprun batch prompts.jsonl server.py -m script --baseline baseline
    """
    leave_all_at_exit()
    drop_sdk_logs()


main.add("Write queries", init, validate, tools, call, chat)
main.add("Run them", batch, merge)
main.add("Read a run", show, report, coverage, runs)
main.add("Compare runs", bless, diff)
main.add("Log in to a server", login, logout)
