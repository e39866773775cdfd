"""Shared options that select and configure the model."""

from __future__ import annotations

import click

from mcprun.cli.options.types import option_type

MODEL = click.option(
    "--model",
    type=option_type("model"),
    metavar="MODEL",
    help="A model's API name, PROVIDER:NAME (bedrock, vertex, foundry), script (queries' own scripts), or replay:RUN"
    " (play back a recorded run)."
    "  [env: MCPRUN_MODEL; default: Claude when there is a key, else script when every query has one]",
)
BASE_URL = click.option(
    "--base-url",
    type=option_type("base_url"),
    metavar="URL",
    help="Ask an endpoint that speaks the Messages API.  [env: ANTHROPIC_BASE_URL]",
)
BARE_API = click.option(
    "--bare-api/--no-bare-api",
    default=False,
    help="Send only what every endpoint of the Messages API knows: no caching, no schema for the judge. Take an answer"
    " without a stop reason.",
)
BATCH_API = click.option(
    "--batch-api/--no-batch-api",
    default=False,
    help="Have Claude's turns go through Message Batches, at half the price. All queries that wait make a batch,"
    " which takes from minutes to a day; --resume goes on with one that is pending.",
)
JUDGE_MODEL = click.option(
    "--judge-model",
    type=option_type("judge_model"),
    metavar="MODEL",
    help="Who grades queries with a `judge`: a model's API name, or none to leave them ungraded.  [env:"
    " MCPRUN_JUDGE_MODEL; default: in a replay what was recorded, else the model that answers, else Claude]",
)
EFFORT = click.option(
    "--effort",
    type=option_type("effort"),
    help="How much work Claude puts into an answer.  [default: the model's own]",
)


THINKING = click.option(
    "--thinking",
    type=option_type("thinking"),
    metavar="adaptive|disabled|TOKENS",
    help="Whether Claude thinks, and with how many tokens.  [default: as the model does]",
)
TOOL_CHOICE = click.option(
    "--tool-choice",
    type=option_type("tool_choice"),
    metavar="any|none|TOOL",
    help="In a query's first turn, have Claude call some tool, none, or this one.  [default: what it chooses]",
)
