"""The results of a batch, on disk: they are asked for one after the other, and memory holds where they stand."""

from __future__ import annotations

import json
import tempfile

from mcprun._util.json_value import JsonObject
from mcprun.errors import QueryError


class Spool:
    """Holds results by their `custom_id`, of which there may be 100,000, until it is closed.

    `failure` is why some of them could not be read.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the spool does
        self._places: dict[str, int] = {}
        self.failure: QueryError | None = None

    def put(self, custom_id: str, result: JsonObject) -> None:
        """Keep a result."""
        self._places[custom_id] = self._file.seek(0, 2)
        self._file.write(json.dumps(result).encode() + b"\n")

    def get(self, custom_id: str) -> JsonObject | None:
        """Read a result; `None` when there is none."""
        if custom_id not in self._places:
            return None
        self._file.seek(self._places[custom_id])
        return dict(json.loads(self._file.readline()))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
