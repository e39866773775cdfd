"""Match regular expressions in two dialects: Python's `re` for users' patterns, ECMA-262 for servers' schemas.

Matching has no time limit here; `evaluation/evaluator.py` does it in a process that can be killed. Compiling is safe
anywhere.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

from mcprun._util.quoted_pattern import quote_pattern
from mcprun._util.surrogates import well_formed

_SHOWN = 100
"""Maximum characters of a pattern in a message."""

Dialect = Literal["python", "ecma", "either"]
"""The dialect of a pattern. `either` is ECMA-262 with a fallback to Python's, and only for sample values."""

Search = Callable[[str, str], bool | None]
"""Returns whether a pattern matches in a text, or None if the pattern is not valid in its dialect."""

_ECMA_ESCAPE = re.compile(r"\\(?:[dDwWsSbBtnvfrcxuk]|[^A-Za-z]|(?P<other>.))", re.DOTALL)
"""An escape of ECMA-262 without the flag `u`. `other` is an escaped letter that stands for itself (Annex B.1.2)."""


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a user's regular expression. Raises `ValueError` if it is invalid, too large or nested too deeply.

    The message has the pattern and the reason of the engine, which names the position.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # FutureWarning about syntax that may change
            return re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise ValueError(_invalid(pattern, str(error))) from None
    except RecursionError:
        raise ValueError(_invalid(pattern, "it is nested too deeply")) from None


def _invalid(pattern: str, reason: str) -> str:
    shown = pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}…"
    return f"{quote_pattern(shown)} is not a valid regular expression: {reason}"


def python_search(pattern: str, text: str) -> bool | None:
    """Return whether a Python pattern matches in a text, or None if the pattern is invalid."""
    try:
        return compile_pattern(pattern).search(text) is not None
    except ValueError:
        return None


def ecma_search(pattern: str, text: str) -> bool | None:
    """Return whether an ECMA-262 pattern matches in a text, or None if it is invalid.

    Lone surrogates count as U+FFFD.
    """
    expression = _ecma(pattern)
    return None if expression is None else expression.find(well_formed(text)) is not None


def either_search(pattern: str, text: str) -> bool | None:
    """Match a pattern as ECMA-262, or as Python's dialect if it is not valid ECMA-262."""
    found = ecma_search(pattern, text)
    return python_search(pattern, text) if found is None else found


SEARCHES: Mapping[Dialect, Search] = {"python": python_search, "ecma": ecma_search, "either": either_search}


@lru_cache(maxsize=512)
def _ecma(pattern: str) -> Any:
    """Compile with the flag `u`, as JSON Schema recommends (Core, 6.4), or else without. Return None if neither works.

    Without `u`, an escaped letter that has no special meaning stands for itself. Such escapes are rejected: few
    patterns rely on them, while `\\A` and `\\Z` of other dialects are common and would be misread.
    """
    from regress import Regex, RegressError

    pattern = well_formed(pattern)
    try:
        return Regex(pattern, "u")
    except RegressError:
        pass
    if any(found["other"] for found in _ECMA_ESCAPE.finditer(pattern)):
        return None
    try:
        return Regex(pattern)
    except RegressError:
        return None
