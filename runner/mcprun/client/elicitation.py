"""Answer elicitation requests (MCP, "Elicitation") by a policy or with the query's answers. Pure.

A request is the `params` of `elicitation/create` in wire form: `message`, and a `requestedSchema` (form mode) or a
`url` (URL mode). URLs are never opened.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcprun._util.json_value import JsonObject
from mcprun.evaluation import evaluator
from mcprun.evaluation.json_schema import InvalidSchemaError, check_schema
from mcprun.prompts.elicitation import ElicitAnswer, is_form_value

_DECLINED: JsonObject = {"action": "decline"}


class ScriptedAnswers:
    """A query's own answers, used in order and once each."""

    def __init__(self, answers: Sequence[ElicitAnswer]) -> None:
        self._unused = list(answers)

    async def answer(self, request: JsonObject) -> tuple[JsonObject, str | None]:
        """Return the `ElicitResult` for a request, and the reason if mcprun itself declines it.

        Raises `EvaluationError` if a `match`, or a pattern of the form, runs out of time.
        """
        unused = tuple(self._unused)
        answer = await evaluator.evaluated(lambda: next((one for one in unused if one.fits(request["message"])), None))
        if answer not in self._unused:  # no answer, or a concurrent request took it
            return (
                (_DECLINED, "the query has no answer left for this request")
                if answer is None
                else await self.answer(request)
            )
        self._unused.remove(answer)
        return await evaluator.evaluated(lambda: self._answer(answer, request))

    @staticmethod
    def _answer(answer: ElicitAnswer, request: JsonObject) -> tuple[JsonObject, str | None]:
        if answer.action != "accept":
            return {"action": answer.action}, None
        if "url" in request:
            return {"action": "accept"}, None
        content = answer.content or {}
        if violation := form_violation(content, request.get("requestedSchema", {})):
            return _DECLINED, f"the query's answer does not match the requested schema: {violation}"
        return {"action": "accept", "content": content}, None


def answer_by_policy(policy: str, request: JsonObject) -> tuple[JsonObject, str | None]:
    """Return the `ElicitResult` for a request under a policy of `--elicit`, and the reason for declining it.

    `decline` declines all. `defaults` accepts a form with the defaults of its schema, and declines one that requires
    more. `script` declines, since the query has no answer for the request. The reason is None for `decline` and for
    accepted requests. Raises `EvaluationError` if a pattern of the form runs out of time.
    """
    if policy == "script":
        return _DECLINED, "the query has no answer for this request"
    if policy != "defaults":
        return _DECLINED, None
    if "url" in request:
        return _DECLINED, "a URL has no default"
    content = form_defaults(request.get("requestedSchema", {}))
    return (_DECLINED, content) if isinstance(content, str) else ({"action": "accept", "content": content}, None)


def form_defaults(schema: JsonObject) -> JsonObject | str:
    """Return the content of a form filled with its schema's defaults, or the reason why that is not possible."""
    properties = schema.get("properties") or {}
    content = {name: one["default"] for name, one in properties.items() if isinstance(one, dict) and "default" in one}
    missing = [name for name in schema.get("required") or () if name not in content]
    if missing:
        return f"{', '.join(map(repr, missing))} {'is' if len(missing) == 1 else 'are'} required and without a default"
    invalid = next((name for name, value in content.items() if not is_form_value(value)), None)
    if invalid is not None:
        return f"the default of {invalid!r} is not a value that a form can hold"
    problem = form_violation(content, schema)
    return f"the defaults do not match their own schema: {problem}" if problem else content


def form_violation(content: JsonObject, schema: JsonObject) -> str | None:
    """Return how a form's content violates its schema (JSON Schema 2020-12), or None. References are never fetched.

    Patterns are ECMA-262. A pattern that can't be parsed is not checked. Raises `EvaluationError` if one runs out of
    time.
    """
    try:
        check_schema(schema)
        outcome = evaluator.Schema(schema, "ecma").outcome(content)
    except InvalidSchemaError as bad:
        return f"the schema is not valid: {bad.message}"
    except RecursionError:
        return "the schema is nested too deeply"
    except evaluator.EvaluationError as bad:
        if bad.is_timeout:
            raise
        return str(bad)
    if outcome.unresolved:
        return f"the schema can't be evaluated: {outcome.unresolved[0]}"
    if not (problem := outcome.problem):
        return None
    return problem.message if problem.path == "$" else f"{problem.path.removeprefix('$.')}: {problem.message}"
