"""Shared options that select and configure the model."""

from __future__ import annotations

import click

from mcprun.cli.options.types import option_type

MODEL = click.option(
    "--model",
    type=option_type("model"),
    metavar="MODEL",
    help="Model to use: an API name, PROVIDER:NAME (bedrock, vertex, foundry), script (the queries' own scripts), or"
    " replay:RUN (a recorded run).  [env: MCPRUN_MODEL; default: Claude if there is an API key, else script if every"
    " query has one]",
)
BASE_URL = click.option(
    "--base-url",
    type=option_type("base_url"),
    metavar="URL",
    help="URL of an endpoint that implements the Messages API.  [env: ANTHROPIC_BASE_URL]",
)
BARE_API = click.option(
    "--bare-api/--no-bare-api",
    default=False,
    help="Use only what every endpoint of the Messages API supports: no caching, no schema for the judge, and no"
    " stop reason required.",
)
BATCH_API = click.option(
    "--batch-api/--no-batch-api",
    default=False,
    help="Send Claude's turns as Message Batches, at half the price. A batch takes from minutes to a day; --resume"
    " continues a pending one.",
)
JUDGE_MODEL = click.option(
    "--judge-model",
    type=option_type("judge_model"),
    metavar="MODEL",
    help="Model that grades queries with a `judge`, or none to leave them ungraded.  [env: MCPRUN_JUDGE_MODEL;"
    " default: recorded grades in a replay, else --model, else Claude]",
)
EFFORT = click.option(
    "--effort",
    type=option_type("effort"),
    help="Effort that Claude puts into an answer.  [default: the model's own]",
)


THINKING = click.option(
    "--thinking",
    type=option_type("thinking"),
    metavar="adaptive|disabled|TOKENS",
    help="Claude's thinking: adaptive, disabled, or a budget in tokens.  [default: the model's own]",
)
TOOL_CHOICE = click.option(
    "--tool-choice",
    type=option_type("tool_choice"),
    metavar="any|none|TOOL",
    help="Tool choice in a query's first turn: any tool, none, or this one.  [default: Claude decides]",
)
