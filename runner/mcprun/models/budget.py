"""What a run may spend on its model. When it is spent, no further request is made."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from mcprun.errors import ErrorKind, RunError
from mcprun.events import Emit, Warned
from mcprun.limits import BATCH_SHARE, Limits
from mcprun.models import Model, Reply, Request
from mcprun.paid import Paid
from mcprun.records import Usage

_CHARACTERS = 3
"""Of JSON for one token, where nobody has counted: a low guess, so that the count is high."""


class Budget:
    """Counts what is spent: tokens of all kinds, and US dollars. `None` is no limit.

    What is not known is counted high, and told once with `emit`: tokens that the API did not count, and models
    whose price nobody knows. A run has one, whoever is paid.
    """

    def __init__(self, tokens: int | None, usd: float | None, emit: Emit) -> None:
        self._most_tokens, self._most_usd = tokens, usd
        self._emit = emit
        self._warned: set[str] = set()
        self.tokens, self.usd = 0, 0.0

    @classmethod
    def begun(cls, limits: Limits, emit: Emit, kind: str, earlier: Iterable[Paid]) -> Self:
        """Make a run's budget, of which the replies that `earlier` processes got are taken, at the prices of `kind`."""
        budget = cls(limits.budget_tokens, limits.budget_usd, emit)
        for paid in earlier:
            usage = paid.usage or Usage(output_tokens=limits.max_tokens)
            budget.spend(paid.model, usage, kind, is_batched=paid.is_batched)
        return budget

    def spend(self, model: str, usage: Usage, kind: str = "claude", *, is_batched: bool = False) -> None:
        """Count one reply; one that came with a batch costs half. `kind` is who is paid, as in `ModelRecord`."""
        self.tokens += usage.total
        if self._most_usd is None:
            return
        from mcprun.prices import dearest, price

        cost = price(model, usage, kind)
        if cost is None:
            self._warn(f"no price is known for {model}: it is counted as {dearest()}, which costs most")
            cost = price(dearest(), usage) or 0.0
        self.usd += cost * (BATCH_SHARE if is_batched else 1)

    def spend_unknown(self, model: str, request: Request, kind: str = "claude") -> None:
        """Count a reply whose tokens the API did not count."""
        self._warn(f"{model} does not say how many tokens it took: they are counted high, with all of --max-tokens")
        sent = len(json.dumps([list(request.messages), list(request.tools.definitions)], default=str))
        self.spend(model, Usage(input_tokens=sent // _CHARACTERS, output_tokens=request.max_tokens), kind)

    def check(self) -> None:
        """Raise `RunError` (`budget`) when nothing is left."""
        if self._most_tokens is not None and self.tokens >= self._most_tokens:
            told = f"{self.tokens:,} tokens, and --budget-tokens allows {self._most_tokens:,}"
        elif self._most_usd is not None and self.usd >= self._most_usd:
            told = f"${self.usd:,.4f}, and --budget-usd allows ${self._most_usd:,.4f}"
        else:
            return
        raise RunError(ErrorKind.BUDGET, f"the run has spent {told}")

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._emit(Warned(message=message))


@dataclass(frozen=True, slots=True)
class BudgetedModel:
    """A model that is asked as long as there is a budget for it. Requests in flight may still overdraw it.

    `kind` is who is paid, as in `ModelRecord`.
    """

    model: Model
    budget: Budget
    kind: str

    @property
    def name(self) -> str:
        """The name of the model within."""
        return self.model.name

    async def reply(self, request: Request) -> Reply:
        """Give the next turn; raises `RunError` (`budget`) when the budget is spent."""
        self.budget.check()
        reply = await self.model.reply(request)
        if reply.is_counted:
            return reply
        if reply.usage:
            self.budget.spend(reply.model, reply.usage, self.kind, is_batched=reply.batch is not None)
        else:
            self.budget.spend_unknown(reply.model, request, self.kind)
        return reply
