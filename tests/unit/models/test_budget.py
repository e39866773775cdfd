"""Budgets: prices, overspending by concurrent requests, and unknown usage."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.deadline import Deadline
from mcprun.errors import RunError
from mcprun.models.base import ModelReply, ModelRequest
from mcprun.models.budget import Budget, BudgetedModel
from mcprun.models.prices import highest_price_model, price
from mcprun.prompts.query import parse_query
from mcprun.runs.events import AttemptRef, Event, WarningEvent
from mcprun.runs.transcript import Usage
from mcprun.tools.toolset import ToolSet
from tests.support import virtual_time
from tests.support.prices import SONNET, priced

MILLION = 1_000_000


def test_prices_are_those_of_the_api() -> None:
    """Each kind of token has its own price; what stands in the cache is not counted twice."""
    written, read = priced(cache_creation_input_tokens=MILLION), priced(cache_read_input_tokens=MILLION)
    assert 0 < read < priced(input_tokens=MILLION) < written < priced(output_tokens=MILLION)
    both = priced(input_tokens=MILLION, cache_read_input_tokens=MILLION)
    assert both == pytest.approx(priced(input_tokens=MILLION) + read)
    assert price("no-such-model", Usage(input_tokens=5)) is None
    assert priced(highest_price_model(), input_tokens=1) > priced(input_tokens=1)


def test_what_is_cached_for_an_hour_has_its_own_price() -> None:
    """The API splits what was written to the cache by time to live; without the split it is for five minutes."""
    split = {"ephemeral_5m_input_tokens": MILLION, "ephemeral_1h_input_tokens": MILLION}
    hour = Usage.model_validate({"cache_creation_input_tokens": 2 * MILLION, "cache_creation": split})
    brief = Usage(cache_creation_input_tokens=MILLION)
    assert price(SONNET, hour) == pytest.approx(priced(cache_creation_input_tokens=MILLION) * (1 + 4.0 / 2.5))
    both = hour + brief
    assert both.line()["cache_creation"] == {
        "ephemeral_5m_input_tokens": 2 * MILLION,
        "ephemeral_1h_input_tokens": MILLION,
    }
    assert price(SONNET, both) == pytest.approx((price(SONNET, hour) or 0) + (price(SONNET, brief) or 0))
    assert "cache_creation" not in brief.line()


def asked() -> ModelRequest:
    """Make a request of one short message."""
    return ModelRequest(
        query=parse_query("q"), where=AttemptRef("q"), turn=0, messages=[{"role": "user", "content": "Hi"}], calls=[],
        tools=ToolSet(), system=None, model=None, max_tokens=1000, deadline=Deadline(10_000),
    )  # fmt: skip


@given(st.lists(st.integers(1, 1000), min_size=1), st.integers(1, 5000))
def test_a_budget_is_spent_when_it_is_met(spent: list[int], limit: int) -> None:
    """Nothing may be asked for from the reply on that has brought the sum to the limit."""
    budget = Budget(limit, None, lambda _: None)
    total = 0
    for tokens in spent:
        assert total < limit
        budget.check()
        budget.spend(SONNET, Usage(output_tokens=tokens))
        total += tokens
        if total >= limit:
            with pytest.raises(RunError, match=f"has spent {total:,} of {limit:,} tokens"):
                budget.check()
            return


class Priced:
    """A model each of whose replies takes `tokens`, a second each."""

    name = SONNET

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.asked = 0

    async def reply(self, request: ModelRequest) -> ModelReply:
        self.asked += 1
        await asyncio.sleep(1)
        usage = Usage(input_tokens=self.tokens - 1, output_tokens=1)
        return ModelReply(content=[], stop_reason="end_turn", model=self.name, usage=usage)


@given(st.integers(2, 50), st.integers(1, 2000), st.integers(1, 40))
def test_concurrent_requests_overspend_by_one_at_most(tokens: int, limit: int, at_once: int) -> None:
    """However many lanes there are, requests are sent until the sum meets the limit, and none after."""
    budget = Budget(limit, None, lambda _: None)
    model = Priced(tokens)
    budgeted = BudgetedModel(model, budget, "claude")

    async def lane() -> None:
        with contextlib.suppress(RunError):
            while True:
                await budgeted.reply(asked())

    async def lanes() -> None:
        await asyncio.gather(*(lane() for _ in range(at_once)))

    virtual_time.run(lanes())
    assert budget.tokens == model.asked * tokens
    assert limit <= budget.tokens < limit + tokens


def test_the_message_of_a_spent_budget_gives_the_final_sum() -> None:
    """What was in flight when the limit was met is paid for too."""
    budget = Budget(None, 1e-6, lambda _: None)
    budget.spend(SONNET, Usage(output_tokens=1000))
    with pytest.raises(RunError) as caught:
        budget.check()
    budget.spend(SONNET, Usage(output_tokens=1000))
    assert str(caught.value) == f"the run has spent ${priced(output_tokens=2000):,.4f} of $0.0000 (--budget-usd)"


def test_what_is_not_known_is_counted_high() -> None:
    """A model without a price is counted like the one that costs most, and warned of once."""
    events: list[Event] = []
    budget = Budget(None, 1.0, events.append)
    budget.spend("local-model", Usage(output_tokens=100))
    budget.spend("local-model", Usage(output_tokens=100))
    assert budget.usd == pytest.approx(priced(highest_price_model(), output_tokens=200))
    assert events == [
        WarningEvent(
            message=f"no price is known for local-model: using that of the most expensive model, {highest_price_model()}"
        )
    ]
