"""Show regular expressions in messages. Pure."""

from __future__ import annotations


def quote_pattern(pattern: str) -> str:
    """Return a regular expression in quotes, as it was written: backslashes are not doubled, as `repr` does.

    Characters that can't be printed are escaped.
    """
    quote = '"' if "'" in pattern and '"' not in pattern else "'"
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in pattern
    )
    return f"{quote}{shown}{quote}"
