"""Generate a value from a JSON Schema, and check that it is valid."""

from __future__ import annotations

from typing import Any

import jsonschema

from mcprun.tools.json_schema.generate import generate_value


def made(schema: Any, **options: Any) -> Any:
    """Generate an example and validate it against its schema."""
    value = generate_value(schema, **options)
    jsonschema.Draft202012Validator(schema).validate(value)
    return value
