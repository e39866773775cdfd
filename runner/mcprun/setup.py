"""What queries are run with: plain values, known before a server is started or an SDK imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mcprun.asking import Offers
from mcprun.limits import AUTO, Limits
from mcprun.models.choose import Choice
from mcprun.redact import Redactor
from mcprun.scrub import Scrubber
from mcprun.target import Target
from mcprun.tools import Permit


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What queries are run with, wherever that is: plain values, which can be sent to another machine.

    `on_divergence` says what becomes of a query when a replayed call brings something else than was recorded; what
    the `scrubber` takes out does not count there.
    """

    target: Target
    protocol: str = AUTO
    model: Choice
    judge: Choice | None = None
    limits: Limits = field(default_factory=Limits)
    system: str | None = None
    allow_tool_errors: bool = False
    permit: Permit = field(default_factory=Permit)
    offers: Offers = field(default_factory=Offers)
    servers: int = 1
    fresh_server: bool = False
    redactor: Redactor = field(default_factory=Redactor)
    scrubber: Scrubber = field(default_factory=Scrubber)
    on_divergence: Literal["continue", "fail", "stop"] = "continue"
