"""Store the results of a batch on disk. They are read one by one, and memory holds only their offsets."""

from __future__ import annotations

import json
import tempfile

from mcprun._util.json_value import JsonObject
from mcprun.errors import QueryError


class Spool:
    """Stores results by `custom_id`, of which there may be 100,000, until it is closed.

    `failure` is the error that kept some of them from being read.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  open until the spool is closed
        self._places: dict[str, int] = {}
        self.failure: QueryError | None = None

    def put(self, custom_id: str, result: JsonObject) -> None:
        """Store a result."""
        self._places[custom_id] = self._file.seek(0, 2)
        self._file.write(json.dumps(result).encode() + b"\n")

    def get(self, custom_id: str) -> JsonObject | None:
        """Return a result, or None if there is none."""
        if custom_id not in self._places:
            return None
        self._file.seek(self._places[custom_id])
        return dict(json.loads(self._file.readline()))

    def close(self) -> None:
        """Close the file, which deletes it."""
        self._file.close()
