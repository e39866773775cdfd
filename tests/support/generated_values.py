"""Generate a value from a schema and check that it validates."""

from __future__ import annotations

from typing import Any

import jsonschema

from mcprun.tools.json_schema.generate import generate_value


def made(schema: Any, **how: Any) -> Any:
    """Make an example that must be valid."""
    value = generate_value(schema, **how)
    jsonschema.Draft202012Validator(schema).validate(value)
    return value
