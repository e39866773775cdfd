"""Append a query to a prompts file."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

from mcprun._util.json_io import write_file
from mcprun._util.json_value import JsonObject
from mcprun.errors import PromptsError, UsageError
from mcprun.prompts.file import read_prompts
from mcprun.prompts.yaml_file import is_yaml, lines_of_yaml
from mcprun.prompts.yaml_text import yaml_text


@dataclass(frozen=True, slots=True)
class PromptsAppender:
    """Appends queries to a valid prompts file, or creates it. `ids` are those of its queries."""

    path: Path
    ids: frozenset[str]

    @classmethod
    def open(cls, path: Path) -> PromptsAppender:
        """Check the file. Raises `UsageError` if it is not a prompts file, or can't be created."""
        if path.exists():
            if path.stat().st_size == 0:
                return cls(path, frozenset())
            with read_prompts(str(path)) as prompts:
                return cls(path, frozenset(prompts.digests))
        if not path.parent.is_dir():
            raise UsageError(f"can't write {path}: there is no folder {path.parent}")
        return cls(path, frozenset())

    def free_id(self, name: str) -> str:
        """Return an id that no query has: `name`, or one with a number, from `name-2`."""
        numbered = (f"{name}-{number}" for number in range(2, len(self.ids) + 3))
        return name if name not in self.ids else next(one for one in numbered if one not in self.ids)

    def append(self, query: JsonObject) -> None:
        """Append a query. Raises `UsageError` if the file can't be written, or is YAML that can't be appended to."""
        if is_yaml(str(self.path)):
            self._append_yaml(query)
            return
        text = json.dumps(query, ensure_ascii=False)
        line = (text if text.isprintable() else json.dumps(query)).encode() + b"\n"
        try:
            with self.path.open("a+b") as file:
                if file.tell():
                    file.seek(-1, 2)
                    line = line if file.read(1) == b"\n" else b"\n" + line
                file.write(line)
        except OSError as error:
            raise UsageError(f"can't write {self.path}: {error.strerror}") from None

    def _append_yaml(self, query: JsonObject) -> None:
        """Append a query in block style, and check that the file is then still a list of queries."""
        before = self.path.read_bytes() if self.path.exists() else b""
        after = before + (b"\n" if before and not before.endswith(b"\n") else b"") + yaml_text([query]).encode()
        try:
            lines_of_yaml(io.BytesIO(after), str(self.path)).close()
        except PromptsError:
            message = (
                f"{self.path} was not changed: a query can't be appended to a list that is indented or in brackets"
            )
            raise UsageError(message) from None
        write_file(self.path, after)
