"""The base class of the records that are written to a run directory, and the version of their formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from mcprun._util.json_value import JsonObject

Shape = Literal["messages", "content", "arguments"]
"""The format that defines the keys of a JSON value.

`messages` is the Messages API, `content` MCP content and tools, and `arguments` mcprun's command-line arguments.
"""

SCHEMA = 1
"""Version of `run.json` and `transcripts.jsonl`. Increased when readers of the old one would misread the new one."""

SCHEMA_SINCE = "0.1.0"
"""The first version of mcprun that reads `SCHEMA`. Change both together."""

Schema = Annotated[int, Field(strict=True, ge=1, le=SCHEMA)]
"""A version of the formats that this mcprun can read."""


class Record(BaseModel):
    """Base of all records that are written to a run directory."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Fields that are never redacted: enumerated values, and names by which runs are compared."""
    shaped: ClassVar[Mapping[str, Shape]] = {}
    """JSON fields whose keys are defined by a format, by field name."""

    def line(self) -> JsonObject:
        """Return the record as the JSON object to write."""
        return self.model_dump(mode="python", by_alias=True)
