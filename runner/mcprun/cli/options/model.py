"""Shared options that select and configure the model."""

from __future__ import annotations

from mcprun.cli.options.option import Heading, option
from mcprun.cli.options.types import option_type

MODEL = option(
    "-m",
    "--model",
    heading=Heading.MODEL,
    type=option_type("model"),
    metavar="MODEL",
    help="Model name, PROVIDER:NAME, script or replay:RUN",
    details="Model to use: an API name, PROVIDER:NAME (bedrock, vertex, foundry), script (the queries' own scripts), or"
    " replay:RUN (a recorded run). Also read from MCPRUN_MODEL.",
    default_text="Claude if there is an API key, else script if every query has one",
)
BASE_URL = option(
    "--base-url",
    heading=Heading.MODEL,
    type=option_type("base_url"),
    metavar="URL",
    help="Endpoint that implements the Messages API",
    details="URL of an endpoint that implements the Messages API. Also read from ANTHROPIC_BASE_URL.",
)
BARE_API = option(
    "--bare-api/--no-bare-api",
    heading=Heading.MODEL,
    default=False,
    help="Use no optional features of the Messages API",
    details="Use only what every endpoint of the Messages API supports: no caching, no schema for the judge, and no"
    " stop reason required.",
)
BATCH_API = option(
    "--batch-api/--no-batch-api",
    heading=Heading.SCALE,
    default=False,
    help="Use Message Batches, at half the price",
    details="Send Claude's turns as Message Batches, at half the price. A batch takes from minutes to a day; --resume"
    " continues a pending one.",
)
JUDGE_MODEL = option(
    "--judge-model",
    heading=Heading.MODEL,
    type=option_type("judge_model"),
    metavar="MODEL",
    help="Model that grades `judge` queries, or none",
    details="Model that grades queries with a `judge`, or none to leave them ungraded. Also read from"
    " MCPRUN_JUDGE_MODEL.",
    default_text="recorded grades in a replay, else --model, else Claude",
)
EFFORT = option(
    "--effort",
    heading=Heading.MODEL,
    type=option_type("effort"),
    metavar="LEVEL",
    help="Effort: low, medium, high, xhigh or max",
    details="Effort that Claude puts into an answer: low, medium, high, xhigh or max.",
    default_text="the model's own",
)
THINKING = option(
    "--thinking",
    heading=Heading.MODEL,
    type=option_type("thinking"),
    metavar="BUDGET",
    help="Thinking: adaptive, disabled, or N tokens",
    details="Claude's thinking: adaptive, disabled, or a budget in tokens.",
    default_text="the model's own",
)
TOOL_CHOICE = option(
    "--tool-choice",
    heading=Heading.MODEL,
    type=option_type("tool_choice"),
    metavar="CHOICE",
    help="First turn's choice: any, none or a tool's name",
    details="Tool choice in a query's first turn: any tool, none, or the tool of this name.",
    default_text="Claude decides",
)
