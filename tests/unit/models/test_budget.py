"""Budgets: prices, overspending by concurrent requests, and unknown prices."""

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


def test_each_kind_of_token_has_its_price() -> None:
    """Each kind of token has its own price, and cached tokens are not counted twice."""
    written, read = priced(cache_creation_input_tokens=MILLION), priced(cache_read_input_tokens=MILLION)
    assert 0 < read < priced(input_tokens=MILLION) < written < priced(output_tokens=MILLION)
    total = priced(input_tokens=MILLION, cache_read_input_tokens=MILLION)
    assert total == pytest.approx(priced(input_tokens=MILLION) + read)
    assert price("no-such-model", Usage(input_tokens=5)) is None
    assert priced(highest_price_model(), input_tokens=1) > priced(input_tokens=1)


def test_cache_writes_for_an_hour_have_their_own_price() -> None:
    """Cache writes are priced by their time to live. Without the API's breakdown it is five minutes."""
    split = {"ephemeral_5m_input_tokens": MILLION, "ephemeral_1h_input_tokens": MILLION}
    hour = Usage.model_validate({"cache_creation_input_tokens": 2 * MILLION, "cache_creation": split})
    five_minutes = Usage(cache_creation_input_tokens=MILLION)
    assert price(SONNET, hour) == pytest.approx(priced(cache_creation_input_tokens=MILLION) * (1 + 4.0 / 2.5))
    total = hour + five_minutes
    assert total.line()["cache_creation"] == {
        "ephemeral_5m_input_tokens": 2 * MILLION,
        "ephemeral_1h_input_tokens": MILLION,
    }
    assert price(SONNET, total) == pytest.approx((price(SONNET, hour) or 0) + (price(SONNET, five_minutes) or 0))
    assert "cache_creation" not in five_minutes.line()


def make_request() -> ModelRequest:
    """Return a request with one short message."""
    return ModelRequest(
        query=parse_query("q"), where=AttemptRef("q"), turn=0, messages=[{"role": "user", "content": "Hi"}], calls=[],
        tools=ToolSet(), system=None, model=None, max_tokens=1000, deadline=Deadline(10_000),
    )  # fmt: skip


@given(st.lists(st.integers(1, 1000), min_size=1), st.integers(1, 5000))
def test_a_budget_is_exhausted_when_it_is_reached(replies: list[int], limit: int) -> None:
    """From the reply that reaches the limit on, no request may be sent."""
    budget = Budget(limit, None, lambda _: None)
    total = 0
    for tokens in replies:
        assert total < limit
        budget.check()
        budget.spend(SONNET, Usage(output_tokens=tokens))
        total += tokens
        if total >= limit:
            with pytest.raises(RunError, match=f"has spent {total:,} of {limit:,} tokens"):
                budget.check()
            return


class OneSecondModel:
    """A model whose replies take `tokens` and one second each."""

    name = SONNET

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.requests = 0

    async def reply(self, request: ModelRequest) -> ModelReply:
        self.requests += 1
        await asyncio.sleep(1)
        usage = Usage(input_tokens=self.tokens - 1, output_tokens=1)
        return ModelReply(content=[], stop_reason="end_turn", model=self.name, usage=usage)


@given(st.integers(2, 50), st.integers(1, 2000), st.integers(1, 40))
def test_concurrent_requests_overspend_by_less_than_one_reply(tokens: int, limit: int, concurrency: int) -> None:
    """Whatever the concurrency, requests are sent until the total reaches the limit, and none after."""
    budget = Budget(limit, None, lambda _: None)
    model = OneSecondModel(tokens)
    budgeted = BudgetedModel(model, budget, "claude")

    async def send_requests() -> None:
        with contextlib.suppress(RunError):
            while True:
                await budgeted.reply(make_request())

    async def run_all() -> None:
        await asyncio.gather(*(send_requests() for _ in range(concurrency)))

    virtual_time.run(run_all())
    assert budget.tokens == model.requests * tokens
    assert limit <= budget.tokens < limit + tokens


def test_the_message_of_an_exhausted_budget_has_the_final_total() -> None:
    """The message includes requests that were in flight when the limit was reached."""
    budget = Budget(None, 1e-6, lambda _: None)
    budget.spend(SONNET, Usage(output_tokens=1000))
    with pytest.raises(RunError) as raised:
        budget.check()
    budget.spend(SONNET, Usage(output_tokens=1000))
    assert str(raised.value) == f"the run has spent ${priced(output_tokens=2000):,.4f} of $0.0000 (--budget-usd)"


def test_models_without_a_price_use_the_highest_price() -> None:
    """A model without a known price is charged like the most expensive one, with a single warning."""
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
