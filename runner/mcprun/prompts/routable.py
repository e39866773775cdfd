"""Which queries a routed run (`--route`) grades. Pure."""

from __future__ import annotations

from mcprun.prompts.query import Query
from mcprun.prompts.references import references_in


def ungraded_reason(query: Query) -> str:
    """Return why a routed run does not grade a query; empty if it does."""
    if query.expect.calls is None:
        return "the query has no expect.calls"
    if any(True for value in query.vars.values() for _ in references_in(value)):
        return "the query has vars from steps, which a routed run does not run"
    return ""
