"""Regular expressions in two dialects: Python's `re` for users, ECMA-262 for the schemas of servers.

Matching may take any time: `evaluation/bounded.py` does it in a process that can be killed. Compiling is safe anywhere.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

from mcprun._util.surrogates import well_formed

Dialect = Literal["python", "ecma", "either"]
"""`either` is ECMA-262, or Python's for a pattern that is not valid ECMA-262; for sample values only."""

Search = Callable[[str, str], bool | None]
"""Whether a pattern is found in a text; `None` if the pattern can't be read in its dialect."""

_ECMA_ESCAPE = re.compile(r"\\(?:[dDwWsSbBtnvfrcxuk]|[^A-Za-z]|(?P<other>.))", re.DOTALL)
"""An escape of ECMA-262 without the flag `u`; `other` is a letter that stands for itself then (Annex B.1.2)."""


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a user's regular expression. Raises `ValueError` if it is invalid, too large or nested too deeply."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a FutureWarning on syntax that may change
            return re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def python_search(pattern: str, text: str) -> bool | None:
    """Find a pattern of Python's dialect in a text."""
    try:
        return compile_pattern(pattern).search(text) is not None
    except ValueError:
        return None


def ecma_search(pattern: str, text: str) -> bool | None:
    """Find a pattern of ECMA-262 in a text; half surrogate pairs count as U+FFFD."""
    expression = _ecma(pattern)
    return None if expression is None else expression.find(well_formed(text)) is not None


def either_search(pattern: str, text: str) -> bool | None:
    """Find a pattern of ECMA-262 in a text, or of Python's dialect if it can't be read as that."""
    found = ecma_search(pattern, text)
    return python_search(pattern, text) if found is None else found


SEARCHES: Mapping[Dialect, Search] = {"python": python_search, "ecma": ecma_search, "either": either_search}


@lru_cache(maxsize=512)
def _ecma(pattern: str) -> Any:
    """Compile with the flag `u`, as JSON Schema recommends (Core, 6.4), else without; `None` if neither reads it.

    Without `u`, a letter that has no meaning after a backslash stands for itself. Patterns that rely on it are rare;
    those of another dialect are not (`\\A`, `\\Z`), and would be read wrongly.
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
