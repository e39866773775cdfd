"""Write queries as YAML that `prompts/yaml_file.py` reads back unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.prompts.yaml_file import plain_value

_WIDTH = 1_000_000
"""Lines are not folded: where a line ends is part of a text that is read by people."""


def yaml_text(queries: Iterable[JsonObject]) -> str:
    """Return a YAML list of queries in block style. Texts of several lines are literal blocks where YAML allows it."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes text that the core schema of YAML 1.2 would resolve to another type: PyYAML goes by YAML 1.1."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the interface of PyYAML
            return True

    def represent(dumper: Any, text: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))

    Dumper.add_representer(str, represent)
    return str(yaml.dump(list(queries), Dumper=Dumper, allow_unicode=True, sort_keys=False, width=_WIDTH))


def _style(text: str) -> str | None:
    """Return the style of a scalar: a literal block, double quotes, or what PyYAML prefers (None)."""
    lines = text.split("\n")
    if not all(map(str.isprintable, lines)):
        return '"'
    if len(lines) > 1:
        is_literal = not text[0].isspace() and all(line == line.rstrip() for line in lines)
        return "|" if is_literal else '"'
    return None if _is_plain(text) else '"'


def _is_plain(text: str) -> bool:
    """Return whether a plain scalar of this text is read as this text."""
    try:
        return plain_value(text) is text
    except ValueError:
        return False
