"""Find the name that a misspelt one was probably meant to be. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_MAX_LENGTH = 200
"""Longer names are not compared: the time grows with the product of their lengths."""

_MAX_NAMES = 2000


_CUTOFF = 0.6
"""Minimum similarity (`difflib` ratio) of a misspelt name to the one that was meant: the default of `difflib`."""


def similar_name(name: str, names: Iterable[str], cutoff: float = _CUTOFF) -> str:
    """Return the one of `names` that is most similar to `name`, or an empty string if none is similar.

    Names that differ only in case and in separators (`getSum`, `get-sum`) come first. `cutoff` is the minimum
    similarity (`difflib` ratio) of others.
    """
    import difflib  # only for messages about errors

    if len(name) > _MAX_LENGTH:
        return ""
    known = [one for one in names if len(one) <= _MAX_LENGTH and one != name][:_MAX_NAMES]
    if alike := next((one for one in known if _letters(one) == _letters(name)), ""):
        return alike
    by_lower = {one.lower(): one for one in reversed(known)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[close[0]] if close else ""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean 'NAME'?` with the most similar name, or an empty string if none is similar."""
    similar = similar_name(name, names)
    return f"; did you mean {similar!r}?" if similar else ""


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower())) or name
