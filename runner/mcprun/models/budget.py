"""The budget of a run for its model. Once it is spent, no further request is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

from mcprun.errors import ErrorKind, RunError
from mcprun.limits import BATCH_SHARE, Limits
from mcprun.models.base import Model, ModelReply, ModelRequest
from mcprun.runs.events import Emit, WarningEvent
from mcprun.runs.totals import BilledReply
from mcprun.runs.transcript import Usage

_CHARACTERS = 3
"""Characters per token, before the API has counted any: a low guess, so that the estimate is high."""

_QUOTES = 4
"""Characters around a value in JSON: its quotes or brackets, and its separator."""

_IMAGE_CHARACTERS = 4800
"""Characters that an image or a document counts as: the API scales an image to at most about 1,600 tokens."""


WaitingElsewhere = Callable[[], AbstractContextManager[None]]
"""Returns the context in which a request waits for the budget."""


@dataclass(frozen=True, slots=True, eq=False)
class Expense:
    """A request to pay for: its model, its provider (`kind`), and the `share` of the price that it costs."""

    model: str
    request: ModelRequest
    kind: str
    share: float = 1.0


class BudgetSpentError(RunError):
    """The budget of a run is spent.

    The message is computed when it is read, since requests that were in flight at the limit are charged as well.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        super().__init__(ErrorKind.BUDGET, str(self))

    def __str__(self) -> str:
        return f"the run has spent {self._budget.spent}"


class Budget:
    """Counts the tokens of all kinds and US dollars spent, and reserves estimates for requests in flight.

    A limit of None is no limit. Unknown costs are counted high, with one warning through `emit`: tokens that the API
    did not count, and models without a known price. A run has one budget, even if model and judge have different
    providers.
    """

    def __init__(self, tokens: int | None, usd: float | None, emit: Emit) -> None:
        self._max_tokens, self._max_usd = tokens, usd
        self._emit = emit
        self._warned: set[str] = set()
        self.tokens, self.usd = 0, 0.0
        self._reserved: dict[Expense, tuple[int, float]] = {}
        self._settled = asyncio.Event()
        self._reply_totals = _ReplyTotals()

    @classmethod
    def for_run(cls, limits: Limits, emit: Emit, kind: str, earlier_replies: Iterable[BilledReply]) -> Self:
        """Create a run's budget, charged with the replies of earlier processes at the prices of `kind`."""
        budget = cls(limits.budget_tokens, limits.budget_usd, emit)
        for paid in earlier_replies:
            usage = paid.usage or Usage(output_tokens=limits.max_tokens)
            budget.spend(paid.model, usage, kind, is_batched=paid.is_batched)
        return budget

    def spend(self, model: str, usage: Usage, kind: str = "claude", *, is_batched: bool = False) -> None:
        """Charge one reply; a reply from a batch costs half. `kind` is the provider, as in `ModelRecord`."""
        self.tokens += usage.total
        self.usd += self._cost(model, usage, kind) * (BATCH_SHARE if is_batched else 1)

    def spend_unknown(self, model: str, request: ModelRequest, kind: str = "claude") -> None:
        """Charge a reply whose tokens the API did not count."""
        self._warn(f"{model} reports no token usage: input is estimated, and each reply counts as --max-tokens")
        sent = _characters(request) // _CHARACTERS
        self.spend(model, Usage(input_tokens=sent, output_tokens=request.max_tokens), kind)

    def settle(self, model: str, request: ModelRequest, reply: ModelReply, kind: str) -> None:
        """Charge the reply to a request, and refine later estimates."""
        if reply.usage:
            self._reply_totals.add(_characters(request) if self.is_limited else 0, reply.usage)
            self.spend(reply.model, reply.usage, kind, is_batched=reply.batch is not None)
        else:
            self.spend_unknown(model, request, kind)

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return self._max_tokens is not None or self._max_usd is not None

    @property
    def spent(self) -> str:
        """The amount spent of the limit that was reached, and the limit, in words."""
        if self._max_tokens is not None and self.tokens >= self._max_tokens:
            return f"{self.tokens:,} of {self._max_tokens:,} tokens (--budget-tokens)"
        return f"${self.usd:,.4f} of ${self._max_usd or 0:,.4f} (--budget-usd)"

    def check(self) -> None:
        """Raise `BudgetSpentError` if nothing is left."""
        is_met = self._max_tokens is not None and self.tokens >= self._max_tokens
        if is_met or (self._max_usd is not None and self.usd >= self._max_usd):
            raise BudgetSpentError(self)

    @asynccontextmanager
    async def reserved(self, expense: Expense, waiting_elsewhere: WaitingElsewhere) -> AsyncIterator[None]:
        """Reserve the estimated cost of a request while the context lasts.

        If the reservations of requests in flight leave no room for it, wait until one of them finishes, with the
        query's deadline paused and within `waiting_elsewhere`. The last request is sent as long as anything is left at
        all. A run therefore exceeds its limit by at most one request, and by what requests in flight cost above their
        estimates. Raises `BudgetSpentError` if nothing is left.
        """
        self.check()
        if not self.is_limited:
            yield
            return
        while self._reserved and not self._fits(self._estimate(expense)):
            with expense.request.deadline.pause(), waiting_elsewhere():
                await self._settled.wait()
            self.check()
        self._reserved[expense] = self._estimate(expense)
        try:
            yield
        finally:
            del self._reserved[expense]
            self._settled.set()
            self._settled = asyncio.Event()

    def _fits(self, estimate: tuple[int, float]) -> bool:
        tokens, usd = map(sum, zip(estimate, *self._reserved.values(), strict=True))
        has_tokens = self._max_tokens is None or self.tokens + tokens <= self._max_tokens
        return has_tokens and (self._max_usd is None or self.usd + usd <= self._max_usd)

    def _estimate(self, expense: Expense) -> tuple[int, float]:
        """Return the tokens and US dollars that a request is expected to take."""
        usage = self._reply_totals.expected(_characters(expense.request), expense.request.max_tokens)
        return usage.total, self._cost(expense.model, usage, expense.kind) * expense.share

    def _cost(self, model: str, usage: Usage, kind: str) -> float:
        """Return the price of a reply in US dollars, or 0 if the budget has no limit of them."""
        if self._max_usd is None:
            return 0.0
        from mcprun.models.prices import highest_price_model, price

        cost = price(model, usage, kind)
        if cost is None:
            self._warn(
                f"no price is known for {model}: using that of the most expensive model, {highest_price_model()}"
            )
            cost = price(highest_price_model(), usage) or 0.0
        return cost

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._emit(WarningEvent(message=message))


@dataclass(slots=True)
class _ReplyTotals:
    """Totals of a run's replies, from which the cost of the next one is estimated."""

    replies: int = 0
    characters: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, characters: int, usage: Usage) -> None:
        """Add a reply to a request of that many characters."""
        self.replies += 1
        self.characters += characters
        self.input_tokens += usage.read
        self.output_tokens += usage.output_tokens

    def expected(self, characters: int, max_tokens: int) -> Usage:
        """Estimate a reply: input by its length, output by the mean so far, or `max_tokens` before the first reply."""
        rate = self.input_tokens / self.characters if self.characters else 1 / _CHARACTERS
        output = -(-self.output_tokens // self.replies) if self.replies else max_tokens
        return Usage(input_tokens=round(characters * rate), output_tokens=min(output, max_tokens))


def _characters(request: ModelRequest) -> int:
    """Return the length of a request in characters of JSON; a block of base64 data counts as `_IMAGE_CHARACTERS`."""
    count = 0
    stack: list[Any] = [request.system, *request.messages, *request.tools.definitions]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if value.get("type") == "base64":
                count += _IMAGE_CHARACTERS
                continue
            stack += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            stack += value
        count += _QUOTES + len(value) if isinstance(value, str) else _QUOTES
    return count


@dataclass(frozen=True, slots=True)
class BudgetedModel:
    """A model that replies until the budget is spent.

    `kind` is the provider, as in `ModelRecord`. With `is_batched`, a reply costs half. A request waits for the budget
    within `waiting_elsewhere`, so that a batch can be sent without it.
    """

    model: Model
    budget: Budget
    kind: str
    is_batched: bool = False
    waiting_elsewhere: WaitingElsewhere = nullcontext

    @property
    def name(self) -> str:
        """The name of the wrapped model."""
        return self.model.name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Return the next turn. Raises `BudgetSpentError` if the budget is spent."""
        name = request.model or self.model.name
        share = BATCH_SHARE if self.is_batched else 1.0
        async with self.budget.reserved(Expense(name, request, self.kind, share), self.waiting_elsewhere):
            reply = await self.model.reply(request)
            if not reply.is_counted:
                self.budget.settle(reply.model, request, reply, self.kind)
        return reply
